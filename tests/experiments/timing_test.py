"""Tests the order of timed calls."""

from experiments import timing


def test_every_round_runs_every_call_and_begins_with_another():
    log = []
    calls = {name: lambda turn, n=name: log.append((turn, n)) for name in "abc"}
    medians = timing.interleaved_medians(calls, rounds=3, warmup=1)
    assert set(medians.wall) == set(medians.cpu) == set("abc")
    rounds = [[name for turn, name in log if turn == r] for r in (-1, 0, 1, 2)]
    assert all(sorted(names) == ["a", "b", "c"] for names in rounds)
    assert [names[0] for names in rounds[1:]] == ["a", "b", "c"]


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
