"""Answers that are alike, side by side for the teacher to judge. Nobody is accused.

Names of variables, comments, docstrings, spaces and the order of definitions do not count. Short
answers are alike by themselves: there are not many ways to write a formula. So only answers of some
length are listed, and those that are nearly the whole class's are left out.
"""

from __future__ import annotations

import ast
import hashlib
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
        for each in ast.walk(_without_docstrings(node)):
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


def _without_docstrings(node: ast.stmt) -> ast.stmt:
    for each in ast.walk(node):
        body = getattr(each, "body", None)
        first = body[0] if isinstance(body, list) and len(body) > 1 else None
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
            del body[0]
    return node


def alike(forms: Mapping[tuple[str, str], str]) -> list[tuple[str, list[str]]]:
    """Tasks, with students whose answers have one form; from (student, task) to a form."""
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    students = {student for student, _ in forms}
    for (student, task), form in sorted(forms.items()):
        if form:
            groups[task, form].append(student)
    few = max(3, len(students) // 5)
    return [(task, names) for (task, _), names in groups.items() if 2 <= len(names) <= few]
