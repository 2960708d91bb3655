"""Times of several things measured in one run, for their ratios."""

import dataclasses
import random
import statistics
import time
from collections.abc import Callable, Mapping


@dataclasses.dataclass(frozen=True)
class Medians:
    """Median milliseconds by call.

    Attributes:
        wall: what a user waits.
        cpu: what all threads of this process worked; on a machine that others use as
            well, its ratios are the steadier ones.
    """

    wall: dict[str, float]
    cpu: dict[str, float]


def interleaved_medians(
    calls: Mapping[str, Callable[[int], object]], rounds: int, warmup: int = 2
) -> Medians:
    """Times calls in turns.

    Every round runs every call once, in an order that is drawn anew, so that what
    disturbs the machine disturbs all of them alike, and none always follows the same
    other one, which leaves the caches warm or cold for it.

    Args:
        calls: by name; a call gets the number of its round and runs to its end.
        rounds: timed rounds.
        warmup: rounds before them that are not timed: tracing, compilation, caches.
    """
    names = list(calls)
    wall: dict[str, list[float]] = {name: [] for name in names}
    cpu: dict[str, list[float]] = {name: [] for name in names}
    orders = random.Random(0)
    for round_number in range(-warmup, rounds):
        for name in orders.sample(names, len(names)):
            start, start_cpu = time.perf_counter(), time.process_time()
            calls[name](round_number)
            elapsed_cpu = time.process_time() - start_cpu
            elapsed = time.perf_counter() - start
            if round_number >= 0:
                wall[name].append(1000 * elapsed)
                cpu[name].append(1000 * elapsed_cpu)
    return Medians(
        {name: statistics.median(wall[name]) for name in names},
        {name: statistics.median(cpu[name]) for name in names},
    )
