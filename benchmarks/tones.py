"""What a VAE and principal components find in sounds, and what lies between two tones.

    python benchmarks/tones.py --out benchmarks/results/tones.json

Generated tones of three known factors (`vae_tutorial.data.tones`), 8,000 to train and 2,000 to
test, as spectra (128 values in dB) or as waves (1,024 samples).

- Part "codes": the error of reconstruction; how well each factor is predicted from the code, by
  ridge regression on the code or on its products of up to three factors, from 2,000 tones; nats
  per spectrum. For PCA those are exact: the Gaussian model of probabilistic PCA (Tipping and
  Bishop, 1999) with the maximum-likelihood σ. For the VAE they are a bound, −ELBO.
- Part "path": 200 pairs of a dark low tone and a bright high one. Halfway between the two, how far
  is the nearest of 20,000 real tones, and what is its pitch? Ways: spectra mixed in dB, codes of
  PCA and of the VAE, and spectra first moved to the pitch halfway and then mixed.

"Pitch + PCA" is a code that knows what pitch is: the place of the highest peak, and principal
components of spectra that were moved until that peak stands at 220 Hz.

A seed has its own tones, network and pairs. Finished runs are stored and skipped when the script
is called again. One thread.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from training import common

import vae_tutorial as vt
from vae_tutorial.data import tones
from vae_tutorial.measure.features import powers, ridge

TRAIN, TEST, PROBES, PAIRS, BANK = 8000, 2000, 2000, 200, 20000
SCALE = 10.0  # the models see spectra in units of 10 dB, from the floor up
Path_ = Callable[[float], Tensor]
RUNS = (("spectra", 4, None), ("spectra", 8, None), ("spectra", 4, 1.0), ("waves", 8, None))
"""What the models see, the numbers in a code, and the VAE's σ (in units of 10 dB; None: learnt)."""


class Principal:
    """The first principal components of rows `(N, F)`, and their probabilistic model."""

    def __init__(self, rows: Tensor, size: int) -> None:
        self.mean = rows.mean(0)
        centred = (rows - self.mean).double()
        variance, V = torch.linalg.eigh(centred.T @ centred / len(rows))
        self.V, self.variance = V.flip(1)[:, :size].float(), variance.flip(0)[:size]
        self.rest = variance[:-size].mean()  # σ² of most likelihood

    def encode(self, rows: Tensor) -> Tensor:
        return (rows - self.mean) @ self.V

    def decode(self, codes: Tensor) -> Tensor:
        return codes @ self.V.T + self.mean

    def nats(self, rows: Tensor) -> float:
        """Mean −log p of rows under N(mean, V (Λ − σ²) Vᵀ + σ² I)."""
        codes = self.encode(rows).double()
        outside = (rows - self.decode(codes.float())).double().square().sum(1) / self.rest
        inside = (codes.square() / self.variance).sum(1)
        width, size = rows.shape[1], len(self.variance)
        log_det = self.variance.log().sum() + (width - size) * self.rest.log()
        return 0.5 * (inside + outside + log_det + width * math.log(2 * math.pi)).mean().item()


class Moved:
    """The pitch of the highest peak, and principal components of spectra moved to one pitch."""

    goal = 12.0

    def __init__(self, rows: Tensor, size: int) -> None:
        self.parts = Principal(self._move(rows, self.goal - self._pitch(rows)), size - 1)

    def _pitch(self, rows: Tensor) -> Tensor:
        return tones.peak_pitch(SCALE * rows + tones.FLOOR)

    def _move(self, rows: Tensor, semitones: Tensor) -> Tensor:
        return (tones.transpose(SCALE * rows + tones.FLOOR, semitones) - tones.FLOOR) / SCALE

    def encode(self, rows: Tensor) -> Tensor:
        pitch = self._pitch(rows)
        return torch.cat(
            [pitch[:, None], self.parts.encode(self._move(rows, self.goal - pitch))], 1
        )

    def decode(self, codes: Tensor) -> Tensor:
        return self._move(self.parts.decode(codes[:, 1:]), codes[:, 0] - self.goal)


class Coded:
    """A trained VAE as a pair of functions between rows and codes (its means)."""

    def __init__(self, rows: Tensor, test: Tensor, size: int, sigma: float | None,
                 seed: int, epochs: int) -> None:  # fmt: skip
        self.shape = (1, 1, rows.shape[1])
        torch.manual_seed(seed)
        self.model = vt.VAE(
            vt.MLPEncoder(size, (256, 256), self.shape),
            vt.MLPDecoder(size, (256, 256), self.shape),
            vt.GaussianLikelihood(sigma or 0.5, learned=sigma is None),
        )
        self.history = vt.fit(
            self.model, rows.view(-1, *self.shape), validation=test.view(-1, *self.shape),
            epochs=epochs, batch_size=100, learning_rate=2e-3, device="cpu", progress=False,
        )  # fmt: skip

    @torch.no_grad()
    def encode(self, rows: Tensor) -> Tensor:
        return self.model.posterior(rows.view(-1, *self.shape)).mean

    @torch.no_grad()
    def decode(self, codes: Tensor) -> Tensor:
        return self.model.likelihood(codes).mean.flatten(1)


def seen(waves: Tensor) -> Tensor:
    return (tones.spectrum(waves) - tones.FLOOR) / SCALE


def found(model: Any, train: tuple, test: tuple) -> dict:
    """R² of each factor, from the code and from its products."""
    codes, others = model.encode(train[0][:PROBES]), model.encode(test[0])
    middle, spread = codes.mean(0), codes.std(0)
    row = {}
    for degree in (1, 3):
        look, new = (powers((z - middle) / spread, degree) for z in (codes, others))
        row[f"r2_degree_{degree}"] = {
            name: round(1 - (
                (ridge(look, train[1][:PROBES, j])(new) - test[1][:, j]).square().mean()
                / test[1][:, j].var()
            ).item(), 4)
            for j, name in enumerate(tones.FACTORS)
        }  # fmt: skip
    return row


def draw_pairs(seed: int) -> tuple[Tensor, Tensor]:
    """Factors of dark low tones and of bright high ones, `(PAIRS, 3)` each."""
    draw = torch.Generator().manual_seed(5000 + seed)
    low, high = torch.rand(2, PAIRS, 3, generator=draw)
    scale = torch.tensor([6.0, 4.0, 30.0])
    return (torch.tensor([2.0, -17.0, 0.0]) + scale * low,
            torch.tensor([16.0, -8.0, 0.0]) + scale * high)  # fmt: skip


def between(way: Path_, low: Tensor, high: Tensor, bank: tuple[Tensor, Tensor]) -> dict:
    """How real the tone halfway is, and how the pitch of the nearest real tone moves."""
    distance, pitch = [], []
    for share in torch.linspace(0, 1, 21).tolist():
        near, index = torch.cdist(way(share), bank[0]).min(1)
        distance.append(SCALE * near / tones.BINS**0.5)
        pitch.append(bank[1][index, 0])
    d, p = torch.stack(distance), torch.stack(pitch)  # (21, PAIRS)
    off = (p[10] - (low[:, 0] + high[:, 0]) / 2).abs()
    step = p.diff(dim=0).abs().max(0).values
    return {
        "distance_middle": round(d[10].mean().item(), 3),
        "distance_start": round(d[0].mean().item(), 3),
        "pitch_in_the_middle": round((off < 2).double().mean().item(), 4),
        "largest_step": round(step.median().item(), 3),
        "first_pair": [round(value, 2) for value in p[:, 0].tolist()],
    }


def paths(models: dict, seed: int, bank: tuple[Tensor, Tensor]) -> dict[str, dict]:
    low, high = draw_pairs(seed)
    a, b = seen(tones.play(low, 6000 + seed)), seen(tones.play(high, 7000 + seed))
    dB = [SCALE * x + tones.FLOOR for x in (a, b)]
    pitches = [tones.peak_pitch(x) for x in dB]

    def moved(share: float) -> Tensor:
        goal = (1 - share) * pitches[0] + share * pitches[1]
        one, two = (tones.transpose(x, goal - p) for x, p in zip(dB, pitches, strict=True))
        return ((1 - share) * one + share * two - tones.FLOOR) / SCALE

    def real(share: float) -> Tensor:
        return seen(tones.play((1 - share) * low + share * high, 8000 + seed))

    ways: dict[str, Path_] = {
        "mixed": lambda share: (1 - share) * a + share * b, "moved, then mixed": moved,
        "real tones": real,
    }  # fmt: skip
    for name, model in models.items():
        ways[name] = lambda share, m=model: m.decode(
            (1 - share) * m.encode(a) + share * m.encode(b)
        )
    return {name: between(way, low, high, bank) for name, way in ways.items()}


def run(what: str, size: int, sigma: float | None, seed: int, epochs: int,
        bank: tuple[Tensor, Tensor]) -> list[dict]:  # fmt: skip
    drawn = [tones.draw_tones(n, 10 * seed + i) for i, n in ((1000, TRAIN), (2000, TEST))]
    look = seen if what == "spectra" else (lambda waves: waves)
    train, test = ((look(each.waves), each.factors) for each in drawn)
    vae = Coded(train[0], test[0], size, sigma, seed, epochs)
    name = "VAE" if sigma is None else f"VAE, σ = {sigma * SCALE:g} dB"
    models: dict[str, Any] = {"PCA": Principal(train[0], size)} if sigma is None else {}
    if what == "spectra" and sigma is None:
        models["pitch + PCA"] = Moved(train[0], size)
    models[name] = vae
    rows = []
    for method, model in models.items():
        wrong = (model.decode(model.encode(test[0])) - test[0]).square().mean()
        rows.append({
            "part": "codes", "data": what, "method": method, "size": size, "seed": seed,
            **({"error_db": round(SCALE * wrong.sqrt().item(), 3)} if what == "spectra" else {}),
            "explained": round(1 - (wrong / test[0].var(0).mean()).item(), 4),
            **found(model, train, test),
        })  # fmt: skip
    if sigma is None:
        rows[0]["nats"] = round(models["PCA"].nats(test[0]), 2)
    rows[-1] |= {
        "nats": round(vae.history.validation["loss"][-1], 2),
        "kl": round(vae.history.validation["kl"][-1], 2),
        "sigma": round(vae.model.observation_model.sigma.item(), 4),
        "validation_loss": [round(v, 2) for v in vae.history.validation["loss"]],
        "seconds": round(vae.history.seconds[-1], 1),
    }
    if what == "spectra":
        for method, values in paths(models, seed, bank).items():
            rows.append({"part": "path", "method": method, "size": size, "seed": seed, **values})
    for row in rows:
        row["run"] = [what, size, sigma, seed, epochs]
        row["epochs"] = epochs
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--runs", type=int, nargs="+", default=[0, 1, 2, 3], help="which of RUNS")
    parser.add_argument("--seconds", type=float, default=300, help="start no run after so many")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    result = {**common(options, "tones.py"), "rows": []}
    if options.out.exists():
        result["rows"] = json.loads(options.out.read_text("utf-8"))["rows"]
    done = {tuple(row["run"]) for row in result["rows"]}
    factors = tones.draw_tone_factors(BANK, 77)
    bank = (seen(tones.play(factors, 78)), factors)
    begun = time.monotonic()
    for seed in options.seeds:
        for settings in (RUNS[n] for n in options.runs):
            if (
                *settings,
                seed,
                options.epochs,
            ) in done or time.monotonic() - begun > options.seconds:
                continue
            result["rows"] += (rows := run(*settings, seed, options.epochs, bank))
            options.out.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", "utf-8")
            for row in rows:
                shown = {k: v for k, v in row.items() if k != "validation_loss"}
                print(round(time.monotonic() - begun), json.dumps(shown), flush=True)


if __name__ == "__main__":
    main()
