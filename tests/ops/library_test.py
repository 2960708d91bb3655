"""Finding and checking the op library."""

import ctypes
import shutil

import pytest
import tensorflow as tf

from tfrec import ops
from tfrec.ops import _library


def test_library_says_what_it_was_built_for():
    ops.load_library()
    library = ctypes.CDLL(ops.library_path())
    library.TfrecBuiltForTensorFlow.restype = ctypes.c_char_p
    expected = f"tfrec is built for TensorFlow {tf.__version__};"
    assert library.TfrecBuiltForTensorFlow().decode() == expected


def test_another_patch_version_is_accepted():
    _library.check_built_for(ops.library_path(), "2.21.9")


@pytest.mark.parametrize("version", ["2.20.0", "2.22.0-rc1", "3.21.0", "2.2.0"])
def test_another_minor_version_is_refused(version):
    path = ops.library_path()
    with pytest.raises(ImportError) as error:
        _library.check_built_for(path, version)
    message = str(error.value)
    assert path in message
    assert f"built for TensorFlow {tf.__version__}" in message
    assert f"found TensorFlow {version}" in message


def test_a_file_that_does_not_say_is_refused(tmp_path):
    path = tmp_path / "other.so"
    path.write_bytes(b"\x7fELF and more")
    with pytest.raises(ImportError, match="an unknown version"):
        _library.check_built_for(str(path), "2.21.0")


def test_wrong_library_is_not_loaded(tmp_path, monkeypatch):
    """The check comes before dlopen, which such a file would fail in its own words."""
    path = tmp_path / "old.so"
    path.write_bytes(b"tfrec is built for TensorFlow 1.15.0;")
    monkeypatch.setenv("TFREC_OPS_LIBRARY", str(path))
    with pytest.raises(ImportError, match=r"old\.so, built for TensorFlow 1\.15\.0"):
        ops.visited_insert(ops.empty_bitmap(1, 1), [[0]])


def test_missing_library(tmp_path, monkeypatch):
    monkeypatch.setenv("TFREC_OPS_LIBRARY", str(tmp_path / "none.so"))
    with pytest.raises(ImportError, match=r"TFREC_OPS_LIBRARY names it.*none\.so"):
        ops.library_path()


USE_OVERRIDE = """
import os, sys
os.environ["TFREC_OPS_LIBRARY"] = sys.argv[1]
from tfrec import ops
assert ops.library_path() == sys.argv[1]
_, is_new = ops.visited_insert(ops.empty_bitmap(1, 1), [[0, 0]])
loaded = open("/proc/self/maps").read()
print(is_new.numpy().tolist(), sys.argv[1] in loaded, "_tfrec_ops.so" in loaded)
"""


def test_override_is_the_library_that_is_loaded(tmp_path, run_python):
    copy = shutil.copy(ops.library_path(), tmp_path / "copy.so")
    assert run_python(USE_OVERRIDE, copy) == "[[True, False]] True False\n"
