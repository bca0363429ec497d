"""The search for a molecule of a high property: in a latent space, and without one.

    python benchmarks/molecule_search.py --models FOLDER --seeds 0 1 2

The weights in FOLDER come from `molecules.py --train`. The property is the penalised logP of
Gómez-Bombarelli et al. (2018): RDKit's logP, minus its score of how hard the synthesis is, minus
the size of the largest ring beyond six. Every method knows the values of the same 1,000 training
molecules, and may then ask for 2,000 more values, each for a valid molecule not asked for before.

- random, VAE: molecules from the prior; random, language model: molecules from the model;
- latent search: ten rounds of 200; a code of one of the best 50 molecules so far, plus noise
  (σ = 1, doubled where fewer than one decoded molecule in five is new, up to 4), decoded;
- language model, tuned: ten rounds of 200; before each, 40 steps on the best 50 so far
  (after Segler et al., 2018);
- changed letters: ten rounds of 200; one of the best 50 with one to three tokens of its text
  changed, put in or taken out by chance. No network;
- changed letters, judged: the same, and only molecules that the language model finds plausible
  are asked for.

A property that is computed can be had by molecules that nobody would make. So the ten best of each
run are also judged by a language model of another seed: `plausible` tells how many of them it
finds more probable, per token, than the least probable 1 % of 1,000 test molecules.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import platform
import random
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import torch
from molecules import canonical, data, drawing, loaded
from torch import Tensor

from vae_tutorial.data.sequences import ended
from vae_tutorial.models.sequences import (
    LanguageModel,
    SequenceVAE,
    counted,
    negative_log_prob,
)

OUT = Path("benchmarks/results/molecule_search.json")
KNOWN, CALLS, ROUND, BEST = 1000, 2000, 200, 50


@cache
def synthesis_score() -> Callable[[Any], float]:
    from rdkit.Chem import RDConfig

    sys.path.append(str(Path(RDConfig.RDContribDir) / "SA_Score"))
    import sascorer

    return sascorer.calculateScore


@cache
def score(text: str) -> float:
    """The penalised logP of a canonical SMILES."""
    from rdkit import Chem
    from rdkit.Chem import Crippen

    molecule = Chem.MolFromSmiles(text)
    largest = max((len(ring) for ring in molecule.GetRingInfo().AtomRings()), default=0)
    return Crippen.MolLogP(molecule) - synthesis_score()(molecule) - max(0, largest - 6)


class Judge:
    """What a language model finds plausible: nats a token below the 99th percentile of 1,000
    test molecules, as RDKit writes them."""

    def __init__(self, model: LanguageModel) -> None:
        self.model = model
        self.usual = self.nats([c for c in map(canonical, data().texts(data().test[:1000])) if c])
        self.limit = self.usual.quantile(0.99)

    @torch.no_grad()
    def nats(self, texts: list[str]) -> Tensor:
        """−log p per token, the end included, `(N,)`."""
        x = data().tokens(texts).long()
        return -self.model.log_prob(x) / counted(x).sum(1)

    def plausible(self, texts: list[str]) -> list[bool]:
        return (self.nats(texts) <= self.limit).tolist()


class Asked:
    """What is known of the property: the values asked for, in their order."""

    def __init__(self, judge: Judge | None = None) -> None:
        self.judge = judge
        texts = [c for c in map(canonical, data().texts(data().train[:KNOWN])) if c]
        self.values = {text: score(text) for text in texts}
        self.known, self.tried, self.curve = len(self.values), 0, []

    def ask(self, texts: list[str], limit: int) -> int:
        """Ask for the values of new valid ones, at most `limit`; returns how many that were."""
        before = len(self.values)
        for text in texts:
            if len(self.values) - before >= min(limit, CALLS + self.known - before):
                break
            self.tried += 1
            found = canonical(text)
            if found and found not in self.values and self.fits(found):
                if self.judge is not None and not self.judge.plausible([found])[0]:
                    continue
                self.values[found] = score(found)
                self.curve.append(round(max(self.values.values()), 3))
        return len(self.values) - before

    @staticmethod
    def fits(text: str) -> bool:
        """Whether the models can write it: only MOSES's tokens, and no longer than its texts.

        Rarely, RDKit writes what it cannot read again; that does not count as a molecule here.
        """
        if canonical(text) is None:
            return False
        try:
            data().tokens([text])
        except ValueError:
            return False
        return True

    @property
    def done(self) -> bool:
        return len(self.values) - self.known >= CALLS or self.tried > 40 * CALLS

    def best(self, count: int = BEST) -> list[str]:
        return sorted(self.values, key=self.values.__getitem__, reverse=True)[:count]


def rounds(asked: Asked) -> Iterator[int]:
    while not asked.done:
        yield ROUND


def from_prior(model: SequenceVAE, asked: Asked) -> None:
    for size in rounds(asked):
        asked.ask(data().texts(model.sample(size)), size)


def from_language_model(model: LanguageModel, asked: Asked) -> None:
    for size in rounds(asked):
        asked.ask(data().texts(model.sample(size, data().train.shape[1])), size)


@torch.no_grad()
def latent_search(model: SequenceVAE, asked: Asked) -> None:
    noise = 1.0
    for size in rounds(asked):
        codes = model.posterior(data().tokens(asked.best()).long()).mean
        left = size
        while left > 0 and not asked.done:
            picked = codes[torch.randint(len(codes), (size,))]
            found = model.decode(picked + noise * torch.randn_like(picked), temperature=0.0)
            new = asked.ask(data().texts(found), left)
            left -= new
            if left > 0:
                noise *= 2.0 if new < size / 5 else 1.0
                noise = min(noise, 4.0)


def tuned(model: LanguageModel, asked: Asked) -> None:
    model = copy.deepcopy(model)
    adam = torch.optim.Adam(model.parameters(), lr=1e-3)
    for size in rounds(asked):
        best = data().tokens(asked.best()).long()
        model.train()
        for _ in range(40):
            loss = negative_log_prob(model, best[torch.randint(len(best), (32,))])["loss"].mean()
            adam.zero_grad()
            loss.backward()
            adam.step()
        model.eval()
        left = size
        while left > 0 and not asked.done:
            left -= asked.ask(data().texts(model.sample(size, data().train.shape[1])), left)


def changed_letters(_: None, asked: Asked) -> None:
    for size in rounds(asked):
        best = [ended(row) for row in data().tokens(asked.best()).tolist()]
        left = size
        while left > 0 and not asked.done:
            left -= asked.ask([changed(random.choice(best)) for _ in range(size)], left)


def changed(row: list[int]) -> str:
    row, symbols = list(row), data().symbols
    for _ in range(random.randint(1, 3)):
        place, token = random.randrange(len(row)), random.randrange(1, len(symbols))
        way = random.choice(("change", "put in", "take out"))
        if way == "change":
            row[place] = token
        elif way == "put in":
            row.insert(place, token)
        elif len(row) > 1:
            del row[place]
    return "".join(symbols[i] for i in row)


METHODS: dict[str, tuple[str | None, Callable[[Any, Asked], None]]] = {
    "random, VAE": ("free bits", from_prior),
    "random, language model": ("language model", from_language_model),
    "latent search": ("free bits", latent_search),
    "latent search, β = 0.05": ("β = 0.05", latent_search),
    "language model, tuned": ("language model", tuned),
    "changed letters": (None, changed_letters),
    "changed letters, judged": (None, changed_letters),
}


def one_run(method: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    torch.manual_seed(2000 + seed)
    random.seed(2000 + seed)
    kind, function = METHODS[method]
    model = None if kind is None else loaded(kind, seed, options)
    judge = None
    if method == "changed letters, judged":
        judge = Judge(loaded("language model", seed, options))
    asked, cpu = Asked(judge), time.process_time()
    start = max(asked.values.values())
    function(model, asked)
    best = asked.best(10)
    other = Judge(loaded("language model", (seed + 1) % 3, options))
    return {
        "method": method, "seed": seed, "known": asked.known,
        "calls": len(asked.values) - asked.known, "tried": asked.tried,
        "start": round(start, 3), "best": round(asked.values[best[0]], 3),
        "mean_of_ten": round(sum(asked.values[t] for t in best) / 10, 3),
        "plausible": sum(other.plausible(best)),
        "nats_a_token": round(other.nats(best).mean().item(), 3),
        "nats_a_token_usual": round(other.usual.mean().item(), 3),
        "nats_a_token_limit": round(other.limit.item(), 3),
        "best_smiles": best[:3], "drawing": drawing(best[0]), "curve": asked.curve[::20],
        "cpu_seconds": round(time.process_time() - cpu, 1),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, required=True, help="the folder of the weights")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--seconds", type=float, default=math.inf, help="no new run after these")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    torch.set_num_threads(1)
    start, result = time.monotonic(), {"commands": [], "rows": []}
    if options.out.exists():
        result = json.loads(options.out.read_text("utf-8"))
    words = ["FOLDER" if w == str(options.models) else w for w in sys.argv[1:]]
    command = "python benchmarks/molecule_search.py " + shlex.join(words)
    result |= {
        "commands": list(dict.fromkeys([*result["commands"], command])),
        "torch": str(torch.__version__), "python": platform.python_version(),
        "device": f"CPU, {torch.get_num_threads()} thread, {platform.machine()}",
        "date": str(date.today()), "calls": CALLS, "round": ROUND, "best": BEST,
    }  # fmt: skip
    done = {(row["method"], row["seed"]) for row in result["rows"]}
    for seed in options.seeds:
        for method in options.methods:
            if (method, seed) in done or time.monotonic() - start > options.seconds:
                continue
            row = one_run(method, seed, options)
            result["rows"].append(row)
            text = json.dumps(result, indent=1, ensure_ascii=False)
            options.out.write_text(text + "\n", encoding="utf-8")
            print({k: v for k, v in row.items() if k not in ("drawing", "curve")}, flush=True)


if __name__ == "__main__":
    main()
