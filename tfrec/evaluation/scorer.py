"""What retrieval, brute force and export know of a model."""

from collections.abc import Mapping
from typing import Any, Protocol


class Scorer(Protocol):
    """Two functions; `tfrec.nann.model.Nann` is one scorer among many."""

    def user_state(self, features: Mapping[str, Any]) -> Any:
        """Turns B users' features into a nest of tensors, once a request.

        Every tensor has B as its first dimension.
        """
        ...

    def score(self, state: Any, vectors: Any) -> Any:
        """Scores float32 `(B, C)` of item vectors `(B, C, D)` or, shared, `(C, D)`."""
        ...
