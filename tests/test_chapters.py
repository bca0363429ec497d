"""The chapters keep the project's rules, and each rule notices when it is broken."""

from __future__ import annotations

import json
from pathlib import Path

import check_notebooks
import notebooks
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
    assert [notebooks.chapter_number(path) for path in CHAPTERS] == list(
        range(1, len(CHAPTERS) + 1)
    )


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
        "cell 12: an empty code cell",
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
        lambda nb: nb["cells"][6]["outputs"][0]["data"].update({"image/png": "x" * 1_000_001}),
        "chapter 3: its outputs take 1,000,",
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
        "cell 12: has a figure; the next cell must be Markdown that starts `**Figure 3.2.**`",
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
        lambda nb: nb["cells"][4].update(source="# check (3.1): one of two"),
        "cell 4: equation (3.2) is not checked before its section ends; add a code cell whose "
        "first line is `# check (3.2): …`",
    ),
    "equation checked too late": (
        lambda nb: nb["cells"].insert(4, markdown("## A section between")),
        "cell 4: equation (3.1) is not checked before its section ends",
    ),
    "last equation unchecked": (
        lambda nb: nb["cells"].append(markdown("$$ 0 = 0 \\tag{3.3} $$")),
        "cell 12: equation (3.3) is not checked",
    ),
    "check of nothing": (
        lambda nb: nb["cells"][4].update(source="# check: by counting"),
        "cell 5: a check names what it checks",
    ),
    "check of an unknown equation": (
        lambda nb: nb["cells"][4].update(source="# check (3.1), (3.2), (3.7): by counting"),
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
