"""Where sets are looked for, what an absent one says, and the command line."""

import pathlib

import pytest

from tfrec import data
from tfrec.data import __main__ as command_line
from tfrec.data import catalog, download


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


def test_load_takes_what_another_process_prepared_meanwhile(tmp_path, monkeypatch):
    def lose_the_race(name, data_home):
        raw = _gowalla(tmp_path / "raw")
        catalog.prepare("gowalla", raw, tmp_path)
        (tmp_path / "gowalla").rename(tmp_path / "ml-100k")
        raise data.DataError("must be free")

    prepare = catalog.prepare
    monkeypatch.setattr(
        catalog,
        "prepare",
        lambda name, *args, **kw: (
            lose_the_race(name, **kw) if name == "ml-100k" else prepare(name, *args)
        ),
    )
    assert data.load("ml-100k", tmp_path).interactions.num_rows == 3


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
