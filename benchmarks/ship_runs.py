"""Write the results of long runs that chapters check their tables against into the package.

    python benchmarks/ship_runs.py

A chapter on Colab has the package and nothing else of the repository. What it needs of
`benchmarks/results/` is copied, without curves and settings, into one file of a few kilobytes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent / "results"
TARGET = RESULTS.parent.parent / "vae_tutorial" / "pretrained" / "runs.json"
COLLAPSE = ("recipe", "seed", "epochs", "rate", "negative_elbo", "negative_log_likelihood")
DISCRETE = ("kind", "seed", "epochs", "bound", "negative_log_likelihood", "distortion", "rate",
            "uniform_bound", "uniform_negative_log_likelihood", "relaxed_bound", "used",
            "perplexity", "perplexity_16", "perplexity_64", "pictures")  # fmt: skip
CLINIC = ("system", "step", "seed", "negative_elbo")
TABLE = ("objective", "k", "network", "seed", "paper", "negative_log_likelihood",
         "standard_error_over_images", "samples", "images", "epochs")  # fmt: skip


def chosen() -> dict[str, list[dict[str, Any]]]:
    """The runs of each set, with the entries that a chapter may want."""
    collapse = json.loads((RESULTS / "collapse.json").read_text("utf-8"))["rows"]
    table = [json.loads(p.read_text("utf-8")) for p in sorted(RESULTS.glob("iwae_table/*.json"))]
    clinic = json.loads((RESULTS / "clinic_systems.json").read_text("utf-8"))["rows"]
    discrete = [
        run for p in sorted(RESULTS.glob("discrete/*.json"))
        for run in json.loads(p.read_text("utf-8"))["rows"]
    ]  # fmt: skip
    return {
        "clinic_systems": [{key: run[key] for key in CLINIC} for run in clinic],
        "collapse": [{key: run[key] for key in COLLAPSE} for run in collapse],
        "discrete": [{key: run[key] for key in DISCRETE if key in run} for run in discrete],
        "iwae_table": [{key: run[key] for key in TABLE} for run in table],
    }


def text() -> str:
    """The file: a run a line."""
    sets = [
        f'"{name}": [\n' + ",\n".join(json.dumps(run) for run in runs) + "\n]"
        for name, runs in chosen().items()
    ]
    return "{\n" + ",\n".join(sets) + "\n}\n"


if __name__ == "__main__":
    TARGET.write_text(text(), "utf-8")
