"""Folders appear whole or not at all, and damage is named."""

import errno
import hashlib
import json
import subprocess
import sys

import pytest

from tfrec import artifacts
from tfrec.artifacts import ArtifactError


def _write(path, text="hello", **kwargs):
    with artifacts.create(path, kind="thing", **kwargs) as folder:
        (folder / "a.txt").write_text(text)
        (folder / "sub").mkdir()
        (folder / "sub" / "b.bin").write_bytes(b"\x00\x01")
    return path


def test_meta_describes_every_file(tmp_path):
    path = _write(tmp_path / "deep" / "x", meta={"name": "x"}, format=3)
    meta = artifacts.load(path, kind="thing", format=3)
    assert list(meta)[:3] == ["kind", "format", "name"]
    assert meta["files"] == {
        "a.txt": {"bytes": 5, "sha256": hashlib.sha256(b"hello").hexdigest()},
        "sub/b.bin": {"bytes": 2, "sha256": hashlib.sha256(b"\x00\x01").hexdigest()},
    }
    assert [p.name for p in path.parent.iterdir()] == ["x"]


def test_meta_may_be_filled_in_the_block(tmp_path):
    meta = {}
    with artifacts.create(tmp_path / "x", kind="thing", meta=meta) as folder:
        (folder / "a").write_text("1")
        meta.update(rows=1, files={"a": {"rows": 1}})
    found = artifacts.load(tmp_path / "x", kind="thing")
    assert found["rows"] == 1
    assert found["files"]["a"]["rows"] == 1
    assert found["files"]["a"]["bytes"] == 1


def test_meta_may_not_name_a_file_that_was_not_written(tmp_path):
    meta = {"files": {"b": {}}}
    with (
        pytest.raises(ArtifactError, match=r"must name written files.*'b'"),
        artifacts.create(tmp_path / "x", kind="thing", meta=meta),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_failing_block_leaves_nothing_and_keeps_the_old(tmp_path):
    _write(tmp_path / "x")

    def fail(folder):
        (folder / "a.txt").write_text("new")
        raise RuntimeError("midway")

    with (
        pytest.raises(RuntimeError, match="midway"),
        artifacts.create(tmp_path / "x", kind="thing", overwrite=True) as folder,
    ):
        fail(folder)
    assert (tmp_path / "x" / "a.txt").read_text() == "hello"
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


def test_a_killed_writer_leaves_no_artifact(tmp_path):
    code = (
        "import os; from tfrec import artifacts\n"
        f"with artifacts.create({str(tmp_path / 'x')!r}, kind='thing') as folder:\n"
        "    (folder / 'a').write_text('1'); os._exit(9)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
    assert not (tmp_path / "x").exists()
    _write(tmp_path / "x")
    artifacts.load(tmp_path / "x", kind="thing")


def test_overwrite(tmp_path):
    path = _write(tmp_path / "x")
    with pytest.raises(ArtifactError, match="must not exist yet"):
        _write(path, "other")
    _write(path, "other", overwrite=True)
    assert (path / "a.txt").read_text() == "other"
    assert [p.name for p in tmp_path.iterdir()] == ["x"]
    artifacts.load(path, kind="thing")


def test_a_folder_that_came_meanwhile_is_kept(tmp_path):
    with (
        pytest.raises(ArtifactError, match="must be free"),
        artifacts.create(tmp_path / "x", kind="thing"),
    ):
        _write(tmp_path / "x", "first")
    assert (tmp_path / "x" / "a.txt").read_text() == "first"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda p: (p / "a.txt").unlink(), r"a\.txt` must exist"),
        (lambda p: (p / "a.txt").write_text("hell"), r"must have 5 bytes.*: 4"),
        (lambda p: (p / "a.txt").write_text("jello"), r"a\.txt` must have sha256"),
        (lambda p: (p / "meta.json").write_text("{"), "must be JSON"),
        (lambda p: (p / "meta.json").write_text("[]"), "must be an object"),
        (lambda p: _edit(p, kind="other"), "kind must be 'thing'.*'other'"),
        (lambda p: _edit(p, format=2), "format must be 1. Received: 2"),
        (lambda p: _edit(p, files={"../c": {}}), "must be inside.*'../c'"),
    ],
)
def test_damage(tmp_path, damage, message):
    path = _write(tmp_path / "x")
    damage(path)
    with pytest.raises(ArtifactError, match=message):
        artifacts.load(path, kind="thing")


def _edit(path, **changes):
    meta = json.loads((path / "meta.json").read_text())
    artifacts.write_json(path / "meta.json", meta | changes)


def test_no_kind_counts_as_a_data_set_only(tmp_path):
    path = _write(tmp_path / "x")
    meta = json.loads((path / "meta.json").read_text())
    del meta["kind"]
    artifacts.write_json(path / "meta.json", meta)
    assert artifacts.load(path, kind="dataset")["files"]
    with pytest.raises(ArtifactError, match="kind must be 'nann-index'"):
        artifacts.load(path, kind="nann-index")


def test_no_artifact(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"meta\.json` must exist"):
        artifacts.load(tmp_path, kind="thing")


def test_versions(tmp_path):
    with pytest.raises(FileNotFoundError, match="must hold a numbered folder"):
        artifacts.latest_version(tmp_path / "none")
    assert artifacts.next_version(tmp_path).name == "1"
    for name in ("2", "10", "9", "notes", ".11.tmp"):
        (tmp_path / name).mkdir()
    (tmp_path / "12").write_text("a file is no version")
    assert artifacts.latest_version(tmp_path) == tmp_path / "10"
    assert artifacts.next_version(tmp_path) == tmp_path / "11"


def test_write_json_names_the_file_that_it_cannot_write(tmp_path, monkeypatch):
    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(artifacts.os, "fsync", full)
    with pytest.raises(OSError, match="No space left.*/a.json'") as caught:
        artifacts.write_json(tmp_path / "a.json", {})
    assert caught.value.errno == errno.ENOSPC
    assert list(tmp_path.iterdir()) == []


def test_write_json_keeps_the_old_file_when_it_fails(tmp_path):
    path = tmp_path / "a.json"
    artifacts.write_json(path, {"a": "é"})
    with pytest.raises(TypeError):
        artifacts.write_json(path, {"a": object()})
    assert json.loads(path.read_text(encoding="utf-8")) == {"a": "é"}
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]
