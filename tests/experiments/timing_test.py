"""Tests the order of timed calls."""

import collections
import itertools

from experiments import timing


def test_every_round_runs_every_call_once_and_each_follows_each_other_alike():
    log = []
    calls = {name: lambda turn, n=name: log.append((turn, n)) for name in "abc"}
    medians = timing.interleaved_medians(calls, rounds=600, warmup=1)
    assert set(medians.wall) == set(medians.cpu) == set("abc")
    rounds = collections.defaultdict(list)
    for turn, name in log:
        rounds[turn].append(name)
    assert list(rounds) == list(range(-1, 600))
    assert all(sorted(names) == ["a", "b", "c"] for names in rounds.values())
    names = [name for _, name in log]
    pairs = collections.Counter(itertools.pairwise(names))
    for name in "abc":
        before = [pairs[other, name] for other in "abc" if other != name]
        assert max(before) < 1.4 * min(before)


class _FakeClocks:
    def __init__(self):
        self.wall = self.cpu = 0.0

    def perf_counter(self):
        return self.wall

    def process_time(self):
        return self.cpu

    def spend(self, wall, cpu):
        self.wall += wall
        self.cpu += cpu


def test_medians_by_hand(monkeypatch):
    clocks = _FakeClocks()
    monkeypatch.setattr(timing, "time", clocks)
    seconds = {-1: 100.0, 0: 1.0, 1: 9.0, 2: 2.0}  # the warm-up does not count
    medians = timing.interleaved_medians(
        {
            "work": lambda turn: clocks.spend(seconds[turn], 2 * seconds[turn]),
            "wait": lambda turn: clocks.spend(5.0, 0.0),
        },
        rounds=3,
        warmup=1,
    )
    assert medians.wall == {"work": 2000.0, "wait": 5000.0}
    assert medians.cpu == {"work": 4000.0, "wait": 0.0}
