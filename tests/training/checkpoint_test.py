"""Checkpoints: what is kept, what they refuse."""

import dataclasses

import keras
import pytest

from tests.training import toy
from tfrec import artifacts, training
from tfrec.training.checkpoint import CheckpointStore
from tfrec.training.optimizers import make_optimizer
from tfrec.training.state import TrainingState

CONFIG = training.TrainingConfig(learning_rate=0.5, epochs=9)


def _store(folder, config=CONFIG, model=None, **kwargs):
    model = model or toy.ToyTask().model
    optimizer = make_optimizer(config)
    optimizer.build(model.trainable_variables)
    return CheckpointStore(folder, model, optimizer, config, **kwargs), model


def _names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_round_trip_restores_variables_and_state(tmp_path):
    store, model = _store(tmp_path)
    before = [v.numpy() for v in model.variables]
    state = TrainingState(
        epoch=3,
        step=5,
        iteration=35,
        loss_sums={"a": 0.1 + 0.2},
        history=[{"epoch": 0, "losses": {"a": 1 / 3}}],
        best_epoch=2,
        best_metrics={"auc": 0.7},
        stale_epochs=1,
        seconds=1.5,
        examples=560,
    )
    store.save(state)
    other, restored = _store(tmp_path)
    assert other.restore() == state
    for old, variable in zip(before, restored.variables, strict=True):
        assert old.tobytes() == variable.numpy().tobytes()


def test_keeps_the_last_two_and_the_best_that_they_name(tmp_path):
    store, _ = _store(tmp_path)
    for epoch in range(4):
        store.save_best(epoch)
        store.save(TrainingState(epoch=epoch + 1, best_epoch=epoch))
    store.save(TrainingState(epoch=4, step=7, best_epoch=3))
    (tmp_path / "notes").mkdir()
    (tmp_path / ".checkpoint-00004-00000008.tmp").mkdir()
    store.save(TrainingState(epoch=4, step=14, best_epoch=3))
    kept = ["best-00003", "checkpoint-00004-00000007", "checkpoint-00004-00000014"]
    assert _names(tmp_path) == [*kept, "notes"]
    store.clear()
    assert _names(tmp_path) == ["notes"]


def test_workers_that_do_not_write_leave_the_folder_alone(tmp_path):
    chief, _ = _store(tmp_path)
    chief.save(TrainingState(iteration=3))
    worker, _ = _store(tmp_path, writes=False)
    worker.save(TrainingState(epoch=1))
    worker.save_best(0)
    worker.clear()
    assert _names(tmp_path) == ["checkpoint-00000-00000000"]
    assert worker.restore().iteration == 3


def test_refuses_another_config_and_names_both(tmp_path):
    _store(tmp_path)[0].save(TrainingState())
    changed = dataclasses.replace(CONFIG, learning_rate=0.25)
    expected = r"`config` .*learning_rate=0.25, checkpoint's learning_rate=0.5"
    with pytest.raises(ValueError, match=expected):
        _store(tmp_path, changed)[0].restore()
    operational = dataclasses.replace(CONFIG, log_every_steps=7, tensorboard=False)
    assert _store(tmp_path, operational)[0].restore() == TrainingState()


def test_refuses_another_model_and_names_what_differs(tmp_path):
    _store(tmp_path)[0].save(TrainingState())
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(5)])
    with pytest.raises(ValueError, match=r"`model` .*kernel \(3, 5\) float32"):
        _store(tmp_path, model=model)[0].restore()


def test_refuses_changed_bytes(tmp_path):
    path = _store(tmp_path)[0].save(TrainingState())
    content = bytearray((path / "model.npz").read_bytes())
    content[len(content) // 2] ^= 1
    (path / "model.npz").write_bytes(content)
    with pytest.raises(artifacts.ArtifactError, match=r"model\.npz"):
        _store(tmp_path)[0].restore()


def test_fit_refuses_the_checkpoint_of_another_run(tmp_path):
    config = dataclasses.replace(CONFIG, epochs=1)
    training.fit(toy.ToyTask(), toy.make_dataset, config, tmp_path)
    with pytest.raises(ValueError, match=r"seed=1, checkpoint's seed=0"):
        training.fit(
            toy.ToyTask(),
            toy.make_dataset,
            dataclasses.replace(config, seed=1),
            tmp_path,
        )
