"""PDN's part of `docs/results.md`: tables 2 and 4 and the agreement of retrieval.

Made of what is kept below `experiments/pdn/results/`: records of runs, and one of
`experiments.pdn.compare` a data set. Seeds become mean and standard deviation.
"""

import collections
from collections.abc import Iterable, Mapping

from experiments.pdn import results_tables as tables
from experiments.pdn.results_tables import Record

# The rows: what the paper does not have first, then as in its table 2, then ablations.
ORDER = (
    *("popularity", "ease", "sasrec"),
    *("dssm", "youtube_dnn", "bst", "pcf", "slim", "din"),
    *("pdn-no-bias", "pdn-no-direct", "pdn"),
    *("pdn-product", "pdn-unconstrained", "pdn-vector"),
)
PAPERS_DATASET = "ml-1m"
INTRODUCTION = """# PDN

HR@10 and NDCG@10 come twice: of the target among 99 sampled negatives (*sampled*, what
the paper's numbers fit) and among all items that the user has no row of (*full*);
[papers/pdn.md](papers/pdn.md) says why. *Item-to-item*: of the sampled candidates, by
item similarities alone. *Earlier rows alone*: the history is cut at the official test
row, which is not the last one for 28 % of the users. *Categories*: the share of all
categories in the first 300 of the full ranking. *p*: paired t-test of PDN, or of
the variant that the column names, against the row over users, for HR@10 / NDCG@10 of
the protocol that it names, not corrected for the number of rows, of the seeds whose
records hold the metrics of users (`seeds` in the records of `experiments.pdn.compare`).

Of the paper's table 2 the columns Pinterest and Amazon Books are not reproduced, as the
data can't be had; table 3 and figure 6 are online tests."""


def lines(records: Iterable[Record]) -> list[str]:
    """The lines of the part; none where there is no record."""
    records = list(records)
    runs: dict[str, dict[str, list[Record]]] = collections.defaultdict(dict)
    for record in sorted((r for r in records if "metrics" in r), key=_place):
        of_set = runs[record["setting"]["dataset"]]
        of_set.setdefault(record["model"], []).append(record)
    tests: dict[str, list[Record]] = collections.defaultdict(list)
    for record in records:
        if "comparison" in record:
            tests[record["comparison"]].append(record)
    found = ["", *INTRODUCTION.splitlines()] if runs else []
    for dataset, models in sorted(runs.items(), key=lambda item: _set_place(item[0])):
        found += ["", f"## PDN on {dataset}", "", *_note(models), ""]
        found += tables.table_2(dataset == PAPERS_DATASET, models, tests[dataset])
        found += tables.by_length(models)
        found += tables.agreement(models)
        found += ["", "Commands:", "", "```"]
        found += [run["command"] for several in models.values() for run in several]
        found += [test["command"] for test in tests[dataset]]
        found.append("```")
    return found


def _place(record: Record) -> tuple[int, int]:
    return ORDER.index(record["model"]), record["seed"]


def _set_place(dataset: str) -> tuple[bool, str]:
    return dataset != PAPERS_DATASET, dataset


def _note(models: Mapping[str, list[Record]]) -> list[str]:
    every = [run for runs in models.values() for run in runs]
    users = max(run["metrics"]["sampled"]["users"] for run in every)
    note = f"{users:,} test users ({every[0]['setting']['split']})."
    ranked = [run["metrics"]["full"] for run in every if "full" in run["metrics"]]
    if any(full["users"] < users for full in ranked):
        note += (
            " Models that score pairs of user and item one by one rank all items for a "
            "seeded draw of them."
        )
    return [note]
