"""The index in a key-value store (section 5.1), and retrieval from there."""

import numpy as np
from rich.console import Console

from experiments.pdn.problem import Problem
from experiments.pdn.rankers import PdnRanker
from tfrec import stores
from tfrec.artifacts import ArtifactError
from tfrec.pdn.index import PathIndex
from tfrec.pdn.index_store import read_from_store, write_to_store
from tfrec.pdn.retrieval import PathRetriever
from tfrec.pdn.store_retrieval import StoreRetriever

NUM_USERS = 100


def check(url: str) -> None:
    """Asks the store, before what is published is made.

    Raises: StoreError, StoreUnavailable: it can't be used.
    """
    with stores.open_store(url) as store:
        store.versions()


def publish(
    ranker: PdnRanker, problem: Problem, index: PathIndex, url: str, console: Console
) -> None:
    """Writes a version, makes it current, and retrieves test users' items from it.

    Raises: StoreError, StoreUnavailable: of `tfrec.stores`. ArtifactError: the version
        is there and holds another index; nothing is switched then. RuntimeError:
        retrieval from the store gives other items than from the index.
    """
    meta, top_k = index.meta, problem.setting.index.top_k
    version = f"{meta['model_version']}-{meta['k']}-{meta['k_hat']}"
    retriever = PathRetriever(
        ranker.model, index, problem.fields.item, problem.setting.index.m
    )
    with stores.open_store(url) as store:
        if store.versions().get(version) != "sealed":
            write_to_store(index, store, version)
        held = read_from_store(store, meta["model_version"], version)
        for name in ("neighbours", "similarities", "row_splits", "item_ids"):
            if not np.array_equal(getattr(held, name), getattr(index, name)):
                raise ArtifactError(
                    f"Version {version!r} must hold the index of this run. "
                    f"Received: other {name}"
                )
        store.switch(version)
        served = StoreRetriever(retriever, store, meta["model_version"])
        examples = problem.split.test
        examples = examples.take(np.arange(min(NUM_USERS, examples.size)))
        for _, features in problem.example_batches(examples):
            found = served.retrieve(features, top_k).positions
            expected = retriever.retrieve(features, top_k).positions.numpy()
            if not np.array_equal(found, expected):
                raise RuntimeError(
                    f"Version {version!r} must give what the index gives. "
                    f"Received: other items for {(found != expected).any(1).sum()} of "
                    f"{len(found)} users"
                )
    console.print(
        f"Version {version} is current in the store: {examples.size} users get the "
        f"same {top_k} items from there",
        soft_wrap=True,
    )
