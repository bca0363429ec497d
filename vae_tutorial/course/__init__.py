"""Assignments for a class: export student notebooks, and grade what comes back.

    python -m vae_tutorial.course export
    python -m vae_tutorial.course grade SUBMISSIONS/ --out grades.csv --feedback feedback/

The points are those of `vae_tutorial.checks`: a student sees the same report as the teacher. The
grader takes functions by their names out of each notebook and runs these alone, each submission in
a process of its own with limits on time and memory. It is no sandbox for hostile code: who does not
trust the class runs it in a container without a network.
"""
