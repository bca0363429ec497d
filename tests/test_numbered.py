"""Numbered equations, their checks, and the minutes of reading: on notebooks that are made up."""

from __future__ import annotations

import re
import sys

import notebooks
import numbered
import pytest
from small_notebook import code, markdown, small_notebook

pytest.importorskip("sphinx", reason="the directives need Sphinx")
sys.path.append(str(notebooks.ROOT / "_ext"))
import equation_list
import reading_plan

# --- equations and checks ---------------------------------------------------------------------


def test_equations_of_a_notebook_with_their_checks():
    one, two = numbered.notebook_equations(small_notebook()["cells"])
    assert (one.number, two.number) == ("3.1", "3.2")
    assert one.formula == r"1 + 1 = 2 \tag{3.1}"
    assert one.heading == "A section"
    (check,) = one.checks
    assert two.checks == [check]
    assert check.names == ("3.1", "3.2")
    assert check.says == "by counting"
    assert check.assertions == 1


def test_a_check_before_its_equation_and_an_equation_without_a_check():
    cells = [
        code("#@title ✓ checked: (3.1) early\nassert True"),
        markdown("## S\n\n$$ x \\tag{3.1} $$"),
    ]
    (equation,) = numbered.notebook_equations(cells)
    assert equation.checks == []


def test_fenced_code_holds_no_heading_and_no_equation():
    fenced = "## S\n\n```python\n# no heading\n'$$ y \\\\tag{3.9} $$'\n```\n\n$$ x \\tag{3.1} $$"
    (equation,) = numbered.page_equations(fenced)
    assert (equation.number, equation.heading) == ("3.1", "S")
    assert [mark.kind for mark in numbered.marks([markdown(fenced)])] == ["section", "equation"]


@pytest.mark.parametrize(
    ("first", "names"),
    [
        ("#@title ✓ checked: (3.1) by hand", ("3.1",)),
        ("#@title ✓ checked: (3.1) and (3.2) both ways", ("3.1", "3.2")),
        ("#@title ✓ checked: (M.4)", ("M.4",)),
        ("#@title ✓ checked: the loss", ()),
        ("#@title Draw Figure 3.1", None),
        ("# check (3.1): by hand", None),
        ("x = 1  #@title ✓ checked: (3.1)", None),
    ],
)
def test_what_a_check_names(first, names):
    assert numbered.named_in_check(f"{first}\nassert x") == names


def test_assertions_are_counted_where_they_can_fail():
    source = "assert a\ntorch.testing.assert_close(a, b)\nprint('assert')\n# assert c"
    assert numbered.Check((), "", source).assertions == 2


def test_a_check_says_what_it_is_compared_with():
    title = "#@title ✓ checked: (3.1) and (3.2) by two ways, as (3.1) says"
    cells = [markdown("$$ x \\tag{3.1} $$"), code(f"{title}\nassert x")]
    (equation,) = numbered.notebook_equations(cells)
    assert equation.checks[0].says == "by two ways, as (3.1) says"


def test_equations_of_a_page_with_their_tests():
    tests = (
        '@checks("M.1", "M.2")\ndef test_a():\n    """two ways."""\n    assert 1\n\ndef other(): 0'
    )
    page = "# P\n\n$$ a \\tag{M.1} $$\n\n$$ b $$\n\n$$ c \\tag{M.2} $$\n\n$$ d \\tag{M.3} $$"
    first, second, third = numbered.tested_equations(page, tests)
    assert first.checks == second.checks
    assert first.checks[0].says == "two ways"
    assert "def test_a" in first.checks[0].code and "other" not in first.checks[0].code
    assert third.checks == []


def test_a_folded_check_says_how_long_it_is():
    lines = equation_list.folded(numbered.Check(("3.1",), "", "x = 1\nassert x\n"))
    assert "2 lines, 1 assertion<" in lines[0].astext()


# --- minutes ----------------------------------------------------------------------------------

WORDS = "word " * 100  # one minute
CELLS = [
    markdown(f"# T\n\n{WORDS}"),
    code("import x", tags=("setup",)),
    markdown(f"## A\n\n{WORDS}{WORDS}\n\n$$ {WORDS} \\tag{{3.1}} $$"),
    code("assert x"),
    code("#@title ✓ checked: (3.1) by hand\nassert x", tags=("hide-cell",)),
    markdown(f"### B\n\n{WORDS}\n\n<details><summary>Hint</summary>\n\n{WORDS}</details>"),
    markdown(f"## Exercises\n\n### Exercise 3.1: T (code, 15 minutes)\n\n{WORDS}"),
    code("..."),
    markdown("### Exercise 3.2: U (derive, 1 hour)\n\n### Exercise 3.3: V (measure, an evening)"),
    markdown(
        "### Exercise 3.4: W (code, one hour)\n\n### Exercise 3.5: X (code, two to three hours)"
    ),
    markdown(f"## Last\n\n{WORDS}"),
]


def test_minutes_come_from_words_equations_and_cells():
    found = reading_plan.sections(CELLS)
    minutes = {section.title: section.minutes for section in found}
    assert minutes["T"] == pytest.approx(1, abs=0.02)  # the set-up cell is not read
    assert minutes["A"] == pytest.approx(2 + 2 + 1, abs=0.02)  # words, the equation, the cell
    assert minutes["B"] == pytest.approx(1, abs=0.02)  # the hint is folded
    assert minutes["Exercise 3.1: T (code, 15 minutes)"] == 0  # exercises state their own times
    assert minutes["Last"] == pytest.approx(1, abs=0.02)
    assert reading_plan.with_subsections(found, "A") == minutes["A"] + minutes["B"]
    assert reading_plan.with_subsections(found, "T") == sum(minutes.values())


def test_a_section_that_is_not_there_or_there_twice_is_an_error():
    found = reading_plan.sections([*CELLS, markdown("## A")])
    for title, count in (("A", 2), ("Z", 0)):
        with pytest.raises(ValueError, match=f"{count} sections have the title '{title}'"):
            reading_plan.with_subsections(found, title)


def test_times_of_exercises_are_added_up():
    found = reading_plan.sections(CELLS)
    assert reading_plan.exercises(found).replace("\N{NO-BREAK SPACE}", " ") == (
        "5 exercises, 4 h 45 min and an evening"
    )
    one = reading_plan.sections([markdown("### Exercise 3.1 (code)")])
    assert reading_plan.exercises(one) == "1 exercise"
    assert reading_plan.exercises([]) == ""


def test_every_exercise_of_the_book_states_a_time_that_is_understood():
    for path in notebooks.chapter_files():
        for section in reading_plan.sections(notebooks.read(path)["cells"]):
            if re.match(r"Exercise \d", section.title):
                assert "," in reading_plan.exercises([section]), section.title


def test_the_times_of_a_chapter_need_no_legend():
    notebook = {"cells": CELLS, "metadata": {notebooks.KEY: {"run": {"seconds": 72}}}}
    assert reading_plan.times(notebook).replace("\N{NO-BREAK SPACE}", " ") == (
        "10 min to read · 5 exercises, 4 h 45 min and an evening · its code runs in 72 s"
    )


@pytest.mark.parametrize(
    ("minutes", "shown"), [(0.4, "5 min"), (12, "10 min"), (58, "1 h"), (84, "1 h 25 min")]
)
def test_an_estimate_is_rounded(minutes, shown):
    assert reading_plan.rounded(minutes).split() == shown.split()


def test_the_speeds_are_those_that_the_introduction_states():
    text = (notebooks.ROOT / "intro.md").read_text(encoding="utf-8")
    said = ["100 words a minute", "two minutes for a numbered", "one for an open cell"]
    assert all(words in text for words in said)
    assert (reading_plan.WORDS_PER_MINUTE, reading_plan.MINUTES_PER_EQUATION) == (100, 2)
    assert reading_plan.MINUTES_PER_CELL == 1


@pytest.mark.parametrize(
    ("title", "address"),
    [
        ("What loss should I expect?", "what-loss-should-i-expect"),
        ("The Kullback–Leibler divergence", "the-kullbackleibler-divergence"),
        ("First way: Jensen's inequality", "first-way-jensens-inequality"),
    ],
)
def test_address_of_a_heading(title, address):
    assert reading_plan.slug(title) == address
