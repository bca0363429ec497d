"""Break what each check of a chapter verifies, and see the check fail.

    python tools/mutations.py 03        (no name: all chapters)

`tests/mutations/03.json` lists, for every cell titled `✓ checked: …`, at least one mutation:

    {"check": "(3.7)", "replace": "1 + logvar", "by": "1 - logvar"}

`check` is a part of the title that only this check has. The mutation happens in the nearest cell,
at the check or above it, that contains `replace`; that cell is run again in its broken form, then
the check. With `"between": true` all code cells from there to the check are run again. The check
must raise `AssertionError`: a broken version that merely crashes shows nothing.

The chapter runs once, from top to bottom; each mutation runs in a fork at its check, so it leaves
no trace. What was seen is written back into the file with digests of the check and of the broken
cell; a test fails where they no longer fit.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import notebooks
import numbered

FOLDER = notebooks.ROOT / "tests" / "mutations"
Namespace = dict[str, Any]


def file_of(chapter: Path) -> Path:
    return FOLDER / f"{notebooks.chapter_number(chapter):02d}.json"


def code_of(chapter: Path) -> list[str]:
    """The code cells of a chapter, without the set-up cell."""
    cells = notebooks.read(chapter)["cells"]
    return [
        cell["source"]
        for cell in cells
        if cell["cell_type"] == "code" and "setup" not in notebooks.tags(cell)
    ]


def checks_of(cells: list[str]) -> dict[int, str]:
    """Place and title of every check among the code cells."""
    return {
        n: numbered.title_of(source)
        for n, source in enumerate(cells)
        if numbered.named_in_check(source) is not None
    }


def place_of(mutation: dict[str, Any], cells: list[str]) -> tuple[int, int]:
    """The places of the cell to break and of the check; a `ValueError` says what does not fit."""
    found = [n for n, title in checks_of(cells).items() if mutation["check"] in title]
    if len(found) != 1:
        raise ValueError(f"{len(found)} checks have {mutation['check']!r} in their title")
    (check,) = found
    for n in range(check, -1, -1):
        if mutation["replace"] in cells[n]:
            return n, check
    raise ValueError(f"no cell up to the check {mutation['check']} holds {mutation['replace']!r}")


def broken(mutation: dict[str, Any], source: str) -> str:
    return source.replace(mutation["replace"], mutation["by"])


def seen(mutation: dict[str, Any], cells: list[str]) -> dict[str, str]:
    """What the record of a mutation must say, for the cells as they are now."""
    target, check = place_of(mutation, cells)
    mutated = broken(mutation, cells[target])
    return {"check": notebooks.digest(cells[check]), "broken": notebooks.digest(mutated)}


def problems(chapter: Path) -> list[str]:
    """Checks without a mutation, and mutations whose record does not fit the chapter."""
    cells = code_of(chapter)
    listed = json.loads(file_of(chapter).read_text("utf-8")) if file_of(chapter).exists() else []
    found, without = [], set(checks_of(cells))
    for mutation in listed:
        try:
            without.discard(place_of(mutation, cells)[1])
            if mutation.get("seen") != seen(mutation, cells):
                found.append(f"{mutation['check']}: not seen to fail since the last edit")
        except ValueError as error:
            found.append(str(error))
    found += [f"no mutation for: {checks_of(cells)[n]}" for n in sorted(without)]
    again = f"; run `python tools/mutations.py {notebooks.chapter_number(chapter):02d}`"
    return [f"{chapter.stem}: {line}{again}" for line in found]


def run(source: str, name: str, namespace: Namespace) -> None:
    exec(compile(source, name, "exec"), namespace)  # a chapter's own code
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


def outcome(mutation: dict[str, Any], cells: list[str], namespace: Namespace) -> str:
    """`AssertionError`, another error, or `passed`: what the check says of the broken version."""
    target, check = place_of(mutation, cells)
    places = range(target, check + 1) if mutation.get("between") else sorted({target, check})
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        try:
            for n in places:
                run(broken(mutation, cells[n]) if n == target else cells[n], f"cell {n}", namespace)
            answer = "passed"
        except BaseException as error:
            answer = type(error).__name__
            if not isinstance(error, AssertionError):
                answer += f": {str(error)[:200]}"
        os.write(writing, answer.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer = pipe.read().decode()
    os.waitpid(child, 0)
    return answer or "died"


def try_all(chapter: Path) -> int:
    """Run a chapter with its mutations, write what was seen; returns how many were not caught."""
    cells, path = code_of(chapter), file_of(chapter)
    mutations = json.loads(path.read_text("utf-8"))
    checks = checks_of(cells)
    os.chdir(chapter.parent)
    namespace, missed = {"__name__": "__main__"}, 0
    for n, source in enumerate(cells):
        if n not in checks:
            run(source, f"cell {n}", namespace)
            continue
        for mutation in mutations:
            if place_of(mutation, cells)[1] != n:
                continue
            answer = outcome(mutation, cells, namespace)
            caught = answer == "AssertionError"
            mutation.pop("seen", None)
            if caught:
                mutation["seen"] = seen(mutation, cells)
            missed += not caught
            print(f"{'caught' if caught else 'MISSED'}  {mutation['check']}: "
                  f"{mutation['replace']!r} -> {mutation['by']!r}"
                  f"{'' if caught else f' ({answer})'}", flush=True)  # fmt: skip
        run(source, f"cell {n}", namespace)  # unbroken, it must pass
    path.write_text(json.dumps(mutations, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return missed


def main(arguments: list[str]) -> int:
    os.environ |= {"OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg", "VAE_TUTORIAL_PROGRESS": "0"}
    import torch  # after the settings that it reads
    from run_chapters import chosen_files

    torch.set_num_threads(1)  # a fork keeps no threads
    missed = 0
    for chapter in chosen_files(arguments):
        missed += try_all(chapter)
        for line in problems(chapter):
            print(line)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
