"""`TrainingConfig` and `configure`."""

import dataclasses
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.training import toy
from tfrec import training


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optimizer": "sgd"}, r"`optimizer` must be in .*Received: sgd"),
        ({"learning_rate": 0.0}, "`learning_rate` must be > 0. Received: 0.0"),
        ({"weight_decay": 0.1}, '`weight_decay` must be 0 unless optimizer="adamw"'),
        ({"decay_steps": 3}, "`decay_steps` must be set together with"),
        ({"final_learning_rate": 0.1}, "`decay_steps` must be set together with"),
        (
            {"decay_steps": 0, "final_learning_rate": 0.1},
            "`decay_steps` must be None or >= 1. Received: 0",
        ),
        (
            {"decay_steps": 3, "final_learning_rate": -0.1},
            "`final_learning_rate` must be >= 0",
        ),
        ({"patience": 2}, "`monitor` must be set when patience is set"),
        ({"patience": 0, "monitor": "auc"}, "`patience` must be None or >= 1"),
        ({"mode": "up"}, "`mode` must be in"),
        ({"epochs": 0}, "`epochs` must be >= 1"),
        ({"steps_per_epoch": 0}, "`steps_per_epoch` must be None or >= 1"),
        ({"seed": -1}, "`seed` must be in"),
        ({"checkpoint_every_steps": -1}, "`checkpoint_every_steps` must be >= 0"),
        ({"log_every_steps": 0}, "`log_every_steps` must be >= 1"),
    ],
)
def test_fields_are_checked(changes, message):
    with pytest.raises(ValueError, match=message):
        training.TrainingConfig(**changes)


def test_configure_seeds_the_initial_weights():
    def weights(seed):
        training.configure(training.TrainingConfig(seed=seed))
        return np.concatenate([v.numpy().ravel() for v in toy.ToyTask().model.weights])

    assert weights(1).tobytes() == weights(1).tobytes()
    assert weights(1).tobytes() != weights(2).tobytes()


def test_another_backend_is_refused_with_the_fix():
    code = "from tfrec import training; training.configure(training.TrainingConfig())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={
            **os.environ,
            "KERAS_BACKEND": "jax",
            "PYTHONPATH": os.pathsep.join(sys.path),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "set KERAS_BACKEND=tensorflow" in done.stderr


def test_mixed_precision_trains_float32_variables_in_bfloat16(tmp_path):
    config = training.TrainingConfig(
        learning_rate=0.01, epochs=3, mixed_precision=True, log_every_steps=1
    )
    training.configure(config)
    try:
        task = toy.ToyTask()
        compute = {layer.compute_dtype for layer in task.model.layers}
        table = task.model.get_layer("table").embeddings
        before = table.numpy()
        result = training.fit(task, toy.make_dataset, config, tmp_path)
    finally:
        training.configure(dataclasses.replace(config, mixed_precision=False))
    assert compute == {"bfloat16"}
    assert table.dtype == "float32"
    assert keras.config.dtype_policy().name == "float32"
    losses = [record["losses"]["cross_entropy"] for record in result.history]
    assert losses[-1] < losses[0]
    assert before[0].tobytes() == table.numpy()[0].tobytes()
    assert np.any(before[1:] != table.numpy()[1:])


def test_random_seed_of_a_step_differs_by_iteration_stream_and_seed():
    def seed(iteration, run, stream):
        context = training.StepContext(tf.constant(iteration, tf.int64), run)
        return tuple(context.random_seed(stream).numpy())

    seeds = {seed(i, run, s) for i in range(4) for run in range(4) for s in range(4)}
    assert len(seeds) == 64
    assert seed(3, 2, 1) == seed(3, 2, 1)
