"""The results page says what its records say."""

import pathlib

from experiments import results

_ROOT = pathlib.Path(__file__).resolve().parents[2]


def _record(recall_all: float) -> dict:
    keys = [key for _, key, _ in results.COLUMNS]
    return {
        "title": "A title",
        "name": "A model",
        "note": "A note.",
        "command": f"python -m run {recall_all}",
        "summary": {**dict.fromkeys(keys, 0.5), "recall_all": recall_all},
    }


def test_mean_and_deviation_over_seeds():
    page = results.page([_record(0.2), _record(0.3), _record(0.4)])
    row = next(line for line in page.splitlines() if line.startswith("| A model"))
    assert row.startswith("| A model | 3 | 30.0% ± 10.0% | 50.0% | 50.0% |")
    assert "python -m run 0.3" in page


def test_one_seed_has_no_deviation():
    page = results.page([_record(0.2)])
    assert "| A model | 1 | 20.0% | 50.0% |" in page


def test_the_page_is_made_of_the_kept_records():
    page = (_ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    assert page == results.whole_page()
    assert page.startswith(results.page(list(results.read_results("nann"))))
