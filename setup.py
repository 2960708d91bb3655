"""Builds the op library and the pybind11 module; `pyproject.toml` holds the metadata.

TensorFlow and pybind11 are imported while an extension is built, and only then, so that
reading the metadata needs neither of them.
"""

from __future__ import annotations

import glob
import os
from concurrent import futures

from setuptools import Extension, setup
from setuptools.command import build_ext

_OPS = "tfrec.ops._tfrec_ops"
_CORE = "tfrec.ops._core"
_HEADERS = sorted(glob.glob("cc_ops/**/*.h", recursive=True))
_COMPILE_FLAGS = (
    "-std=c++17",
    "-O2",
    "-g0",
    "-DNDEBUG",
    "-fvisibility=hidden",
    "-Wall",
    "-Wextra",
    "-Werror=deprecated-declarations",
)


def _sources(*kinds: str) -> list[str]:
    """Returns the sorted `.cc` files of the given folders of `cc_ops`."""
    return sorted(path for kind in kinds for path in glob.glob(f"cc_ops/{kind}/*.cc"))


def _tensorflow_flags() -> tuple[list[str], list[str]]:
    """Returns the compile and link flags of the installed TensorFlow.

    Its headers come by `-isystem`: their warnings are not ours. The library names
    `libtensorflow_framework` without a path (no rpath): a process that imports
    TensorFlow has loaded it, so a wheel works wherever TensorFlow is installed.
    """
    import tensorflow as tf

    # Read by cc_ops/kernels/built_for.cc: the headers do not carry the version.
    compile_flags = [f"-DTFREC_TENSORFLOW_VERSION={tf.__version__}"]
    for flag in tf.sysconfig.get_compile_flags():
        if flag.startswith("-I"):
            compile_flags += ["-isystem", flag[2:]]
        elif not flag.lstrip("-").startswith("std="):
            compile_flags.append(flag)
    return compile_flags, tf.sysconfig.get_link_flags()


def _pybind_flags() -> tuple[list[str], list[str]]:
    """Returns the compile and link flags of pybind11."""
    import pybind11

    return ["-isystem", pybind11.get_include()], []


_FLAGS = {_OPS: _tensorflow_flags, _CORE: _pybind_flags}


class BuildExt(build_ext.build_ext):
    """Compiles the sources of an extension in parallel, with its flags."""

    def get_ext_filename(self, fullname: str) -> str:
        """Returns the file of an extension; the op library has no Python ABI tag."""
        if fullname in (_OPS, _OPS.rpartition(".")[2]):
            return os.path.join(*fullname.split(".")) + ".so"
        return super().get_ext_filename(fullname)

    def build_extension(self, ext: Extension) -> None:
        """Builds one extension."""
        compile_flags, link_flags = _FLAGS[ext.name]()
        ext.extra_compile_args = [*_COMPILE_FLAGS, *compile_flags]
        ext.extra_link_args = list(link_flags)
        compile_serially = self.compiler.compile

        def compile_in_parallel(sources: list[str], **kwargs: object) -> list[str]:
            with futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
                objects = pool.map(lambda s: compile_serially([s], **kwargs), sources)
                return [path for paths in objects for path in paths]

        self.compiler.compile = compile_in_parallel
        try:
            super().build_extension(ext)
        finally:
            self.compiler.compile = compile_serially


setup(
    ext_modules=[
        Extension(
            name=_OPS,
            sources=_sources("ops", "kernels"),
            depends=_HEADERS,
            include_dirs=["."],
            language="c++",
        ),
        Extension(
            name=_CORE,
            sources=_sources("pybind"),
            depends=_HEADERS,
            include_dirs=["."],
            language="c++",
        ),
    ],
    cmdclass={"build_ext": BuildExt},
)
