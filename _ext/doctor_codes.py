"""The table of what the doctor can find, read from the package without importing it."""

from __future__ import annotations

import importlib.util
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
