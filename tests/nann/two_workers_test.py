"""NANN on two workers computes what one process computes."""

import numpy as np

from tests.training import two_workers

STEPS = 20


def test_two_workers_give_the_losses_of_one_process(tmp_path):
    factory = "tests.nann.problems:factory"
    one = two_workers.losses_of(factory, 1, STEPS, tmp_path / "one")
    two = two_workers.losses_of(factory, 2, STEPS, tmp_path / "two")
    assert len(one) == len(two) == STEPS
    for name in ("nce", "aux"):
        singles, doubles = ([step[name] for step in run] for run in (one, two))
        np.testing.assert_allclose(doubles, singles, rtol=0, atol=1e-5)
        assert len(set(singles)) == STEPS
