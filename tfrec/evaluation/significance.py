"""Whether one model's users fare better than another's: a paired test."""

import dataclasses
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class PairedTest:
    """The difference of two models over the same users.

    Attributes:
        difference: mean of first less second.
        low: lower end of the interval of the difference.
        high: upper end.
        p_value: two-sided, of a difference of 0.
        users: how many users.
        confidence: of the interval.
    """

    difference: float
    low: float
    high: float
    p_value: float
    users: int
    confidence: float


def paired_t_test(first: Any, second: Any, confidence: float = 0.95) -> PairedTest:
    """Student's paired t-test over users, each user's mean over the seeds first.

    Seeds of one model share their users, so their values are no independent draws: a
    model's S seeds become one value a user. The numbers of seeds may differ.

    Args:
        first: `(E,)` or `(S, E)`, a metric of each user, of S seeds.
        second: the same of the other model, users in the same order.
        confidence: of the interval.
    Returns: the test; of equal values everywhere the p-value is 1.
    Raises:
        ValueError: lengths that differ, fewer than 2 users, NaN, or the confidence is
            outside of (0, 1).
        ImportError: SciPy is missing.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"`confidence` must be in (0, 1). Received: {confidence}")
    first, second = _user_means("first", first), _user_means("second", second)
    if first.shape != second.shape or first.size < 2:
        raise ValueError(
            "`first` and `second` must have the same users, at least 2. "
            f"Received: {first.size} and {second.size}"
        )
    differences = first - second
    mean, users = float(differences.mean()), differences.size
    error = float(differences.std(ddof=1)) / users**0.5
    if error == 0.0:
        return PairedTest(mean, mean, mean, float(mean == 0), users, confidence)
    student = _student_t()
    half = error * float(student.ppf((1 + confidence) / 2, users - 1))
    p_value = 2 * float(student.sf(abs(mean) / error, users - 1))
    return PairedTest(mean, mean - half, mean + half, p_value, users, confidence)


def _user_means(name: str, values: Any) -> np.ndarray:
    values = np.asarray(values, np.float64)
    if values.ndim not in (1, 2) or values.shape[0] < 1:
        raise ValueError(
            f"`{name}` must be rank 1 `(E,)` or 2 `(S, E)`. "
            f"Received: {name}.shape={values.shape}"
        )
    if np.isnan(values).any():
        raise ValueError(f"`{name}` must be numbers. Received: NaN")
    return values if values.ndim == 1 else values.mean(axis=0)


def _student_t() -> Any:
    try:
        from scipy import stats
    except ImportError as error:
        raise ImportError(
            'The paired test needs SciPy: pip install "tfrec[pdn]"'
        ) from error
    return stats.t
