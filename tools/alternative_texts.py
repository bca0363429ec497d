"""A figure's alternative text is its caption in plain words.

`python tools/alternative_texts.py` writes it again into every chapter, after captions have
changed; nothing is executed. Running a chapter writes it too. Standard library alone.
"""

from __future__ import annotations

import json
import re
import sys
import unicodedata
from itertools import pairwise
from pathlib import Path
from typing import Any

import notebooks

LONGEST = 300  # characters; a screen reader takes some 20 s for them
SYMBOLS = {
    "mid": "|", "pm": "±", "approx": "≈", "dots": "…", "ldots": "…", "cdot": "·", "times": "×",
    "le": "≤", "ge": "≥", "to": "→", "infty": "∞", "quad": " ", "in": "∈",
}  # fmt: skip
LOOKS = r"\\(?:mathbb|mathcal|mathbf|mathrm|text|operatorname|big|left|right)(?![a-zA-Z])\s*"
SENTENCE_END = re.compile(r"(?<![.\s][a-z])(?<!\bvs)(?<!\bal)[.?!]['’”)]* +(?=[^a-z])")


def alternative_text(caption: str) -> str:
    """The caption's first paragraph without Markdown and TeX: whole sentences, as many as fit.

    The first one is there however long it is.
    """
    text = re.sub(r"\{cite\}`[^`]*`|\[([^]]*)\]\([^)]*\)", r"\1", caption.split("\n\n", 1)[0])
    text = re.sub(r"\$([^$]+)\$", lambda formula: in_words(formula[1]), text)
    text = " ".join(re.sub(r"\*\*|(?<!\w)\*|\*(?!\w)|`", "", text).split())
    name = re.match(r"Figure [\d.]+ |", text)[0]  # its points end no sentence
    starts = [found.end() for found in SENTENCE_END.finditer(text, len(name))]
    ends = [end for end in [*starts, len(text)] if end <= LONGEST] or [*starts, len(text)][:1]
    return text[: ends[-1]].rstrip()


def in_words(tex: str) -> str:
    r"""`log p_θ(x | z)` for `\log p_\theta(x\mid z)`."""
    tex = re.sub(r"\\[,;!]", " ", re.sub(LOOKS, "", tex)).replace(r"\lambda", "λ")
    tex = re.sub(r"\\([a-zA-Z]+)(?: (?=[a-zA-Z]))?", lambda command: symbol(command[1]), tex)
    tex = re.sub(r"[{}]", "", tex).replace("\\", "")
    tex = re.sub(r"(?<=[\w)\]]) +(?=[_^(\[,.)])|(?<=[_^(\[±]) +", "", " ".join(tex.split()))
    return tex.replace("^2", "²")


def symbol(name: str) -> str:
    """`θ` for `theta`; a word stays, as ` log `."""
    try:
        return unicodedata.lookup(f"GREEK SMALL LETTER {name}")
    except KeyError:
        return f" {SYMBOLS.get(name, name)} "


def figures(notebook: dict[str, Any]) -> list[tuple[dict[str, Any], str]]:
    """Each figure's stored settings (`alt`, `width`) and its caption."""
    cells = notebook["cells"]
    return [
        (cell["metadata"]["mystnb"]["image"], notebooks.joined(below["source"]))
        for cell, below in pairwise(cells)
        if "image" in cell["metadata"].get("mystnb", {})
    ]


def rewrite(path: Path) -> int:
    """Store the texts of a chapter's captions; returns how many were different."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    changed = 0
    for settings, caption in figures(notebook):
        text = alternative_text(caption)
        changed += settings["alt"] != text
        settings["alt"] = text
    if changed:
        text = json.dumps(notebook, ensure_ascii=False, indent=1)
        path.write_text(text + "\n", encoding="utf-8")
    return changed


def main() -> int:
    for path in notebooks.chapter_files():
        print(f"{path.stem}: {rewrite(path)} changed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
