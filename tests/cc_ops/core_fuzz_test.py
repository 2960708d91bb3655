"""The core under AddressSanitizer and UndefinedBehaviorSanitizer (`make asan`)."""

import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
FLAGS = [
    "-std=c++17",
    "-O1",
    "-g",
    "-fno-omit-frame-pointer",
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
    "-Wall",
    "-Wextra",
    "-Werror",
]


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """The fuzz program, compiled with the sanitizers."""
    path = tmp_path_factory.mktemp("asan") / "core_fuzz"
    source = ROOT / "tests" / "cc_ops" / "core_fuzz.cc"
    compiler = os.environ.get("CXX", "g++")
    subprocess.run([compiler, *FLAGS, f"-I{ROOT}", source, "-o", path], check=True)
    return path


@pytest.mark.long
@pytest.mark.parametrize(("num_malformed", "seed"), [(100_000, 1), (10_000, 2)])
def test_core_fuzz(program, num_malformed, seed):
    done = subprocess.run(
        [program, str(num_malformed), str(seed)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert f"{num_malformed} malformed and as many valid inputs" in done.stdout


@pytest.mark.long
def test_sanitizers_are_on(tmp_path):
    """A read one step behind a list ends the program."""
    source = tmp_path / "overflow.cc"
    source.write_text(
        '#include "cc_ops/core/graph_expand.h"\n'
        "int main() {\n"
        "  int64_t* splits = new int64_t[2]{0, 0};\n"
        "  const tfrec::Adjacency<int64_t> graph{nullptr, 0, splits, 2};\n"
        "  return tfrec::CheckAdjacency(graph, 1).ok() ? 0 : 3;\n"
        "}\n"
    )
    path = tmp_path / "overflow"
    compiler = os.environ.get("CXX", "g++")
    subprocess.run([compiler, *FLAGS, f"-I{ROOT}", source, "-o", path], check=True)
    done = subprocess.run([path], capture_output=True, text=True, check=False)
    assert done.returncode not in (0, 3)
    assert "heap-buffer-overflow" in done.stderr
