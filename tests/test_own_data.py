"""The page "Train on your own data": its code runs, block after block, as it stands there."""

import re

import notebooks
import numpy as np
import pytest
import torch
from PIL import Image

PAGE = (notebooks.ROOT / "pages" / "own_data.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_every_block_runs(tmp_path, monkeypatch):
    """With 40 small pictures of two sizes, and fewer epochs where the page has many."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    for kind in ("cats", "dogs"):
        (tmp_path / "pictures" / kind).mkdir(parents=True)
        for i in range(20):
            pixels = random.integers(0, 256, (70 + i, 80, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pictures" / kind / f"{i}.png")
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == 7
    names: dict = {}
    for block in blocks:
        exec(block.replace("epochs=20", "epochs=2"), names)
    assert names["codes"].shape == (4, 64)
    assert names["drawn"].shape == (10, 7) and names["drawn"].isfinite().all()
    assert torch.isfinite(names["model"].posterior(names["x"]).mean).all()
