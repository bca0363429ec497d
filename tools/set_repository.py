"""Move the book to another repository: `python tools/set_repository.py [URL]`.

Without a URL, the address of git's `origin` is taken. Rewritten are every link to the
repository, to Colab and to the site on GitHub Pages, and every chapter's set-up cell.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import notebooks

NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9_-])?"
GITHUB = re.compile(
    rf"(?:(?:https?|ssh)://(?:[^/@\s]+@)?|[^/@\s]+@)?github\.com[/:]({NAME})/({NAME}?)(?:\.git)?/?"
)


def normal_address(given: str) -> str:
    """`https://github.com/ORG/REPO` for any usual spelling of it."""
    found = GITHUB.fullmatch(given.strip())
    if found is None:
        raise ValueError(
            f"{given!r} is no address of a GitHub repository, such as "
            "https://github.com/ORG/REPO (Colab opens notebooks from GitHub alone)"
        )
    return f"https://github.com/{found[1]}/{found[2].removesuffix('.git')}"


def origin(root: Path) -> str:
    """The address of git's `origin`."""
    command = ["git", "-C", str(root), "remote", "get-url", "origin"]
    try:
        return subprocess.run(command, capture_output=True, check=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as error:
        raise ValueError(
            "git knows no `origin` here; say `make set-repository URL=https://github.com/ORG/REPO`"
        ) from error


def replacements(old: str, new: str) -> list[tuple[re.Pattern[str], str]]:
    """What becomes what: repository, Colab, site, and the stored hash of the set-up cells."""
    pairs = []
    for address in (old, new):
        org, repo = address.split("/")[-2:]
        pairs.append(
            [
                f"github.com/{org}/{repo}",
                f"colab.research.google.com/github/{org}/{repo}",
                notebooks.site_address(address).removeprefix("https://"),
                notebooks.digest(notebooks.setup_source(address)),
            ]
        )
    # A name that merely starts like the repository's is another repository.
    end = r"(?!\w|-|\.(?!git\b)\w)"
    return [
        (re.compile(rf"(?<![\w.-]){re.escape(before)}{end}"), after)
        for before, after in zip(*pairs, strict=True)
    ]


def rewrite(root: Path, new: str) -> list[Path]:
    """Write the new address wherever the old one stands; returns the files that changed."""
    pairs = replacements(notebooks.repository_address(root), new)
    changed = []
    for name in notebooks.project_files(root):
        path = root / name
        before = path.read_bytes()
        try:
            text = before.decode("utf-8")
        except UnicodeDecodeError:  # a picture
            continue
        for pattern, replacement in pairs:
            text = pattern.sub(replacement, text)
        if text.encode("utf-8") != before:
            path.write_bytes(text.encode("utf-8"))
            changed.append(name)
    return changed


def main(arguments: list[str], root: Path = notebooks.ROOT) -> int:
    try:
        given = arguments[0] if arguments and arguments[0] else origin(root)
        new = normal_address(given)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    changed = rewrite(root, new)
    print(f"the repository is {new}; files changed: {', '.join(map(str, changed)) or 'none'}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
