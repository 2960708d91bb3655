"""Downloads from a server on loopback: resumed, checked, refused, given up."""

import hashlib
import http.server
import socket
import threading

import pytest

from tfrec.data import download
from tfrec.data.download import DownloadError

_CONTENT = bytes(range(256)) * 4000
_SHA256 = hashlib.sha256(_CONTENT).hexdigest()


class _Handler(http.server.BaseHTTPRequestHandler):
    """Serves `_CONTENT`; `/plain` without ranges, `/cut` without its end."""

    def do_GET(self):
        self.server.asked.append(self.headers.get("Range"))
        start = 0
        if self.headers.get("Range") and self.path != "/plain":
            start = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
        if self.path == "/none" or start >= len(_CONTENT):
            self.send_error(404 if self.path == "/none" else 416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(_CONTENT) - start))
        self.end_headers()
        end = len(_CONTENT) // 2 if self.path == "/cut" else len(_CONTENT)
        self.wfile.write(_CONTENT[start:end])

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as httpd:
        httpd.asked = []
        httpd.url = f"http://127.0.0.1:{httpd.server_port}"
        thread = threading.Thread(target=httpd.serve_forever)
        thread.start()
        yield httpd
        httpd.shutdown()
        thread.join()


@pytest.fixture
def target(tmp_path):
    return tmp_path / "deep" / "file.bin"


def test_fetch_once(server, target):
    assert download.fetch(f"{server.url}/file", target, _SHA256) == target
    assert target.read_bytes() == _CONTENT
    download.fetch(f"{server.url}/file", target, _SHA256)
    assert server.asked == [None]
    assert [p.name for p in target.parent.iterdir()] == ["file.bin"]


def test_a_lost_connection_is_resumed(server, target):
    with pytest.raises(DownloadError, match="must"):
        download.fetch(f"{server.url}/cut", target, _SHA256)
    half = len(_CONTENT) // 2
    assert target.with_name("file.bin.part").stat().st_size == half
    assert not target.exists()
    download.fetch(f"{server.url}/file", target, _SHA256)
    assert target.read_bytes() == _CONTENT
    assert server.asked == [None, f"bytes={half}-"]


def test_a_server_without_ranges_starts_again(server, target):
    target.parent.mkdir()
    target.with_name("file.bin.part").write_bytes(_CONTENT[:1000])
    download.fetch(f"{server.url}/plain", target, _SHA256)
    assert target.read_bytes() == _CONTENT


def test_a_whole_part_is_taken(server, target):
    target.parent.mkdir()
    target.with_name("file.bin.part").write_bytes(_CONTENT)
    download.fetch(f"{server.url}/file", target, _SHA256)
    assert target.read_bytes() == _CONTENT


def test_a_wrong_checksum_leaves_nothing(server, target):
    target.parent.mkdir()
    target.with_name("file.bin.part").write_bytes(b"other")
    with pytest.raises(DownloadError, match=f"must have sha256 {_SHA256}. Received"):
        download.fetch(f"{server.url}/file", target, _SHA256)
    assert list(target.parent.iterdir()) == []
    download.fetch(f"{server.url}/file", target, _SHA256)
    assert target.read_bytes() == _CONTENT


def test_a_missing_file(server, target):
    with pytest.raises(DownloadError, match="must be reachable.*404"):
        download.fetch(f"{server.url}/none", target, _SHA256)


def test_no_such_host(target):
    with pytest.raises(DownloadError, match="must be reachable"):
        download.fetch("http://no-such-host.invalid/file", target, _SHA256)


def test_a_silent_server_is_given_up(target):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/file"
        with pytest.raises(DownloadError, match=r"timed out|no answer in 0\.3 seconds"):
            download.fetch(url, target, _SHA256, connect_seconds=0.3)
    assert download.CONNECT_SECONDS <= 5


def test_a_slow_name_lookup_is_given_up(target, monkeypatch):
    release = threading.Event()

    def lookup(*args, **kwargs):
        release.wait(30)
        raise OSError("late")

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    try:
        with pytest.raises(DownloadError, match=r"no answer in 0\.3 seconds"):
            download.fetch(
                "http://slow.invalid/file", target, _SHA256, connect_seconds=0.3
            )
    finally:
        release.set()


def test_a_wheel_that_is_not_there(tmp_path):
    with pytest.raises(DownloadError, match="is pip installed and the package index"):
        download.fetch_wheel("recbole==0.0.0.dev404", "", tmp_path)


def test_a_wheel_with_another_checksum(tmp_path):
    with pytest.raises(DownloadError, match=r"`recbole==1\.2\.1` must have sha256 00"):
        download.fetch_wheel("recbole==1.2.1", "00", tmp_path)
