"""The training stage: a model whose weights are the best epoch's, behind its ranker."""

import pathlib
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from experiments.pdn.problem import Problem
from experiments.pdn.rankers import ClosedFormRanker, NeuralRanker, PdnRanker, Ranker
from tfrec.artifacts import write_json
from tfrec.baselines import (
    bst,
    din,
    dssm,
    ease,
    item_cf,
    popularity,
    sasrec,
    slim,
    youtube_dnn,
)
from tfrec.baselines.closed_form import interaction_matrix
from tfrec.baselines.task import PointwiseTask
from tfrec.evaluation.ranking import hit_rate, ndcg, sampled_ranks
from tfrec.pdn.cooccurrence import Cooccurrence
from tfrec.pdn.model import Pdn
from tfrec.pdn.task import PdnTask
from tfrec.training import distribution, fit

WEIGHTS = "model.weights.h5"
RECORD = "training.json"
_NEURAL = {
    "dssm": dssm.Dssm,
    "youtube_dnn": youtube_dnn.YoutubeDnn,
    "bst": bst.Bst,
    "din": din.Din,
    "sasrec": sasrec.SasRec,
}

_CLOSED_FORM = {
    "popularity": lambda config: popularity.Popularity(),
    "pcf": item_cf.ItemCf,
    "slim": slim.Slim,
    "ease": ease.Ease,
}


def build_ranker(problem: Problem) -> PdnRanker | NeuralRanker:
    """An untrained network of the setting."""
    setting = problem.setting
    if setting.model in _NEURAL:
        model = _NEURAL[setting.model](setting.network, problem.schema)
        return NeuralRanker(model, problem)
    counts = Cooccurrence(
        problem.split.train, problem.dataset.num_items, setting.network.cooccurrence
    )
    return PdnRanker(Pdn(setting.network, problem.schema, counts), problem)


def train(
    problem: Problem, folder: pathlib.Path, resume: bool
) -> tuple[Ranker, dict[str, Any]]:
    """Trains, or loads what an earlier run finished.

    Returns: the ranker and a record: history, best epoch, seconds, examples a second.
    """
    if problem.setting.model in _CLOSED_FORM:
        return fit_closed_form(problem)
    strategy = distribution.strategy()
    with strategy.scope():
        ranker = build_ranker(problem)
    task_class = PdnTask if isinstance(ranker, PdnRanker) else PointwiseTask
    task = task_class(ranker.model, problem.negatives, validate_fn(ranker, problem))
    result = fit(
        task, problem.training_batches, problem.setting.training, folder, resume=resume
    )
    record = {
        "history": result.history,
        "best_epoch": result.best_epoch,
        "best_metrics": result.best_metrics,
        "seconds": result.seconds,
        "examples_per_second": result.examples_per_second,
    }
    partial = folder / f"partial-{WEIGHTS}"
    ranker.model.save_weights(partial)
    partial.replace(folder / WEIGHTS)
    write_json(folder / RECORD, record)
    return ranker, record


def fit_closed_form(problem: Problem) -> tuple[Ranker, dict[str, Any]]:
    """Solves a closed form; it has one "epoch", validated like the others."""
    rows, dataset = problem.split.train, problem.dataset
    matrix = interaction_matrix(
        rows.users, rows.items, dataset.num_users, dataset.num_items
    )
    model = _CLOSED_FORM[problem.setting.model](problem.setting.network)
    start = time.monotonic()
    model.fit(matrix)
    seconds = time.monotonic() - start
    ranker = ClosedFormRanker(model, problem)
    metrics = validate_fn(ranker, problem)()
    return ranker, {
        "history": [],
        "best_epoch": 0,
        "best_metrics": metrics,
        "seconds": seconds,
        "examples_per_second": rows.users.size / max(seconds, 1e-9),
    }


def validate_fn(ranker: Ranker, problem: Problem) -> Callable[[], dict[str, float]]:
    """HR@10 and NDCG@10 of the validation users under the sampled protocol."""
    examples, candidates = problem.split.validation, problem.validation_candidates

    def validate() -> dict[str, float]:
        scores = [
            ranker.sampled(examples, rows, features, candidates[rows])
            for rows, features in problem.example_batches(examples)
        ]
        ranks = sampled_ranks(np.concatenate(scores), candidates)
        return {
            "hr": float(hit_rate(ranks, 10).mean()),
            "ndcg": float(ndcg(ranks, 10).mean()),
        }

    return validate
