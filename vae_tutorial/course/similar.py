"""Answers that are alike, side by side for the teacher to judge. Nobody is accused.

Names of variables, comments, docstrings, spaces and the order of definitions do not count. Short
answers are alike by themselves: there are not many ways to write a formula. So only answers of some
length are listed, and those that are nearly the whole class's are left out.
"""

from __future__ import annotations

import ast
import hashlib
import html
from collections import defaultdict
from collections.abc import Mapping, Sequence

SHORTEST = 60  # parts of the syntax tree


def normal_form(nodes: Sequence[ast.stmt]) -> str:
    """A short text that is the same for definitions that differ in names and comments only.

    Empty where the definitions are too short to say anything.
    """
    texts, size = [], 0
    for node in nodes:
        names: dict[str, str] = {}
        words = []
        left_out = _docstrings(node)
        for each in ast.walk(node):
            if id(each) in left_out:
                continue
            words.append(type(each).__name__)
            if isinstance(each, ast.Name):
                words.append(names.setdefault(each.id, f"n{len(names)}"))
            elif isinstance(each, ast.arg):
                words.append(names.setdefault(each.arg, f"n{len(names)}"))
            elif isinstance(each, ast.Attribute):
                words.append(each.attr)
            elif isinstance(each, ast.Constant):
                words.append(repr(each.value)[:40])
        size += len(words)
        texts.append(" ".join(words))
    whole = "\n".join(sorted(texts))
    return (
        hashlib.sha256(whole.encode(errors="replace")).hexdigest()[:12] if size >= SHORTEST else ""
    )


def _docstrings(node: ast.stmt) -> set[int]:
    """The ids of the parts of the tree that are docstrings."""
    found = set()
    for each in ast.walk(node):
        body = getattr(each, "body", None)
        first = body[0] if isinstance(body, list) and len(body) > 1 else None
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
            found |= {id(first), id(first.value)}
    return found


def alike(forms: Mapping[tuple[str, str], str]) -> list[tuple[str, list[str]]]:
    """Tasks, with students whose answers have one form; from (student, task) to a form."""
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    students = {student for student, _ in forms}
    for (student, task), form in sorted(forms.items()):
        if form:
            groups[task, form].append(student)
    few = max(3, len(students) // 5)
    return [(task, names) for (task, _), names in groups.items() if 2 <= len(names) <= few]


def page(groups: Sequence[tuple[str, list[str]]], codes: Mapping[tuple[str, str], str]) -> str:
    """An HTML page with the answers of each group next to each other, as they were written.

    `codes` is from (student, task) to the text of an answer.
    """
    parts = [_HEAD]
    for task, names in groups:
        parts.append(f"<h2>{html.escape(task)}</h2>\n<div>")
        for name in names:
            code = html.escape(codes.get((name, task), ""))
            parts.append(f"<section><h3>{html.escape(name)}</h3><pre>{code}</pre></section>")
        parts.append("</div>")
    return "\n".join([*parts, *([] if groups else ["<p>There are none.</p>"]), ""])


_HEAD = """\
<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Answers that are alike</title>
<style>
body { font-family: sans-serif; margin: 2em } div { display: flex; gap: 1em; overflow-x: auto }
section { flex: 1 0 30em } pre { background: #f4f4f4; padding: 1em; white-space: pre-wrap }
</style>
<h1>Answers that are alike</h1>
<p>These differ in names, comments and the order of definitions only. That may be chance, one source
that all were allowed to use, or a copy: read them, and ask. Comments and odd habits that agree say
more than formulas that agree.</p>
"""
