"""What the doctor can find, read from the package without importing it, and its stored results."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

SOURCE = Path(__file__).resolve().parent.parent / "vae_tutorial" / "doctor" / "codes.py"


def load_codes() -> dict[str, tuple[str, str, str, str]]:
    """`CODES` of the doctor: code → (severity, cause, remedy, link)."""
    spec = importlib.util.spec_from_file_location("doctor_codes_of_package", SOURCE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.CODES


ROOT = SOURCE.parent.parent.parent
RESULTS = ROOT / "benchmarks" / "results"


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


class DoctorResults(SphinxDirective):
    """`{doctor-results}`: the stored summaries of the first and of the second ward."""

    def run(self) -> list[nodes.Node]:
        first, fresh, after = (
            self.summary(name)
            for name in ("doctor", "doctor_second_ward", "doctor_second_ward_after")
        )
        lines = [
            "| | first ward | general debugger, first ward | second ward, first run "
            "| second ward, after mending |",
            "| --- | --- | --- | --- | --- |",
            f"| mutants | {first['mutants']} | | {fresh['mutants']} | |",
            "| right cause named first | " + " | ".join(map(percent, (
                first["mutants_named_first"], first["baseline_mutants_named"],
                fresh["mutants_named_first"], after["mutants_named_first"],
            ))) + " |",
            f"| real faults | {first['real_faults']} | | none | |",
            f"| found: recall | {percent(first['real_recall'])} "
            f"| {percent(first['baseline_real_named'])} | | |",
            f"| right among all alarms: precision | {percent(first['real_precision'])} | | | |",
            f"| healthy controls | {first['controls']} | | {fresh['controls']} | |",
            "| false alarms | " + " | ".join(
                f"{number} of {total}" for number, total in (
                    (first["controls_with_false_alarm"], first["control_examinations"]),
                    (first["baseline_controls_with_false_alarm"],
                     first["baseline_control_examinations"]),
                    (fresh["controls_with_false_alarm"], fresh["control_examinations"]),
                    (after["controls_with_false_alarm"], after["control_examinations"]),
                )
            ) + " |",
        ]  # fmt: skip
        holder = nodes.container()
        self.state.nested_parse(StringList(lines, source=str(SOURCE)), 0, holder)
        return holder.children

    def summary(self, name: str) -> dict[str, float]:
        path = RESULTS / f"{name}.json"
        self.env.note_dependency(str(path))
        return json.loads(path.read_text(encoding="utf-8"))["summary"]


class DoctorCodes(SphinxDirective):
    """`{doctor-codes}`: one row for each code, in the order in which causes are named."""

    def run(self) -> list[nodes.Node]:
        self.env.note_dependency(str(SOURCE))
        lines = ["| code | | what is wrong | what to do |", "| --- | --- | --- | --- |"]
        for code, (severity, cause, remedy, link) in load_codes().items():
            page = Path(link).with_suffix(".ipynb")
            cause = cause.replace("|", "\\|")
            # a remedy may be code with stars and bars in it
            remedy = f"`{remedy}`" if "=" in remedy or "(" in remedy else remedy
            remedy = remedy.replace("|", "\\|")
            lines.append(f"| [`{code}`](../{page}) | {severity} | {cause} | {remedy} |")
        holder = nodes.container()
        self.state.nested_parse(StringList(lines, source=str(SOURCE)), 0, holder)
        return holder.children
