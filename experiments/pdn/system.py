"""PDN's system (section 5) on the trained model: index, greedy retrieval, export."""

import json
import pathlib
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.progress import track

from experiments.cards import card_of
from experiments.pdn.problem import EVALUATION_BATCH, Problem
from experiments.pdn.rankers import PdnRanker
from tfrec import artifacts
from tfrec import ops as tfrec_ops
from tfrec.data.splits import Examples
from tfrec.evaluation import metrics, ranking
from tfrec.pdn import index as index_lib
from tfrec.pdn import index_build
from tfrec.pdn.export import CARD, export
from tfrec.pdn.index import PathIndex
from tfrec.pdn.index_inputs import IndexInputs
from tfrec.pdn.index_shards import IndexConfig
from tfrec.pdn.pair_scores import pair_scorer
from tfrec.pdn.retrieval import PathRetriever

NUM_AGREEMENT_USERS = 1000


def model_version(folder: pathlib.Path) -> str:
    """Names a model by its weights: an index of other weights is refused."""
    return artifacts.sha256(folder / "model.weights.h5")[:12]


def index_inputs(ranker: PdnRanker, problem: Problem) -> IndexInputs:
    """Candidate pairs: met by one user, or of one category."""
    counts = ranker.model.cooccurrence.counts
    return IndexInputs(problem.raw_item_ids, counts, problem.fields.item)


def build_index(
    ranker: PdnRanker,
    problem: Problem,
    config: IndexConfig,
    version: str,
    path: pathlib.Path | None = None,
) -> PathIndex:
    """The index by the trained SimNet; `path` is where it is kept, and resumed."""
    return index_build.build(
        index_inputs(ranker, problem),
        pair_scorer(ranker.model, problem.fields.item),
        config,
        version,
        path,
        overwrite=True,
    )


def load_or_build(
    ranker: PdnRanker, problem: Problem, folder: pathlib.Path
) -> PathIndex:
    """The index of this run, from `folder` if it is of these weights."""
    setting, version = problem.setting.index, model_version(folder)
    path = folder / "index"
    config = IndexConfig(k=setting.k, k_hat=setting.k_hat)
    if path.exists():
        found = index_lib.load(path)
        wanted = {"model_version": version, "k": config.k, "k_hat": config.k_hat}
        if wanted.items() <= found.meta.items():
            return found
    return build_index(ranker, problem, config, version, path)


def agreement(
    ranker: PdnRanker, problem: Problem, index: PathIndex
) -> list[dict[str, Any]]:
    """How much of the exact top K greedy retrieval finds, by k, k-hat and m.

    The exact list ranks every item by the full model, without the bias net; items that
    the user has met are left out of both. One number is varied at a time.
    """
    setting, test = problem.setting.index, problem.split.test
    chosen = np.random.default_rng(0).permutation(test.size)[:NUM_AGREEMENT_USERS]
    examples = test.take(np.sort(chosen))
    exact = _exact_lists(ranker, problem, examples)
    found = []
    for k, k_hat, m in _points(setting):
        config = IndexConfig(k=k, k_hat=k_hat)
        other = index
        if (k, k_hat) != (index.meta["k"], index.meta["k_hat"]):
            other = build_index(ranker, problem, config, "curve")
        lists = _greedy_lists(ranker, problem, examples, other, m)
        targets = examples.targets[:, None] - 1
        found.append(
            {
                "k": k,
                "k_hat": k_hat,
                "m": m,
                "recall": float(metrics.coverage(lists, exact).mean()),
                "hr": float((lists == targets).any(axis=1).mean()),
                "hr_exact": float((exact == targets).any(axis=1).mean()),
                "top_k": setting.top_k,
                "users": examples.size,
            }
        )
    return found


def export_and_query(
    ranker: PdnRanker,
    problem: Problem,
    index: PathIndex,
    folder: pathlib.Path,
    console: Console,
) -> pathlib.Path:
    """Exports, and lets a process without tfrec answer one request."""
    path = export(
        ranker.model,
        index,
        problem.fields,
        folder / "export",
        model_version=index.meta["model_version"],
        raw_user_ids=problem.raw_user_ids,
        num_triggers=problem.setting.index.m,
        card=card_of(CARD, problem.setting, problem.dataset),
    )
    console.print(f"Exported to {path}", soft_wrap=True)
    request = folder / "request.json"
    artifacts.write_json(request, example_request(problem, 0))
    command = [
        sys.executable,
        str(pathlib.Path(__file__).with_name("query.py")),
        f"--export={path}",
        f"--library={tfrec_ops.library_path()}",
        f"--request={request}",
        "--k=10",
    ]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    console.print("A new process, with TensorFlow and the op library alone, retrieves:")
    found = json.loads(answer.stdout.splitlines()[-1])
    titles = problem.titles
    for item, score, paths in zip(
        found["ids"], found["scores"], found["paths"], strict=True
    ):
        because = "; ".join(
            f"{titles.get(trigger, trigger)} {weight:.3f}" for trigger, weight in paths
        )
        console.print(f"  {score:.3f} {titles.get(item, item)}  <- {because}")
    return path


def example_request(problem: Problem, example: int) -> dict[str, Any]:
    """What a client would send for a test user, as JSON: raw ids and values."""
    test, fields = problem.split.test, problem.fields
    one = test.take(np.array([example]))
    rows = one.history_rows
    request: dict[str, Any] = {
        "user": [int(problem.raw_user_ids[one.user[0] - 1])],
        "history": [problem.raw_item_ids[one.history - 1].tolist()],
    }
    for name, codes in fields.user.items():
        code = codes[one.user[0]]
        request[f"user_{name}"] = [fields.vocabularies[name].tolist()[code - 1]]
    for name, codes in fields.row.items():
        values = fields.vocabularies[name][codes[rows] - 1]
        request[f"history_{name}"] = [values.tolist()]
    if fields.times is not None:
        request["history_timestamp"] = [fields.times[rows].tolist()]
    return request


def _points(setting: Any) -> Iterator[tuple[int, int, int]]:
    """k, k-hat and m: the setting itself, then each number varied alone."""
    k, k_hat, m = setting.k, setting.k_hat, setting.m
    points = [(k, k_hat, m)]
    points += [(n, k_hat, m) for n in (k // 5, k // 2, 2 * k)]
    points += [(min(k, n), n, m) for n in (k_hat // 5, k_hat // 2, 2 * k_hat)]
    points += [(k, k_hat, n) for n in (m // 10, m // 5, m // 2)]
    return iter(dict.fromkeys((max(1, k), k_hat, max(1, m)) for k, k_hat, m in points))


def _seen(problem: Problem, examples: Examples, rows: slice) -> list[np.ndarray]:
    """Items that users have met, without the target."""
    users, targets = examples.user[rows], examples.targets[rows]
    return [
        np.setdiff1d(problem.rows_of(user), [target])
        for user, target in zip(users, targets, strict=True)
    ]


def _exact_lists(ranker: PdnRanker, problem: Problem, examples: Examples) -> np.ndarray:
    lists = []
    for rows, features in _batches(problem, examples, "exact lists"):
        scores = ranker.full(examples, rows, features)
        targets = examples.targets[rows]
        scores = ranking.without_seen(scores, targets, _seen(problem, examples, rows))
        lists.append(ranking.top_k(scores, problem.setting.index.top_k))
    return np.concatenate(lists)


def _greedy_lists(
    ranker: PdnRanker, problem: Problem, examples: Examples, index: PathIndex, m: int
) -> np.ndarray:
    retriever = PathRetriever(ranker.model, index, problem.fields.item, m, 0)
    retrieve = tf.function(
        lambda features, excluded: (
            retriever.retrieve(
                features, problem.setting.index.top_k, excluded
            ).positions
        ),
        reduce_retracing=True,
    )
    lists = []
    for rows, features in problem.example_batches(examples):
        seen = _seen(problem, examples, rows)
        width = max(map(len, seen))
        excluded = np.full([len(seen), width], -1, np.int32)
        for row, ids in enumerate(seen):
            excluded[row, : len(ids)] = ids - 1
        lists.append(retrieve(features, tf.constant(excluded)).numpy())
    return np.concatenate(lists)


def _batches(problem: Problem, examples: Examples, what: str) -> Any:
    total = -(-examples.size // EVALUATION_BATCH)
    batches = problem.example_batches(examples)
    return track(batches, total=total, description=f"Agreement: {what}")
