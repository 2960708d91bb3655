"""Figures are written whole; what is varied is picked from the record."""

import sys

import numpy as np
import pytest

from experiments.pdn import plots


def _result() -> dict:
    group = {"n<=15": {"mean": 0.5, "users": 3}, "n>15": {"mean": None, "users": 0}}
    point = {"k": 10, "k_hat": 100, "m": 5, "recall": 0.5, "top_k": 20}
    changes = ({}, {"k": 5}, {"k_hat": 50}, {"k": 8, "k_hat": 8}, {"m": 1})
    epochs = [
        {"epoch": e, "losses": {"loss": 1 / (e + 1)}, "metrics": {"hr": 0, "ndcg": e}}
        for e in range(2)
    ]
    return {
        "name": "PDN",
        "seed": 0,
        "dataset": {"name": "ml-100k"},
        "setting": {"examples_per_epoch": 640},
        "training": {"history": epochs, "best_epoch": 1},
        "metrics": {
            "agreement": [{**point, **change} for change in changes],
            "by_length": {"diversity": group},
        },
    }


@pytest.mark.parametrize("draw", [plots.curves, plots.agreement])
def test_of_a_run(tmp_path, draw):
    draw(_result(), tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
    assert len(list(tmp_path.iterdir())) == 1


def test_of_several(tmp_path):
    plots.diversity([_result(), _result() | {"name": "BST"}], tmp_path / "a.png")
    plots.category_matrix(np.eye(2), ["x", "y"], "t", tmp_path / "b.png")
    plots.weights_by_label(np.arange(3.0), np.zeros(3), "t", tmp_path / "c.png")
    found = {"difference": [0.1, -0.2], "error": [0.1, 0.1], "values": ["F", "M"]}
    plots.gender(found, ["x", "y"], "t", tmp_path / "d.png")
    plots.validation([_result(), _result() | {"name": "BST"}], tmp_path / "e.png")
    written = sorted(path.name for path in tmp_path.iterdir())
    assert written == ["a.png", "b.png", "c.png", "d.png", "e.png"]


def test_one_number_is_varied_at_a_time():
    points = _result()["metrics"]["agreement"]

    def varied(name):
        return [(p["k"], p["k_hat"], p["m"]) for p in plots.varied(points, name)]

    assert varied("k") == [(5, 100, 5), (10, 100, 5)]
    assert varied("k_hat") == [(8, 8, 5), (10, 50, 5), (10, 100, 5)]
    assert varied("m") == [(10, 100, 1), (10, 100, 5)]


def test_without_matplotlib_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r'pip install "tfrec\[plots\]"'):
        plots.curves(_result(), tmp_path / "figure.png")
