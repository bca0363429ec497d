"""Directives that draw stored measurements: what a page shows is what the benchmark wrote.

`speed-table` draws the result of `benchmarks/training.py`, `nats-table` that of
`benchmarks/nats.py`, `step-table` that of `benchmarks/profile_fit.py`. Each takes the file's path.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

Row = dict[str, Any]
NETWORKS = {"mlp": "Fully connected, 784-400-20", "conv": "Convolutional, the book's"}
DASHES = {"fit": "", "pythae": "7 4", "usual loop": "2 3"}


class Measured(SphinxDirective):
    """A directive with the path of a JSON file, below the book's folder."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        path = Path(self.env.srcdir) / self.arguments[0]
        self.env.note_dependency(str(path))
        stored = json.loads(path.read_text(encoding="utf-8"))
        return [*self.draw(stored), provenance(stored)]

    def draw(self, stored: Row) -> list[nodes.Node]:
        raise NotImplementedError


class SpeedTable(Measured):
    """One table for each network and batch size, with a bar for the images per second."""

    HEADER = ("", "images / s", "", "× usual loop", "× pythae", "of the floor", "MiB")

    def draw(self, stored: Row) -> list[nodes.Node]:
        made = []
        for network, size in dict.fromkeys((r["network"], r["batch_size"]) for r in stored["rows"]):
            rows = [r for r in stored["rows"] if (r["network"], r["batch_size"]) == (network, size)]
            fastest = max(median(r, "images_per_second") for r in rows)
            title = f"{NETWORKS[network]}, batches of {size}"
            made.append(table(title, self.HEADER, [self.cells(r, fastest) for r in rows]))
            made[-1]["classes"].append("speeds")  # on a phone, without the column of bars
        return made

    def cells(self, row: Row, fastest: float) -> list[str | nodes.Node]:
        if "images_per_second" not in row:
            return [row["contender"], "not measured", *[""] * 5]
        speed = median(row, "images_per_second")
        ratios = [ratio(row.get(f"ratio_to_{of}")) for of in ("usual_loop", "pythae", "floor")]
        memory = row.get("peak_device_mib") or row["peak_memory_mib"]
        return [row["contender"], f"{speed:,.0f}", bar(speed / fastest), *ratios, f"{memory:,.0f}"]


class NatsTable(Measured):
    """Test −ELBO after so many seconds: the curves, and the numbers below them."""

    def draw(self, stored: Row) -> list[nodes.Node]:
        made = []
        for network in dict.fromkeys(row["network"] for row in stored["summary"]):
            rows = [row for row in stored["summary"] if row["network"] == network]
            made += [curves(rows), self.numbers(network, rows)]
        return made

    def numbers(self, network: str, rows: list[Row]) -> nodes.table:
        marks = sorted({row["mark_seconds"] for row in rows})
        lines = []
        for name in dict.fromkeys(row["contender"] for row in rows):
            at = {row["mark_seconds"]: row for row in rows if row["contender"] == name}
            found = [at.get(mark) for mark in marks]
            cells = [
                f"{median(row, 'test_negative_elbo'):.2f} ({median(row, 'training_seconds'):.0f} s)"
                if row
                else "not measured"
                for row in found
            ]
            lines.append([name, *cells])
        return table(NETWORKS[network], ["", *(f"{mark:g} s" for mark in marks)], lines)


class StepTable(Measured):
    """Where a step spends its time: the costliest operators of each network and batch size."""

    def draw(self, stored: Row) -> list[nodes.Node]:
        lines = []
        for row in stored["rows"]:
            most = ", ".join(f"{o['name']} {o['share']:.0%}" for o in row["operators"][:5])
            step = f"{row['microseconds_per_step'] / 1000:.1f} ms"
            lines.append([row["network"], str(row["batch_size"]), step, most])
        return [table("", ("network", "batch size", "one step", "costliest operators"), lines)]


def median(row: Row, key: str) -> float:
    return row[key]["median"] if row.get(key) else 0.0


def ratio(found: Row | None) -> str | nodes.paragraph:
    """The median, and the least and greatest of the rounds in brackets, on a line of their own."""
    if not found:
        return ""
    spread = f" ({found['min']:.2f}–{found['max']:.2f})"
    text = nodes.Text(f"{found['median']:.2f}")
    return nodes.paragraph("", "", text, nodes.inline("", spread, classes=["spread"]))


def provenance(stored: Row) -> nodes.container:
    """What was measured, on what, when, and by which command."""
    versions = ", ".join(f"{name} {v}" for name, v in stored["versions"].items() if v)
    says = (
        f"{stored['what'][0].upper()}{stored['what'][1:]}. Measured on {stored['date']}: "
        f"{stored['processor']}, {stored['cores']} cores, Python {stored['python']}, {versions}. "
    )
    paragraph = nodes.paragraph("", says, nodes.literal("", stored["command"]))
    return nodes.container("", paragraph, classes=["provenance"])


def table(title: str, header: Any, lines: list[list[str | nodes.Node]]) -> nodes.table:
    """A docutils table; a cell is text or a node."""
    group = nodes.tgroup(cols=len(header))
    group += [nodes.colspec(colwidth=1) for _ in header]
    group += nodes.thead("", row_of(header))
    group += nodes.tbody("", *map(row_of, lines))
    named = [nodes.title("", title)] if title else []
    return nodes.table("", *named, group, classes=["measured"])


def row_of(cells: Any) -> nodes.row:
    made = [
        nodes.entry("", nodes.paragraph("", cell) if isinstance(cell, str) else cell)
        for cell in cells
    ]
    return nodes.row("", *made)


def bar(share: float) -> nodes.raw:
    return nodes.raw(
        "", f'<span class="bar" style="width:{5 * share:.2f}rem" aria-hidden="true"></span>',
        format="html",
    )  # fmt: skip


def curves(rows: list[Row]) -> nodes.raw:
    """−ELBO against seconds, the latter by their logarithm. Colour is the text's own."""
    points = {
        name: [
            (math.log(median(r, "training_seconds")), median(r, "test_negative_elbo"))
            for r in rows
            if r["contender"] == name
        ]
        for name in dict.fromkeys(row["contender"] for row in rows)
    }
    every = [point for line in points.values() for point in line]
    left, right = min(x for x, _ in every), max(x for x, _ in every)
    low, high = min(y for _, y in every), max(y for _, y in every)

    def at(x: float, y: float) -> tuple[float, float]:
        return 60 + 400 * (x - left) / (right - left), 20 + 200 * (high - y) / (high - low)

    drawn, ends = [], []
    for name, line in points.items():
        spots = [at(*point) for point in line]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)
        drawn.append(f'<polyline points="{path}" stroke-dasharray="{DASHES.get(name, "")}"/>')
        drawn += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in spots]
        ends.append((spots[-1][1] + 4, spots[-1][0] + 8, name))
    below = 0.0
    for y, x, name in sorted(ends):  # names one below the other, where lines end close together
        below = max(y, below + 14)
        drawn.append(f'<text x="{x:.1f}" y="{below:.1f}">{name}</text>')
    for mark in sorted({row["mark_seconds"] for row in rows}):
        x = at(min(max(math.log(mark), left), right), low)[0]
        drawn.append(f'<text x="{x:.1f}" y="246" text-anchor="middle">{mark:g} s</text>')
    for y in range(math.ceil(low), math.floor(high) + 1, max(1, round((high - low) / 5))):
        drawn.append(f'<text x="50" y="{at(left, y)[1] + 4:.1f}" text-anchor="end">{y}</text>')
    says = "Test −ELBO in nats per image against seconds of training; lower is better."
    return nodes.raw(
        "", f'<figure class="curves"><svg viewBox="0 0 560 256" role="img" aria-label="{says}">'
        f"{''.join(drawn)}</svg><figcaption>{says}</figcaption></figure>",
        format="html",
    )  # fmt: skip
