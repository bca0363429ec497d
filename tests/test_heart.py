"""The package can be read in one sitting: how far it is from `fit` to the first update."""

import ast
import re
import sys
from pathlib import Path

import pytest
import torch

import vae_tutorial as vt

ROOT = Path(vt.__file__).parent

LAYERS = (
    ("arguments", "files", "data", "models", "train.history"),
    ("objectives", "discrete"),
    ("train.engine",),
    ("train",),
    ("measure", "missing", "recommend", "semi_supervised"),
    ("audio", "compress", "diagrams", "live", "plots", "pretrained", "doctor", "checks"),
    ("course",),
    ("__main__",),
)
"""From the bottom up: a module imports from its own layer and from those before it."""


class FirstUpdateError(Exception):
    pass


def passed_before_the_first_update(digits):
    """The package's functions, with their files, that are entered before Adam's first step.

    Comprehensions are no functions: Python 3.12 runs them in line."""
    model = vt.VAE(vt.MLPEncoder(2, (16,)), vt.MLPDecoder(2, (16,)))
    found = set()

    def note(frame, event, argument):
        code = frame.f_code
        inside = code.co_filename.startswith(str(ROOT))
        if event == "call" and inside and not re.fullmatch("<(list|set|dict)comp>", code.co_name):
            found.add((code.co_filename, code.co_firstlineno, code.co_name))

    def step(self, *arguments):
        sys.setprofile(None)
        raise FirstUpdateError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.Adam, "step", step)
        sys.setprofile(note)
        try:
            with pytest.raises(FirstUpdateError):
                vt.fit(model, digits, epochs=1, progress=False, device="cpu")
        finally:
            sys.setprofile(None)
    return found


def test_from_fit_to_the_first_update():
    digits = (255 * torch.rand(256, 1, 28, 28)).byte()
    found = passed_before_the_first_update(digits)
    files = {Path(file).relative_to(ROOT).as_posix() for file, _, _ in found}
    listed = "\n".join(sorted(f"{Path(file).name}:{line} {name}" for file, line, name in found))
    assert 15 < len(found) <= 30, listed
    assert len(files) <= 8, files
    assert {"train/loop.py", "objectives.py", "models/vae.py"} <= files


def test_forward_backward_and_step_stand_in_one_function_on_one_screen():
    source = (ROOT / "train" / "loop.py").read_text()
    (function,) = (
        node for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef) and node.name == "train_epoch"
    )  # fmt: skip
    text = ast.get_source_segment(source, function)
    assert len(text.splitlines()) <= 50
    order = [text.index(part) for part in (".forward(", ".zero_grad(", ".backward()", "r.step()")]
    assert order == sorted(order)


def module_of(path):
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    return name.removesuffix(".__init__")


def layer_of(module):
    fits = [
        (len(part), number)
        for number, layer in enumerate(LAYERS) for part in layer
        if module == part or module.startswith(part + ".")
    ]  # fmt: skip
    return max(fits)[1] if fits else None


def test_imports_run_in_one_direction():
    """Also the other way round: each module of the package stands in a layer. What only serves
    as a type, under `if TYPE_CHECKING`, does not count."""
    wrong = []
    for path in ROOT.rglob("*.py"):
        module = module_of(path)
        if module == "__init__":
            continue
        assert layer_of(module) is not None, module
        tree = ast.parse(path.read_text())
        only_types = {
            id(node) for branch in ast.walk(tree)
            if isinstance(branch, ast.If) and getattr(branch.test, "id", "") == "TYPE_CHECKING"
            for node in ast.walk(branch)
        }  # fmt: skip
        for node in ast.walk(tree):
            if not isinstance(node, ast.ImportFrom) or id(node) in only_types:
                continue
            if not (node.module or "").startswith("vae_tutorial."):
                continue
            target = node.module.removeprefix("vae_tutorial.")
            if layer_of(target) is None or layer_of(target) > layer_of(module):
                wrong.append(f"{module} imports {target}")
    # the checks look at answers with the public package, and the facade of `train` offers `load`
    assert not [line for line in wrong if not line.startswith("checks")], wrong


def test_what_is_public_is_in_all():
    public = {
        name for name, value in vars(vt).items()
        if not name.startswith("_") and not isinstance(value, type(sys))
    } | {"plots", "schedules"}  # fmt: skip
    assert public - set(vt.__all__) <= {"data", "models"}
    for name in vt.__all__:
        assert getattr(vt, name).__doc__, name
