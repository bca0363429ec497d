"""Write the results of long runs that chapters check their tables against into the package.

    python benchmarks/ship_runs.py

A chapter on Colab has the package and nothing else of the repository. What it needs of
`benchmarks/results/` is copied, without curves and settings, into one file of a few kilobytes.
"""

from __future__ import annotations

import json
import statistics
from collections import Counter
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent / "results"
TARGET = RESULTS.parent.parent / "vae_tutorial" / "pretrained" / "runs.json"
COLLAPSE = ("recipe", "seed", "epochs", "rate", "negative_elbo", "negative_log_likelihood")
DISCRETE = ("kind", "seed", "epochs", "bound", "negative_log_likelihood", "distortion", "rate",
            "uniform_bound", "uniform_negative_log_likelihood", "relaxed_bound", "used",
            "perplexity", "perplexity_16", "perplexity_64", "pictures", "spread", "median_ess",
            "rate_longer_prior", "first_200_by_1000", "first_200_by_5000")  # fmt: skip
CLINIC = ("system", "step", "seed", "negative_elbo")
REMEDIES = (*COLLAPSE, "mutual_information", "active_units", "cpu_seconds", "ais_50", "is_50")
DISENTANGLE = ("set", "objective", "beta", "seed", "epochs", "labels", "mig", "sap",
               "dci_disentanglement", "dci_informativeness", "factor_vae", "elbo", "rate",
               "mutual_information", "total_correlation", "active_units", "probe_ridge",
               "probe_stumps", "class_ridge", "class_stumps", "images", "samples", "log_px",
               "log_px_error", "log_px_sampling_error", "ess_median", "elbo_of_these",
               "refined_elbo")  # fmt: skip
CONDITIONAL = ("part", "seed", "label", "negative_log_likelihood", "rate", "class_from_z",
               "left_out", "beta", "named_as_asked", "squared_error", "wanted", "measured",
               "named_seven", "negative_log_likelihood_of_thick_sevens", "images",
               "bayes_accuracy", "bayes_log_loss", "classifier_accuracy", "curve",
               "classifier_log_loss", "bayes_confidence", "classifier_confidence")  # fmt: skip
FEW_LABELS = ("column", "draw", "m1_seed", "epochs", "accuracy", "validation", "purity",
              "log_loss", "entropy", "bound")  # fmt: skip
TRANSFER = ("target", "features", "labels", "seed", "accuracy")
MISSING = ("part", "seed", "hidden", "rate", "table", "method", "nats", "wrong", "error", "setting",
           "moved_or_draws")  # fmt: skip
TABLE = ("objective", "k", "network", "seed", "paper", "negative_log_likelihood",
         "standard_error_over_images", "samples", "images", "epochs")  # fmt: skip


def compression() -> list[dict[str, Any]]:
    """Runs with their files and lossy curves; the first has the rivals of all."""
    found = json.loads((RESULTS / "compression.json").read_text("utf-8"))
    curve = "validation_negative_elbo"
    runs = [{key: value for key, value in run.items() if key != curve} for run in found["rows"]]
    rivals = {"everyday_formats": found["everyday_formats"], "lossy_rivals": found["lossy"]}
    return [{**runs[0], **rivals}, *runs[1:]]


def compression_grey() -> list[dict[str, Any]]:
    """Runs with grey levels; the first has the other formats of all."""
    found = json.loads((RESULTS / "compression_grey.json").read_text("utf-8"))
    curve = "validation_bits_per_pixel"
    rows = [{key: value for key, value in run.items() if key != curve} for run in found["rows"]]
    return [{**rows[0], "everyday_formats": found["everyday_formats"]}, *rows[1:]]


def anomalies() -> list[dict[str, Any]]:
    """A row for each job and score, and one of histograms for each job with another set."""
    rows = []
    for job in json.loads((RESULTS / "anomalies.json").read_text("utf-8"))["jobs"]:
        whose = {key: job[key] for key in ("part", "source", "class", "seed")}
        for score in dict.fromkeys(row["score"] for row in job["rows"]):
            mine = [row for row in job["rows"] if row["score"] == score]
            rows.append({
                **whose, "score": score, "false_alarms": mine[0]["false_alarms"],
                "auroc": {row["anomaly"]: round(row["auroc"], 4) for row in mine},
                "caught": {row["anomaly"]: row["caught"] for row in mine},
            })  # fmt: skip
        if job["part"] == "sets":
            first = [row for row in job["rows"] if row["score"] == "VAE: log p(x)"]
            nats = {row["anomaly"]: round(row["mean"], 1) for row in first}
            keys = ["flat_images", "correlation_with_zlib", "zlib"]
            keys += ["edges", "histograms"] * (job["seed"] == 0)
            rows.append({
                **whose, "part": "nats", **present(job, tuple(keys)),
                "nats": {"normal": round(first[0]["mean_normal"], 1), **nats},
            })  # fmt: skip
    return rows


def recommendation() -> list[dict[str, Any]]:
    """Each method in each split; users' differences to EASE as their mean and standard error."""
    rows = [
        row for name in ("movielens", "taste")
        for row in json.loads((RESULTS / f"recommendation_{name}.json").read_text("utf-8"))["rows"]
    ]  # fmt: skip
    rival = {
        (row["set"], row["fold"]): row["ndcg_of_each"] for row in rows if row["method"] == "EASE"
    }
    found = []
    for row in rows:
        each = row["ndcg_of_each"]
        pairs = zip(each, rival[row["set"], row["fold"]], strict=True)
        differences = [mine - other for mine, other in pairs]
        keys = [key for key in row if key not in ("ndcg_of_each", "curve")]
        found.append({
            **present(row, tuple(keys)),
            "ndcg100_error": round(_standard_error(each), 5),
            "minus_ease": round(statistics.fmean(differences), 5),
            "minus_ease_error": round(_standard_error(differences), 5),
        })  # fmt: skip
    return found


def _standard_error(values: list[float]) -> float:
    return statistics.stdev(values) / len(values) ** 0.5


def features() -> list[dict[str, Any]]:
    """Policies of a pendulum by codes, with the curves of the VAEs' training."""
    return json.loads((RESULTS / "features.json").read_text("utf-8"))["rows"]


def sound() -> list[dict[str, Any]]:
    """Codes of sounds and what lies between two tones. What does not depend on the training of a
    VAE is stored with each of them, and shipped once."""
    rows = json.loads((RESULTS / "tones.json").read_text("utf-8"))["rows"]
    untrained = ("mixed", "moved, then mixed", "real tones")
    left_out = ("validation_loss", "first_pair", "run")
    return [
        {key: row[key] for key in row if key not in left_out} for row in rows
        if row["method"].startswith("VAE") or (
            row["epochs"] == 40 and (row["method"] not in untrained or row["run"][1:3] == [4, None])
        )
    ]  # fmt: skip


def sequences() -> list[dict[str, Any]]:
    """Runs on sentences and surnames with three seeds; paths between codes for β = 0.2 only."""
    rows = json.loads((RESULTS / "sequences.json").read_text("utf-8"))["rows"]
    paths = ("path", "path_ends", "examples")
    seeds = Counter((row["set"], row["recipe"]) for row in rows)
    return [
        {k: v for k, v in row.items()
         if k not in ("cpu_seconds", *(() if row["recipe"] == "β = 0.2" else paths))}
        for row in rows if seeds[row["set"], row["recipe"]] == 3
    ]  # fmt: skip


def molecules() -> list[dict[str, Any]]:
    """What was measured of each model of molecules, and a drawing of paracetamol."""
    found = json.loads((RESULTS / "molecules.json").read_text("utf-8"))
    rows: list[dict[str, Any]] = [{"drawing": found["drawing"]}]
    for row in found["rows"]:
        if "measure" not in row:
            continue
        curve = row["train"]["validation_loss"]
        rows.append({"kind": row["kind"], "seed": row["seed"], **row["measure"],
                     "validation_loss": curve})  # fmt: skip
    return rows


def molecule_search() -> list[dict[str, Any]]:
    """Searches for a property; the drawing of the best molecule for seed 0 only."""
    rows = json.loads((RESULTS / "molecule_search.json").read_text("utf-8"))["rows"]
    return [{k: v for k, v in row.items() if k != "drawing" or row["seed"] == 0} for row in rows]


def chosen() -> dict[str, list[dict[str, Any]]]:
    """The runs of each set, with the entries that a chapter may want."""
    collapse = json.loads((RESULTS / "collapse.json").read_text("utf-8"))["rows"]
    table = [json.loads(p.read_text("utf-8")) for p in sorted(RESULTS.glob("iwae_table/*.json"))]
    clinic = json.loads((RESULTS / "clinic_systems.json").read_text("utf-8"))["rows"]
    remedies = json.loads((RESULTS / "collapse_remedies.json").read_text("utf-8"))["rows"]
    seeds = json.loads((RESULTS / "disentangle.json").read_text("utf-8"))["rows"]
    discrete = [
        run for p in sorted(RESULTS.glob("discrete/*.json"))
        for run in json.loads(p.read_text("utf-8"))["rows"]
    ]  # fmt: skip
    few, longer, stacked, conditional, transfer = (
        json.loads((RESULTS / f"{name}.json").read_text("utf-8"))["rows"]
        for name in ("semi_supervised", "semi_supervised_longer", "stacked", "conditional",
                     "transfer")
    )  # fmt: skip
    few = longer + [{**run, "column": f"short {run['column']}"} for run in few]  # a fifth as long
    gaps = [
        run for name in ("missing", "missing_tables")
        for run in json.loads((RESULTS / f"{name}.json").read_text("utf-8"))["rows"]
    ]  # fmt: skip
    return {
        "anomalies": anomalies(),
        "compression": compression(),
        "compression_grey": compression_grey(),
        "clinic_systems": [{key: run[key] for key in CLINIC} for run in clinic],
        "collapse": [{key: run[key] for key in COLLAPSE} for run in collapse],
        "collapse_remedies": [present(run, REMEDIES) for run in remedies],
        "disentangle": [present(run, DISENTANGLE) for run in seeds],
        "conditional": [present(run, CONDITIONAL) for run in conditional],
        "discrete": [{key: run[key] for key in DISCRETE if key in run} for run in discrete],
        "features": features(),
        "iwae_table": [{key: run[key] for key in TABLE} for run in table],
        "missing": [present(run, MISSING) for run in gaps if run["part"] != "curve"],
        "molecule_search": molecule_search(),
        "molecules": molecules(),
        "recommendation": recommendation(),
        "semi_supervised": [present(run, FEW_LABELS) for run in few],
        "sequences": sequences(),
        "stacked": [present(run, FEW_LABELS) for run in stacked],
        "tones": sound(),
        "transfer": [present(run, TRANSFER) for run in transfer],
    }


def present(run: dict[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    """Those of the entries that this run has."""
    return {key: run[key] for key in keys if key in run}


def text() -> str:
    """The file: a run a line."""
    sets = [
        f'"{name}": [\n' + ",\n".join(json.dumps(run) for run in runs) + "\n]"
        for name, runs in chosen().items()
    ]
    return "{\n" + ",\n".join(sets) + "\n}\n"


if __name__ == "__main__":
    TARGET.write_text(text(), "utf-8")
