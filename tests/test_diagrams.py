"""Diagrams draw what they are told to, where they are told to."""

import matplotlib.pyplot as plt
import pytest
from matplotlib.patches import FancyArrowPatch

import vae_tutorial as vt


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def words(sheet):
    return [text.get_text() for text in sheet.ax.texts if text.get_text()]


def test_a_graphical_model():
    sheet = vt.diagrams.graphical_model()
    assert {"$z$", "$x$", "$\\theta$", "$\\phi$", "$N$"} == set(words(sheet))
    assert sum(isinstance(patch, FancyArrowPatch) for patch in sheet.ax.patches) == 4


def test_everything_stays_on_the_sheet():
    sheet = vt.diagrams.graphical_model()
    figure = sheet.ax.figure
    figure.canvas.draw()
    for text in sheet.ax.texts:
        box = text.get_window_extent()
        assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1, text.get_text()
        assert figure.bbox.y0 <= box.y0 and box.y1 <= figure.bbox.y1, text.get_text()


def test_an_arrow_joins_the_middles_of_its_nodes():
    sheet = vt.diagrams.Diagram(6, 2)
    a, b = sheet.box(1, 1, "a"), sheet.variable(4, 1, "b", observed=True)
    sheet.arrow(a, b, "text")
    (arrow,) = (patch for patch in sheet.ax.patches if isinstance(patch, FancyArrowPatch))
    assert arrow._posA_posB == [pytest.approx((1, 1)), pytest.approx((4, 1))]
    assert b.get_facecolor() != sheet.variable(5, 1, "c").get_facecolor()


def test_a_bar_is_as_long_as_its_parts():
    sheet = vt.diagrams.Diagram(6, 2)
    sheet.bar(1, 0.5, [(2.0, "ELBO", vt.diagrams.BLUE), (1.5, "KL", vt.diagrams.ORANGE)])
    first, second = sheet.ax.patches
    assert (first.get_x(), first.get_width()) == (1, 2.0)
    assert (second.get_x(), second.get_width()) == (3.0, 1.5)
