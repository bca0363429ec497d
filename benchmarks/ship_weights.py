"""Write the weights that the package ships from those that `well_trained.py` stored.

    python benchmarks/ship_weights.py runs/on_gpu_work/weights

The float16 weights of a trained model become one compressed NumPy file without pickled objects.
A file whose checksum is not the one in `benchmarks/results/gpu/` is refused. What is printed
belongs into `vae_tutorial/pretrained/__init__.py`.
"""

from __future__ import annotations

import hashlib
import json
import sys
import zipfile
from pathlib import Path

import numpy as np
import torch

HERE = Path(__file__).resolve().parent
SHIPPED = {"mnist-conv": "conv32-seed0", "mnist-conv-2d": "conv2-seed0"}


def ship(name: str, folder: Path, target: Path) -> str:
    """Write one file; returns its checksum."""
    source = folder / f"{SHIPPED[name]}-float16.pt"
    record = json.loads((HERE / "results" / "gpu" / f"{SHIPPED[name]}.json").read_text("utf-8"))
    if hashlib.sha256(source.read_bytes()).hexdigest() != record["weights"][source.name]["sha256"]:
        raise SystemExit(f"{source} is not the file that was measured")
    weights = torch.load(source, weights_only=True)
    path = target / f"{name}.npz"
    # np.savez stamps the time into the archive; with a fixed one, equal weights are equal files.
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for key, value in weights.items():
            entry = zipfile.ZipInfo(f"{key}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(entry, "w") as file:
                np.lib.format.write_array(file, value.numpy())
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main() -> None:
    target = HERE.parent / "vae_tutorial" / "pretrained"
    for name in SHIPPED:
        print(name, ship(name, Path(sys.argv[1]), target))


if __name__ == "__main__":
    main()
