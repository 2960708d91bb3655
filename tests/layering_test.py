"""Keeps the arrows of docs/directory.md: who may import, or include, whom.

`experiments -> papers -> baselines, evaluation, serving, stores, training -> layers,
losses, metrics, data -> artifacts, ops`; in C++ `kernels -> core`, `pybind -> core`.
"""

import ast
import pathlib
import re

import pytest

_ROOT = pathlib.Path(__file__).resolve().parent.parent
_GROUPS = (  # each may import the groups before it, and itself
    {"artifacts", "ops"},
    {"layers", "losses", "metrics", "data"},
    {"baselines", "evaluation", "serving", "stores", "training"},
    {"nann", "pdn", "mimn", "dupn", "edgerec"},
)
_RANKS = {name: rank for rank, names in enumerate(_GROUPS) for name in names}
_FLAG_MODULES = ("absl.app", "absl.flags", "argparse")
_INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)
_CC_MAY_INCLUDE = {  # what a folder of cc_ops includes besides the standard library
    "core": ("cc_ops/core/",),
    "ops": ("cc_ops/core/", "absl/", "tensorflow/"),
    "kernels": ("cc_ops/core/", "cc_ops/kernels/", "absl/", "tensorflow/"),
    "pybind": ("cc_ops/core/", "cc_ops/pybind/", "pybind11/"),
}


def imported_modules(source: str) -> set[str]:
    """Returns the dotted names that a module imports, wherever in it."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            dots = "." * node.level
            names |= {f"{dots}{node.module or ''}.{a.name}" for a in node.names}
    return names


def python_violations(root: pathlib.Path) -> list[str]:
    """Returns a line for each import under `root/tfrec` that breaks a rule."""
    found = []
    for path in sorted((root / "tfrec").rglob("*.py")):
        parts = path.relative_to(root / "tfrec").with_suffix("").parts
        for name in sorted(imported_modules(path.read_text())):
            rule = _broken_rule(parts, name)
            if rule:
                found.append(f"{path.relative_to(root).as_posix()}: {name}: {rule}")
    return found


def _broken_rule(parts: tuple[str, ...], imported: str) -> str | None:
    """Returns the rule that an import breaks; `parts` is the module below tfrec/."""
    owner = parts[0]
    top, _, rest = imported.partition(".")
    if imported.startswith("."):
        return "imports are absolute"
    if owner == "__init__":
        return "the package itself imports nothing"
    if owner not in _RANKS:
        return f"{owner} has no place in the layers"
    if top in ("experiments", "tests"):
        return f"tfrec must not import {top}"
    if imported.startswith(_FLAG_MODULES) and parts[-1] != "__main__":
        return "only experiments and __main__ know flags"
    target = rest.partition(".")[0]
    if top != "tfrec" or target in (owner, "__version__"):
        return None
    if target not in _RANKS:
        return f"{target or 'tfrec itself'} has no place in the layers"
    if _RANKS[target] >= _RANKS[owner]:
        return f"{owner} must not import {target}"
    return None


def cc_violations(root: pathlib.Path) -> list[str]:
    """Returns a line for each `#include` under `root/cc_ops` that breaks a rule."""
    found = []
    for folder, prefixes in _CC_MAY_INCLUDE.items():
        for path in sorted((root / "cc_ops" / folder).glob("*")):
            if path.suffix not in (".cc", ".h"):
                continue
            for bracket, name in _INCLUDE.findall(path.read_text()):
                is_standard = bracket == "<" and name.isidentifier()
                if not is_standard and not name.startswith(prefixes):
                    where = path.relative_to(root).as_posix()
                    found.append(f"{where}: {folder} must not include {name}")
    return found


def test_python_imports_follow_the_arrows():
    assert len(list((_ROOT / "tfrec").rglob("*.py"))) > 10
    assert python_violations(_ROOT) == []


def test_cc_includes_follow_the_arrows():
    assert {p.parent.name for p in (_ROOT / "cc_ops").glob("*/*.cc")} <= set(
        _CC_MAY_INCLUDE
    )
    assert cc_violations(_ROOT) == []


@pytest.mark.parametrize(
    ("file", "source", "message"),
    [
        ("nann/model.py", "import tfrec.pdn.index", "nann must not import pdn"),
        ("data/splits.py", "from tfrec import training", "data must not import train"),
        ("ops/a.py", "from tfrec.artifacts import load", "ops must not import artif"),
        ("losses/nce.py", "from tfrec.data import samplers", "losses must not import"),
        ("nann/run.py", "def f():\n    import experiments.nann", "import experiments"),
        ("nann/run.py", "from absl import flags", "only experiments and __main__"),
        ("nann/run.py", "import argparse", "only experiments and __main__ know"),
        ("nann/model.py", "from . import config", "imports are absolute"),
        ("nann/model.py", "import tfrec", "tfrec itself has no place"),
        ("helpers/io.py", "import os", "helpers has no place in the layers"),
        ("__init__.py", "import tensorflow as tf", "the package itself imports"),
    ],
)
def test_a_broken_python_rule_is_found(tmp_path, file, source, message):
    path = tmp_path / "tfrec" / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source)
    (violation,) = python_violations(tmp_path)
    assert message in violation


def test_allowed_python_imports_pass(tmp_path):
    (tmp_path / "tfrec" / "nann").mkdir(parents=True)
    (tmp_path / "tfrec" / "nann" / "__main__.py").write_text(
        "from absl import flags, logging\n"
        "import tensorflow as tf\n"
        "from tfrec import __version__, artifacts\n"
        "from tfrec.data import splits\n"
        "from tfrec.nann.model import Nann\n"
        "from tfrec.training import fit\n"
    )
    assert python_violations(tmp_path) == []


@pytest.mark.parametrize(
    ("file", "include"),
    [
        ("core/a.h", '"tensorflow/core/framework/op.h"'),
        ("core/a.h", '"cc_ops/kernels/batch.h"'),
        ("core/a.h", "<Python.h>"),
        ("core/a.h", "<pybind11/numpy.h>"),
        ("ops/a_op.cc", '"cc_ops/kernels/batch.h"'),
        ("kernels/a_kernel.cc", '"cc_ops/pybind/array.h"'),
        ("pybind/core.cc", '"tensorflow/core/framework/tensor.h"'),
    ],
)
def test_a_broken_include_rule_is_found(tmp_path, file, include):
    path = tmp_path / "cc_ops" / file
    path.parent.mkdir(parents=True)
    path.write_text(f"#include <vector>\n#include {include}\n")
    (violation,) = cc_violations(tmp_path)
    assert violation.endswith("must not include " + include.strip('<>"'))
