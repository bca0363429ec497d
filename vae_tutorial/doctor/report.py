"""What the doctor found, as text, as HTML and as plain data."""

from __future__ import annotations

import html
import textwrap
from dataclasses import dataclass, field
from typing import Any

from vae_tutorial.doctor.codes import CODES, EXPLAINS, ORDER

SEVERITIES = ("fault", "warning", "note")


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or worth knowing."""

    code: str
    evidence: str
    """What was measured, and what a healthy model would give."""
    severity: str = ""
    """`fault`, `warning` or `note`; by default what the table of codes says."""

    def __post_init__(self) -> None:
        if not self.severity:
            object.__setattr__(self, "severity", CODES[self.code].severity)

    @property
    def cause(self) -> str:
        return CODES[self.code].cause

    @property
    def remedy(self) -> str:
        return CODES[self.code].remedy

    @property
    def link(self) -> str:
        """Where the book explains it, as `chapter.html#section`."""
        return CODES[self.code].link

    def to_dict(self) -> dict[str, str]:
        names = ("code", "severity", "evidence", "cause", "remedy", "link")
        return {name: getattr(self, name) for name in names}


@dataclass
class Report:
    """All findings, the most likely cause first, and what was measured on the way."""

    findings: list[Finding] = field(default_factory=list)
    measured: dict[str, Any] = field(default_factory=dict)
    """Numbers such as `beta`, the weight of the KL that the loss really has."""
    examined: list[str] = field(default_factory=list)
    """What was looked at."""
    left_out: list[str] = field(default_factory=list)
    """What could not be looked at, and why."""

    @property
    def ok(self) -> bool:
        """Whether there is no fault and no warning; notes do not count."""
        return all(finding.severity == "note" for finding in self.findings)

    @property
    def codes(self) -> list[str]:
        return [finding.code for finding in self.findings]

    def sort(self) -> None:
        """The gravest first; causes before their consequences, which are left out if certain."""

        def rank(finding: Finding) -> tuple[int, int]:
            return SEVERITIES.index(finding.severity), ORDER[finding.code]

        unique = {finding.code: finding for finding in reversed(self.findings)}
        explained = {code for cause in unique for code in EXPLAINS.get(cause, ())}
        rest = [found for code, found in unique.items() if code not in explained]
        self.findings = sorted(rest, key=rank)

    def to_dict(self) -> dict[str, Any]:
        return {
            "ok": self.ok,
            "findings": [finding.to_dict() for finding in self.findings],
            "measured": self.measured,
            "examined": self.examined,
            "left_out": self.left_out,
        }

    def __str__(self) -> str:
        lines = [self._headline()]
        for n, found in enumerate(self.findings, start=1):
            lines.append(f"{n}. {found.severity.upper()}  {found.code}")
            for name in ("evidence", "cause", "remedy", "link"):
                text = f"{name}: {getattr(found, name)}"
                lines += textwrap.wrap(text, 88, initial_indent="   ", subsequent_indent="     ")
        lines += [f"measured: {name} = {value}" for name, value in self.measured.items()]
        lines += [f"not examined: {text}" for text in self.left_out]
        return "\n".join(lines)

    def _headline(self) -> str:
        grave = sum(finding.severity != "note" for finding in self.findings)
        if not grave:
            return f"No fault found in {len(self.examined)} examinations."
        return f"{grave} finding{'s' * (grave > 1)} that need{'s' * (grave == 1)} attention."

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{html.escape(f.severity)}</td><td><code>{html.escape(f.code)}</code></td>"
            f"<td>{html.escape(f.evidence)}</td><td>{html.escape(f.cause)}</td>"
            f"<td>{html.escape(f.remedy)}</td></tr>"
            for f in self.findings
        )
        head = "".join(f"<th>{n}</th>" for n in ("", "code", "evidence", "cause", "remedy"))
        table = f"<table><tr>{head}</tr>{rows}</table>" if rows else ""
        return f"<p><b>{html.escape(self._headline())}</b></p>{table}"
