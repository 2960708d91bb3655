"""What a run shows and what it writes for TensorBoard."""

import io
import re

import rich.console
import tensorflow as tf
from absl import logging

from tests.training import toy
from tfrec import training
from tfrec.training import progress as progress_module
from tfrec.training.progress import Progress


def _show(progress):
    with progress:
        progress.start_epoch(0, 3, 10)
        progress.advance(0, 5, {"ce": 0.25}, 1234.4)
        progress.end_epoch(0, {"ce": 0.5}, {"auc": 0.75})


def test_terminal_shows_epoch_step_losses_speed_and_time_left():
    stream = io.StringIO()
    console = rich.console.Console(file=stream, force_terminal=True, width=120)
    _show(Progress(2, console=console))
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", stream.getvalue())
    assert re.search(r"epoch 1/2 .* 5/10 +\S+ ce 0.2500  1,234 examples/s", text)
    assert "epoch 1/2 ce 0.5000  validation: auc 0.7500" in text


def test_without_a_terminal_there_is_a_line_an_epoch_and_now_and_then(monkeypatch):
    lines = []
    monkeypatch.setattr(logging, "info", lambda text, *args: lines.append(text % args))
    console = rich.console.Console(file=io.StringIO())
    _show(Progress(2, console=console))
    assert lines == ["epoch 1/2 ce 0.5000  validation: auc 0.7500"]
    monkeypatch.setattr(progress_module, "SECONDS_BETWEEN_LINES", 0.0)
    _show(Progress(2, console=console))
    assert lines[1] == "epoch 1 step 5/10 ce 0.2500  1,234 examples/s"
    assert console.file.getvalue() == ""
    del lines[:]
    _show(Progress(2, shown=False, console=console))
    assert lines == []


def test_tensorboard_gets_losses_rate_speed_and_validation(tmp_path):
    config = training.TrainingConfig(epochs=2, learning_rate=0.25, log_every_steps=5)
    result = training.fit(toy.ToyTask(), toy.make_dataset, config, tmp_path)
    scalars = _scalars(tmp_path / "tensorboard")
    assert set(scalars) == {
        "loss/cross_entropy",
        "loss/size",
        "epoch_loss/cross_entropy",
        "epoch_loss/size",
        "train/learning_rate",
        "train/examples_per_second",
        "validation/accuracy",
    }
    assert list(scalars["loss/size"]) == [5, 10, 15, 20]
    assert set(scalars["train/learning_rate"].values()) == {0.25}
    for record in result.history:
        step, accuracy = record["iteration"], record["metrics"]["accuracy"]
        assert scalars["validation/accuracy"][step] == tf.constant(accuracy).numpy()
    config = training.TrainingConfig(tensorboard=False)
    training.fit(toy.ToyTask(), toy.make_dataset, config, tmp_path / "without")
    assert not (tmp_path / "without" / "tensorboard").exists()


def _scalars(folder):
    """{tag: {step: value}} of the event files in a folder."""
    from tensorboard.backend.event_processing import event_accumulator

    events = event_accumulator.EventAccumulator(
        str(folder), size_guidance={"tensors": 0}
    )
    events.Reload()
    values = {}
    for tag in events.Tags()["tensors"]:
        protos = {event.step: event.tensor_proto for event in events.Tensors(tag)}
        values[tag] = {k: float(tf.make_ndarray(proto)) for k, proto in protos.items()}
    return values
