"""The index as an Apache Beam pipeline: a shard of items is an element.

Each worker reads the inputs as memory maps, makes its own `score_pairs`, and writes
finished shards beside the index. So the folders must be on a file system that all
workers and the caller see, and tfrec must be installed on the workers.
"""

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from absl import logging

from tfrec.pdn import index_build, index_inputs
from tfrec.pdn.candidates import Candidates
from tfrec.pdn.index import PathIndex
from tfrec.pdn.index_inputs import IndexInputs
from tfrec.pdn.index_shards import IndexConfig, ScorePairs, build_shard
from tfrec.pdn.shard_folder import ShardFolder

try:
    import apache_beam as beam
    from apache_beam.options import pipeline_options
except ImportError as error:
    raise ImportError(
        'The index pipeline needs Apache Beam: pip install "tfrec[beam]"'
    ) from error


@dataclasses.dataclass(frozen=True)
class IndexJob:
    """What the workers are told; it is pickled.

    Args:
        inputs_path: folder that `IndexInputs.save` wrote.
        make_score_pairs: called once a worker with the inputs, gives `score_pairs`. It
            must be picklable: a function of a module, or a frozen dataclass with
            `__call__`.
        config: k, k-hat, and how the work is cut.
        model_version: of SimNet, any text; readers compare it.
        path: where the index is saved; shards are kept in `<path>.shards` until then.
        overwrite: whether an index at `path` is replaced.
    """

    inputs_path: str
    make_score_pairs: Callable[[IndexInputs], ScorePairs]
    config: IndexConfig
    model_version: str
    path: str
    overwrite: bool = False


class BuildShard(beam.DoFn):
    """Builds the shard of a number, writes it, and gives its number of pairs.

    A bundle that a runner does again writes the same file again.
    """

    def __init__(self, job: IndexJob):
        self._job = job

    def setup(self) -> None:
        """Reads the inputs and makes the network."""
        job = self._job
        inputs = index_inputs.load(job.inputs_path, verify=False)
        self._num_items = inputs.num_items
        self._candidates = Candidates(inputs, job.config.k_hat)
        self._score_pairs = job.make_score_pairs(inputs)
        self._shards = ShardFolder(job.path)

    def process(self, number: int) -> Iterator[int]:
        """Builds one shard."""
        config, started = self._job.config, time.monotonic()
        items = config.shard_items(number, self._num_items)
        shard = build_shard(items, self._candidates, self._score_pairs, config)
        self._shards[number] = shard
        seconds = max(time.monotonic() - started, 1e-9)
        logging.info(
            "index: shard %d/%d, %s pairs/s",
            number + 1,
            config.num_shards(self._num_items),
            f"{shard.num_pairs / seconds:,.0f}",
        )
        beam.metrics.Metrics.counter("index", "items").inc(int(items.size))
        beam.metrics.Metrics.counter("index", "pairs").inc(shard.num_pairs)
        yield shard.num_pairs


def build_with_beam(job: IndexJob, options: Sequence[str] = ()) -> PathIndex:
    """Builds the index on any runner, and waits for it.

    What an earlier run of the same settings finished is not done again, whether it ran
    here, on another runner or in process.

    Args:
        job: what to build, and where.
        options: of Beam, such as `["--runner=FlinkRunner"]`. On this machine:
            `["--runner=DirectRunner", "--direct_running_mode=multi_processing",
            "--direct_num_workers=2"]`.
    Returns: the index, equal to that of `index_build.build`.
    Raises:
        FileNotFoundError: there are no inputs.
        ArtifactError: the inputs break a rule, `job.path` exists, or the shards there
            are of other settings.
        RuntimeError: the pipeline failed; finished shards are kept.
    """
    inputs = index_inputs.load(job.inputs_path)
    meta = index_build.settings(inputs, job.config, job.model_version)
    shards = index_build.begin(job.path, meta, job.overwrite)
    todo = index_build.missing(shards, job.config, inputs.num_items)
    if todo:
        num_shards = job.config.num_shards(inputs.num_items)
        logging.info("index: %d of %d shards to build", len(todo), num_shards)
        _run(job, todo, options)
    return index_build.finish(shards, job.path, inputs, job.config, meta, job.overwrite)


def _run(job: IndexJob, todo: list[int], options: Sequence[str]) -> None:
    started = time.monotonic()
    pipeline = beam.Pipeline(options=pipeline_options.PipelineOptions(list(options)))
    _ = (
        pipeline
        | "Shards" >> beam.Create(todo)
        | "Spread" >> beam.Reshuffle()
        | "Build" >> beam.ParDo(BuildShard(job))
    )
    result = pipeline.run()
    state = result.wait_until_finish()
    if state != beam.runners.runner.PipelineState.DONE:
        raise RuntimeError(f"The index pipeline must end as DONE. Received: {state}")
    seconds = max(time.monotonic() - started, 1e-9)
    num_pairs = _counted(result, "pairs")
    logging.info(
        "index: %s items, %s pairs in %.1f s, %s pairs/s",
        f"{_counted(result, 'items'):,}",
        f"{num_pairs:,}",
        seconds,
        f"{num_pairs / seconds:,.0f}",
    )


def _counted(result: Any, name: str) -> int:
    """The sum of a counter; attempts that failed may be in it on some runners."""
    found = result.metrics().query(
        beam.metrics.MetricsFilter().with_namespace("index").with_name(name)
    )
    return sum(counter.result for counter in found["counters"])
