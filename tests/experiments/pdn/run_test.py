"""The whole experiment at its TESTING setting, on real data, twice; two baselines."""

import dataclasses
import io
import json
import pathlib
import subprocess

import numpy as np
import pytest
from rich.console import Console

from experiments.pdn import problem as problem_lib
from experiments.pdn import publish, settings, system
from experiments.pdn.train import WEIGHTS, build_ranker
from tests import own_process
from tests.stores import servers
from tfrec import stores
from tfrec.artifacts import ArtifactError
from tfrec.pdn import index as index_lib
from tfrec.pdn.index_store import read_from_store, write_to_store
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
    return folder, _run(folder, home, f"--store=lmdb://{folder}/store"), home


def test_prints_and_writes_everything(first_run):
    folder, printed, _ = first_run
    result = _result(folder)
    for text in (
        "sampled",
        "full",
        "item-to-item",
        "HR@300",
        "retrieves:",
        "<-",
        "current",
    ):
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
    assert not (folder / "index.shards").exists()
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
    return problem, ranker, index_lib.load(folder / "index", version), version


@pytest.fixture(params=["lmdb", "redis"])
def store_url(request, tmp_path):
    if request.param == "lmdb":
        yield f"lmdb://{tmp_path}/store"
        return
    with servers.running(servers.Server(tmp_path)) as server:
        yield f"{server.url}?num_buckets=64&timeout=30"


def test_the_index_is_published_in_a_store(trained, store_url):
    problem, ranker, index, version = trained
    version = f"{version}-{index.meta['k']}-{index.meta['k_hat']}"
    for _ in range(2):
        console = Console(file=io.StringIO(), width=200)
        publish.publish(ranker, problem, index, store_url, console)
        assert f"Version {version} is current in the" in console.file.getvalue()
    with stores.open_store(store_url) as store:
        assert store.versions() == {version: "sealed"}
        found = read_from_store(store, index.meta["model_version"])
    np.testing.assert_array_equal(found.neighbours, index.neighbours)
    np.testing.assert_array_equal(found.similarities, index.similarities)


def test_a_store_with_another_index_is_refused(trained, store_url):
    problem, ranker, index, version = trained
    shorter = dataclasses.replace(
        index,
        neighbours=index.neighbours[:0],
        similarities=index.similarities[:0],
        row_splits=np.zeros_like(index.row_splits),
    )
    meta = index.meta
    with stores.open_store(store_url) as store:
        write_to_store(shorter, store, f"{version}-{meta['k']}-{meta['k_hat']}")
    with pytest.raises(ArtifactError, match="must hold the index.* other neighbours"):
        publish.publish(ranker, problem, index, store_url, Console())
    with stores.open_store(store_url) as store:
        assert store.current() is None


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("file:///x", "`url` must begin with lmdb://"),
        ("redis://:secret@127.0.0.1:1?retries=0", "127.0.0.1:1"),
    ],
)
def test_a_store_that_cannot_be_used_is_named_at_once(
    first_run, tmp_path, url, message
):
    flags = (f"--data_home={first_run[2]}", "--testing", f"--store={url}")
    done = _start(tmp_path / "run", *flags)
    assert done.returncode == 1
    assert message in done.stderr
    assert "secret" not in done.stderr
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["setting.json"]


@pytest.mark.parametrize("flag", ["--model=ease", "--nosystem"])
def test_a_store_needs_an_index(tmp_path, flag):
    done = _start(tmp_path / "run", "--store=lmdb:///nowhere", flag)
    assert done.returncode != 0
    assert "--store must go with --model=pdn and --system" in done.stderr
