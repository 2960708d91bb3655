"""Times of several things measured in one run, for their ratios."""

import statistics
import time
from collections.abc import Callable, Mapping


def interleaved_medians(
    calls: Mapping[str, Callable[[int], object]], rounds: int, warmup: int = 2
) -> dict[str, float]:
    """Returns each call's median milliseconds.

    Every round runs every call once, beginning with another one each time, so that
    what disturbs the machine disturbs all of them alike.

    Args:
        calls: by name; a call gets the number of its round and runs to its end.
        rounds: timed rounds.
        warmup: rounds before them that are not timed: tracing, compilation, caches.
    """
    names = list(calls)
    times: dict[str, list[float]] = {name: [] for name in names}
    for round_number in range(-warmup, rounds):
        first = round_number % len(names)
        for name in names[first:] + names[:first]:
            start = time.perf_counter()
            calls[name](round_number)
            elapsed = time.perf_counter() - start
            if round_number >= 0:
                times[name].append(1000 * elapsed)
    return {name: statistics.median(times[name]) for name in names}
