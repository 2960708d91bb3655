"""Retrieval of one user: PathTopK against its twin, faiss's HNSW and a plain lookup.

All get what they need precomputed and are timed in turns. What belongs to a whole
request is timed beside: TrigNet with the op, and a two-tower model's user tower with
HNSW.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from experiments import timing
from experiments.pdn import synthetic
from experiments.pdn.speed import lookup
from experiments.pdn.speed.hnsw import Hnsw
from tfrec import ops as tfrec_ops
from tfrec.baselines.config import DssmConfig
from tfrec.baselines.dssm import Dssm
from tfrec.ops import _core
from tfrec.pdn.retrieval import PathRetriever

PAPER_MILLISECONDS = 6.75  # Li et al. 2021, section 6.2.2: a whole request
NUM_PATHS = 3
Calls = dict[str, Callable[[int], Any]]


@dataclasses.dataclass(frozen=True)
class Retrieval:
    """What the retrieval of one user costs.

    Attributes:
        num_entries: of the lists of a user's triggers.
        num_candidates: different items among them, median.
        milliseconds: median by way: `op`, `twin` (eq. 14, triggers given, each a graph
            of its own, called by Python), `op_served`, `twin_served` (a user of a
            graph that goes through the users one by one: without Python, as in a
            server), `op_direct` (the op called without a graph around it), `core`
            (its core on NumPy arrays, without TensorFlow); `hnsw_ef*`
            (the search alone, at that efSearch); `lookup_numpy`, `lookup_tensorflow`
            (stored similarities summed, no model); `request` (TrigNet and the op),
            `request_twin`, `request_hnsw_ef*` (user tower and search).
        cpu_milliseconds: the same of the work of all threads.
        hnsw_recall: by way, of the exact K nearest vectors.
        ratios: named by what is divided; the targets are `twin_served_over_op_served`
            >= 5 (`twin_over_op` has Python's call of a graph on both sides),
            `op_over_hnsw_ef*` and `request_over_request_hnsw_ef*` <= 1.5, and `request`
            below the paper's 6.75 ms.
    """

    num_entries: int
    num_candidates: int
    milliseconds: dict[str, float]
    cpu_milliseconds: dict[str, float]
    hnsw_recall: dict[str, float]
    ratios: dict[str, float]


class Service:
    """Graphs of PDN over one index, and requests for them.

    Args:
        num_items: N.
        k: length of a list.
        num_triggers: m.
        history: L, behaviours of a user; TrigNet weighs them all.
        top_k: K.
        seed: of weights, index and requests.
        num_requests: different users.
    """

    def __init__(
        self,
        num_items: int,
        k: int,
        num_triggers: int,
        history: int,
        top_k: int,
        seed: int,
        num_requests: int = 32,
    ):
        train = synthetic.train_rows(100, num_items, min(50, num_items), seed)
        model = synthetic.model(train, num_items, history, seed)
        self.retriever = PathRetriever(
            model,
            synthetic.path_index(num_items, k, seed),
            synthetic.item_features(num_items, seed),
            num_triggers,
            NUM_PATHS,
        )
        self.top_k = top_k
        self.requests = synthetic.requests(num_items, history, num_requests, seed)
        weigh = tf.function(self.retriever.weigh)
        self.weighed = [weigh(request) for request in self.requests]
        self.retrieve = tf.function(lambda x: self.retriever.retrieve(x, top_k))
        self.retrieve_reference = tf.function(self._retrieve_reference)
        self.op = tf.function(functools.partial(self._path_top_k, custom=True))
        self.twin = tf.function(functools.partial(self._path_top_k, custom=False))
        self.op_served = tf.function(functools.partial(self._serve, custom=True))
        self.twin_served = tf.function(functools.partial(self._serve, custom=False))

    def _path_top_k(
        self, triggers: Any, weights: Any, users: Any, *, custom: bool
    ) -> tuple:
        function = tfrec_ops.path_top_k
        if not custom:
            function = tfrec_ops.path_top_k_reference
        return function(
            triggers,
            weights,
            self.retriever.neighbours,
            self.retriever.similarities,
            self.retriever.row_splits,
            users,
            self.retriever.item_vectors,
            tf.zeros([tf.shape(triggers)[0], 0], tf.int32),
            tf.zeros([0], tf.bool),
            self.top_k,
            num_paths=NUM_PATHS,
        )

    def _serve(self, *, custom: bool) -> tf.Tensor:
        """Retrieves for all users, one after the other."""
        inputs = [tf.stack(parts) for parts in zip(*self.weighed, strict=True)]

        def one(user: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            found = self._path_top_k(*(part[user] for part in inputs), custom=custom)
            # Of every result: TensorFlow leaves out what nobody reads.
            first = [tf.cast(tf.reshape(part, [-1])[0], tf.float32) for part in found]
            return user + 1, total + tf.add_n(first)

        return tf.while_loop(
            lambda user, total: user < len(self.weighed),
            one,
            [0, 0.0],
            parallel_iterations=1,
        )[1]

    def _retrieve_reference(self, features: Any) -> tuple:
        return self._path_top_k(*self.retriever.weigh(features), custom=False)

    def calls(self, index: list[np.ndarray]) -> Calls:
        """PDN's ways, by name; a call's argument chooses the user.

        Args:
            index: neighbours, similarities and row splits.
        """
        retriever = self.retriever
        vectors = lookup.array_of(retriever.item_vectors)
        rest = (np.zeros([1, 0], np.int32), np.zeros(0, bool), self.top_k, NUM_PATHS)
        held = (retriever.neighbours, retriever.similarities, retriever.row_splits)
        lists = [variable.read_value() for variable in held]
        others = [retriever.item_vectors.read_value(), *map(tf.constant, rest[:-1])]
        weighed = [[part.numpy() for part in one] for one in self.weighed]

        def core(turn: int) -> tuple:
            triggers, weights, users = _pick(weighed, turn)
            return _core.path_top_k(triggers, weights, *index, users, vectors, *rest)

        def direct(turn: int) -> tuple:
            triggers, weights, users = _pick(self.weighed, turn)
            return tfrec_ops.path_top_k(
                triggers, weights, *lists, users, *others, num_paths=NUM_PATHS
            )

        return {
            "core": core,
            "op_direct": direct,
            "op": lambda turn: self.op(*_pick(self.weighed, turn)),
            "twin": lambda turn: self.twin(*_pick(self.weighed, turn)),
            "op_served": lambda _: self.op_served(),
            "twin_served": lambda _: self.twin_served(),
            "request": lambda turn: self.retrieve(_pick(self.requests, turn)),
            "request_twin": lambda turn: self.retrieve_reference(
                _pick(self.requests, turn)
            ),
        }

    def check(self) -> None:
        """Raises: ValueError: op and twin do not give the same scores."""
        for weighed in self.weighed[:4]:
            ours, theirs = self.op(*weighed)[1], self.twin(*weighed)[1]
            if not np.allclose(ours, theirs, rtol=1e-5, atol=1e-5):
                raise ValueError(
                    "`path_top_k_reference` must score as `path_top_k`. "
                    f"Received: {np.abs(ours - theirs).max()} apart"
                )


def hnsw_calls(hnsw: Hnsw, service: Service, seed: int) -> Calls:
    """The search alone, and behind the user tower of a two-tower model."""
    num_items = service.retriever.num_items
    history = int(service.requests[0]["history"]["item"].shape[1])
    units = (64, hnsw.width)
    model = Dssm(DssmConfig(units=units), synthetic.schema(num_items, history))
    users = tf.function(lambda features: model.user_state(features)["user"])
    queries = hnsw.random_queries(len(service.requests), seed)

    def search(turn: int, ef: int) -> Any:
        return hnsw.search(_pick(queries, turn)[np.newaxis], service.top_k, ef)

    def request(turn: int, ef: int) -> Any:
        vector = users(_pick(service.requests, turn)).numpy()
        return hnsw.search(vector, service.top_k, ef)

    calls: Calls = {}
    for ef in hnsw.ef_search:
        calls[f"hnsw_ef{ef}"] = functools.partial(search, ef=ef)
        calls[f"request_hnsw_ef{ef}"] = functools.partial(request, ef=ef)
    return calls


def measure(
    service: Service, hnsw: Hnsw, rounds: int = 200, seed: int = 0
) -> Retrieval:
    """Times all ways in turns, one user a call.

    Args:
        service: PDN's.
        hnsw: over as many random vectors.
        rounds: timed rounds.
        seed: of the queries of HNSW.
    Raises: ValueError: two ways that must agree do not.
    """
    service.check()
    triggers = [weighed[0].numpy()[0] for weighed in service.weighed]
    plain = lookup.Lookup(service.retriever, service.top_k)
    plain.check(triggers[0])
    calls = {
        **service.calls(plain.arrays),
        **hnsw_calls(hnsw, service, seed),
        "lookup_numpy": lambda turn: plain.by_numpy(_pick(triggers, turn)),
        "lookup_tensorflow": lambda turn: plain.by_tensorflow(_pick(triggers, turn)),
    }
    medians = timing.interleaved_medians(calls, rounds)
    for times in (medians.wall, medians.cpu):
        for way in ("op_served", "twin_served"):
            times[way] /= len(service.weighed)
    entries = [plain.entries(found)[0] for found in triggers]
    return Retrieval(
        int(np.median([items.size for items in entries])),
        int(np.median([np.unique(items).size for items in entries])),
        medians.wall,
        medians.cpu,
        {f"hnsw_ef{ef}": hnsw.recall(service.top_k, ef, seed) for ef in hnsw.ef_search},
        _ratios(medians.wall, hnsw.ef_search),
    )


def _ratios(wall: dict[str, float], ef_search: tuple[int, ...]) -> dict[str, float]:
    ratios = {
        "twin_served_over_op_served": wall["twin_served"] / wall["op_served"],
        "twin_over_op": wall["twin"] / wall["op"],
        "twin_over_op_direct": wall["twin"] / wall["op_direct"],
        "request_twin_over_request": wall["request_twin"] / wall["request"],
        "request_over_paper": wall["request"] / PAPER_MILLISECONDS,
    }
    for ef in ef_search:
        for way, other in (
            ("op", "hnsw"),
            ("core", "hnsw"),
            ("request", "request_hnsw"),
        ):
            name = f"{other}_ef{ef}"
            ratios[f"{way}_over_{name}"] = wall[way] / wall[name]
    plain = min(wall["lookup_numpy"], wall["lookup_tensorflow"])
    return {**ratios, "op_over_lookup": wall["op"] / plain}


def _pick(items: Any, turn: int) -> Any:
    return items[turn % len(items)]
