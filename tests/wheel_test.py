"""Builds the wheel in isolation and uses it in a new environment, elsewhere.

`make wheel-test` runs this; it installs TensorFlow twice.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import zipfile

import pytest

from tests import code_blocks

_ROOT = pathlib.Path(__file__).resolve().parent.parent
_NOT_SOURCES = shutil.ignore_patterns(
    ".*", "build", "dist", "runs", "*.so", "*.egg-info", "__pycache__"
)
pytestmark = pytest.mark.long


def _run(*command: str | pathlib.Path, cwd: pathlib.Path) -> str:
    """Runs a command with the constraints of the tests and returns what it printed."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    environment["PIP_CONSTRAINT"] = str(_ROOT / "constraints.txt")
    environment.pop("TFREC_OPS_LIBRARY", None)
    done = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from a copy of the sources in an isolated environment."""
    folder = tmp_path_factory.mktemp("wheel")
    shutil.copytree(_ROOT, folder / "sources", ignore=_NOT_SOURCES)
    _run(
        *(sys.executable, "-m", "pip", "wheel", "--no-deps", "-w", "dist", "./sources"),
        cwd=folder,
    )
    (path,) = (folder / "dist").glob("*.whl")
    return path


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    """The interpreter of a new environment in which the wheel is installed."""
    folder = tmp_path_factory.mktemp("environment")
    _run(sys.executable, "-m", "venv", "venv", cwd=folder)
    interpreter = folder / "venv" / "bin" / "python"
    _run(interpreter, "-m", "pip", "install", wheel, "pytest", cwd=folder)
    return str(interpreter)


def test_the_wheel_holds_the_package_and_nothing_else(wheel):
    assert re.fullmatch(r"tfrec-.+-cp3\d+-cp3\d+-(linux|macosx)_\w+\.whl", wheel.name)
    names = zipfile.ZipFile(wheel).namelist()
    folders = {name.partition("/")[0] for name in names}
    assert {re.sub(r"-.+\.", ".", folder) for folder in folders} == {
        "tfrec",
        "tfrec.dist-info",
    }
    libraries = [name for name in names if name.endswith(".so")]
    assert len(libraries) == 2
    assert "tfrec/ops/_tfrec_ops.so" in libraries
    assert any(name.endswith("licenses/LICENSE") for name in names)
    sources = wheel.parent.parent / "sources"
    modules = {
        path.relative_to(sources).as_posix() for path in sources.glob("tfrec/**/*.py")
    }
    assert {name for name in names if name.endswith(".py")} == modules


def test_the_libraries_have_no_debug_symbols_and_no_path(wheel, tmp_path):
    zipfile.ZipFile(wheel).extractall(tmp_path)
    libraries = list((tmp_path / "tfrec" / "ops").glob("*.so"))
    assert len(libraries) == 2
    for path in libraries:
        assert ".debug_" not in _run("readelf", "-SW", path, cwd=tmp_path)
        dynamic = _run("readelf", "-dW", path, cwd=tmp_path)
        assert "RPATH" not in dynamic
        assert "RUNPATH" not in dynamic


def test_the_op_tests_pass_against_the_installed_wheel(python, tmp_path):
    where = "import tfrec.ops, tfrec.ops._core; print(tfrec.ops._core.__file__)"
    installed = _run(python, "-c", where, cwd=tmp_path)
    assert "site-packages" in installed
    shutil.copytree(_ROOT / "tests" / "ops", tmp_path / "tests" / "ops")
    shutil.copy(_ROOT / "pyproject.toml", tmp_path)
    output = _run(python, "-m", "pytest", "-q", "-m", "not long", cwd=tmp_path)
    assert re.search(r"\d+ passed", output), output


def test_the_op_example_of_the_readme_runs(python, tmp_path):
    example, *_ = code_blocks.find_blocks((_ROOT / "README.md").read_text())
    assert "tfrec.ops" in example[1] or "from tfrec import ops" in example[1]
    code_blocks.run_blocks([example], "README.md", tmp_path, python)
