"""`fit`: means of losses, best epoch, stopping, errors; on a task of one weight."""

import os
import signal

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.training import toy
from tfrec import training
from tfrec.training.progress import Progress


class Line:
    """One weight w, starting at 0, whose loss is -mean(batch) * w: Adagrad-steps up.

    `scores` are what validation gives epoch after epoch.
    """

    def __init__(self, scores=()) -> None:
        inputs = keras.Input((1,))
        layer = keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")
        self.model = keras.Model(inputs, layer(inputs))
        self.weight = layer.kernel
        self.scores = list(scores)
        self.weights = []

    def step(self, batch, context):
        slope = tf.reduce_mean(batch["x"])
        count = tf.cast(context.iteration, tf.float32)
        return {"slope": -slope * self.weight.value[0, 0], "count": 0 * slope + count}

    def validate(self):
        self.weights.append(float(self.weight.numpy()[0, 0]))
        return {"score": self.scores[len(self.weights) - 1]} if self.scores else {}


def _ones(epoch, steps=4):
    x = tf.fill((steps * 2,), 1.0 + epoch)
    return tf.data.Dataset.from_tensor_slices({"x": x}).batch(2)


def _config(**changes):
    return training.TrainingConfig(**{"optimizer": "adagrad", "epochs": 2, **changes})


def test_history_holds_the_means_of_the_losses(tmp_path):
    result = training.fit(Line(), _ones, _config(log_every_steps=3), tmp_path)
    assert [record["losses"]["count"] for record in result.history] == [1.5, 5.5]
    assert [record["iteration"] for record in result.history] == [4, 8]
    assert result.best_epoch == 1
    assert result.seconds > 0
    assert result.examples_per_second == pytest.approx(14 / result.seconds)


def test_steps_per_epoch_cuts_the_data_set(tmp_path):
    result = training.fit(Line(), _ones, _config(steps_per_epoch=3), tmp_path)
    assert [record["iteration"] for record in result.history] == [3, 6]


@pytest.mark.parametrize(
    ("mode", "best", "stopped_after"), [("max", 1, 4), ("min", 2, 5)]
)
def test_stops_when_patience_ends_with_the_best_weights(
    mode, best, stopped_after, tmp_path
):
    task = Line([0.5, 0.7, 0.3, 0.7, 0.6, 0.9])
    config = _config(epochs=6, patience=2, monitor="score", mode=mode)
    result = training.fit(task, _ones, config, tmp_path)
    assert task.weights == sorted(set(task.weights))
    assert len(result.history) == stopped_after
    assert result.best_epoch == best
    assert result.best_metrics == {"score": task.scores[best]}
    assert float(task.weight.numpy()[0, 0]) == task.weights[best]


def test_a_finished_run_is_not_trained_again(tmp_path):
    config = _config(monitor="score")
    first = Line([0.9, 0.1])
    result = training.fit(first, _ones, config, tmp_path)
    second = Line([0.0, 0.0])
    assert training.fit(second, _ones, config, tmp_path) == result
    assert second.weights == []
    assert second.weight.numpy() == first.weight.numpy() == first.weights[0]


def test_resume_false_starts_anew(tmp_path):
    training.fit(Line([0.9, 0.1]), _ones, _config(monitor="score"), tmp_path)
    task = Line([0.2, 0.3])
    result = training.fit(task, _ones, _config(monitor="score"), tmp_path, resume=False)
    assert result.best_metrics == {"score": 0.3}
    assert len(task.weights) == 2


def test_a_loss_that_is_not_finite_is_named_with_its_step(tmp_path):
    def dataset(epoch):
        x = [1.0, 1.0, 1.0, np.nan if epoch else 1.0, 1.0]
        return tf.data.Dataset.from_tensor_slices({"x": x}).batch(1)

    expected = r"Loss `slope` must be finite. Received: nan at step 3 of epoch 1"
    with pytest.raises(FloatingPointError, match=expected):
        training.fit(Line(), dataset, _config(), tmp_path)


def test_interrupt_leaves_a_checkpoint_from_which_the_run_goes_on(
    tmp_path, monkeypatch
):
    def interrupt(self, epoch, step, losses, rate):
        if (epoch, step) == (1, 2):
            os.kill(os.getpid(), signal.SIGINT)

    config, handler = _config(log_every_steps=1), signal.getsignal(signal.SIGINT)
    whole = training.fit(Line(), _ones, config, tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr(Progress, "advance", interrupt)
        with pytest.raises(training.TrainingInterrupted) as raised:
            training.fit(Line(), _ones, config, tmp_path / "cut")
    path = tmp_path / "cut/checkpoints/checkpoint-00001-00000002"
    assert path.is_dir()
    assert str(path) in str(raised.value)
    assert "resume=True" in str(raised.value)
    assert signal.getsignal(signal.SIGINT) == handler
    resumed = training.fit(Line(), _ones, config, tmp_path / "cut")
    assert resumed.history == whole.history


def test_errors(tmp_path):
    with pytest.raises(ValueError, match=r"`monitor` 'auc' must be a finite metric"):
        training.fit(Line([0.1]), _ones, _config(monitor="auc"), tmp_path / "a")
    with pytest.raises(ValueError, match="at least one batch an epoch"):
        training.fit(Line(), lambda e: _ones(e).take(0), _config(), tmp_path / "b")
    task = Line()
    task.step = lambda batch, context: {"slope": batch["x"]}
    with pytest.raises(ValueError, match="Loss `slope` of task"):
        training.fit(task, _ones, _config(), tmp_path / "c")
    task.step = lambda batch, context: {}
    with pytest.raises(ValueError, match="must return at least one loss"):
        training.fit(task, _ones, _config(), tmp_path / "d")
    task.model = keras.Sequential([keras.layers.Dense(1)])
    with pytest.raises(ValueError, match=r"`task.model` must be built"):
        training.fit(task, _ones, _config(), tmp_path / "e")


def test_the_toy_task_learns_and_its_draws_depend_on_the_seed(tmp_path):
    def run(seed, name):
        config = _config(optimizer="adam", learning_rate=0.01, seed=seed, epochs=4)
        keras.utils.set_random_seed(0)
        task = toy.ToyTask()
        return training.fit(task, toy.make_dataset, config, tmp_path / name)

    first, again, other = run(0, "a"), run(0, "b"), run(1, "c")
    assert first.history == again.history
    assert first.history[0]["losses"] != other.history[0]["losses"]
    losses = [record["losses"]["cross_entropy"] for record in first.history]
    assert losses == sorted(losses, reverse=True)
    assert first.best_metrics["accuracy"] > 0.8
