"""What a training run reports: means for each epoch, seconds, settings."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

from vae_tutorial.files import write_atomically


@dataclass
class History:
    """The record of one call of `fit`.

    - `train`, `validation`: for each entry of the objective, its mean over images in each
      epoch, in the objective's unit (nats per image for `elbo`). The training means are taken
      while the weights change; the validation means belong to the weights at the epoch's end.
    - `seconds`: time spent training (validation left out) up to the end of each epoch.
    - `settings`: what the run was made with: device, batch size, binarisation and so on.
    - `stopped`: why the run ended early; empty where it did not.
    """

    train: dict[str, list[float]] = field(default_factory=dict)
    validation: dict[str, list[float]] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    settings: dict[str, object] = field(default_factory=dict)
    stopped: str = ""

    @property
    def epochs(self) -> int:
        """How many epochs were finished."""
        return len(self.seconds)

    def append(self, train: dict[str, float], validation: dict[str, float], seconds: float) -> None:
        """Add one finished epoch."""
        for record, means in ((self.train, train), (self.validation, validation)):
            for name, mean in means.items():
                record.setdefault(name, []).append(mean)
        self.seconds.append(seconds)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write to `path`: everything for a name ending in `.json`, the table for `.csv`.

        JSON knows no NaN and no infinity; such a mean becomes `null`.
        """
        suffix = Path(path).suffix
        if suffix == ".json":
            text = json.dumps(_without_nan(asdict(self)), indent=1, allow_nan=False) + "\n"
        elif suffix == ".csv":
            text = self._table()
        else:
            raise ValueError(f"path must end in .json or .csv, got {str(path)!r}")
        write_atomically(path, text.encode())

    def _table(self) -> str:
        """One row for each epoch, one column for each recorded mean."""
        columns: dict[str, list[float]] = {"seconds": self.seconds}
        columns |= {f"train_{name}": means for name, means in self.train.items()}
        columns |= {f"validation_{name}": means for name, means in self.validation.items()}
        text = io.StringIO()
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(["epoch", *columns])
        rows.writerows(
            [epoch, *values]
            for epoch, values in enumerate(zip(*columns.values(), strict=True), start=1)
        )
        return text.getvalue()


def _without_nan(value: object) -> object:
    if isinstance(value, dict):
        return {key: _without_nan(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_without_nan(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
