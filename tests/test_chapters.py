"""The chapters keep the project's rules, and each rule notices when it is broken."""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import quote

import check_notebooks
import mutations
import notebooks
import numbered
import pytest
from small_notebook import PICTURE, REPOSITORY, code, markdown, printed, small_notebook

CHAPTERS = notebooks.chapter_files()


def found(notebook: dict, tmp_path: Path, name: str = "03_made_up.ipynb") -> list[str]:
    path = tmp_path / name
    path.write_text(json.dumps(notebook), encoding="utf-8")
    return check_notebooks.problems(path, REPOSITORY)


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_chapter_keeps_the_rules(path):
    problems = check_notebooks.problems(path, notebooks.repository_address())
    assert not problems, "\n".join(["", *problems])


def test_chapters_are_numbered_without_a_gap():
    assert [notebooks.chapter_number(path) for path in CHAPTERS] == list(range(len(CHAPTERS)))


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_chapter_is_in_the_table_of_contents(path):
    toc = (notebooks.ROOT / "_toc.yml").read_text(encoding="utf-8")
    assert f"- file: chapters/{path.stem}\n" in toc


def test_a_good_notebook_has_no_problems(tmp_path):
    assert found(small_notebook(), tmp_path) == []


# Each entry: a change to the good notebook, and what the rule says about it.
BREAKS = {
    "edited after the run": (
        lambda nb: nb["cells"][4].update(source=nb["cells"][4]["source"] + "\nprint(3)"),
        "chapter 3, cell 5: its code changed after its output was stored; "
        "run `make run CHAPTERS=03`",
    ),
    "a space added after the run": (
        lambda nb: nb["cells"][4].update(source=nb["cells"][4]["source"] + " "),
        "cell 5: its code changed",
    ),
    "run by hand, without hashes": (
        lambda nb: nb["cells"][4]["metadata"].clear(),
        "cell 5: was never executed by the project",
    ),
    "no link to the book": (
        lambda nb: nb["cells"][0].update(source="# A title"),
        "cell 1: does not end with the link to its page in the book",
    ),
    "a link to another chapter's page": (
        lambda nb: nb["cells"][0].update(
            source="# A title\n\n" + notebooks.book_line(REPOSITORY, "04_other")
        ),
        "cell 1: does not end with the link to its page in the book",
    ),
    "a link to a page by its file": (
        lambda nb: nb["cells"][8].update(source="## Takeaways\n\n[Data](../pages/data.md)."),
        "cell 9: links to ../pages/data.md, which leads nowhere on Colab",
    ),
    "a link within the notebook": (
        lambda nb: nb["cells"][8].update(source="## Takeaways\n\n[Above](#a-section)."),
        "cell 9: links to #a-section, which leads nowhere on Colab",
    ),
    "never run": (
        lambda nb: nb["cells"][6].update(execution_count=None),
        "cell 7: ran as number None where 3 was due",
    ),
    "run out of order": (
        lambda nb: (
            nb["cells"][4].update(execution_count=3),
            nb["cells"][6].update(execution_count=2),
        ),
        "cell 5: ran as number 3 where 2 was due",
    ),
    "empty code cell": (
        lambda nb: nb["cells"].append(code(" \n")),
        "cell 14: an empty code cell",
    ),
    "error": (
        lambda nb: nb["cells"][4]["outputs"].append(
            {"output_type": "error", "ename": "KeyError", "evalue": "", "traceback": []}
        ),
        "cell 5: its output is an error (KeyError)",
    ),
    "stderr": (
        lambda nb: nb["cells"][4]["outputs"].append(printed("hm", "stderr")),
        "cell 5: its output holds text from stderr",
    ),
    "warning": (
        lambda nb: nb["cells"][4]["outputs"].append(printed("UserWarning: hm")),
        "cell 5: its output holds a warning",
    ),
    "progress bar": (
        lambda nb: nb["cells"][4]["outputs"].append(printed(" 30%|███   | 3/10")),
        "cell 5: its output holds a progress bar",
    ),
    "progress bar without its blocks": (
        lambda nb: nb["cells"][4]["outputs"].append(printed("3/10 [00:01, 2.5it/s]")),
        "cell 5: its output holds a progress bar",
    ),
    "Linux path": (
        lambda nb: nb["cells"][4]["outputs"].append(printed("saved to /home/ada/x.png")),
        "cell 5: its output holds a path of one machine (/home/…)",
    ),
    "macOS path": (
        lambda nb: nb["cells"][4]["outputs"].append(printed("'/Users/ada/x.png'")),
        "cell 5: its output holds a path of one machine (/Users/…)",
    ),
    "Windows path": (
        lambda nb: nb["cells"][4]["outputs"].append(printed("C:\\Users\\ada")),
        "cell 5: its output holds a path of one machine (C:\\U…)",
    ),
    "path in HTML": (
        lambda nb: nb["cells"][4]["outputs"].append(
            {
                "output_type": "display_data",
                "metadata": {},
                "data": {"text/html": ["<b>/tmp/a</b>"]},
            }
        ),
        "cell 5: its output holds a path of one machine (/tmp/…)",
    ),
    "too much output": (
        lambda nb: nb["cells"][6]["outputs"][0]["data"].update({"image/png": "x" * 2_000_001}),
        "chapter 3: its outputs take 2,000,",
    ),
    "left-over figure": (
        lambda nb: nb["cells"][4]["outputs"].append(
            {
                "output_type": "execute_result",
                "metadata": {},
                "data": {"text/plain": ["<Axes: xlabel='epoch'>"]},
            }
        ),
        "cell 5: shows \"<Axes: xlabel='epoch'>\"; end its last line with `;`",
    ),
    "left-over history": (
        lambda nb: nb["cells"][4]["outputs"].append(
            {
                "output_type": "execute_result",
                "metadata": {},
                "data": {"text/plain": ["History(train={'loss': [175.9]})"]},
            }
        ),
        "cell 5: shows \"History(train={'loss': [175.9]})\"; end its last line with `;`",
    ),
    "other set-up": (
        lambda nb: nb["cells"][1].update(source="# set-up"),
        "cell 2: the first code cell is not the set-up cell",
    ),
    "set-up of another repository": (
        lambda nb: nb["cells"][1].update(
            source=notebooks.setup_source("https://github.com/else/where")
        ),
        "cell 2: the first code cell is not the set-up cell",
    ),
    "set-up too late": (
        lambda nb: nb["cells"].insert(1, markdown("Between.")),
        "cell 3: the set-up cell comes second",
    ),
    "set-up not folded": (
        lambda nb: nb["cells"][1]["metadata"].update(tags=["setup"]),
        "cell 2: the set-up cell needs the tags setup, hide-cell",
    ),
    "no measured cell": (
        lambda nb: nb["cells"][2]["metadata"].clear(),
        "chapter 3: the third cell, and no other, has the tag `measured`; found none",
    ),
    "measured by hand": (
        lambda nb: nb["cells"][2].update(source="*Measured: 1 s on a good day.*"),
        "cell 3: does not state the measurement in the notebook's metadata",
    ),
    "figure without caption": (
        lambda nb: nb["cells"][7].update(source="What is seen."),
        "cell 7: has a figure; the next cell must be Markdown that starts `**Figure 3.1.**`",
    ),
    "figure of another chapter": (
        lambda nb: nb["cells"][7].update(source="**Figure 2.1.** What is seen."),
        "cell 7: has a figure; the next cell must be Markdown that starts `**Figure 3.1.**`",
    ),
    "figure at the very end": (
        lambda nb: nb["cells"].append(code("plot();", PICTURE)),
        "cell 14: has a figure; the next cell must be Markdown that starts `**Figure 3.3.**`",
    ),
    "two figures in a cell": (
        lambda nb: nb["cells"][6]["outputs"].append(PICTURE),
        "cell 7: shows 2 figures",
    ),
    "caption without figure": (
        lambda nb: nb["cells"].insert(8, markdown("**Figure 3.2.** Nothing.")),
        "cell 9: is a figure's caption, but the cell above shows no figure",
    ),
    "equation number missing": (
        lambda nb: nb["cells"][3].update(source=nb["cells"][3]["source"].replace("{3.2}", "{3.3}")),
        "cell 4: equation (3.3) should be (3.2)",
    ),
    "equation number twice": (
        lambda nb: nb["cells"][3].update(source=nb["cells"][3]["source"].replace("{3.2}", "{3.1}")),
        "cell 4: equation (3.1) should be (3.2)",
    ),
    "equation of another chapter": (
        lambda nb: nb["cells"][3].update(source=nb["cells"][3]["source"].replace("{3.2}", "{4.2}")),
        "cell 4: equation (4.2) should be (3.2)",
    ),
    "equation unchecked": (
        lambda nb: nb["cells"][4].update(source="#@title ✓ checked: (3.1) one of two"),
        "cell 4: equation (3.2) is not checked before its section ends; add a code cell whose "
        "first line is `#@title ✓ checked: (3.2) …`",
    ),
    "equation checked too late": (
        lambda nb: nb["cells"].insert(4, markdown("## A section between")),
        "cell 4: equation (3.1) is not checked before its section ends",
    ),
    "last equation unchecked": (
        lambda nb: nb["cells"].append(markdown("$$ 0 = 0 \\tag{3.3} $$")),
        "cell 14: equation (3.3) is not checked",
    ),
    "check of an unknown equation": (
        lambda nb: nb["cells"][4].update(source="#@title ✓ checked: (3.1) (3.2) (3.7) by counting"),
        "cell 5: checks (3.7), but no equation above has that number",
    ),
    "directive with backquotes": (
        lambda nb: nb["cells"][5].update(source="## Another section\n\n```{note}\nHm.\n```"),
        "cell 6: holds a MyST directive",
    ),
    "directive with colons": (
        lambda nb: nb["cells"][5].update(source="## Another section\n\n:::{note}\nHm.\n:::"),
        "cell 6: holds a MyST directive",
    ),
    "a role": (
        lambda nb: nb["cells"][10].update(source="## Where to read on\n\n- {cite}`a2001`."),
        "cell 11: holds the role {cite}`, which Colab shows raw",
    ),
    "too many words": (
        lambda nb: nb["cells"].insert(5, markdown("word " * 3990)),
        "chapter 3: its main path has 4,0",
    ),
    "an open box": (
        lambda nb: nb["cells"].insert(
            5, markdown("<details open><summary>Proof</summary>\n\nSo.\n\n</details>")
        ),
        "cell 6: a box is closed when the page opens",
    ),
    "an open cell that is too long": (
        lambda nb: nb["cells"].append(code("x = 1\n" * 21)),
        "cell 14: has 21 lines; an open cell has 20 at most",
    ),
    "a line that is too wide": (
        lambda nb: nb["cells"].append(code("x = 1" + " " * 83 + "#")),
        "cell 14: a line of code has 89 columns",
    ),
    "a wide line in a solution": (
        lambda nb: nb["cells"].insert(5, markdown("```python\nx = " + "1" * 85 + "\n```")),
        "cell 6: a line of code has 89 columns",
    ),
    "folded without a title": (
        lambda nb: nb["cells"][6].update(source="diagrams.one();"),
        "cell 7: is folded without a title",
    ),
    "a title that is not folded": (
        lambda nb: nb["cells"][6]["metadata"].pop("cellView"),
        "cell 7: has a title but is not folded",
    ),
    "a check whose output is open": (
        lambda nb: nb["cells"][4]["metadata"].update(tags=["hide-input"]),
        "cell 5: has a title but is not folded",
    ),
    "one diagram": (
        lambda nb: nb["cells"][11].update(source="#@title Draw Figure 3.2\nplot();"),
        "chapter 3: it has 1 of 2 diagrams",
    ),
    "stiff English": (
        lambda nb: nb["cells"][5].update(source="## Results held against the truth"),
        "cell 6: says 'held against'",
    ),
    "details not closed": (
        lambda nb: nb["cells"][9].update(source=nb["cells"][9]["source"].replace("</details>", "")),
        "cell 10: <details> and </details> do not pair up",
    ),
    "summary not closed": (
        lambda nb: nb["cells"][9].update(source=nb["cells"][9]["source"].replace("</summary>", "")),
        "cell 10: <summary> and </summary> do not pair up",
    ),
    "no title": (
        lambda nb: nb["cells"][0].update(source="## A title"),
        "chapter 3: the first cell starts with `# `",
    ),
    "two titles": (
        lambda nb: nb["cells"][5].update(source="# Another section"),
        "chapter 3: the first cell starts with `# ` and the title, and no other heading",
    ),
    "no exercises": (
        lambda nb: nb["cells"].pop(9),
        "chapter 3: the closing sections are ## Takeaways, ## Exercises, ## Where to read on; "
        "found ['Takeaways', 'Where to read on']",
    ),
    "closing sections in another order": (
        lambda nb: nb["cells"].insert(8, nb["cells"].pop(9)),
        "chapter 3: the closing sections are",
    ),
    "output not compared": (
        lambda nb: nb["cells"][6]["metadata"].update(tags=["nbval-ignore-output"]),
        "cell 7: the tag nbval-ignore-output hides failures",
    ),
    "exception allowed": (
        lambda nb: nb["cells"][6]["metadata"].update(tags=["raises-exception"]),
        "cell 7: the tag raises-exception hides failures",
    ),
    "marker comment": (
        lambda nb: nb["cells"].insert(5, code("# NBVAL_IGNORE_OUTPUT\nx = 1")),
        "cell 6: a marker comment for the tests",
    ),
}


@pytest.mark.parametrize(("change", "message"), BREAKS.values(), ids=BREAKS)
def test_rule_notices(change, message, tmp_path):
    notebook = small_notebook()
    change(notebook)
    problems = found(notebook, tmp_path)
    assert any(message in problem for problem in problems), problems


def test_words_in_boxes_and_in_exercises_are_not_on_the_main_path():
    box = "<details><summary>The proof</summary>\n\nOne two three.\n\n</details>"
    cells = [
        markdown(f"# T\n\nA formula $a + b$ and [a link](https://example.org/a-b).\n\n{box}"),
        markdown("$$ a \\text{ word} $$\n\n```python\nx = 1\n```"),
        markdown(f"## Exercises\n\nTry.\n\n{box}"),
        markdown("## Where to read on\n\nHere."),
    ]
    cells.insert(0, markdown("# A B\n\n" + notebooks.book_line(REPOSITORY, "03_x")))
    main, boxes, exercises = numbered.words(cells)
    main -= 2  # A B; the link to the book counts nothing
    assert (main, boxes, exercises) == (7 + 4 + 1, 5, 1 + 1 + 5)


def test_the_size_of_the_chapters(capsys):
    assert check_notebooks.main(["--count"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(CHAPTERS)


# --- citations ----------------------------------------------------------------------------------

PAPERS = re.compile(
    r"\]\((https?://(?:arxiv\.org|doi\.org|openreview\.net|proceedings\.mlr\.press)[^\s)]*)\)"
)


def addresses_in_the_bibliography() -> set[str]:
    """Each entry's `url`, and the address of its `doi`."""
    text = (notebooks.ROOT / "references.bib").read_text(encoding="utf-8")
    found = set(re.findall(r"^\s*url\s*=\s*\{([^}]*)\}", text, re.MULTILINE))
    dois = re.findall(r"^\s*doi\s*=\s*\{([^}]*)\}", text, re.MULTILINE)
    return found | {f"https://doi.org/{quote(doi, safe='/:')}" for doi in dois}


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_papers_that_a_chapter_cites_are_in_the_bibliography(path):
    cells = notebooks.read(path)["cells"]
    cited = {
        link
        for cell in cells
        if cell["cell_type"] == "markdown"
        for link in PAPERS.findall(cell["source"])
    }
    assert cited <= addresses_in_the_bibliography()


# --- every check has been seen to fail ----------------------------------------------------------


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_every_check_was_seen_to_fail(path):
    problems = mutations.problems(path)
    assert not problems, "\n".join(["", *problems])


CELLS = [
    "x = 2",
    "def double(x):\n    return 2 * x",
    "#@title ✓ checked: (3.1)\nassert double(x) == 4",
]


@pytest.mark.parametrize(
    ("replace", "by", "answer"),
    [
        ("2 * x", "3 * x", "AssertionError"),
        ("x = 2", "x = 3", "AssertionError"),
        ("2 * x", "x + 2", "passed"),
        ("return", "raise", "TypeError"),
    ],
)
def test_a_mutation_and_what_the_check_says(replace, by, answer):
    namespace = {}
    for n in (0, 1):
        mutations.run(CELLS[n], "cell", namespace)
    mutation = {"check": "(3.1)", "replace": replace, "by": by}
    assert mutations.outcome(mutation, CELLS, namespace).startswith(answer)
    mutations.run(CELLS[2], "cell", namespace)  # the fork has left no trace


def test_what_lies_between_can_run_again():
    cells = ["x = 2", "y = 2 * x", "#@title ✓ checked: y\nassert y == 4"]
    namespace = {"x": 2, "y": 4}
    mutation = {"check": "checked: y", "replace": "x = 2", "by": "x = 3"}
    assert mutations.outcome(mutation, cells, namespace) == "passed"
    assert mutations.outcome({**mutation, "between": True}, cells, namespace) == "AssertionError"


def test_a_mutation_that_fits_no_more():
    with pytest.raises(ValueError, match="no cell up to the check"):
        mutations.place_of({"check": "(3.1)", "replace": "4 * x"}, CELLS)
    with pytest.raises(ValueError, match="0 checks have"):
        mutations.place_of({"check": "(3.2)", "replace": "x"}, CELLS)


def test_not_a_notebook(tmp_path):
    path = tmp_path / "03_made_up.ipynb"
    path.write_text("<<<<<<< HEAD", encoding="utf-8")
    (problem,) = check_notebooks.problems(path, REPOSITORY)
    assert problem.startswith("03_made_up.ipynb is not a notebook of format 4")


def test_name_without_number(tmp_path):
    (problem,) = found(small_notebook(), tmp_path, "elbo.ipynb")
    assert "the name of a chapter starts with its number" in problem


def test_command_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(notebooks, "repository_address", lambda: REPOSITORY)
    path = tmp_path / "03_made_up.ipynb"
    path.write_text(json.dumps(small_notebook()), encoding="utf-8")
    assert check_notebooks.main([str(path)]) == 0
    notebook = small_notebook()
    notebook["cells"][0]["source"] = "A title"
    path.write_text(json.dumps(notebook), encoding="utf-8")
    assert check_notebooks.main([str(path)]) == 1
    assert "chapter 3: the first cell starts with" in capsys.readouterr().out
