"""Tests the count of XLA's compilations against functions of known counts."""

import pytest

from tfrec.ops.compilations import dump_environment, num_compilations, run_counted

_TWO_SIZES = """
import tensorflow as tf
fn = tf.function(lambda x: x + 1.0, jit_compile=True,
                 input_signature=[tf.TensorSpec((None,))])
for size in (3, 5, 3, 5, 5):
    fn(tf.ones(size))
"""


def test_counts_one_per_shape():
    assert run_counted(_TWO_SIZES).compilations == 2


def test_counts_nothing_without_xla():
    run = run_counted("import tensorflow as tf\nprint(int(tf.add(1, 2)))")
    assert run.compilations == 0
    assert run.stdout == "3\n"


def test_start_counting_in_a_running_process(tmp_path):
    source = """
import sys
from tfrec.ops.compilations import num_compilations, start_counting
start_counting(sys.argv[1])
before = num_compilations(sys.argv[1])
"""
    source += _TWO_SIZES + "print(num_compilations(sys.argv[1]) - before)"
    clean = "import os; os.environ.pop('XLA_FLAGS')\n"
    assert run_counted(clean + source, [str(tmp_path)]).stdout == "2\n"
    with pytest.raises(RuntimeError, match="before XLA's first use"):
        run_counted(clean + _TWO_SIZES + source, [str(tmp_path / "late")])


def test_failed_process_is_an_error():
    with pytest.raises(RuntimeError, match=r"exit code 0. Received: 7"):
        run_counted("import sys; sys.exit(7)")


def test_dump_folder_is_set_once(monkeypatch, tmp_path):
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=true")
    flags = dump_environment(tmp_path)["XLA_FLAGS"]
    assert flags == f"--xla_cpu_multi_thread_eigen=true --xla_dump_to={tmp_path}"
    monkeypatch.setenv("XLA_FLAGS", flags)
    with pytest.raises(ValueError, match="`XLA_FLAGS` must not contain"):
        dump_environment(tmp_path)


def test_empty_folder_has_no_compilations(tmp_path):
    assert num_compilations(tmp_path) == 0
