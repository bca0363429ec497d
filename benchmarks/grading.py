"""The grader, measured: `python benchmarks/grading.py --out benchmarks/results/grading.json`.

Parts, `--parts seconds seeds fuzz twice each`, all by default:

- `seconds`: a made-up class of 100 for every assignment, with as many processes as there are cores;
- `seeds`: all right and wrong answers of the tests as submissions, under five seeds, and the
  solutions of the masters;
- `fuzz`: 500 damaged notebooks between two good ones;
- `twice`: a class of 100 graded twice, by the command, with one seed;
- `each`: for every check a wrong answer that passes without it, written to
  `tests/each_check.json`.

What is stored stays until its part is run again. `--exercises kl jackknife` runs `seeds` and `each`
for these alone, and leaves what is stored of the others.
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
from collections.abc import Callable, Iterator, Sequence
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


def seeds(folder: Path, names: Sequence[str] | None) -> Iterator[dict[str, Any]]:
    """How many right answers get all points and wrong ones do not, and how many are named."""
    right, wrong = (submissions.cells_by_exercise(pairs()) for pairs in
                    (submissions.all_right, submissions.all_wrong))  # fmt: skip
    for name, solution in submissions.solutions().items():
        right[name].insert(0, solution)
    for name in names or right:
        found = of_exercise(folder, name, right[name], wrong[name])
        print(name, found, flush=True)
        yield {name: found}


def of_exercise(
    folder: Path,
    name: str,
    right: Sequence[Sequence[str]],
    wrong: Sequence[Sequence[str]],
    seeds: Sequence[int] = SEEDS,
) -> dict[str, Any]:
    """Counts for one exercise: answers, the share of wrong ones that is named, and surprises."""
    task, named, unlike = code_task(name), 0, []
    for kind, listed in (("right", right), ("wrong", wrong)):
        paths = [submissions.hand_in(folder / name / f"{kind}{n}.ipynb", *codes)
                 for n, codes in enumerate(listed)]  # fmt: skip
        for seed in seeds:
            for path, each in zip(paths, grade_files(paths, [task], seed)):
                result = each.results[name]
                if (result["points"] == task.of) is not (kind == "right"):
                    unlike.append([seed, path.stem, result["lines"][:3]])
                named += kind == "wrong" and _is_named(" ".join(result["lines"]))
    share = round(named / (len(seeds) * max(len(wrong), 1)), 3)
    return {"right": len(right), "wrong": len(wrong), "named": share, "unlike": unlike}


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


def each(folder: Path, names: Sequence[str] | None) -> dict[str, Any]:
    """Writes `tests/each_check.json`; returns how many checks are shown to be needed."""
    stored = each_check.stored() if names and each_check.FILE.exists() else {}
    found = stored | each_check.find(each_check.named(submissions.all_wrong()), names)
    text = json.dumps(found, indent=1, ensure_ascii=False) + "\n"
    each_check.FILE.write_text(text, encoding="utf-8")
    every = [name for checks in found.values() for name in checks.values()]
    return {"checks": len(every), "shown": sum(name is not None for name in every)}


PARTS: dict[str, Callable[..., Any]] = {
    "seconds": seconds, "seeds": seeds, "fuzz": fuzz, "twice": twice, "each": each,
}  # fmt: skip


def store(out: Path, part: str, result: Any, start: float) -> None:
    """Puts the result of a part into the file; of `seeds`, that of other exercises stays."""
    stored = json.loads(out.read_text("utf-8")) if out.exists() else {}
    if part == "seeds":
        result = stored.get(part, {}).get("result", {}) | result
    stored[part] = {
        "result": result,
        "seconds": round(time.monotonic() - start),
        "day": date.today().isoformat(),
        "machine": f"{len(os.sched_getaffinity(0))} cores, {platform.machine()}",
        "versions": {"torch": torch.__version__, "python": platform.python_version()},
    }
    stored["command"] = "python benchmarks/grading.py --out benchmarks/results/grading.json"
    text = json.dumps(stored, indent=1, ensure_ascii=False) + "\n"
    out.write_text(text, encoding="utf-8")
    print(part, stored[part]["seconds"], "s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--parts", nargs="*", default=list(PARTS), choices=PARTS)
    parser.add_argument("--exercises", nargs="*", help="for the parts seeds and each")
    options = parser.parse_args()
    torch.set_num_threads(1)
    grade("kl")  # imports
    for part in options.parts:
        start = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            if part == "seeds":  # stored one by one
                for found in seeds(Path(folder), options.exercises):
                    store(options.out, part, found, start)
                continue
            some = [options.exercises] if part == "each" else []
            store(options.out, part, PARTS[part](Path(folder), *some), start)


if __name__ == "__main__":
    main()
