"""faiss's HNSW over the item vectors that a two-tower model would have.

The vectors are random directions: of all sets of a width the hardest to search. So the
recall at an efSearch is given beside its time.
"""

import dataclasses
import pathlib

import faiss
import numpy as np

from tfrec.evaluation.metrics import coverage

LINKS, EF_CONSTRUCTION = 32, 40
_NUM_RECALL_QUERIES = 50


@dataclasses.dataclass(frozen=True)
class Hnsw:
    """A built graph.

    Attributes:
        index: of inner products.
        width: D of the vectors.
        ef_search: candidates kept in a search, one setting after another.
    """

    index: faiss.IndexHNSWFlat
    width: int
    ef_search: tuple[int, ...]

    def search(self, vectors: np.ndarray, k: int, ef: int) -> np.ndarray:
        """Positions `(B, k)` of about the nearest of float32 `(B, D)`."""
        self.index.hnsw.efSearch = ef
        return self.index.search(vectors, k)[1]

    def random_queries(self, count: int, seed: int) -> np.ndarray:
        """Float32 `(count, D)`."""
        return random_directions(count, self.width, seed + 1)

    def recall(self, k: int, ef: int, seed: int) -> float:
        """The share of the exact K nearest that a search finds."""
        queries = self.random_queries(_NUM_RECALL_QUERIES, seed)
        k = min(k, self.index.ntotal)
        exact = faiss.downcast_index(self.index.storage).search(queries, k)[1]
        return float(coverage(self.search(queries, k, ef), exact).mean())


def random_directions(count: int, width: int, seed: int) -> np.ndarray:
    """Unit vectors, float32 `(count, width)`."""
    random = np.random.default_rng([seed, 5])
    vectors = random.standard_normal((count, width), np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def build(
    num_items: int,
    width: int,
    ef_search: tuple[int, ...],
    seed: int,
    cache: pathlib.Path,
) -> Hnsw:
    """Builds the graph, which takes minutes for a million, or reads it from `cache`.

    Args:
        num_items: N.
        width: D.
        ef_search: settings to search at.
        seed: of the vectors.
        cache: a folder.
    """
    settings = f"{num_items}x{width}-m{LINKS}-ef{EF_CONSTRUCTION}-seed{seed}"
    path = cache / f"hnsw-{settings}.faiss"
    if not path.exists():
        index = faiss.IndexHNSWFlat(width, LINKS, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = EF_CONSTRUCTION
        index.add(random_directions(num_items, width, seed))
        cache.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        faiss.write_index(index, str(partial))
        partial.replace(path)
    return Hnsw(faiss.read_index(str(path)), width, ef_search)
