"""The experiments of pages/playground.md, with the page's own engine in a browser.

    python benchmarks/playground.py --out benchmarks/results/playground.json

Each experiment runs from several seeds. Terms are means over the 400 test images, in nats per
image, with one draw of z for each image from the same noise every time.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from training import common

sys.path.append(str(Path(__file__).resolve().parent.parent / "tests"))
import live_pages

from vae_tutorial import live

LEG = 3000  # steps: where training in the page pauses by itself
EXPERIMENTS = {  # one leg for each entry
    "beta 1": [{"beta": 1, "mean": False}],
    "beta 8": [{"beta": 8, "mean": False}],
    "beta 0": [{"beta": 0, "mean": False}],
    "mean, then sum": [{"beta": 1, "mean": True}, {"beta": 1, "mean": False}],
}

START = """async (seed) => {
  const { Run } = await VaeLive.load("train");
  const { Measure, read } = await VaeLive.load("trainer-measure");
  const data = read(await VaeLive.load("small-digits"));
  window.measure = new Measure(data);
  window.run = new Run(data.train, { pixels: data.pixels, seed });
  return measure.baseline;
}"""
ADVANCE = """([steps, settings]) => {
  for (let n = 0; n < steps; n++) run.advance({ rate: 0.003, ...settings });
  for (const _ of measure.measure(run));
  const { step, reconstruction, kl, mu, sigma } = measure.last;
  const mean = (values) => values.reduce((sum, one) => sum + one, 0) / values.length;
  let near = 0;
  for (let i = 0; i < mu.length; i += 2) near += mu[i] ** 2 + mu[i + 1] ** 2 < 4;
  return {
    step, reconstruction, kl, negative_elbo: reconstruction + kl,
    root_mean_square_of_mu: Math.sqrt(mean(mu.map((z) => z * z))), mean_sigma: mean(sigma),
    share_of_mu_within_two: near / (mu.length / 2),
  };
}"""


def measured(page, seed: int) -> list[dict]:
    """A row at every 500 steps of each experiment."""
    rows = []
    for name, legs in EXPERIMENTS.items():
        page.evaluate(START, seed)
        for settings in legs:
            for _ in range(LEG // 500):
                row = page.evaluate(ADVANCE, [500, settings])
                row = {key: round(value, 4) for key, value in row.items()}
                rows.append({"experiment": name, "seed": seed, **settings, **row})
        print(name, seed, rows[-1], flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    with live_pages.chromium() as browser, tempfile.TemporaryDirectory() as folder:
        html = live.figure("trainer").whole()
        page = live_pages.open_figure(browser, Path(folder), html).page
        rows = [row for seed in range(1, options.seeds + 1) for row in measured(page, seed)]
        baseline = page.evaluate(START, 1)
        agent = browser.version
    stored = {
        "what": "the VAE that trains in the page, 256-64-2-64-256, batches of 64, Adam at 0.003, "
        "by its own script in headless Chromium; −log p(x|z), KL and their sum in nats per image, "
        "means over 400 binary test images with one draw of z each",
        **common(options, "playground.py"),
        "chromium": agent,
        "without_latents": round(baseline, 4),
        "rows": rows,
    }
    options.out.write_text(json.dumps(stored, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
