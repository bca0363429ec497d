"""The child process in which one submission is read and its answers are run."""

from __future__ import annotations

import ast
import contextlib
import faulthandler
import json
import linecache
import os
import resource
import sys
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from vae_tutorial.checks import grade, limit
from vae_tutorial.course.definitions import Code, Piece, read_code
from vae_tutorial.course.notebook import Cell, UnreadableError, read_cells
from vae_tutorial.course.rules import Watch, graded_builtins, objections, watched
from vae_tutorial.course.similar import normal_form
from vae_tutorial.course.tasks import Task

STUBS = ("*Write your answer here.*", "YOUR ANSWER HERE")
TYPES_UNREAD = annotations.compiler_flag  # a type that is not known does no harm
LONGEST = 2000  # characters of a line that is reported


@dataclass(frozen=True)
class Limits:
    """What a submission may use: seconds for a call and a task, and bytes beyond torch's own."""

    call: float = 2.0
    task: int = 20  # of computing; the search for a hint needs up to 6
    silence: float = 60.0  # of waiting, for one task: the machine may be busy
    memory: int = 1_000_000_000


def work(
    path: Path, tasks: Sequence[Task], seed: int, limits: Limits, watch: Watch, out: Connection
) -> None:
    """Reads a file and sends a message for each task. The process may end at any time."""

    def send(**message: Any) -> None:
        out.send_bytes(json.dumps(message).encode())

    _shut_in(limits)
    try:
        cells = read_cells(path)
        code = read_code(cells)
    except UnreadableError as error:
        send(unreadable=str(error))
        return
    send(notes=[note[:LONGEST] for note in code.notes[:20]])
    for task in tasks:
        send(start=task.name)
        _allow_seconds(limits.task)
        result = _RESULTS[task.kind](task, cells, code, seed, watch)
        if changed := watch.changed():
            head = f"{task.name}: 0 of {task.of} points"
            line = f"{head}: the answer changed a library ({', '.join(changed[:3])})"
            result |= {"points": 0, "lines": [line]}
        result["lines"] = [line[:LONGEST] for line in result["lines"][:60]]
        send(task=task.name, **result)
        if changed:
            os._exit(1)  # what follows needs libraries as they were: a fresh process
    send(end=True)


def _shut_in(limits: Limits) -> None:
    """No terminal, no files to write, no more memory than the limit."""
    os.setsid()
    faulthandler.disable()  # a crash is told to the teacher, not to the terminal
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    sys.stdin, sys.stdout, sys.stderr = (open(os.devnull, mode) for mode in "rww")  # noqa: PTH123, SIM115
    torch.set_num_threads(1)
    limit.SECONDS = limits.call
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    if sys.platform == "linux":
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + limits.memory
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _allow_seconds(seconds: int) -> None:
    """So much computing from now on; then the system ends the process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    most = int(used.ru_utime + used.ru_stime) + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (most, hard))


def _code_result(
    task: Task, cells: Sequence[Cell], code: Code, seed: int, watch: Watch
) -> dict[str, Any]:
    answer = code.answer(task.name, task.function)
    if answer is None:
        there = any(task.function in piece.names for piece in code.pieces)
        why = "" if there else f" There is no function `{task.function}` in the notebook."
        return {"points": 0, "lines": [f"{task.name}: not answered yet.{why}"]}
    needed = code.needed(answer)
    own = [each for each in needed if not each.is_import]
    found = {"form": normal_form([each.node for each in own])}
    if found["form"]:
        found["code"] = "\n\n".join(written(each, cells) for each in own)[:20_000]
    if against := objections([each.node for each in needed]):
        line = f"{task.name}: 0 of {task.of} points, not run. {against[0]}"
        return found | {"points": 0, "lines": [line]}
    space, notes = defined(needed)
    if task.function in answer.names:
        value = space.get(task.function)
    else:
        value = space.get(next(iter(answer.names)))
    if value is None:
        lines = [f"{task.name}: 0 of {task.of} points: it could not be defined", *notes]
        return found | {"points": 0, "lines": lines}
    report = grade(task.name, watched(value, watch) if callable(value) else value, seed)
    if missing := code.unavailable(needed):
        names = ", ".join(f"`{name}`" for name in missing)
        notes.append(
            f"  Note: the answer uses {names}, which the notebook computes. Only imports, "
            "definitions and literal numbers are taken over. Compute it inside the function."
        )
    lines = [*report.lines, *(notes if report.points < report.of else [])]
    return found | {"points": report.points, "lines": lines}


def written(piece: Piece, cells: Sequence[Cell]) -> str:
    """The lines of a piece, comments too; where they cannot be told, made from its meaning."""
    node = piece.node
    first = min(each.lineno for each in (node, *getattr(node, "decorator_list", [])))
    with contextlib.suppress(SyntaxError, ValueError, RecursionError):
        lines = cells[piece.cell - 1].text.split("\n")[first - 1 : node.end_lineno]
        text = textwrap.dedent("\n".join(lines))
        if ast.dump(ast.parse(text)) == ast.dump(ast.Module([node], [])):
            return text
    return ast.unparse(node)


def defined(pieces: Sequence[Piece]) -> tuple[dict[str, Any], list[str]]:
    """The names that the pieces define, and what went wrong with one of them."""
    space: dict[str, Any] = {"__name__": "submission", "__builtins__": graded_builtins()}
    notes = []
    for number, piece in enumerate(pieces):
        text = ast.unparse(piece.node)
        file = f"<cell {piece.cell}, part {number}>"
        linecache.cache[file] = (len(text), None, text.splitlines(True), file)
        try:
            exec(compile(text, file, "exec", TYPES_UNREAD, True), space)
        except BaseException as error:
            what = text.split("\n")[0][:60]
            notes.append(f"  Note: `{what}` in cell {piece.cell}: {type(error).__name__}: {error}")
    return space, notes


def _measured_result(
    task: Task, cells: Sequence[Cell], code: Code, seed: int, watch: Watch
) -> dict[str, Any]:
    pieces = [each for each in code.versions(task.name) if not _is_open(each)]
    head = f"{task.name}: "
    if not pieces:
        computed = " Type the number itself in." if task.name in code.computed else ""
        return {"points": 0, "lines": [f"{head}not answered yet.{computed}"]}
    number = None
    with contextlib.suppress(ValueError, TypeError, SyntaxError, RecursionError, OverflowError):
        number = float(ast.literal_eval(pieces[-1].node.value))
    if number is None:
        return {"points": 0, "lines": [f"{head}0 of {task.of} points: it is no number"]}
    right = task.low <= number <= task.high
    says = "right" if right else "not in the range that a right measurement gives"
    points = task.of if right else 0
    return {
        "points": points,
        "lines": [f"{head}{points} of {task.of} points: {number:g} is {says}"],
    }


def _is_open(piece: Piece) -> bool:
    """`name = ...`"""
    value = getattr(piece.node, "value", None)
    return isinstance(value, ast.Constant) and value.value in (None, ...)


def _written_result(
    task: Task, cells: Sequence[Cell], code: Code, seed: int, watch: Watch
) -> dict[str, Any]:
    text = written_answer(task, cells)
    line = f"{task.name}: " + ("to be read" if text else "not answered yet.")
    return {"points": 0, "lines": [line], "text": text[:20_000]}


def written_answer(task: Task, cells: Sequence[Cell]) -> str:
    """What stands below the marker, up to the next code, heading or marker."""
    parts, inside = [], False
    for cell in cells:
        text = cell.text
        if not cell.code and task.marker in text:
            inside, text = True, text.split(task.marker, 1)[1]
        elif inside and (cell.code or text.startswith("#") or "**Answer " in text):
            break
        if inside and not cell.code:
            parts.append(text)
    answer = "\n\n".join(parts)
    for stub in STUBS:
        answer = answer.replace(stub, "")
    return answer.strip()


_RESULTS: dict[str, Callable[..., dict[str, Any]]] = {
    "code": _code_result,
    "measured": _measured_result,
    "written": _written_result,
}
