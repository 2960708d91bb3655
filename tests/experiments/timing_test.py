"""Tests the order of timed calls."""

from experiments.timing import interleaved_medians


def test_every_round_runs_every_call_and_begins_with_another():
    log = []
    calls = {name: lambda turn, n=name: log.append((turn, n)) for name in "abc"}
    medians = interleaved_medians(calls, rounds=3, warmup=1)
    assert set(medians) == set("abc")
    rounds = [[name for turn, name in log if turn == r] for r in (-1, 0, 1, 2)]
    assert all(sorted(names) == ["a", "b", "c"] for names in rounds)
    assert [names[0] for names in rounds[1:]] == ["a", "b", "c"]
