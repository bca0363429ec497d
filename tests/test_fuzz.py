"""A fixed budget of wrong arguments; `python tests/fuzz.py --cases 6000` has a longer one."""

import fuzz
import pytest


@pytest.mark.slow
def test_wrong_arguments_are_refused_with_their_names():
    """Under 1 % of unhelpful messages, and no wrong argument accepted."""
    counts, bad = fuzz.run(cases=1500, seed=0)
    assert counts["accepted"] == 0, bad["accepted"]
    assert counts["unhelpful"] < 15, bad["unhelpful"]


@pytest.mark.parametrize("name", fuzz.CALLS)
def test_the_valid_arguments_are_valid(name):
    """Else every case would be refused for another reason than the wrong value."""
    function, valid, _ = fuzz.CALLS[name]
    if name == "load":  # there is nothing to load
        return
    function(**valid())
