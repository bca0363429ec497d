"""How well the doctor finds what is wrong: the clinic's patients, over several seeds.

    python benchmarks/doctor_bench.py --seeds 5 --out benchmarks/results/doctor.json
    python benchmarks/doctor_bench.py --second --seeds 2 --baseline-seeds 0

For each mutant: is the right cause named first? For each real fault: is it among the findings, and
how many findings are right? For each control: is there a false alarm? Notes are no alarms. Beside
it, the same patients under the checks of a general debugger of networks (`baseline.py`).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parent))
from clinic import Patient, patients
from clinic.second_ward_all import WARD
from clinic_baseline import debug

from vae_tutorial import doctor


def examine_once(patient: Patient, seed: int, baseline: bool = True) -> dict[str, Any]:
    """One examination: its codes in order, and those that are alarms."""
    case = patient.make(seed)
    start = time.process_time()
    report = doctor.examine(case.model, case.loss, case.data, **case.settings)
    seconds = time.process_time() - start
    alarms = debug(patient.make(seed)) if baseline else None
    return {
        "patient": patient.name,
        "kind": patient.kind,
        "seed": seed,
        "codes": list(patient.codes),
        "found": report.codes,
        "alarms": [f.code for f in report.findings if f.severity != "note"],
        "evidence": [f.evidence for f in report.findings[:3]],
        "beta": report.measured.get("beta"),
        "left_out": report.left_out,
        "baseline": alarms,
        "seconds": round(seconds, 2),
    }


def first_right(row: dict[str, Any]) -> bool:
    return bool(row["found"]) and row["found"][0] in row["codes"]


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The figures of the table, over all rows."""
    kinds = defaultdict(list)
    for row in rows:
        kinds[row["kind"]].append(row)
    mutants, real, controls = (kinds[k] for k in ("mutant", "real", "control"))
    right = sum(any(c in r["codes"] for c in r["found"]) for r in real)
    alarms = [(c in r["codes"]) for r in real for c in r["alarms"]]
    return {
        "mutants": len({r["patient"] for r in mutants}),
        "real_faults": len({r["patient"] for r in real}),
        "controls": len({r["patient"] for r in controls}),
        "seeds": len({r["seed"] for r in rows}),
        "mutants_named_first": share(map(first_right, mutants)),
        "mutants_named": share(any(c in r["codes"] for c in r["found"]) for r in mutants),
        "real_recall": right / max(1, len(real)),
        "real_first": share(map(first_right, real)),
        "real_precision": share(alarms),
        "controls_with_false_alarm": sum(bool(r["alarms"]) for r in controls),
        "control_examinations": len(controls),
        **baseline_summary(mutants, real, controls),
        "slowest_cpu_seconds": max((r["seconds"] for r in rows), default=0.0),
        "mean_cpu_seconds": round(sum(r["seconds"] for r in rows) / max(1, len(rows)), 2),
    }


def baseline_summary(*kinds: list[dict[str, Any]]) -> dict[str, Any]:
    """The same for the general debugger, over the rows on which it was run."""
    mutants, real, controls = ([r for r in rows if r["baseline"] is not None] for rows in kinds)

    def named(rows: list[dict[str, Any]]) -> float:
        return share(any(c in r["codes"] for c in r["baseline"]) for r in rows)

    return {
        "baseline_seeds": len({r["seed"] for r in [*mutants, *real, *controls]}),
        "baseline_mutants_alarmed": share(bool(r["baseline"]) for r in mutants),
        "baseline_mutants_named": named(mutants),
        "baseline_real_alarmed": share(bool(r["baseline"]) for r in real),
        "baseline_real_named": named(real),
        "baseline_controls_with_false_alarm": sum(bool(r["baseline"]) for r in controls),
        "baseline_control_examinations": len(controls),
    }


def compact(row: dict[str, Any]) -> dict[str, Any]:
    """What is stored of an examination: evidence only where something was missed or false."""
    kept = ("patient", "kind", "seed", "codes", "found", "alarms", "baseline", "seconds")
    wrong = row["alarms"] if row["kind"] == "control" else not first_right(row)
    return row if wrong else {name: row[name] for name in kept}


def share(flags: Any) -> float:
    flags = list(flags)
    return round(sum(flags) / max(1, len(flags)), 4)


def show(row: dict[str, Any]) -> None:
    """Print what was missed, and what was cried for nothing."""
    missed = row["kind"] != "control" and not first_right(row)
    false = row["kind"] == "control" and row["alarms"]
    if missed or false:
        print(f"{row['kind']:8}{row['patient']} seed {row['seed']}: expected {row['codes']}, "
              f"found {row['found']} {row['evidence']} {row['left_out']}", flush=True)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", default="", help="patients whose name contains this")
    parser.add_argument("--baseline-seeds", type=int, default=1, help="for the debugger")
    parser.add_argument("--second", action="store_true", help="the second ward's patients")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    ward = list(WARD.values()) if options.second else patients()
    chosen = [p for p in ward if options.only in p.name]
    rows = []
    for seed in range(options.seeds):
        for patient in chosen:
            rows.append(examine_once(patient, seed, seed < options.baseline_seeds))
            show(rows[-1])
    result = {
        "what": "findings of vae_tutorial.doctor on the clinic's patients",
        "command": "python benchmarks/doctor_bench.py " + " ".join(sys.argv[1:]),
        "date": time.strftime("%Y-%m-%d"),
        "python": platform.python_version(),
        "torch": torch.__version__.split("+")[0],
        "processor": f"{os.cpu_count()} cores, {platform.machine()}",
        "summary": summary(rows),
        "rows": [compact(row) for row in rows],
    }
    print(json.dumps(result["summary"], indent=1))
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
