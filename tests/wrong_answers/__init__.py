"""Wrong answers to the book's exercises, one module a chapter: each must fail with its own hint.

A module has one dictionary, from an exercise's name to pairs of an answer and of a piece of the
hint that must appear in its report:

    def averaged(mu, logvar):
        return (-0.5 * (1 + logvar - mu**2 - logvar.exp())).mean(1)

    WRONG = {"kl": [(averaged, "averaged over the latent dimensions"), …]}

An exercise has at least three, with pieces that differ: one mistake, one hint. They are written as
a student would write them, not copied from the slips, so that the test does not compare the checks
with themselves. `chapter_0N` holds typical mistakes; `more_0N` is a trial, whose pieces are what
the check said: "The largest deviation" where it did not name the mistake. `test_checks.py` finds
the modules by their names.
"""
