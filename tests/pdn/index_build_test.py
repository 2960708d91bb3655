"""The index against plain loops, stopped and resumed builds, what is refused."""

import io
import re

import numpy as np
import pytest
import rich.console
from absl import logging

from tests.pdn import index_problems
from tests.pdn.index_problems import make_inputs, score_pairs
from tfrec.artifacts import ArtifactError
from tfrec.pdn import index as index_lib
from tfrec.pdn import index_build, index_progress
from tfrec.pdn.index_shards import IndexConfig

CONFIG = IndexConfig(k=6, k_hat=20, items_per_shard=7, pairs_per_batch=50)
QUIET = rich.console.Console(file=io.StringIO())


class CountingScorer:
    """Scores, notes batches and triggers, and stops when it is told to."""

    def __init__(self, stop_after=None):
        self.sizes = []
        self.triggers = set()
        self._stop_after = stop_after

    def __call__(self, triggers, items):
        if len(self.sizes) == self._stop_after:
            raise KeyboardInterrupt
        self.sizes.append(triggers.size)
        self.triggers |= set(triggers.tolist())
        return score_pairs(triggers, items)


def build(path=None, scorer=score_pairs, config=CONFIG, version="v1", **options):
    return index_build.build(
        options.pop("inputs", make_inputs()),
        scorer,
        config,
        version,
        path,
        console=options.pop("console", QUIET),
        **options,
    )


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("k", "k_hat"), [(1, 1), (6, 20), (60, 60), (3, 59)])
def test_against_loops(seed, k, k_hat):
    """Section 5.2: k-hat candidates an item, scored, the best k with s_ji."""
    inputs = make_inputs(seed)
    index = build(inputs=inputs, config=IndexConfig(k, k_hat, 7, 50))
    expected, num_pairs = [], 0
    for trigger in range(1, 61):
        found = index_problems.expected_candidates(inputs, trigger, k_hat)
        num_pairs += len(found)
        expected.append(index_problems.expected_list(trigger, found, k))
    assert index_problems.lists(index) == expected
    np.testing.assert_array_equal(index.item_ids, inputs.item_ids)
    assert index.meta == {
        "model_version": "v1",
        "k": k,
        "k_hat": k_hat,
        "data_sha256": inputs.sha256(),
        "num_pairs": num_pairs,
    }


@pytest.mark.parametrize("shard", [1, 7, 60, 1000])
@pytest.mark.parametrize("batch", [1, 50, 10**6])
def test_cuts_do_not_change_the_index(shard, batch):
    index = build(config=IndexConfig(6, 20, shard, batch))
    index_problems.assert_equal(index, build())


def test_batches_are_full_but_for_the_last_of_a_shard():
    scorer = CountingScorer()
    index = build(scorer=scorer)
    assert sum(scorer.sizes) == index.meta["num_pairs"]
    assert max(scorer.sizes) == 50
    assert sum(size < 50 for size in scorer.sizes) <= CONFIG.num_shards(60) == 9


def test_a_stopped_build_goes_on_where_it_was(tmp_path):
    path = tmp_path / "index"
    with pytest.raises(KeyboardInterrupt):
        build(path, CountingScorer(stop_after=8))
    done = len(list((tmp_path / "index.shards").glob("*.npz")))
    assert 1 <= done < 9
    assert not path.exists()
    (tmp_path / "index.shards" / ".5.cut-off").write_bytes(b"half a sha")
    scorer = CountingScorer()
    index = build(path, scorer)
    left = range(7 * done + 1, 61)
    inputs = make_inputs()
    with_pairs = {
        i for i in left if index_problems.expected_candidates(inputs, i, CONFIG.k_hat)
    }
    assert scorer.triggers == with_pairs
    index_problems.assert_equal(index, build())
    index_problems.assert_equal(index, index_lib.load(path))
    assert [p.name for p in tmp_path.iterdir()] == ["index"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": "v2"}, "model_version must be 'v2'. Received: 'v1'"),
        ({"config": IndexConfig(5, 20, 7, 50)}, "k must be 5. Received: 6"),
        ({"config": IndexConfig(6, 21, 7, 50)}, "k_hat must be 21. Received: 20"),
        ({"config": IndexConfig(6, 20, 8, 50)}, "items_per_shard must be 8.*: 7"),
        ({"config": IndexConfig(6, 20, 7, 51)}, "pairs_per_batch must be 51.*: 50"),
        ({"inputs": make_inputs(1)}, "data_sha256 must be '.*'. Received: '.*'"),
    ],
)
def test_shards_of_another_build_are_refused(tmp_path, change, message):
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / "index", CountingScorer(stop_after=8))
    before = {p: p.read_bytes() for p in (tmp_path / "index.shards").iterdir()}
    with pytest.raises(ArtifactError, match=f"another build: {message}"):
        build(tmp_path / "index", **change)
    assert before == {p: p.read_bytes() for p in (tmp_path / "index.shards").iterdir()}


def test_a_damaged_shard_is_named(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / "index", CountingScorer(stop_after=8))
    file = tmp_path / "index.shards" / "00000000.npz"
    content = bytearray(file.read_bytes())
    content[200] ^= 1
    file.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"00000000.npz` must be a shard"):
        build(tmp_path / "index")


def test_what_is_there_is_refused_before_the_work(tmp_path):
    build(tmp_path / "index")
    scorer = CountingScorer()
    with pytest.raises(ArtifactError, match="must not exist yet"):
        build(tmp_path / "index", scorer)
    assert scorer.sizes == []
    assert not (tmp_path / "index.shards").exists()
    again = build(tmp_path / "index", version="v2", overwrite=True)
    index_problems.assert_equal(again, index_lib.load(tmp_path / "index", "v2"))


def test_bad_inputs_are_refused(tmp_path):
    with pytest.raises(ArtifactError, match="`popularity` must be"):
        build(tmp_path / "index", inputs=make_inputs(popularity=np.zeros(3)))
    assert list(tmp_path.iterdir()) == []


def test_bad_scores_are_refused():
    with pytest.raises(ValueError, match=r"must return \(50,\). Received: \(50, 1\)"):
        build(scorer=lambda j, i: score_pairs(j, i)[:, None])

    def broken(triggers, items):
        return np.where(triggers == 4, np.nan, score_pairs(triggers, items))

    with pytest.raises(ValueError, match="finite numbers. Received: nan of trigger 4"):
        build(scorer=broken)


@pytest.mark.parametrize("field", ["k", "k_hat", "items_per_shard", "pairs_per_batch"])
def test_config_rules(field):
    with pytest.raises(ValueError, match=f"`{field}` must be at least 1. Received: 0"):
        IndexConfig(**{field: 0})


def test_k_hat_below_k():
    with pytest.raises(ValueError, match="`k_hat` must be at least k=10. Received: 9"):
        IndexConfig(k=10, k_hat=9)


def test_terminal_shows_items_and_pairs_a_second():
    stream = io.StringIO()
    console = rich.console.Console(file=stream, force_terminal=True, width=120)
    index = build(console=console)
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", stream.getvalue())
    assert re.search(r"index .* 60/60 .*[\d,]+ pairs/s", text)
    pairs = f"{index.meta['num_pairs']:,}"
    assert re.search(rf"60/60 items, {pairs} pairs in \d+\.\d s, [\d,]+ pairs/s", text)


def test_without_a_terminal_there_are_lines(monkeypatch, tmp_path):
    lines = []
    monkeypatch.setattr(logging, "info", lambda text, *args: lines.append(text % args))
    monkeypatch.setattr(index_progress, "SECONDS_BETWEEN_LINES", 0.0)
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / "index", CountingScorer(stop_after=8))
    done = 7 * len(list((tmp_path / "index.shards").glob("*.npz")))
    del lines[:]
    build(tmp_path / "index")
    assert lines[0] == f"index: {done} items are done already"
    assert lines[1].startswith(f"index: {done + 7}/60 items, ")
    assert re.fullmatch(r"index: 60/60 items, .* pairs/s", lines[-1])
    assert QUIET.file.getvalue() == ""
