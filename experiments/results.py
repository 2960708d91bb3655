"""What every experiment records beside its metrics, and the page made of the records.

    python -m experiments.results

writes `docs/results.md` from the `result.json` files that are kept below
`experiments/<paper>/results/`.
"""

import collections
import importlib.metadata
import json
import os
import pathlib
import platform
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

from absl import flags

from experiments.pdn import results_benchmark as pdn_benchmark
from experiments.pdn import results_page as pdn_page
from experiments.serving import results_page as serving_page

ROOT = pathlib.Path(__file__).resolve().parent.parent
PACKAGES = ("tfrec", "tensorflow", "keras", "numpy", "faiss-cpu")
COLUMNS = (
    ("recall-all", "recall_all", "{:.1%}"),
    ("the paper's, on UserBehavior", "paper", "{:.1%}"),
    ("recall-retrieval", "recall_retrieval", "{:.1%}"),
    ("recall-delta", "recall_delta", "{:.2%}"),
    ("coverage", "coverage", "{:.3f}"),
    ("share scored", "share", "{:.3f}"),
    ("popularity", "popularity", "{:.1%}"),
    ("training minutes", "minutes", "{:.1f}"),
)


def environment() -> dict[str, Any]:
    """Versions, git commit, machine and time of a run."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "source"
    changed = _git("status", "--porcelain", "--untracked-files=no")
    commit = _git("rev-parse", "HEAD") or "unknown"
    return {
        "versions": {**versions, "python": platform.python_version()},
        "commit": f"{commit}-changed" if changed else commit,
        "machine": {"cores": os.cpu_count(), "processor": platform.machine()},
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def command(module: str) -> str:
    """How the running program was started: its module, and flags off their defaults.

    Args:
        module: after `python -m`.
    """
    own = flags.FLAGS.get_key_flags_for_module(sys.argv[0])
    changed = (flag for flag in own if flag.value != flag.default)
    given = [flag.serialize() for flag in changed if flag.name != "output_dir"]
    return shlex.join(["python", "-m", module, *given])


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout.strip()


def read_results(paper: str) -> Iterator[dict[str, Any]]:
    """The kept records of a paper, sorted by path."""
    folder = ROOT / "experiments" / paper / "results"
    for path in sorted(folder.glob("*.json")):
        yield json.loads(path.read_text(encoding="utf-8"))


def read_benchmark(paper: str) -> dict[str, Any]:
    """The kept record of a paper's benchmark; empty where there is none."""
    path = ROOT / "experiments" / paper / "results" / "benchmark" / "benchmark.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _row(runs: list[dict[str, Any]]) -> str:
    first = runs[0]
    cells = [first["name"], f"{len(runs)}"]
    for _, key, form in COLUMNS:
        values = [run["summary"][key] for run in runs]
        text = form.format(statistics.fmean(values))
        if len(set(values)) > 1:
            text += f" ± {form.format(statistics.stdev(values))}"
        cells.append(text)
    return f"| {' | '.join(cells)} |"


def page(results: list[dict[str, Any]]) -> str:
    """The page in Markdown."""
    groups: dict[str, dict[str, list]] = collections.defaultdict(
        lambda: collections.defaultdict(list)
    )
    for result in results:
        groups[result["title"]][result["name"]].append(result)
    lines = [
        "# Results",
        "",
        "Made by `python -m experiments.results` from the `result.json` files below",
        "`experiments/<paper>/results/`: mean and standard deviation over seeds. The",
        "epoch is the best one on validation users. Beams (ef, T) and links (M) were",
        "chosen on coverage and share of one seed's test users: each record holds the",
        "whole curve. A paper's number is of its own data set.",
    ]
    for title, rows in groups.items():
        runs = next(iter(rows.values()))
        heads = ["model", "seeds", *(name for name, _, _ in COLUMNS)]
        lines += ["", f"## {title}", "", f"| {' | '.join(heads)} |"]
        lines += [f"|{'---|' * len(heads)}"]
        lines += [_row(rows[name]) for name in sorted(rows)]
        lines += ["", runs[0]["note"], "", "Commands:", "", "```"]
        lines += [run["command"] for name in sorted(rows) for run in rows[name]]
        lines += ["```"]
    return "\n".join(lines) + "\n"


def whole_page() -> str:
    """NANN's part, then PDN's with its benchmark, then serving's."""
    lines = pdn_page.lines(read_results("pdn"))
    lines += pdn_benchmark.lines(read_benchmark("pdn"))
    lines += serving_page.lines(read_results("serving"))
    return page(list(read_results("nann"))) + "".join(f"{line}\n" for line in lines)


if __name__ == "__main__":
    (ROOT / "docs" / "results.md").write_text(whole_page(), encoding="utf-8")
