"""Where sets are looked for, what an absent one says, and the command line."""

import hashlib
import http.server
import pathlib
import subprocess
import sys
import threading
import zipfile

import pytest

from tfrec import data
from tfrec.data import __main__ as command_line
from tfrec.data import catalog, download, prepared


def test_home(monkeypatch, tmp_path):
    monkeypatch.setenv("TFREC_DATA_HOME", str(tmp_path / "variable"))
    assert catalog.home(tmp_path) == tmp_path
    assert catalog.home() == tmp_path / "variable"
    monkeypatch.delenv("TFREC_DATA_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert catalog.home() == tmp_path / ".cache" / "tfrec"
    assert catalog.home("~/x") == tmp_path / "x"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ml-1m", r"Run `python -m tfrec\.data prepare ml-1m`"),
        ("taobao-userbehavior", r"Get UserBehavior\.csv from .*tianchi.*--raw=PATH"),
        ("gowalla", r"Get a folder with train\.txt and test\.txt from"),
        ("amazon-beauty", r"Get reviews_Beauty_5\.json\.gz or a ratings csv from"),
        ("diginetica", "put a folder in the prepared format there"),
        ("ml-1b", r"Known sets: ml-100k, ml-1m"),
    ],
)
def test_an_absent_set_says_how_to_get_it(tmp_path, name, message):
    with pytest.raises(data.DataError, match=message) as error:
        data.load(name, tmp_path)
    assert f"must be a prepared set in {tmp_path / name}" in str(error.value)


def test_an_absent_raw_file(tmp_path):
    with pytest.raises(data.DataError, match=r"must exist: UserBehavior\.csv, from"):
        data.prepare("taobao-userbehavior", tmp_path / "none.csv", tmp_path)


def test_a_download_that_fails_says_what_else_works(tmp_path, monkeypatch):
    def fail(url, *args):
        raise download.DownloadError(f"`{url}` must be reachable.")

    monkeypatch.setattr(download, "fetch", fail)
    with pytest.raises(data.DataError, match=r"ml-1m\.zip.*\n.*--raw=FILE"):
        data.prepare("ml-1m", data_home=tmp_path)


def _gowalla(path: pathlib.Path) -> pathlib.Path:
    path.mkdir(exist_ok=True)
    (path / "train.txt").write_text("0 1 2\n")
    (path / "test.txt").write_text("0 0\n")
    return path


def test_a_prepared_set_is_kept_unless_overwritten(tmp_path):
    raw = _gowalla(tmp_path / "raw")
    one = data.prepare("gowalla", raw, tmp_path)
    (raw / "train.txt").write_text("0 1 2 3\n")
    assert data.prepare("gowalla", raw, tmp_path).sha256 == one.sha256
    other = data.prepare("gowalla", raw, tmp_path, overwrite=True)
    assert other.interactions.num_rows == 4
    assert data.load("gowalla", tmp_path).sha256 == other.sha256


def test_prepare_takes_what_another_process_wrote_meanwhile(tmp_path, monkeypatch):
    write = prepared.write

    def lose_the_race(*args, **kwargs):
        write(*args, **kwargs)
        write(*args, **kwargs)

    monkeypatch.setattr(prepared, "write", lose_the_race)
    raw = _gowalla(tmp_path / "raw")
    assert data.prepare("gowalla", raw, tmp_path).interactions.num_rows == 3


_PREPARE = """
import dataclasses, fcntl, functools, sys
from tfrec.data import catalog, download

def flock(*args, flock=fcntl.flock):
    print("locks", flush=True)
    flock(*args)

url, sha256, home = sys.argv[1:]
fcntl.flock = flock
download.fetch = functools.partial(download.fetch, connect_seconds=600)
known = dataclasses.replace(catalog.KNOWN["gowalla"], url=url, sha256=sha256)
catalog.KNOWN["gowalla"] = known
print(catalog.prepare("gowalla", data_home=home).interactions.num_rows)
"""


@pytest.fixture
def slow_server(tmp_path):
    """Serves an archive; the first answer stops in its middle until `go` is set."""
    with zipfile.ZipFile(tmp_path / "raw.zip", "w") as archive:
        for path in _gowalla(tmp_path / "raw").iterdir():
            archive.write(path, path.name)
    content = (tmp_path / "raw.zip").read_bytes()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[:100])
            if len(self.server.asked) == 1:
                self.server.began.set()
                self.server.go.wait()
            self.wfile.write(content[100:])

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        httpd.asked, httpd.began, httpd.go = [], threading.Event(), threading.Event()
        httpd.sha256 = hashlib.sha256(content).hexdigest()
        thread = threading.Thread(target=httpd.serve_forever)
        thread.start()
        yield httpd
        httpd.go.set()
        httpd.shutdown()
        thread.join()


def test_two_processes_prepare_once(tmp_path, slow_server):
    url = f"http://127.0.0.1:{slow_server.server_port}/archive.zip"
    command = [sys.executable, "-c", _PREPARE, url, slow_server.sha256, str(tmp_path)]

    def start():
        pipe = subprocess.PIPE
        return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True)

    with start() as one:
        assert slow_server.began.wait(100)
        with start() as other:
            line = other.stdout.readline()
            slow_server.go.set()
            assert line == "locks\n"
            assert one.communicate()[0] == "locks\n3\n"
            out, err = other.communicate()
            assert (out, err, other.returncode) == ("3\n", "", 0)
    assert slow_server.asked == ["/archive.zip"]
    names = {path.name for path in (tmp_path / ".downloads").iterdir()}
    assert names == {"gowalla.zip", "gowalla.lock"}


def test_commands_read_no_table(tmp_path, capsys, monkeypatch):
    raw = _gowalla(tmp_path / "raw")
    where = f"--data_home={tmp_path}"
    with monkeypatch.context() as patch:
        patch.setattr(prepared, "read", None)
        assert command_line.main(["prepare", "gowalla", f"--raw={raw}", where]) == 0
        out = capsys.readouterr().out
        assert command_line.main(["prepare", "gowalla", where]) == 0
        assert command_line.main(["info", "gowalla", where]) == 0
    assert capsys.readouterr().out == 2 * out
    assert f"sha256: {data.load('gowalla', tmp_path).sha256}" in out


def test_commands_name_what_is_damaged(tmp_path, capsys):
    data.prepare("gowalla", _gowalla(tmp_path / "raw"), tmp_path)
    where = f"--data_home={tmp_path}"
    (tmp_path / "gowalla" / "interactions.parquet").write_bytes(b"none")
    assert command_line.main(["info", "gowalla", where]) == 1
    assert capsys.readouterr().err
    (tmp_path / "gowalla" / "meta.json").write_text("{")
    assert command_line.main(["info", "gowalla", where]) == 1
    assert "meta.json` must be JSON" in capsys.readouterr().err


def test_commands(tmp_path, capsys):
    raw = _gowalla(tmp_path / "raw")
    where = f"--data_home={tmp_path}"
    assert command_line.main(["info", "gowalla", where]) == 1
    assert "train.txt" in capsys.readouterr().err
    assert command_line.main(["prepare", "gowalla", f"--raw={raw}", where]) == 0
    assert "interactions: 3 rows: user, item, split" in capsys.readouterr().out
    assert command_line.main(["info", "gowalla", where]) == 0
    out = capsys.readouterr().out
    assert "num_items: 3" in out
    assert "terms: Gowalla check-ins" in out
    assert command_line.main(["list", where]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in catalog.KNOWN)
    assert out.count("yes") == 1
    with pytest.raises(SystemExit) as stop:
        command_line.main(["--help"])
    assert stop.value.code == 0
    assert "prepare" in capsys.readouterr().out
