"""Right answers to the book's exercises in other styles than the solution's, one module a chapter.

A module has one dictionary, `RIGHT`, from an exercise's name to answers. Each must get full points
under every seed. `test_checks.py` finds the modules by their names.
"""
