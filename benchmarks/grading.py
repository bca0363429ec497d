"""The grader, measured: `python benchmarks/grading.py --out benchmarks/results/grading.json`.

Parts, `--parts seconds seeds fuzz twice each`, all by default:

- `seconds`: a made-up class of 100 for every assignment, with as many processes as there are cores;
- `seeds`: all right and wrong answers of the tests as submissions, under five seeds;
- `fuzz`: 500 damaged notebooks between two good ones;
- `twice`: a class of 100 graded twice, by the command, with one seed;
- `each`: for every check a wrong answer that passes without it, written to
  `tests/each_check.json`.

What is stored stays until its part is run again.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import platform
import random
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "tests"))
import each_check  # noqa: E402
import submissions  # noqa: E402

from vae_tutorial.checks import grade  # noqa: E402
from vae_tutorial.course.__main__ import main as course  # noqa: E402
from vae_tutorial.course.batch import grade_files  # noqa: E402
from vae_tutorial.course.notebook import read_cells  # noqa: E402
from vae_tutorial.course.tasks import code_task, masters, tasks_of  # noqa: E402

SEEDS = (1, 2, 3, 4, 5)


def seconds(folder: Path) -> dict[str, Any]:
    """Seconds for 100 students, three classes for each assignment."""
    found = {}
    for master in masters():
        tasks = tasks_of(read_cells(master))
        walls, points = [], []
        for seed in (1, 2, 3):
            place = folder / f"{master.stem}-{seed}"
            submissions.class_of(place, master, 100, seed)
            start = time.monotonic()
            results = grade_files(sorted(place.iterdir()), tasks, seed)
            walls.append(round(time.monotonic() - start, 1))
            points.append(sum(r["points"] for each in results for r in each.results.values()))
        found[master.stem] = {"seconds": walls, "points": points}
        print(master.stem, walls, flush=True)
    return {"classes": found, "load_before": round(os.getloadavg()[0], 1)}


def seeds(folder: Path) -> dict[str, Any]:
    """How many right answers get all points and wrong ones do not, and how many are named."""
    found = {}
    right, wrong = (submissions.cells_by_exercise(pairs()) for pairs in
                    (submissions.all_right, submissions.all_wrong))  # fmt: skip
    for name in right:
        task = code_task(name)
        tally = {"right": len(right[name]), "wrong": len(wrong[name]), "named": 0, "unlike": []}
        for kind, listed in (("right", right[name]), ("wrong", wrong[name])):
            paths = [submissions.hand_in(folder / name / f"{kind}{n}.ipynb", *codes)
                     for n, codes in enumerate(listed)]  # fmt: skip
            for seed in SEEDS:
                for path, each in zip(paths, grade_files(paths, [task], seed)):
                    result = each.results[name]
                    if (result["points"] == task.of) is not (kind == "right"):
                        tally["unlike"].append([seed, path.stem, result["lines"][:3]])
                    text = " ".join(result["lines"])
                    tally["named"] += kind == "wrong" and _is_named(text)
        tally["named"] /= len(SEEDS) * max(tally["wrong"], 1)
        found[name] = tally
        print(name, tally, flush=True)
    return found


def _is_named(text: str) -> bool:
    """Whether a report says more than that numbers differ."""
    told = "Hint: " in text or "it raised" in text or "came, where" in text
    return told and "Hint: The largest deviation" not in text


def fuzz(folder: Path, count: int = 500) -> dict[str, Any]:
    """Damaged notebooks with a wrong answer: readable, unreadable, and points that they got."""
    rng = random.Random(count)
    whole = submissions.notebook(
        "import torch\nimport math", submissions.KL.replace("0.5 *", ""), "x = 3", submissions.STUB
    )
    paths = [submissions.hand_in(folder / "a.ipynb", submissions.KL)]
    for number in range(count):
        paths.append(folder / f"b{number}.ipynb")
        paths[-1].write_bytes(submissions.damaged(whole, rng))
    paths.append(submissions.hand_in(folder / "c.ipynb", submissions.KL))
    start = time.monotonic()
    found = grade_files(paths, [code_task("kl")], 5)
    points = [each.results.get("kl", {"points": 0})["points"] for each in found]
    return {
        "files": count,
        "unreadable": sum(bool(each.unreadable) for each in found),
        "with_points": sum(p > 0 for p in points[1:-1]),
        "good_ones_full": points[0] == points[-1] == 8,
        "seconds": round(time.monotonic() - start, 1),
    }


def twice(folder: Path) -> dict[str, Any]:
    """One class, one seed, two tables for each assignment."""
    found = {}
    for master in masters():
        submissions.class_of(folder / master.stem, master, 100, 7)
        tables = []
        for out in ("first.csv", "second.csv"):
            path = folder / f"{master.stem}-{out}"
            arguments = ["grade", str(folder / master.stem), "--out", str(path), "--seed", "9"]
            with contextlib.redirect_stdout(io.StringIO()):
                assert course([*arguments, "--assignment", master.stem]) == 0
            tables.append(path.read_text(encoding="utf-8"))
        found[master.stem] = {"same": tables[0] == tables[1], "rows": tables[0].count("\nstudent")}
    return found


def each(folder: Path) -> dict[str, Any]:
    """Writes `tests/each_check.json`; returns how many checks are shown to be needed."""
    found = each_check.find(each_check.named(submissions.all_wrong()))
    text = json.dumps(found, indent=1, ensure_ascii=False) + "\n"
    each_check.FILE.write_text(text, encoding="utf-8")
    every = [name for checks in found.values() for name in checks.values()]
    return {"checks": len(every), "shown": sum(name is not None for name in every)}


PARTS: dict[str, Callable[[Path], Any]] = {
    "seconds": seconds, "seeds": seeds, "fuzz": fuzz, "twice": twice, "each": each,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--parts", nargs="*", default=list(PARTS), choices=PARTS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    grade("kl")  # imports
    stored = json.loads(options.out.read_text("utf-8")) if options.out.exists() else {}
    for part in options.parts:
        with tempfile.TemporaryDirectory() as folder:
            start = time.monotonic()
            result = PARTS[part](Path(folder))
        stored[part] = {
            "result": result,
            "seconds": round(time.monotonic() - start),
            "day": date.today().isoformat(),
            "machine": f"{len(os.sched_getaffinity(0))} cores, {platform.machine()}",
            "versions": {"torch": torch.__version__, "python": platform.python_version()},
        }
        stored["command"] = "python benchmarks/grading.py --out benchmarks/results/grading.json"
        text = json.dumps(stored, indent=1, ensure_ascii=False) + "\n"
        options.out.write_text(text, encoding="utf-8")
        print(part, stored[part]["seconds"], "s", flush=True)


if __name__ == "__main__":
    main()
