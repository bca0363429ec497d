"""Right answers with one slip: terms left out, signs turned round, other axes, other names.

The source of a right answer is taken apart, and every place where a slip is likely is changed in
turn. An answer whose results are those of such a mutant made that slip, or one that comes to the
same. So most mistakes need no author who thought of them.
"""

from __future__ import annotations

import ast
import copy
import functools
import inspect
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

REDUCTIONS = ("sum", "mean", "logsumexp", "amax", "prod")
SHAPES = ("flatten", "reshape", "view", "size", "expand_as", "split", "diagonal", "unsqueeze")
UNARY = ("exp", "log", "sqrt", "square", "abs", "reciprocal", "neg", "cos", "sin")
Variant = tuple[ast.AST | None, str]  # in the place of a node, and what is said of it


@functools.lru_cache(maxsize=64)
def mutants(answer: Callable[..., Any]) -> tuple[tuple[str, Callable[..., Any]], ...]:
    """A hint and a function for every slip; nothing where the source cannot be read."""
    try:
        function = ast.parse(textwrap.dedent(inspect.getsource(answer))).body[0]
    except (OSError, TypeError, SyntaxError):
        return ()
    if not isinstance(function, ast.FunctionDef) or answer.__closure__:
        return ()
    loaded = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
    stored = {n.id for n in ast.walk(function) if isinstance(getattr(n, "ctx", None), ast.Store)
              and isinstance(n, ast.Name)}  # fmt: skip
    names = sorted(loaded & (stored | {arg.arg for arg in function.args.args}))
    found: dict[str, str] = {}
    module = ast.Module([function], [])
    for parent, field, n, node in list(_places(module)):
        for new, hint in _variants(node, names):
            _put(parent, field, n, new)
            found.setdefault(ast.unparse(module), hint)
            _put(parent, field, n, node)
    return tuple((hint, _compiled(text, answer)) for text, hint in found.items())


@functools.lru_cache(maxsize=1024)
def replaced(answer: Callable[..., Any], old: str, new: str) -> Callable[..., Any]:
    """The answer with a piece of its source replaced, wherever it stands."""
    text = textwrap.dedent(inspect.getsource(answer))
    if old not in text:
        raise ValueError(f"{answer.__name__} has no {old!r} in its source")
    return _compiled(text.replace(old, new), answer)


def _compiled(text: str, answer: Callable[..., Any]) -> Callable[..., Any]:
    @functools.lru_cache(maxsize=1)
    def made() -> Callable[..., Any]:
        space = dict(answer.__globals__)
        exec(compile("from __future__ import annotations\n" + text, "<a slip>", "exec"), space)
        return space[answer.__name__]

    return lambda *inputs: made()(*inputs)


def _places(parent: ast.AST) -> Iterator[tuple[ast.AST, str, int | None, ast.AST]]:
    """Every node below, with the field of its parent that holds it."""
    for field, value in ast.iter_fields(parent):
        for n, node in enumerate(value if isinstance(value, list) else [value]):
            if isinstance(node, ast.AST):
                yield parent, field, n if isinstance(value, list) else None, node
                yield from _places(node)


def _put(parent: ast.AST, field: str, n: int | None, node: ast.AST) -> None:
    if n is None:
        setattr(parent, field, node)
    else:
        getattr(parent, field)[n] = node


def _variants(node: ast.AST, names: list[str]) -> Iterator[Variant]:
    """What may stand in the place of a node by mistake."""
    if isinstance(node, ast.BinOp):
        yield from _of_operation(node)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield node.operand, _without(f"the minus sign in `{_shown(node)}`")
    elif isinstance(node, ast.Call):
        yield from _of_call(node)
    elif isinstance(node, ast.Compare) and len(node.ops) == 1:
        turned = {ast.Gt: ast.Lt, ast.Lt: ast.Gt, ast.GtE: ast.LtE, ast.LtE: ast.GtE}
        if type(node.ops[0]) in turned:
            op = turned[type(node.ops[0])]()
            yield _for(node, ast.Compare(node.left, [op], node.comparators))
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in names:
        for other in names:
            if other != node.id:
                yield _for(node, ast.Name(other, ast.Load()))
    elif isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple):
        parts = node.value.elts
        order = [_shown(each) for each in parts]
        yield (
            ast.Return(ast.Tuple(parts[::-1], ast.Load())),
            (f"The results are in another order: {', '.join(order)} is the right one."),
        )
        for part, text in zip(parts, order):
            yield ast.Return(part), f"Only one of the results came, `{text}`."
    elif isinstance(node, (ast.For, ast.If, ast.FunctionDef, ast.With)):
        yield from _of_lines(node)
    if isinstance(node, (ast.Call, ast.Name)) or _is_power(node):
        yield from _wrapped(node, names)


def _of_operation(node: ast.BinOp) -> Iterator[Variant]:
    left, op, right = node.left, node.op, node.right
    if isinstance(op, (ast.Add, ast.Sub)):
        plus = isinstance(op, ast.Add)
        other = ast.Sub() if plus else ast.Add()
        yield left, _without(f"`{'+' if plus else '-'} {_shown(right)}`")
        yield right if plus else ast.UnaryOp(ast.USub(), right), _without(f"`{_shown(left)}`")
        yield ast.BinOp(left, other, right), _with(f"the sign of `{_shown(right)}` turned round")
        yield ast.BinOp(right, op, left), _with(f"the sign of `{_shown(node)}` turned round")
    elif isinstance(op, ast.Mult):
        yield left, _without(f"the factor `{_shown(right)}`")
        yield right, _without(f"the factor `{_shown(left)}`")
        yield _for(node, ast.BinOp(left, ast.Div(), right))
        if isinstance(right, ast.BinOp) and isinstance(right.op, (ast.Add, ast.Sub)):
            yield _first_only(left, right), _with(f"the factor `{_shown(left)}` on one term only")
    elif isinstance(op, ast.Div):
        yield left, _without(f"the division by `{_shown(right)}`")
        yield _for(node, ast.BinOp(left, ast.Mult(), right))
        yield _for(node, ast.BinOp(right, op, left))
        yield _for(node, ast.BinOp(left, ast.Add(), right))
        yield _for(node, ast.BinOp(left, ast.Sub(), right))
    elif isinstance(op, ast.Pow):
        yield left, _without(f"the power in `{_shown(node)}`")
    elif isinstance(op, ast.MatMult):
        yield _for(node, ast.BinOp(left, ast.Mult(), right))


def _first_only(factor: ast.expr, terms: ast.expr) -> ast.expr:
    """A sum with a factor that is meant for all terms, and stands at the first."""
    if isinstance(terms, ast.BinOp) and isinstance(terms.op, (ast.Add, ast.Sub)):
        return ast.BinOp(_first_only(factor, terms.left), terms.op, terms.right)
    return ast.BinOp(factor, ast.Mult(), terms)


def _of_call(node: ast.Call) -> Iterator[Variant]:
    name = node.func.attr if isinstance(node.func, ast.Attribute) else None
    if name is None or name in SHAPES:
        return
    method = not (isinstance(node.func.value, ast.Name) and node.func.value.id in _MODULES)
    inner = node.func.value if method else (node.args[0] if node.args else None)
    axes = node.args if method else node.args[1:]
    if inner is None:
        return
    if name in UNARY or name in (*REDUCTIONS, "clone", "softmax"):
        yield inner, _without(f"`{name}` in `{_shown(node)}`")
    if name not in REDUCTIONS and name != "softmax":
        return
    for other in REDUCTIONS[:3]:
        for args in ([], *([each] for each in _AXES if axes)):
            if other == "logsumexp" and not args:
                continue
            new = ast.Call(ast.Attribute(inner, other, ast.Load()), args, [])
            if name == "softmax":
                new.func.attr = "softmax"
            if _text(new) != _text(node):
                short = [f".{each.func.attr}({', '.join(map(_text, given))})"
                         for each, given in ((new, args), (node, axes))]  # fmt: skip
                yield new, _with(f"`{short[0]}` for `{short[1]}` in `{_shown(node)}`")


def _of_lines(node: ast.AST) -> Iterator[Variant]:
    """Lines left out or exchanged."""
    lines = node.body
    for n, line in enumerate(lines):
        if isinstance(line, (ast.Expr, ast.AugAssign, ast.Assign)) and len(lines) > 1:
            rest = copy.copy(node)
            rest.body = lines[:n] + lines[n + 1 :]
            yield rest, _without(f"the line `{_shown(line)}`")
    for n in range(len(lines) - 1):
        if isinstance(lines[n + 1], ast.Return):
            continue
        turned = copy.copy(node)
        turned.body = [*lines[:n], lines[n + 1], lines[n], *lines[n + 2 :]]
        yield turned, f"Two steps are in the other order: first comes `{_first(lines[n])}`."


def _wrapped(node: ast.AST, names: list[str]) -> Iterator[Variant]:
    """Twice, half, the root or the square of something, where itself belongs."""
    if isinstance(node, ast.Name) and (node.id not in names or not isinstance(node.ctx, ast.Load)):
        return
    called = getattr(getattr(node, "func", None), "attr", None)
    if isinstance(node, ast.Call) and called not in (*UNARY, *REDUCTIONS):
        return
    for pattern, words in _WRAPS.items():
        new = ast.parse(pattern.format(_text(node)), mode="eval").body
        yield new, _with(f"{words} `{_shown(node)}` in its place")


_WRAPS = {
    "2 * ({})": "twice",
    "0.5 * ({})": "half of",
    "({}) ** 2": "the square of",
    "({}) ** 0.5": "the root of",
    "torch.exp({})": "the exponential of",
    "torch.log({})": "the logarithm of",
}
_MODULES = ("torch", "math", "np", "F", "nn")
_AXES = [ast.parse(text, mode="eval").body for text in ("0", "1", "-1", "2")]


def _is_power(node: ast.AST) -> bool:
    return isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow)


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _text(node: ast.AST) -> str:
    return ast.unparse(node)


def _shown(node: ast.AST) -> str:
    """The text, with its middle left out where it is long."""
    text = _text(node)
    return text if len(text) < 70 else f"{text[:40]} … {text[-25:]}"


def _first(node: ast.AST) -> str:
    return _text(node).split("\n")[0]


def _for(old: ast.AST, new: ast.AST) -> Variant:
    return new, _with(f"`{_shown(new)}` for `{_shown(old)}`")


def _with(what: str) -> str:
    return f"A right answer with {what} gives your results."


def _without(what: str) -> str:
    return f"A right answer without {what} gives your results."
