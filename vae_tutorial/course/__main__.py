"""The command line: `python -m vae_tutorial.course grade …` and `… export`."""

from __future__ import annotations

import argparse
import secrets
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from vae_tutorial.course import results
from vae_tutorial.course.batch import grade_files
from vae_tutorial.course.export import export
from vae_tutorial.course.notebook import named
from vae_tutorial.course.students import files_by_student
from vae_tutorial.course.tasks import (
    Task,
    code_task,
    distinct,
    find_master,
    guess_master,
    read_tasks,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status: 0, or 1 with a message on standard error."""
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def grade(options: argparse.Namespace) -> int:
    """Grade a folder of notebooks: a table of points, and a file of feedback for each student."""
    start = time.monotonic()
    _check_places(options)
    by_student, left_out = files_by_student(options.folder)
    if options.student and by_student:
        by_student = {options.student: [path for paths in by_student.values() for path in paths]}
    files = [path.resolve() for paths in by_student.values() for path in paths]
    tasks = _tasks(options, files)
    seed = secrets.randbits(32) if options.seed is None else options.seed
    found = iter(grade_files(files, tasks, seed, processes=options.processes, told=_counter(files)))
    students = [
        results.student(name, [next(found) for _ in paths], tasks)
        for name, paths in by_student.items()
    ]
    results.write(options.out, results.table(students, tasks))
    _write_each(options, students, tasks)
    alike, page = results.similar(students)
    beside = options.out.with_name(f"{options.out.stem}_alike.html")
    results.write(beside, page)
    print(f"{len(files)} files of {len(students)} students in {time.monotonic() - start:.0f} s")
    print(f"seed {seed}: with --seed {seed}, the same inputs are drawn again")
    for name in left_out:
        print(f"left out, no notebook: {name}")
    if alike:
        print("Answers that are alike but for names and comments; chance, or one source:")
        print("\n".join(f"  {line}" for line in alike))
        print(f"side by side: {beside}")
    return 0


def _check_places(options: argparse.Namespace) -> None:
    """Refuses what could not be written after the grading, or would replace a submission."""
    out = options.out
    if out.suffix.lower() != ".csv" or out.is_dir():
        raise ValueError(f"--out must be a file that ends in .csv, as in out/grades.csv, got {out}")
    for option, folder in (("--out", out.parent), ("--feedback", options.feedback)):
        if folder is not None and folder.exists() and not folder.is_dir():
            raise ValueError(f"{option} needs a folder to write to, and {folder} is a file")


def _tasks(options: argparse.Namespace, files: Sequence[Path]) -> list[Task]:
    """By --exercises, by --assignment, or by what the files are about."""
    if not files:
        raise ValueError(f"{options.folder} holds no notebooks")
    if options.exercises:
        with named("--exercises"):
            return distinct([code_task(name.strip()) for name in options.exercises.split(",")])
    given = options.assignment
    master = find_master(given) if given else guess_master(files)
    tasks = read_tasks(master)
    if not tasks:
        raise ValueError(
            f"--assignment: {master} asks for nothing. A master is a Python file with cells such "
            "as `# %% check=kl`; a student's notebook cannot take its place"
        )
    print(f"assignment: {master.stem}, {sum(task.of for task in tasks)} points")
    return tasks


def _write_each(
    options: argparse.Namespace, students: Sequence[results.Student], tasks: Sequence[Task]
) -> None:
    taken: set[str] = set()
    for each in students:
        name = results.safe_name(each.name, taken)
        if options.feedback:
            results.write(options.feedback / f"{name}.md", results.feedback(each, tasks))
        if options.gradescope:
            one = "results.json" if len(students) == 1 else f"gradescope/{name}.json"
            results.write(options.out.parent / one, results.gradescope(each, tasks))


def _counter(files: Sequence[Path]):
    """Shows how far it is, where somebody watches."""

    def told(done: int) -> None:
        if sys.stderr.isatty():
            end = "\n" if done == len(files) else "\r"
            print(f"{done} of {len(files)} graded", end=end, file=sys.stderr, flush=True)

    return told


def export_all(options: argparse.Namespace) -> int:
    """Write the student notebooks from the masters."""
    nbgrader, overwrite = options.nbgrader, options.overwrite
    for path in export(options.masters, options.out, nbgrader=nbgrader, overwrite=overwrite):
        print(path)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m vae_tutorial.course", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    command = commands.add_parser("grade", help=grade.__doc__, description=grade.__doc__)
    command.set_defaults(run=grade)
    add = command.add_argument
    add("folder", type=Path, help="the submissions, as a platform hands them out")
    add("--out", type=Path, required=True, help="the table to write, a CSV")
    add("--feedback", type=Path, help="a folder for a file of feedback for each student")
    add(
        "--gradescope",
        action="store_true",
        help="write results.json too, beside the table; for "
        "more than one student a folder, gradescope",
    )
    add("--student", help="whose files all of them are, where an autograder gets one at a time")
    add("--seed", type=int, help="draws the inputs; by default a new one, which is printed")
    add("--assignment", help="its number or master; by default found by the functions' names")
    add("--exercises", help="in place of an assignment: names of exercises, with commas")
    add("--processes", type=int, help="how many at a time; by default as many as there are cores")
    command = commands.add_parser("export", help=export_all.__doc__, description=export_all.__doc__)
    command.set_defaults(run=export_all)
    add = command.add_argument
    add("masters", type=Path, nargs="*", help="by default all of assignments/masters")
    add("--out", type=Path, help="a folder; by default assignments")
    add("--nbgrader", action="store_true", help="write masters for nbgrader, solutions included")
    add("--overwrite", action="store_true", help="replace notebooks that are there and differ")
    return parser


if __name__ == "__main__":
    sys.exit(main())
