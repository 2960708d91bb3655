"""Finds the op library, checks that it fits the installed TensorFlow, loads it."""

from __future__ import annotations

import functools
import os
import pathlib
import re
import types

import tensorflow as tf

_ENVIRONMENT_VARIABLE = "TFREC_OPS_LIBRARY"
_BUILT_FOR = re.compile(rb"tfrec is built for TensorFlow ([^;]{1,64});")


def library_path() -> str:
    """Returns the absolute path of the op library.

    It lies beside this file, unless the environment variable `TFREC_OPS_LIBRARY` names
    another. A process that loads an exported model without this package passes the path
    to `tf.load_op_library`.

    Raises: ImportError: there is no such file.
    """
    override = os.environ.get(_ENVIRONMENT_VARIABLE)
    path = pathlib.Path(override or pathlib.Path(__file__).parent / "_tfrec_ops.so")
    if not path.is_file():
        source = f"{_ENVIRONMENT_VARIABLE} names it" if override else "not built yet"
        raise ImportError(
            f"The op library must be a file ({source}); `pip install -e .` in a "
            f"checkout builds it. Received: {path}"
        )
    return str(path.absolute())


def load_library() -> types.ModuleType:
    """Loads the op library, once a process, and returns the ops it registers.

    The wrappers call this at the first use of an op. Call it yourself before you load a
    SavedModel that holds the ops.

    Raises: ImportError: the library is missing or built for another TensorFlow.
    """
    return _load(library_path())


@functools.cache
def _load(path: str) -> types.ModuleType:
    check_built_for(path, tf.__version__)
    return tf.load_op_library(path)


def check_built_for(path: str, version: str) -> None:
    """Checks that a library was built for the same minor version of TensorFlow.

    TensorFlow's C++ ABI changes with each minor version, and a library for another one
    fails to load with a message about a symbol, or worse, loads. So the version is read
    from the file's bytes (`cc_ops/kernels/built_for.cc` puts it there).

    Args:
        path: the op library.
        version: the TensorFlow that is to load it, such as "2.21.0".
    Raises: ImportError: it was built for another minor version, or does not say.
    """
    found = _BUILT_FOR.search(pathlib.Path(path).read_bytes())
    built_for = found.group(1).decode() if found else "an unknown version"
    if built_for.split(".")[:2] != version.split(".")[:2]:
        raise ImportError(
            f"The op library must be built for the installed TensorFlow; install "
            f"tensorflow=={built_for} or rebuild tfrec. Received: {path}, built for "
            f"TensorFlow {built_for}, found TensorFlow {version}"
        )
