"""Chapter 10, Exercise 10.6: the solution, run as it stands there, prints what the text says."""

from __future__ import annotations

import re

import matplotlib
import notebooks
import pytest

CHAPTER = notebooks.ROOT / "chapters/10_discrete.ipynb"
NEEDED = ("import copy", "P, K, D =", "x_test = draw_pixels", "train_codes = vq.encode")


@pytest.mark.slow
def test_most_of_the_gain_is_one_better_word(capsys):
    matplotlib.use("Agg")
    cells = [cell["source"] for cell in notebooks.read(CHAPTER)["cells"]]
    text = next(cell for cell in cells if "### Exercise 10.6" in cell)
    solution = re.search(r"```python\n(def neighbours.*?)```", text, re.DOTALL)[1]
    here: dict = {}
    for start in NEEDED:
        exec(next(cell for cell in cells if cell.startswith(start)), here)
    here["vq"].prior_module = here["prior"]
    capsys.readouterr()
    exec(solution, here)
    found = {line.split(":")[0]: float(line.split()[-2]) for line in _lines(capsys)}
    said = re.search(
        r"In our run: ([\d.]+) nats with the encoder's word, ([\d.]+) with the best of the 121, "
        r"and ([\d.]+) with all",
        text,
    )
    names = ("encoder's word", "best word", "121 words")
    for name, number in zip(names, said.groups(), strict=True):
        assert found[name] == pytest.approx(float(number), abs=0.6)  # another machine, other sums
    gain = found["encoder's word"] - found["121 words"]
    assert found["encoder's word"] - found["best word"] > 0.85 * gain > 3
    assert _letter_by_letter(here) == pytest.approx(
        float(re.search(r"until no change helps, gives ([\d.]+) with one word", text)[1]), abs=0.6
    )


def _lines(capsys) -> list[str]:
    return [line for line in capsys.readouterr().out.splitlines() if line.endswith("nats")]


def _letter_by_letter(here: dict) -> float:
    """Nats of the word where no change of one letter helps any more, on average."""
    vq, total = here["vq"], 0.0
    with here["torch"].no_grad():
        for x, word in zip(here["x_test"][:50], here["codes"][:50], strict=True):
            while True:
                z = here["neighbours"](word)
                log_joint = vq.likelihood(z).log_prob(x) + vq.prior().log_prob(z)
                if log_joint.argmax() == 0:
                    break
                word = z[log_joint.argmax()]
            total -= log_joint[0].item() / 50
    return total
