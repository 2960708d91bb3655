"""The whole experiment at its TESTING setting, on real data, twice; two baselines."""

import json
import pathlib
import subprocess

import numpy as np
import pytest
import tensorflow as tf

from experiments.pdn import problem as problem_lib
from experiments.pdn import settings, system
from experiments.pdn.train import WEIGHTS, build_ranker
from tests import own_process
from tests.stores import servers
from tfrec import stores
from tfrec.pdn import index as index_lib
from tfrec.pdn.index_store import write_to_store
from tfrec.pdn.retrieval import PathRetriever
from tfrec.pdn.store_retrieval import StoreRetriever
from tfrec.serving import model_card, warmup


def _start(folder: pathlib.Path, *flags: str) -> subprocess.CompletedProcess:
    return own_process.run(
        "-m", "experiments.pdn.run", f"--output_dir={folder}", *flags
    )


def _run(folder: pathlib.Path, data_home: pathlib.Path, *flags: str) -> str:
    done = _start(folder, f"--data_home={data_home}", "--testing", *flags)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def _result(folder: pathlib.Path) -> dict:
    return json.loads((folder / "result.json").read_text())


def _numbers(folder: pathlib.Path) -> tuple:
    """What must not change: losses, metrics, each user's ranks, the index."""
    result = _result(folder)
    with np.load(folder / "users.npz") as users:
        ranks = {name: users[name].tolist() for name in users}
    lists = (folder / "index" / "similarities.npy").read_bytes()
    return result["training"]["history"], result["metrics"], ranks, lists


@pytest.fixture(scope="module")
def first_run(tmp_path_factory, ml_100k):
    """Runs once: the folder, what it printed, the data's home."""
    folder = tmp_path_factory.mktemp("pdn") / "run"
    home = ml_100k.path.parent
    return folder, _run(folder, home), home


def test_prints_and_writes_everything(first_run):
    folder, printed, _ = first_run
    result = _result(folder)
    for text in ("sampled", "full", "item-to-item", "HR@300", "retrieves:", "<-"):
        assert text in printed
    for name in ("agreement.png", "curves.png"):
        assert (folder / name).read_bytes().startswith(b"\x89PNG")
    assert (folder / "export" / "1" / "saved_model.pb").is_file()
    assert (folder / "export" / "1" / warmup.PATH).is_file()
    card = model_card.read(folder / "export" / "1")
    assert card["dataset"] == result["dataset"]
    assert card["commit"] == result["environment"]["commit"]
    assert card["config"] == json.loads((folder / "setting.json").read_text())
    assert (folder / "index" / "meta.json").is_file()
    assert result["dataset"]["name"] == "ml-100k"
    assert len(result["dataset"]["sha256"]) == 64
    metrics = result["metrics"]
    for protocol in ("sampled", "full", "item_to_item"):
        assert 0 < metrics[protocol]["ndcg"] <= metrics[protocol]["hr"] <= 1
    first, *others = metrics["agreement"]
    assert 0 < first["recall"] <= 1
    assert len(others) > 3
    with np.load(folder / "users.npz") as users:
        assert users["sampled_hr"].mean() == pytest.approx(metrics["sampled"]["hr"])


def test_again_gives_the_same_numbers(first_run, tmp_path):
    folder, _, home = first_run
    _run(tmp_path / "again", home)
    assert _numbers(tmp_path / "again") == _numbers(folder)


def test_resume_keeps_what_is_done(first_run):
    folder, _, home = first_run
    index = folder / "index" / "meta.json"
    before, numbers = index.stat().st_mtime_ns, _numbers(folder)
    _run(folder, home, "--resume")
    assert index.stat().st_mtime_ns == before
    assert _numbers(folder) == numbers


def test_resume_refuses_another_setting(first_run):
    folder, _, home = first_run
    done = _start(folder, f"--data_home={home}", "--testing", "--resume", "--seed=1")
    assert done.returncode != 0
    assert "--resume must keep the setting" in done.stdout + done.stderr
    assert (folder / "result.json").is_file()


def test_testing_refuses_another_data_set(tmp_path):
    done = _start(tmp_path / "run", "--testing", "--dataset=ml-1m")
    assert done.returncode != 0
    assert "--dataset=ml-100k" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("model", "missing"),
    [("ease", set()), ("youtube_dnn", set()), ("pdn-vector", {"item_to_item"})],
)
def test_other_models_have_the_same_record(first_run, tmp_path, model, missing):
    _run(tmp_path, first_run[2], f"--model={model}")
    found, pdn = _result(tmp_path), _result(first_run[0])
    assert found["model"] == model
    assert set(found) == set(pdn)
    assert set(pdn["metrics"]) - set(found["metrics"]) == {"agreement", *missing}
    for protocol in ("sampled", "full"):
        assert found["metrics"][protocol]["users"] == pdn["metrics"][protocol]["users"]
        assert 0 < found["metrics"][protocol]["hr"] <= 1
    assert not (tmp_path / "index").exists()


@pytest.fixture(scope="module")
def trained(first_run):
    """The run's problem, model and index, as another process loads them."""
    folder, _, home = first_run
    setting = settings.setting_for("ml-100k", "pdn", 0, testing=True)
    problem = problem_lib.load(setting, 0, home)
    ranker = build_ranker(problem)
    ranker.model.load_weights(folder / WEIGHTS)
    version = system.model_version(folder)
    return problem, ranker.model, index_lib.load(folder / "index", version), version


@pytest.fixture(params=["lmdb", "redis"])
def store(request, tmp_path):
    if request.param == "lmdb":
        with stores.open_store(f"lmdb://{tmp_path}/store") as opened:
            yield opened
        return
    with (
        servers.running(servers.Server(tmp_path)) as server,
        stores.open_store(f"{server.url}?num_buckets=64&timeout=30") as opened,
    ):
        yield opened


def test_the_index_in_a_store_gives_the_same_lists(trained, store):
    problem, model, index, version = trained
    retriever = PathRetriever(
        model, index, problem.fields.item, problem.setting.index.m
    )
    write_to_store(index, store, version)
    store.switch(version)
    served = StoreRetriever(retriever, store, version)
    examples = problem.split.test.take(np.arange(100))
    lists = []
    for rows, features in problem.example_batches(examples):
        seen = [problem.rows_of(user) - 1 for user in examples.user[rows]]
        excluded = tf.ragged.constant(seen).to_tensor(-1)
        expected = retriever.retrieve(features, 10, excluded)
        found = served.retrieve(features, 10, excluded)
        np.testing.assert_array_equal(found.positions, expected.positions)
        np.testing.assert_array_equal(found.path_triggers, expected.path_triggers)
        np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-6)
        lists.append(found.positions)
    lists = np.concatenate(lists)
    assert (lists >= 0).mean() > 0.5
    assert len({tuple(row) for row in lists}) > 50
