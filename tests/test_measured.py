"""The directives that draw stored measurements, on measurements that are made up."""

from __future__ import annotations

import re
import sys

import notebooks
import pytest

pytest.importorskip("sphinx", reason="the directives need Sphinx")
sys.path.append(str(notebooks.ROOT / "_ext"))
import measured
from docutils import nodes


def drawn(directive: type, stored: dict) -> list[nodes.Node]:
    return object.__new__(directive).draw(stored)  # `draw` wants nothing from Sphinx


def cells_of(table: nodes.table) -> list[list[str]]:
    return [[e.astext() for e in row.findall(nodes.entry)] for row in table.findall(nodes.row)]


def spread(low: float, median: float, high: float) -> dict:
    return {"min": low, "median": median, "max": high}


FAST = {
    "network": "mlp", "batch_size": 128, "contender": "fit", "peak_memory_mib": 1234.4,
    "images_per_second": spread(900, 1000, 1100), "ratio_to_usual_loop": spread(2, 2.5, 3),
    "ratio_to_floor": spread(0.9, 0.951, 1),
}  # fmt: skip
SLOW = {
    "network": "mlp", "batch_size": 128, "contender": "usual loop", "peak_memory_mib": 99,
    "images_per_second": spread(350, 400, 450),
}  # fmt: skip
OTHER = FAST | {"batch_size": 1024, "contender": "pythae"}


def test_speeds_are_medians_and_ratios_show_their_spread():
    table, _ = drawn(measured.SpeedTable, {"rows": [FAST, SLOW, OTHER]})
    header, fast, slow = cells_of(table)
    assert header[0] == "" and header[1] == "images / s"
    assert fast[:2] == ["fit", "1,000"]
    assert fast[3:] == ["2.50 (2.00–3.00)", "", "0.95 (0.90–1.00)", "1,234"]
    assert slow[:2] == ["usual loop", "400"]


def test_bars_are_as_long_as_the_speeds_are_high():
    (table,) = drawn(measured.SpeedTable, {"rows": [FAST, SLOW]})
    widths = [float(w) for w in re.findall(r"width:([\d.]+)rem", str(table))]
    assert widths[1] / widths[0] == pytest.approx(400 / 1000, abs=0.01)


def test_each_network_and_batch_size_has_a_table_of_its_own():
    other = FAST | {"network": "conv"}
    found = drawn(measured.SpeedTable, {"rows": [FAST, other, SLOW]})
    assert [len(cells_of(table)) for table in found] == [3, 2]
    assert "Convolutional" in found[1].astext()


def test_what_was_not_measured_says_so():
    missing = {"network": "mlp", "batch_size": 128, "contender": "Lightning"}
    (table,) = drawn(measured.SpeedTable, {"rows": [FAST, missing]})
    assert cells_of(table)[2][:2] == ["Lightning", "not measured"]


def nats(contender: str, mark: float, seconds: float, value: float) -> dict:
    return {
        "contender": contender, "network": "mlp", "mark_seconds": mark,
        "training_seconds": spread(seconds, seconds, seconds),
        "test_negative_elbo": spread(value, value, value),
    }  # fmt: skip


NATS = {"summary": [
    nats("fit", 15, 14, 104), nats("fit", 30, 29, 100), nats("pythae", 15, 15, 109),
]}  # fmt: skip


def test_nats_stand_below_their_marks():
    _, table = drawn(measured.NatsTable, NATS)
    assert cells_of(table) == [
        ["", "15 s", "30 s"],
        ["fit", "104.00 (14 s)", "100.00 (29 s)"],
        ["pythae", "109.00 (15 s)", "not measured"],
    ]


def test_curves_run_from_left_to_right_with_fewer_nats_further_down():
    figure, _ = drawn(measured.NatsTable, NATS)
    circles = [
        (float(x), float(y)) for x, y in re.findall(r'cx="([\d.]+)" cy="([\d.]+)"', str(figure))
    ]
    first, second, other = circles
    assert first[0] < second[0] and first[1] < second[1]  # later, lower; y grows downwards
    assert other[1] < first[1]  # 109 nats are above 104
    assert all(0 <= x <= 560 and 0 <= y <= 256 for x, y in circles)


def test_names_of_lines_that_end_together_do_not_overlap():
    rows = [nats(name, 15, 15, value) for name, value in (("fit", 100.1), ("pythae", 100))]
    rows += [nats("usual loop", 30, 30, 120)]
    figure, _ = drawn(measured.NatsTable, {"summary": rows})
    heights = {
        name: float(y) for y, name in re.findall(r'y="([\d.]+)">([a-z ]+)</text>', str(figure))
    }
    assert heights["pythae"] >= heights["fit"] + 14


def test_a_step_names_its_costliest_operators():
    row = {
        "network": "mlp", "batch_size": 128, "microseconds_per_step": 2500,
        "operators": [{"name": f"op{n}", "share": 0.5 / n} for n in range(1, 8)],
    }  # fmt: skip
    (table,) = drawn(measured.StepTable, {"rows": [row]})
    _, (network, size, step, most) = cells_of(table)
    assert (network, size, step) == ("mlp", "128", "2.5 ms")
    assert most.startswith("op1 50%, op2 25%") and "op6" not in most


def test_the_page_says_where_numbers_come_from():
    stored = {
        "what": "images per second", "date": "2026-01-02", "processor": "x", "cores": 2,
        "python": "3.11", "versions": {"torch": "2.9", "pythae": None}, "command": "python a.py",
    }  # fmt: skip
    says = measured.provenance(stored).astext()
    for part in ("Images per second", "2026-01-02", "2 cores", "torch 2.9", "python a.py"):
        assert part in says
    assert "pythae" not in says
