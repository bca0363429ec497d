"""From cells to imports, definitions and literal constants, the only code that is ever run."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from vae_tutorial.course.notebook import Cell

MAGIC = re.compile(r"^(\s*)(?:[%!?]|.*=\s*[%!](?![=\s])|[\w.]+\?{1,2}\s*$).*$", re.MULTILINE)
CELL_MAGIC = re.compile(r"\s*%%(\w+).*\n?")
LANGUAGES = {"bash", "sh", "html", "javascript", "js", "latex", "writefile", "script", "markdown"}
LIBRARIES = ("math", "torch", "np", "numpy")
MAKERS = ("log", "sqrt", "exp", "tensor", "array", "prod")  # of constants, out of constants
CLAUSES = ("else", "elif", "except", "finally", ")", "]", "}")


@dataclass(frozen=True)
class Piece:
    """One import, definition or literal constant, and the names that it binds."""

    names: frozenset[str]
    node: ast.stmt
    cell: int
    is_import: bool = False


@dataclass
class Code:
    """What is taken out of one file."""

    pieces: list[Piece] = field(default_factory=list)
    computed: set[str] = field(default_factory=set)  # names whose values are not taken
    checked: dict[str, list[str]] = field(default_factory=dict)  # names given to check("…", name)
    notes: list[str] = field(default_factory=list)

    def versions(self, name: str) -> list[Piece]:
        """The definitions of a name, in the order of the file."""
        return [each for each in self.pieces if name in each.names and not each.is_import]

    def answer(self, exercise: str, function: str) -> Piece | None:
        """The last definition that is no stub: under the exercise's name, else as checked."""
        for name in (function, *reversed(self.checked.get(exercise, []))):
            written = [each for each in self.versions(name) if not is_stub(each.node)]
            if written:
                return written[-1]
        return None

    def needed(self, answer: Piece) -> list[Piece]:
        """The answer and all that it refers to, in the order of the file; imports first.

        A helper that is defined twice counts as it stood when the answer was run: the last one
        up to the answer's cell, else the first one after it.
        """
        found, waiting = [answer], [answer]
        while waiting:
            for name in names_in(waiting.pop().node):
                versions = [each for each in self.versions(name) if not is_stub(each.node)]
                before = [each for each in versions if each.cell <= answer.cell]
                for each in (before[-1:] or versions[:1]) if name not in answer.names else []:
                    if each not in found:
                        found.append(each)
                        waiting.append(each)
        imports = [each for each in self.pieces if each.is_import]
        return imports + [each for each in self.pieces if each in found]

    def unavailable(self, needed: Iterable[Piece]) -> list[str]:
        """Names that the pieces use and the notebook computes, so that they are not there."""
        needed = list(needed)
        bound = set().union(*(each.names for each in needed))
        used = set().union(*(outer_names(each.node) for each in needed if not each.is_import))
        return sorted((used & self.computed) - bound)


def read_code(cells: Sequence[Cell]) -> Code:
    """The imports, definitions and literal constants of all cells that can be read."""
    code = Code()
    for number, cell in enumerate(cells, start=1):
        if not cell.code:
            continue
        for node in _statements(cell.text, number, code.notes):
            _take(node, number, code)
    return code


def _statements(text: str, number: int, notes: list[str]) -> list[ast.stmt]:
    """The statements of a cell; where it is damaged, those of its parts that can be read."""
    if (magic := CELL_MAGIC.match(text)) and magic[1] in LANGUAGES:
        return []
    for version in (text, MAGIC.sub(r"\1pass", CELL_MAGIC.sub("", text))):
        try:
            return _parsed(version)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
    found = []
    for part in _parts(version):
        try:
            found += _parsed_up_to_a_clause(part)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            first = part.strip().split("\n")[0][:60]
            why = getattr(error, "msg", None) or type(error).__name__
            notes.append(f"cell {number}: left out, since it is no Python ({why}): `{first}`")
    return found


def _parsed(text: str) -> list[ast.stmt]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "\d" in an ordinary string, and the like
        return ast.parse(text).body


def _parsed_up_to_a_clause(part: str) -> list[ast.stmt]:
    """A part, or what stands in it before a line such as `)`, which may belong to nothing."""
    try:
        return _parsed(part)
    except SyntaxError:
        lines = part.split("\n")
        ends = [n for n, line in enumerate(lines) if n and line.startswith(CLAUSES)]
        if not ends:
            raise
        return _parsed("\n".join(lines[: ends[0]]))


def _parts(text: str) -> list[str]:
    """A text cut where a statement may begin: at lines that are not indented."""
    parts: list[list[str]] = [[]]
    for line in text.split("\n"):
        begins = line[:1].strip() and not line.startswith(CLAUSES)
        after_decorator = parts[-1] and parts[-1][-1].startswith("@")
        if begins and not after_decorator:
            parts.append([])
        parts[-1].append(line)
    return ["\n".join(part) for part in parts if "".join(part).strip()]


def _take(node: ast.stmt, cell: int, code: Code) -> None:
    """Keeps a statement of the top level, or notes the names that it would compute."""
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        names = frozenset((each.asname or each.name).split(".")[0] for each in node.names)
        code.pieces.append(Piece(names, node, cell, is_import=True))
    elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        code.pieces.append(Piece(frozenset([node.name]), node, cell))
    elif isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        names = frozenset(n for target in targets for n in stored_names(target))
        if is_literal(node.value) and all(map(_is_plain, targets)):
            code.pieces.append(Piece(names, node, cell))
        else:
            code.computed |= names
    elif isinstance(node, (ast.If, ast.Try, ast.With)):  # as in `if IN_COLAB:` or `try: import …`
        for each in node.body:
            _take(each, cell, code)
    elif isinstance(node, ast.Expr):
        _note_check(node.value, code)
    else:
        code.computed |= set(stored_names(node))


def _note_check(call: ast.expr, code: Code) -> None:
    """`check("kl", f)` says that `f` is the answer."""
    if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "check":
        match call.args:
            case [ast.Constant(value=str(exercise)), ast.Name(id=name)]:
                code.checked.setdefault(exercise, []).append(name)


def is_literal(node: ast.expr) -> bool:
    """Numbers, texts, containers and sums of them; `math.log(2)` and the like; a lambda; a name."""
    if isinstance(node, (ast.Constant, ast.Lambda, ast.Name)):
        return True
    if isinstance(node, ast.Attribute):  # math.pi
        return getattr(node.value, "id", "") in LIBRARIES
    if isinstance(node, ast.Call):  # math.log(2), torch.tensor(0.5)
        called = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        given = [*node.args, *(each.value for each in node.keywords)]
        return called in MAKERS and is_literal(node.func) and all(map(is_literal, given))
    parts = (ast.BinOp, ast.UnaryOp, ast.Tuple, ast.List, ast.Set, ast.Dict)
    below = [each for each in ast.iter_child_nodes(node) if isinstance(each, ast.expr)]
    return isinstance(node, parts) and all(map(is_literal, below))


def _is_plain(target: ast.expr) -> bool:
    """A name, or a tuple of names: no attribute and no element of something."""
    if isinstance(target, (ast.Tuple, ast.List)):
        return all(map(_is_plain, target.elts))
    return isinstance(target, ast.Name)


def stored_names(node: ast.AST) -> Iterator[str]:
    for each in ast.walk(node):
        if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store):
            yield each.id


def names_in(node: ast.AST) -> set[str]:
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}


def outer_names(node: ast.AST) -> set[str]:
    """Names that are looked up and bound nowhere inside: no argument and no local variable."""
    inside = set(stored_names(node)) | {e.arg for e in ast.walk(node) if isinstance(e, ast.arg)}
    return names_in(node) - inside


def is_stub(node: ast.stmt) -> bool:
    """Nothing but a docstring, `...`, `pass`, and what is assigned `...`; or `name = None`."""
    if isinstance(node, (ast.Assign, ast.AnnAssign)):
        return isinstance(node.value, ast.Constant) and node.value.value in (None, Ellipsis)
    if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return False
    return all(map(_says_nothing, node.body))


def _says_nothing(line: ast.stmt) -> bool:
    if isinstance(line, ast.Pass):
        return True
    if isinstance(line, ast.Raise):
        return "NotImplementedError" in ast.unparse(line)
    value = getattr(line, "value", None)
    if isinstance(line, ast.Return):
        return value is None or (isinstance(value, ast.Constant) and value.value in (None, ...))
    if isinstance(line, (ast.Expr, ast.Assign)) and isinstance(value, ast.Constant):
        return isinstance(line, ast.Expr) or value.value in (None, ...)
    return False
