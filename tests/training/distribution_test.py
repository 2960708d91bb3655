"""Several workers on loopback compute what one process computes."""

import json
import shutil

import numpy as np
import pytest
import tensorflow as tf

from tests.training import two_workers
from tfrec.training import distribution

STEPS = 20
LAST = f"checkpoints/checkpoint-{STEPS:05d}-00000000"


def test_two_workers_give_the_losses_of_one_process_also_resumed(tmp_path):
    factory = "tests.training.toy:factory"
    one = two_workers.losses_of(factory, 1, STEPS, tmp_path / "one")
    two = two_workers.losses_of(factory, 2, STEPS, tmp_path / "two")
    assert len(one) == len(two) == STEPS
    for name in ("cross_entropy", "size"):
        singles, doubles = ([step[name] for step in run] for run in (one, two))
        np.testing.assert_allclose(doubles, singles, rtol=0, atol=1e-5)
        assert len(set(singles)) == STEPS
    single, double = _last(tmp_path / "one"), _last(tmp_path / "two")
    for name, array in single.items():
        np.testing.assert_allclose(double[name], array, rtol=0, atol=1e-4)

    shutil.rmtree(tmp_path / "two" / LAST)
    assert two_workers.losses_of(factory, 2, STEPS, tmp_path / "two") == two
    for name, array in _last(tmp_path / "two").items():
        assert array.tobytes() == double[name].tobytes(), f"{name} after the resume"


def _last(folder) -> dict[str, np.ndarray]:
    arrays = {}
    for file in (folder / LAST).glob("*.npz"):
        with np.load(file) as content:
            arrays |= {f"{file.name} {name}": content[name] for name in content}
    return arrays


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("{", "`TF_CONFIG` must be a JSON object"),
        ("[1]", "`TF_CONFIG` must be a JSON object"),
        (
            json.dumps({"cluster": {"ps": ["localhost:1"], "worker": ["localhost:2"]}}),
            "'chief' and 'worker' only",
        ),
    ],
)
def test_a_wrong_tf_config_is_refused(value, message, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", value)
    with pytest.raises(ValueError, match=message):
        distribution.strategy()


@pytest.mark.parametrize(
    "cluster", [None, {}, {"worker": ["localhost:1"]}, {"chief": ["localhost:1"]}]
)
def test_one_process_needs_no_strategy(cluster, monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if cluster is not None:
        monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster}))
    strategy = distribution.strategy()
    assert strategy is tf.distribute.get_strategy()
    assert distribution.is_chief(strategy)
    assert distribution.worker_mean(strategy, {"a": 0.1}) == {"a": 0.1}
    batch = {"x": tf.range(4)}
    assert distribution.replica_share(batch) is batch
