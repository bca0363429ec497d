"""Several draws of z for an example: does the best of them count most, the worst, or all alike?

−log mean w is decided by the best sample (Burda, Grosse and Salakhutdinov 2016, equation 8), and
an ELBO with several draws is their mean. So half of the draws get good reconstructions and half
bad ones.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vae_tutorial.doctor.probe import Probe
from vae_tutorial.doctor.record import Edit, write
from vae_tutorial.doctor.report import Finding


def findings(probe: Probe) -> list[Finding]:
    """Where the loss lies between all draws good (0) and all draws bad (1)."""
    if not probe.subject.whole or probe.recon is None:
        return []
    x = probe.x
    inside = x.min() >= 0 and x.max() <= 1
    good, bad = (0.1 + 0.8 * x, 0.9 - 0.8 * x) if inside else (x, 1 - x)
    mixed = [_edits(probe, good, bad, half) for half in (1.0, 0.0, 0.5)]
    if mixed[2] is None:
        return []
    best, worst, half = (probe._run(edits)[0] for edits in mixed)
    if best > worst:
        best, worst = worst, best
    share = (half - best) / max(worst - best, 1e-12)
    shown = f"half of the draws bad: the loss goes {100 * share:.0f} % of the way to all bad"
    if share > 0.9:
        return [Finding("iwae-worst-sample", f"{shown}; the best should decide")]
    if abs(share - 0.5) < 0.15 and probe.view.log_weights is not None:
        return [Finding("iwae-mean-of-logs", f"{shown}; the best should decide")]
    return []


def _edits(probe: Probe, good: Tensor, bad: Tensor, part: float) -> dict[int, Edit] | None:
    """Overwrite the first `part` of the draws with `good`, the others with `bad`."""
    places = probe.recon_at
    if len(places) > 1:
        few = round(part * len(places))
        return {n: write(good if k < few else bad) for k, n in enumerate(places)}
    draws = probe.recon.numel() // probe.x.numel()
    if draws < 2:
        return None
    few = round(part * draws)
    return {places[0]: write(torch.stack([good] * few + [bad] * (draws - few)))}
