"""PDN's part of the results page says what its records say."""

import copy

import pytest

from experiments.pdn import results_page, settings
from experiments.pdn.results_tables import mean_and_deviation


def _group(mean: float | None, users: int) -> dict:
    return {"mean": mean, "users": users}


def _record(model: str, seed: int = 0, hr: float = 0.5, dataset: str = "ml-1m") -> dict:
    by_length = {
        "n<=15": _group(None, 0),
        "15<n<=30": _group(hr / 2, 40),
        "n>30": _group(hr, 60),
    }
    protocol = {"hr": hr, "ndcg": hr / 2, "users": 100}
    return {
        "name": model.upper(),
        "model": model,
        "seed": seed,
        "command": f"run {dataset} {model} {seed}",
        "setting": {"dataset": dataset, "split": "a split"},
        "training": {"seconds": 90.0},
        "paper_numbers": [0.6770, 0.4071, 0.5152, 0.2859],
        "metrics": {
            "sampled": protocol,
            "full": {**protocol, "hr300": hr, "diversity": 0.25},
            "earlier": {**protocol, "hr": hr / 4},
            "item_to_item": protocol,
            "by_length": {"hr300": by_length, "diversity": by_length},
        },
    }


def _comparison() -> dict:
    p_values = {"sampled_hr": {"p_value": 1e-9}, "sampled_ndcg": {"p_value": 0.03125}}
    return {
        "comparison": "ml-1m",
        "first": "pdn",
        "command": "compare",
        "models": {"bst": {"tests": p_values}},
    }


def _rows(page: list[str], name: str) -> list[list[str]]:
    found = [line for line in page if line.startswith(f"| {name} |")]
    return [[cell.strip() for cell in row.strip("| ").split("|")] for row in found]


def test_no_records_no_page():
    assert results_page.lines([]) == []


def test_seeds_are_a_mean_and_a_deviation():
    page = results_page.lines([_record("pdn", 0, 0.4), _record("pdn", 1, 0.6)])
    row = _rows(page, "PDN")[0]
    assert row[1:5] == ["2", "0.5000 ± 0.1414", "0.2500 ± 0.0707", "0.6770 / 0.4071"]
    assert row[5] == "0.1250 ± 0.0354"
    assert row[8] == "0.5152 / 0.2859"
    assert row[-1] == "1.5"
    assert "run ml-1m pdn 1" in page


def test_rows_are_in_the_order_of_table_2():
    models = ("pdn", "popularity", "pdn-no-bias", "bst", "din", "dssm", "slim", "pcf")
    page = results_page.lines([_record(model) for model in models])
    begin = next(i for i, line in enumerate(page) if line.startswith("|---"))
    names = [line.split("|")[1].strip() for line in page[begin + 1 : begin + 9]]
    assert names == [
        *("POPULARITY", "DSSM", "BST", "PCF", "SLIM", "DIN"),
        *("PDN-NO-BIAS", "PDN"),
    ]


def test_every_model_has_a_place():
    assert sorted(results_page.ORDER) == sorted(settings.MODELS)


def test_p_values_come_from_the_comparison():
    page = results_page.lines([_record("pdn"), _record("bst"), _comparison()])
    assert _rows(page, "BST")[0][-1] == "<1e-4 / 0.031"
    assert "compare" in page
    other = _comparison() | {"first": "pdn-vector", "first_name": "V"}
    page = results_page.lines([_record("bst"), _comparison(), other])
    heads = "| p, sampled | p, item-to-item | p, sampled, V |"
    assert any(line.endswith(heads) for line in page)
    assert _rows(page, "BST")[0][-3:] == ["<1e-4 / 0.031", "", "<1e-4 / 0.031"]
    related = {"hr": {"p_value": 0.5}, "ndcg": {"p_value": 0.25}}
    tests = other["models"]["bst"]["tests"]
    tests |= {f"item_to_item_{name}": test for name, test in related.items()}
    page = results_page.lines([_record("bst"), other | {"first": "pdn"}])
    assert _rows(page, "BST")[0][-1] == "0.5 / 0.25"
    assert _rows(results_page.lines([_record("bst")]), "BST")[0][-1] == "1.5"


def test_what_a_model_does_not_have_is_empty():
    record = _record("popularity")
    del record["metrics"]["item_to_item"]
    record["paper_numbers"] = [None, None, 0.4033, 0.2132]
    row = _rows(results_page.lines([record]), "POPULARITY")[0]
    assert row[4:9] == ["", "0.1250", "", "", "0.4033 / 0.2132"]


def test_the_papers_numbers_stand_beside_its_own_data_set_alone():
    page = results_page.lines([_record("pdn", dataset="amazon-sports"), _record("bst")])
    headings = [line for line in page if line.startswith("## ")]
    assert headings == ["## PDN on ml-1m", "## PDN on amazon-sports"]
    assert "0.6770" in " ".join(_rows(page, "BST")[0])
    assert "0.6770" not in " ".join(_rows(page, "PDN")[0])
    assert "Amazon Books are not reproduced" in " ".join(page)


def test_table_4_is_relative_to_bst_and_leaves_empty_groups_out():
    page = results_page.lines([_record("bst", hr=0.4), _record("pdn", hr=0.5)])
    assert "| model | 15<n<=30, 40 users | n>30, 60 users |" in page
    _, hit_rates, diversity = _rows(page, "PDN")
    assert hit_rates == ["PDN", "0.250 (+25.0%)", "0.500 (+25.0%)"]
    assert diversity == ["PDN", "0.250", "0.500"]
    assert _rows(page, "BST")[1] == ["BST", "0.200", "0.400"]


def test_a_draw_of_users_is_named():
    drawn = _record("din")
    drawn["metrics"]["full"] = drawn["metrics"]["full"] | {"users": 10}
    groups = {"n<=15": _group(None, 0), "15<n<=30": _group(None, 0)}
    groups["n>30"] = _group(0.3, 10)
    drawn["metrics"]["by_length"] = {"hr300": groups, "diversity": groups}
    page = results_page.lines([drawn, _record("bst", hr=0.4), _record("pdn")])
    assert "100 test users (a split)." in " ".join(page)
    assert "for a seeded draw of them." in " ".join(page)
    assert _rows(page, "DIN")[0][9] == "10"
    assert _rows(page, "PDN")[0][9] == "100"
    assert "| model | 15<n<=30, 40 users | n>30, 60 users |" in page
    assert _rows(page, "DIN")[1] == ["DIN", "", "0.300 of 10"]


def test_agreement_is_a_mean_over_seeds():
    first = _record("pdn")
    point = {"k": 100, "k_hat": 1000, "m": 50, "recall": 0.8, "hr": 0.2}
    point |= {"hr_exact": 0.25, "top_k": 300, "users": 1000}
    first["metrics"]["agreement"] = [point, {**point, "m": 5, "recall": 0.6}]
    second = copy.deepcopy(first) | {"seed": 1}
    second["metrics"]["agreement"][1]["recall"] = 0.7
    page = results_page.lines([first, second])
    assert "| 100 | 1,000 | 50 | 0.800 | 0.200 | 0.250 |" in page
    assert "| 100 | 1,000 | 5 | 0.650 ± 0.071 | 0.200 | 0.250 |" in page


@pytest.mark.parametrize(
    ("values", "text"), [([0.5], "0.50"), ([0.5, 0.5], "0.50"), ([0, 1], "0.50 ± 0.71")]
)
def test_equal_values_have_no_deviation(values, text):
    assert mean_and_deviation(values, "{:.2f}") == text
