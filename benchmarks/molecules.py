"""Molecules as text: VAEs beside a language model, on a part of the benchmark MOSES.

    python benchmarks/molecules.py --models FOLDER --train --seeds 0 1 2
    python benchmarks/molecules.py --models FOLDER --measure --seeds 0 1 2

30,000 molecules to train on, drawn from MOSES's training set; the decoder is one LSTM of 256 units
in every model. `--train` keeps the weights in FOLDER. `--measure` draws 10,000 molecules from each
model and counts with RDKit (which `requirements.txt` here names) how many are valid, distinct and
new. `molecule_search.py` uses the same weights. Results are written after every run, and what the
file `--out` holds already is left out.

Perplexities are per token, the end of the sequence included, on 1,000 test molecules; log p(x) of
a VAE by importance sampling with 100 draws from the encoder, a bound in expectation.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import shlex
import sys
import time
from datetime import date
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import vae_tutorial as vt
from vae_tutorial.data.sequences import Sequences, load_sequences
from vae_tutorial.models.sequences import (
    LanguageModel,
    SequenceVAE,
    counted,
    negative_log_prob,
)

OUT = Path("benchmarks/results/molecules.json")
TRAINED, HIDDEN, LATENTS, EPOCHS = 30_000, 256, 32, 12
KINDS = {  # objective and schedule of β
    "language model": {},
    "untreated": {"objective": vt.elbo},
    "free bits": {"objective": partial(vt.elbo, free_bits=0.3)},
    "β = 0.05": {"objective": partial(vt.elbo, beta=0.05)},
}


@cache
def data() -> Sequences:
    return load_sequences("moses", count=TRAINED)


def built(kind: str) -> nn.Module:
    symbols, length = len(data().symbols), data().train.shape[1]
    if kind == "language model":
        return LanguageModel(symbols, HIDDEN)
    return SequenceVAE(symbols, length, LATENTS, HIDDEN, encoder_hidden=128)


def file_of(kind: str, seed: int, options: argparse.Namespace) -> Path:
    return options.models / f"{kind.replace(' ', '-')}-{seed}.pt"


def train(kind: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    torch.manual_seed(seed)
    model = built(kind)
    told = KINDS[kind] or {"objective": negative_log_prob}
    # nothing of the validation loss is chosen by: it shows where training has arrived
    cpu = time.process_time()
    history = vt.fit(model, data().train, validation=data().validation, epochs=EPOCHS,
                     batch_size=128, learning_rate=4e-3, clip=5.0, precision="bfloat16",
                     device="cpu", progress=False, **told)  # fmt: skip
    torch.save(model.state_dict(), file_of(kind, seed, options))
    return {
        "cpu_seconds": round(time.process_time() - cpu, 1),
        "validation_loss": [round(v, 2) for v in history.validation["loss"]],
        "validation_kl": [round(v, 2) for v in history.validation.get("kl", [])],
        "parameters": sum(p.numel() for p in model.parameters()),
    }


def loaded(kind: str, seed: int, options: argparse.Namespace) -> nn.Module:
    model = built(kind)
    model.load_state_dict(torch.load(file_of(kind, seed, options), weights_only=True))
    return model.eval()


def likelihood(model: nn.Module, x: Tensor) -> dict[str, float]:
    """Nats a molecule and a token of test molecules; for a VAE with KL and a share rebuilt."""
    tokens = counted(x.long()).sum(1).float().mean().item()
    if isinstance(model, LanguageModel):
        nats = vt.evaluate(model, x, objective=negative_log_prob)["loss"]
        return {"nats": nats, "perplexity": math.exp(nats / tokens)}
    bound = vt.evaluate(model, x)
    nats = -vt.log_likelihood(model, x, samples=100, progress=False).mean
    same = (model.reconstruct(x.long()) == x).all(1).float().mean().item()
    return {"nats": nats, "perplexity": math.exp(nats / tokens), "kl": bound["kl"],
            "negative_elbo": -bound["elbo"], "rebuilt": same}  # fmt: skip


@torch.no_grad()
def drawn(model: nn.Module, count: int, seed: int) -> list[str]:
    torch.manual_seed(1000 + seed)
    parts = []
    for _ in range(count // 1000):
        if isinstance(model, LanguageModel):
            parts.append(model.sample(1000, data().train.shape[1]))
        else:
            parts.append(model.sample(1000))
    return data().texts(torch.cat(parts))


def quality(texts: list[str]) -> dict[str, float]:
    """Shares: valid of all, distinct of the valid, new of the distinct (as MOSES counts them)."""
    known = canonical_training()
    valid = [c for c in map(canonical, texts) if c]
    distinct = set(valid)
    return {"valid": len(valid) / len(texts), "unique": len(distinct) / len(valid),
            "novel": len(distinct - known) / len(distinct)}  # fmt: skip


def canonical(text: str) -> str | None:
    """RDKit's canonical SMILES of a molecule; `None` for what is none, or an empty text."""
    from rdkit import Chem, RDLogger

    RDLogger.DisableLog("rdApp.*")
    molecule = Chem.MolFromSmiles(text) if text else None
    return Chem.MolToSmiles(molecule) if molecule is not None else None


@cache
def canonical_training() -> frozenset[str]:
    return frozenset(c for c in map(canonical, data().texts(data().train)) if c)


def interpolation(model: SequenceVAE, seed: int, pairs: int = 200) -> dict[str, Any]:
    """Valid molecules among those decoded at nine places between the codes of test molecules."""
    x = data().test[: 2 * pairs].long()
    mu = model.posterior(x).mean.detach()
    a, b = mu[:pairs], mu[pairs:]
    valid, distinct = [], []
    for share in torch.linspace(0, 1, 9):
        texts = data().texts(model.decode((1 - share) * a + share * b))
        good = [canonical(text) for text in texts]
        valid.append(sum(map(bool, good)) / pairs)
        distinct.append(len({c for c in good if c}))
    return {"interpolation_valid": valid, "interpolation_distinct": distinct}


def drawing(text: str) -> dict[str, Any]:
    """Atoms and bonds of a molecule on the plane, for a figure."""
    from rdkit import Chem
    from rdkit.Chem import AllChem

    molecule = Chem.MolFromSmiles(text)
    AllChem.Compute2DCoords(molecule)
    places = molecule.GetConformer().GetPositions()[:, :2]
    return {
        "smiles": text,
        "atoms": [
            [atom.GetSymbol(), round(float(x), 2), round(float(y), 2)]
            for atom, (x, y) in zip(molecule.GetAtoms(), places, strict=True)
        ],
        "bonds": [
            [b.GetBeginAtomIdx(), b.GetEndAtomIdx(), b.GetBondTypeAsDouble()]
            for b in molecule.GetBonds()
        ],
    }


def measure(kind: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    model = loaded(kind, seed, options)
    found: dict[str, Any] = likelihood(model, data().test[:1000])
    texts = drawn(model, options.count, seed)
    found |= quality(texts)
    found["examples"] = texts[:12]
    if isinstance(model, SequenceVAE):
        found |= interpolation(model, seed)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, required=True, help="a folder for the weights")
    parser.add_argument("--train", action="store_true")
    parser.add_argument("--measure", action="store_true")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=math.inf, help="no new run after these")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.models.mkdir(parents=True, exist_ok=True)
    start, result = time.monotonic(), {"commands": [], "rows": []}
    if options.out.exists():
        result = json.loads(options.out.read_text("utf-8"))
    words = [w for w in sys.argv[1:] if w != str(options.models)]
    command = "python benchmarks/molecules.py " + shlex.join(words).replace(
        "--models", "--models FOLDER"
    )
    result |= {
        "commands": list(dict.fromkeys([*result["commands"], command])),
        "torch": str(torch.__version__), "python": platform.python_version(),
        "device": f"CPU, {torch.get_num_threads()} thread, {platform.machine()}",
        "date": str(date.today()), "trained": TRAINED, "epochs": EPOCHS, "hidden": HIDDEN,
        "latents": LATENTS, "precision": "bfloat16 in training, float32 in measuring",
    }  # fmt: skip
    if options.measure:
        result["drawing"] = drawing("CC(=O)Nc1ccc(O)cc1")  # paracetamol
    parts = [("train", train)] * options.train + [("measure", measure)] * options.measure
    for part, function in parts:
        for seed in options.seeds:
            for kind in options.kinds:
                rows = [r for r in result["rows"] if (r["kind"], r["seed"]) == (kind, seed)]
                if not rows:
                    rows = [{"kind": kind, "seed": seed}]
                    result["rows"] += rows
                if part in rows[0] or time.monotonic() - start > options.seconds:
                    continue
                found = function(kind, seed, options)
                rows[0][part] = {
                    k: round(v, 4) if isinstance(v, float) else v for k, v in found.items()
                }
                text = json.dumps(result, indent=1, ensure_ascii=False)
                options.out.write_text(text + "\n", encoding="utf-8")
                print(part, kind, seed, {k: v for k, v in rows[0][part].items()
                                         if not isinstance(v, list)}, flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
