"""The pipeline on several workers gives the bytes of the build in one process."""

import dataclasses
import os
import pathlib
import subprocess
import sys

import pytest

from tests.pdn import index_problems
from tfrec.artifacts import ArtifactError
from tfrec.pdn import index as index_lib
from tfrec.pdn import index_build
from tfrec.pdn.index_beam import IndexJob, build_with_beam
from tfrec.pdn.index_shards import IndexConfig

ROOT = pathlib.Path(__file__).resolve().parents[2]
CONFIG = IndexConfig(k=6, k_hat=20, items_per_shard=7, pairs_per_batch=50)
TWO_WORKERS = [
    "--runner=DirectRunner",
    "--direct_running_mode=multi_processing",
    "--direct_num_workers=2",
]
IN_MEMORY = ["--runner=DirectRunner", "--direct_running_mode=in_memory"]


@dataclasses.dataclass(frozen=True)
class FailingScorer(index_problems.NotingScorer):
    """Fails at an item in the middle."""

    def __call__(self, inputs):
        inner = super().__call__(inputs)

        def score(triggers, items):
            if 36 in triggers:
                raise ArithmeticError("no score for 36")
            return inner(triggers, items)

        return score


@pytest.fixture
def job(tmp_path, monkeypatch) -> IndexJob:
    """A job whose workers find the module of its scorer."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    index_problems.make_inputs().save(tmp_path / "inputs")
    (tmp_path / "workers").mkdir()
    scorer = index_problems.NotingScorer(str(tmp_path / "workers"))
    paths = str(tmp_path / "inputs"), str(tmp_path / "index")
    return IndexJob(paths[0], scorer, CONFIG, "v1", paths[1])


def in_process(path):
    return index_build.build(
        index_problems.make_inputs(), index_problems.score_pairs, CONFIG, "v1", path
    )


def test_two_workers_give_the_bytes_of_one_process(job, tmp_path):
    found = build_with_beam(job, TWO_WORKERS)
    index_problems.assert_equal(found, in_process(tmp_path / "expected"))
    files = {p.name: p.read_bytes() for p in (tmp_path / "index").iterdir()}
    expected = {p.name: p.read_bytes() for p in (tmp_path / "expected").iterdir()}
    assert files == expected
    assert len(files) == 5
    workers = {int(p.name) for p in (tmp_path / "workers").iterdir()}
    assert len(workers) == 2
    assert os.getpid() not in workers
    assert not (tmp_path / "index.shards").exists()


def test_a_pipeline_goes_on_from_what_either_way_has_finished(job, tmp_path):
    def stop_at_36(triggers, items):
        if 36 in triggers:
            raise KeyboardInterrupt
        return index_problems.score_pairs(triggers, items)

    with pytest.raises(KeyboardInterrupt):
        index_build.build(
            index_problems.make_inputs(), stop_at_36, CONFIG, "v1", job.path
        )
    done = {p: p.stat().st_ino for p in (tmp_path / "index.shards").glob("*.npz")}
    assert len(done) == 5
    failing = dataclasses.replace(
        job, make_score_pairs=FailingScorer(str(tmp_path / "workers"))
    )
    with pytest.raises(Exception, match="no score for 36"):
        build_with_beam(failing, IN_MEMORY)
    assert {p: p.stat().st_ino for p in done} == done
    index = build_with_beam(job, IN_MEMORY)
    index_problems.assert_equal(index, index_lib.load(job.path))
    index_problems.assert_equal(index, in_process(tmp_path / "expected"))


def test_bad_input_is_refused_before_the_pipeline(job, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"meta\.json"):
        build_with_beam(dataclasses.replace(job, inputs_path=str(tmp_path / "no")))
    build_with_beam(job, IN_MEMORY)
    with pytest.raises(ArtifactError, match="must not exist yet"):
        build_with_beam(job, ["--runner=NoSuchRunner"])


def test_missing_beam_is_named():
    code = "import sys; sys.modules['apache_beam'] = None; import tfrec.pdn.index_beam"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert (
        'ImportError: The index pipeline needs Apache Beam: pip install "tfrec[beam]"'
        in (done.stderr)
    )
