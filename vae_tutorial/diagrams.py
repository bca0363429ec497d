"""Diagrams in the book's style: nodes, arrows, plates and networks, drawn by matplotlib.

A `Diagram` is a sheet whose unit is about a centimetre on the page. Its methods place a node and
return it; `arrow` joins two nodes. Random variables are circles, shaded where they are observed;
what is computed from them is a box; a network is a trapezium that narrows as its data do::

    sheet = vt.diagrams.Diagram(9, 2.4)
    x = sheet.variable(0.8, 1.2, "$x$", observed=True)
    encoder = sheet.network(3, 1.2, "encoder", narrows=True)
    z = sheet.variable(5.2, 1.2, "$z$")
    sheet.arrow(x, encoder)
    sheet.arrow(encoder, z, "$q_\\phi(z \\mid x)$")

Shapes and words carry the meaning, so a diagram reads without colour vision; the face is white on
pages of both colours.
"""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch, Patch, Polygon, Rectangle

INK, PAPER, SHADE = "#1a1a1a", "#ffffff", "#d9d9d9"
BLUE, ORANGE, GREEN = "#d6e8f5", "#fbe3d2", "#d3efe6"  # light tints of the book's first colours
INCHES = 0.6  # of one unit


class Diagram:
    """An empty sheet, `width` × `height` units, with (0, 0) at its lower left corner."""

    def __init__(self, width: float, height: float) -> None:
        figure = plt.figure(figsize=(width * INCHES, height * INCHES))
        figure.set_layout_engine("none")  # the axes fill it
        self.ax = figure.add_axes((0, 0, 1, 1))
        self.ax.set(xlim=(0, width), ylim=(0, height), aspect="equal")
        self.ax.axis("off")

    def variable(
        self, x: float, y: float, text: str, observed: bool = False, radius: float = 0.42
    ) -> Patch:
        """A random variable: a circle, shaded where it is observed."""
        face = SHADE if observed else PAPER
        return self._node(Circle((x, y), radius, facecolor=face), x, y, text, 12)

    def box(
        self, x: float, y: float, text: str, width: float = 1.6, height: float = 0.8,
        colour: str = PAPER,
    ) -> Patch:  # fmt: skip
        """Something computed, or a step of a process: a box around its middle (x, y)."""
        corner = (x - width / 2, y - height / 2)
        style = "round,pad=0,rounding_size=0.12"
        patch = FancyBboxPatch(corner, width, height, boxstyle=style, facecolor=colour)
        return self._node(patch, x, y, text)

    def network(
        self, x: float, y: float, text: str, narrows: bool, width: float = 1.8,
        height: float = 1.7,
    ) -> Patch:  # fmt: skip
        """A network: a trapezium that narrows to the right (an encoder) or widens (a decoder)."""
        left, right = (height / 2, height / 4) if narrows else (height / 4, height / 2)
        a, b = x - width / 2, x + width / 2
        corners = [(a, y - left), (a, y + left), (b, y + right), (b, y - right)]
        face = BLUE if narrows else ORANGE
        return self._node(Polygon(corners, facecolor=face), x, y, text)

    def layer(
        self, x: float, y: float, text: str, height: float, width: float = 0.34,
        colour: str = BLUE,
    ) -> Patch:  # fmt: skip
        """A tensor in an architecture: an upright bar, with its shape written below it."""
        patch = Rectangle((x - width / 2, y - height / 2), width, height, facecolor=colour)
        node = self._node(patch, x, y, "")
        self.note(x, y - height / 2 - 0.12, text, vertical="top")
        return node

    def plate(self, x: float, y: float, width: float, height: float, text: str) -> Patch:
        """What is repeated: a frame with its lower left corner at (x, y) and a count in it."""
        patch = FancyBboxPatch(
            (x, y), width, height, boxstyle="round,pad=0,rounding_size=0.15", facecolor="none"
        )
        self._node(patch, x, y, "", zorder=0.5)
        self.note(x + width - 0.15, y + 0.12, text, horizontal="right", vertical="bottom")
        return patch

    def arrow(
        self, start: Patch | tuple[float, float], end: Patch | tuple[float, float],
        text: str = "", dashed: bool = False, bend: float = 0.0, colour: str = INK,
        where: tuple[float, float] | None = None,
    ) -> None:  # fmt: skip
        """An arrow between two nodes or points; `text` above its middle, or at `where`.

        `bend` is the height of its arc over its length; positive bends to the right of the way.
        """
        a, b = (_middle(node) for node in (start, end))
        self.ax.add_patch(
            FancyArrowPatch(
                a, b, arrowstyle="-|>", mutation_scale=12, shrinkA=2, shrinkB=2, linewidth=1.3,
                color=colour, linestyle="--" if dashed else "-", zorder=1,
                connectionstyle=f"arc3,rad={bend}",
                patchA=start if isinstance(start, Patch) else None,
                patchB=end if isinstance(end, Patch) else None,
            )
        )  # fmt: skip
        if text:
            place = where or ((a[0] + b[0]) / 2, (a[1] + b[1]) / 2 + 0.18)
            self.note(*place, text, vertical="bottom")

    def bar(
        self, x: float, y: float, parts: Sequence[tuple[float, str, str]], height: float = 0.7
    ) -> None:
        """Lengths laid end to end from (x, y): `(length, text, colour)` for each part."""
        for length, text, colour in parts:
            patch = Rectangle((x, y), length, height, facecolor=colour)
            self._node(patch, x + length / 2, y + height / 2, text)
            x += length

    def note(
        self, x: float, y: float, text: str, horizontal: str = "center", vertical: str = "center",
        size: float = 9.5,
    ) -> None:  # fmt: skip
        """Words on the sheet."""
        self.ax.text(x, y, text, ha=horizontal, va=vertical, fontsize=size, color=INK, zorder=4)

    def _node(
        self, patch: Patch, x: float, y: float, text: str, size: float = 10, zorder: float = 2
    ) -> Patch:
        patch.set(edgecolor=INK, linewidth=1.2, zorder=zorder)
        self.ax.add_patch(patch)
        self.ax.text(
            x, y, text, ha="center", va="center", fontsize=size, color=INK, zorder=zorder + 1
        )
        return patch


def _middle(node: Patch | tuple[float, float]) -> tuple[float, float]:
    """The middle of a node, in the sheet's units."""
    if isinstance(node, tuple):
        return node
    box = node.get_path().transformed(node.get_patch_transform()).get_extents()
    return (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2


def graphical_model() -> Diagram:
    """The latent variable model: z and x in a plate of N images, theta outside it.

    The dashed arrow, with phi, is the approximate posterior.
    """
    sheet = Diagram(5.2, 3.9)
    sheet.plate(1.5, 0.3, 2.2, 3.3, "$N$")
    z = sheet.variable(2.6, 2.85, "$z$")
    x = sheet.variable(2.6, 1.2, "$x$", observed=True)
    sheet.note(0.65, 1.2, "$\\theta$", size=13)
    sheet.note(4.55, 2.05, "$\\phi$", size=13)
    sheet.arrow(z, x)
    sheet.arrow((0.85, 1.2), x)
    sheet.arrow(x, z, dashed=True, bend=0.75)
    sheet.arrow((4.4, 2.05), (3.25, 2.05), dashed=True)
    return sheet
