"""Finds the exercises with a check in the chapters: their stubs, their calls and their solutions.

An exercise in a notebook is a code cell with the stub and a call `check("name", answer)`; its
solution is the one ```python block in the `<details>` called Solution that follows, before the next
exercise.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import Any

import notebooks

FENCE = re.compile(r"^```python\n(.*?)^```\s*$", re.MULTILINE | re.DOTALL)
DETAILS = re.compile(r"<details>\s*<summary>(.*?)</summary>(.*?)</details>", re.DOTALL)


@dataclass(frozen=True)
class Task:
    """One call of `check` in a chapter."""

    chapter: int
    name: str
    answer: str  # the expression that stands for the answer: mostly the stub's name
    imports: str  # the imports of the cells above and of this one
    stub: str  # the cell
    solutions: tuple[str, ...]  # the code blocks of the Solution below

    def solved(self) -> Any:
        """The answer that the worked solution defines."""
        (solution,) = self.solutions
        return self._answer(solution)

    def unsolved(self) -> Any:
        """The answer that the stub defines."""
        tree = ast.parse(self.stub)
        tree.body = [node for node in tree.body if check_call(node) is None]
        return self._answer(ast.unparse(tree))

    def _answer(self, code: str) -> Any:
        space: dict[str, Any] = {"__name__": "chapter"}
        exec(self.imports, space)
        exec(compile(code, f"<{self.name}>", "exec"), space)
        return eval(self.answer, space)


def tasks_of(notebook: dict[str, Any], chapter: int) -> list[Task]:
    """The exercises with a check, in the order of the chapter."""
    cells, imports, tasks = notebook["cells"], [], []
    for place, cell in enumerate(cells):
        if cell["cell_type"] != "code":
            continue
        tree = ast.parse(re.sub(r"^(\s*)[%!].*$", r"\1pass", cell["source"], flags=re.MULTILINE))
        imports += [ast.unparse(n) for n in tree.body if isinstance(n, ast.Import | ast.ImportFrom)]
        for call in filter(None, map(check_call, tree.body)):
            name, answer = call.args
            tasks.append(
                Task(
                    chapter,
                    ast.literal_eval(name),
                    ast.unparse(answer),
                    "\n".join(imports),
                    cell["source"],
                    _solutions(cells[place + 1 :]),
                )
            )
    return tasks


def check_call(node: ast.stmt) -> ast.Call | None:
    """The call, where the statement is `check(…)`."""
    call = node.value if isinstance(node, ast.Expr) else None
    is_check = isinstance(call, ast.Call) and getattr(call.func, "id", None) == "check"
    return call if is_check else None


def _solutions(below: list[dict[str, Any]]) -> tuple[str, ...]:
    """The code of the first Solution, before the next exercise or section."""
    for cell in below:
        if cell["cell_type"] == "code" and re.search(r"^check\(", cell["source"], re.MULTILINE):
            return ()
        text = cell["source"] if cell["cell_type"] == "markdown" else ""
        before, heading, _ = re.sub(FENCE, _hidden, text).partition("\n## ")
        starts = [m.start() for m in re.finditer(r"^#{2,3} ", before, re.MULTILINE)]
        end = starts[0] if starts else len(text)
        for summary, body in DETAILS.findall(text[:end]):
            if summary.strip().startswith("Solution"):
                return tuple(FENCE.findall(body))
        if starts or heading:
            return ()
    return ()


def _hidden(block: re.Match[str]) -> str:
    """A code block with its `#` hidden, at the same length: there they begin comments."""
    return block[0].replace("#", " ")


def all_tasks() -> list[Task]:
    return [
        task
        for path in notebooks.chapter_files()
        for task in tasks_of(notebooks.read(path), notebooks.chapter_number(path))
    ]
