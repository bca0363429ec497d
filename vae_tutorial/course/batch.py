"""Grades many files, a few at a time, each in a process that may die without harm."""

from __future__ import annotations

import contextlib
import gc
import json
import multiprocessing
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import torch

from vae_tutorial.arguments import whole_number
from vae_tutorial.checks.memory import remembering
from vae_tutorial.checks.registry import find
from vae_tutorial.course.rules import Watch
from vae_tutorial.course.tasks import Task
from vae_tutorial.course.worker import Limits, work

LARGEST_MESSAGE = 2_000_000
PREPARATION = 2.0  # seconds of computing for each exercise of a class of 100


@dataclass
class FileResult:
    """What was found in one file: messages of the worker by task, and what is said of the file."""

    path: Path
    results: dict[str, dict[str, Any]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    unreadable: str = ""


@dataclass
class _Job:
    """A file, the tasks that are left, and the process that works on them."""

    result: FileResult
    left: list[Task]
    process: Any = None
    started: Task | None = None
    deadline: float = 0.0
    read: bool = False
    ended: bool = False
    late: bool = False


def grade_files(
    paths: Sequence[Path],
    tasks: Sequence[Task],
    seed: int,
    *,
    processes: int | None = None,
    limits: Limits = Limits(),  # noqa: B008 - it cannot be changed
    told: Callable[[int], None] = lambda done: None,
) -> list[FileResult]:
    """The results of all files, in their order. Nothing that a file does ends the batch.

    `told` is called with the number of files that are done. Raises `ValueError` unless `processes`
    is `None` or a whole number of at least 1.
    """
    count = len(_cores()) if processes is None else whole_number("processes", processes)
    if not hasattr(os, "fork"):
        raise OSError("grading needs Linux or macOS; on Windows, run it in WSL or in a container")
    torch.set_num_threads(1)  # threads do not survive a fork; and the tensors are tiny
    results = [FileResult(path) for path in paths]
    waiting = [_Job(each, list(tasks)) for each in reversed(results)]
    running: dict[Connection, _Job] = {}
    asked = [find(task.name) for task in tasks if task.kind == "code"]
    seconds = min(PREPARATION, len(paths) * PREPARATION / 100)
    with (
        tempfile.TemporaryDirectory() as folder,
        _inside(folder),
        remembering(asked, seed, seconds),
    ):
        watch = Watch()
        gc.collect()
        gc.freeze()  # so that children share the memory
        try:
            while waiting or running:
                while waiting and len(running) < count:
                    _start(waiting.pop(), running, seed, limits, watch)
                for job in _step(running, limits):
                    if job.left and not job.result.unreadable:
                        waiting.append(_Job(job.result, job.left))
                    told(len(results) - len({id(j.result) for j in [*waiting, *running.values()]}))
        finally:
            for job in running.values():
                _kill(job)
            gc.unfreeze()
    return results


def _cores() -> Sequence[int]:
    if hasattr(os, "sched_getaffinity"):
        return list(os.sched_getaffinity(0))
    return range(os.cpu_count() or 1)


@contextlib.contextmanager
def _inside(folder: str) -> Iterator[None]:
    """An empty folder as the working folder: submissions find no files by relative names."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def _start(
    job: _Job, running: dict[Connection, _Job], seed: int, limits: Limits, watch: Watch
) -> None:
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    arguments = (job.result.path, job.left, seed, limits, watch, theirs)
    job.process = context.Process(target=work, args=arguments, daemon=True)
    job.process.start()
    theirs.close()
    job.deadline = time.monotonic() + limits.silence
    running[ours] = job


def _step(running: dict[Connection, _Job], limits: Limits) -> list[_Job]:
    """Waits for messages; returns the jobs whose process has ended."""
    next_end = min(job.deadline for job in running.values()) - time.monotonic()
    ready = wait(list(running), timeout=max(next_end, 0.0))
    over = []
    for connection in ready:
        job = running[connection]
        try:
            _take(job, json.loads(connection.recv_bytes(LARGEST_MESSAGE)))
            job.deadline = time.monotonic() + limits.silence
        except (EOFError, OSError, ValueError, KeyError, TypeError):  # dead, or it talks nonsense
            over.append(connection)
    now = time.monotonic()
    for connection, job in running.items():
        if connection not in over and now > job.deadline:
            job.late = True
            over.append(connection)
    return [_finish(running, connection) for connection in over]


def _take(job: _Job, message: dict[str, Any]) -> None:
    """Files one message of a worker."""
    if "unreadable" in message:
        job.result.unreadable = str(message["unreadable"])
    elif "notes" in message:
        job.read = True
        job.result.notes = list(map(str, message["notes"]))
    elif "start" in message:
        job.started = next(task for task in job.left if task.name == message["start"])
    elif "task" in message and job.started is not None:
        task = job.started
        message["points"] = min(max(int(message["points"]), 0), task.of)
        job.result.results[task.name] = message
        job.left.remove(task)
        job.started = None


def _finish(running: dict[Connection, _Job], connection: Connection) -> _Job:
    """The job of a process that has ended, or that is ended now."""
    job = running.pop(connection)
    connection.close()
    _kill(job)
    if job.started is not None:
        task = job.started
        why = f"{task.name}: 0 of {task.of} points: {_death(job)}"
        job.result.results[task.name] = {"points": 0, "lines": [why]}
        job.left.remove(task)
    elif not job.read and not job.result.unreadable:
        job.result.unreadable = f"it could not be read: {_death(job)}"
    return job


def _kill(job: _Job) -> None:
    """Ends the process and its children."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(job.process.pid, signal.SIGKILL)
    if job.late or job.process.is_alive():
        job.process.join(0.5)  # one that ended by itself keeps its own exit status
        job.process.kill()
    job.process.join()


def _death(job: _Job) -> str:
    code = job.process.exitcode
    if job.late:
        return "it did not come to an end"
    if code in (-signal.SIGXCPU, -signal.SIGKILL):
        return "it used more computing time or memory than it may"
    return f"the answer ended its process (exit status {code})"
