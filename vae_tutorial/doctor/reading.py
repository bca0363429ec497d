"""What somebody else's model returns: which tensor is the reconstruction, μ, the scale of q?

Names decide where there are names (dictionaries, attributes of small objects, named tuples), and
shapes where there are none.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent

RECON = (
    "recon", "reconstruction", "reconstructed", "recon_x", "x_recon", "x_hat", "xhat", "x_rec",
    "recons", "rec", "logits", "x_logits", "recon_logits", "probs", "output", "decoded", "pred",
    "x_prime", "x_tilde", "x_mean", "px", "p_x", "mu_x", "y", "out", "y_pred", "recon_batch",
)  # fmt: skip
MU = ("mu", "mean", "z_mean", "z_mu", "mu_z", "q_mu", "means", "loc", "m", "q_mean")
SCALES = {
    "logvar": ("logvar", "log_var", "z_logvar", "z_log_var", "logvar_z", "log_variance", "lv",
               "log_sigma2", "log_sigma_sq", "q_logvar", "logsigma2", "log_v"),
    "log_std": ("log_std", "logstd", "log_sigma", "logsigma", "log_scale", "z_log_std"),
    "std": ("std", "sigma", "stddev", "scale", "z_std", "q_std", "s"),
    "var": ("var", "variance", "z_var"),
}  # fmt: skip
Z = ("z", "latent", "latents", "sample", "code", "z_sample")
X = (
    "x", "input", "inputs", "data", "target", "targets", "img", "imgs", "image", "images", "batch",
    "original", "x_in", "y_true", "real", "x_true", "xs",
)  # fmt: skip


@dataclass
class View:
    """The parts of a model's output. `scale` is what spreads q, and `kind` how it is named:
    `logvar`, `log_std`, `std`, `var`, or `unknown` for the unnamed entry of a tuple."""

    raw: Any
    recon: Tensor | None = None  # (B, …), as many numbers as x
    mu: Tensor | None = None  # (B, D)
    scale: Tensor | None = None  # (B, D)
    kind: str = "unknown"
    z: Tensor | None = None
    log_weights: Tensor | None = None  # (K, B)

    @property
    def latent(self) -> bool:
        return self.mu is not None and self.scale is not None


def named_parts(raw: Any) -> dict[str, Any] | None:
    """The named entries of a dictionary, a named tuple, a dataclass or a small object."""
    if isinstance(raw, Mapping):
        return {str(key): value for key, value in raw.items()}
    if isinstance(raw, tuple) and hasattr(raw, "_asdict"):
        return raw._asdict()
    if isinstance(raw, (tuple, list, Tensor, Distribution)) or raw is None:
        return None
    return dict(vars(raw)) if hasattr(raw, "__dict__") else None


def read_output(raw: Any, x: Tensor) -> View:
    """The view of what `model(x)` returned; parts that cannot be told stay None."""
    view = View(raw)
    parts = named_parts(raw)
    if parts is not None:
        _read_names(view, parts, x)
    elif isinstance(raw, (tuple, list)):
        _read_order(view, _flat(raw), x)
    elif isinstance(raw, Tensor):
        view.recon = raw
    return view


def _flat(raw: Any) -> list[Any]:
    if isinstance(raw, (tuple, list)):
        return [leaf for part in raw for leaf in _flat(part)]
    parts = named_parts(raw)
    return _flat(list(parts.values())) if parts is not None else [raw]


def _read_names(view: View, parts: dict[str, Any], x: Tensor) -> None:
    lower = {key.lower(): value for key, value in parts.items()}
    for key, value in list(lower.items()):  # q=(mu, logvar), or q=Normal(…)
        if isinstance(value, (tuple, list)) and len(value) == 2:
            lower.setdefault("mu", value[0])
            lower.setdefault("scale_of_pair", value[1])
        if isinstance(value, Distribution):
            _read_distribution(view, key, value, x)

    def pick(names: tuple[str, ...]) -> Tensor | None:
        found = (lower[name] for name in names if isinstance(lower.get(name), Tensor))
        return next(found, None)

    view.mu = pick(MU) if view.mu is None else view.mu
    if view.scale is None:
        for kind, names in SCALES.items():
            view.scale = pick(names)
            if view.scale is not None:
                view.kind = kind
                break
        else:
            view.scale = pick(("scale_of_pair",))
    view.z, view.log_weights = pick(Z), pick(("log_weights", "log_w"))
    if view.recon is None:
        view.recon = pick(RECON)


def _read_distribution(view: View, key: str, q: Distribution, x: Tensor) -> None:
    base = q.base_dist if isinstance(q, Independent) else q
    mean, spread = getattr(base, "mean", None), getattr(base, "stddev", None)
    if not isinstance(mean, Tensor):
        return
    if mean.numel() == x.numel() and not key.startswith("q"):
        view.recon = mean
    elif isinstance(spread, Tensor):
        view.mu, view.scale, view.kind = mean, spread, "std"


def _read_order(view: View, entries: list[Any], x: Tensor) -> None:
    tensors = [t for t in entries if isinstance(t, Tensor) and t.dim() > 1 and t is not x]
    tensors = [t for t in tensors if t.shape[0] == x.shape[0]]
    tensors = [t for t in tensors if t.shape != x.shape or not bool((t == x).all())]
    pictures = [t for t in tensors if t.numel() == x.numel()]
    view.recon = pictures[0] if pictures else None
    rest = [t for t in tensors if t is not view.recon]
    if view.recon is None and len(rest) > 2:  # a reconstruction of the wrong size comes first
        view.recon, rest = rest[0], rest[1:]
    pairs = [(a, b) for a, b in pairwise(rest) if a.shape == b.shape]
    if len(rest) == 3 and rest[0].shape == rest[1].shape == rest[2].shape:
        view.z = rest[2]  # (mu, logvar, z)
    if pairs:
        view.mu, view.scale = pairs[0]


def replaced(raw: Any, new: Mapping[int, Tensor]) -> Any:
    """A copy of `raw` in which the tensors with these `id`s are others."""
    if isinstance(raw, Tensor):
        return new.get(id(raw), raw)
    if isinstance(raw, Mapping):
        return {key: replaced(value, new) for key, value in raw.items()}
    if isinstance(raw, tuple) and hasattr(raw, "_fields"):
        return type(raw)(*(replaced(value, new) for value in raw))
    if isinstance(raw, (tuple, list)):
        return type(raw)(replaced(value, new) for value in raw)
    if dataclasses.is_dataclass(raw) and not isinstance(raw, type):
        values = {f.name: replaced(getattr(raw, f.name), new) for f in dataclasses.fields(raw)}
        other = copy.copy(raw)
        for name, value in values.items():
            object.__setattr__(other, name, value)
        return other
    if hasattr(raw, "__dict__"):  # distributions, too: loc and scale are attributes
        other = copy.copy(raw)
        for name, value in vars(raw).items():
            setattr(other, name, replaced(value, new))
        return other
    return raw


FORMS = {  # from σ, and back to it
    "std": (lambda s: s, lambda t: t),
    "log_std": (torch.log, torch.exp),
    "logvar": (lambda s: 2 * s.log(), lambda t: torch.exp(0.5 * t)),
    "var": (torch.square, torch.sqrt),
}


def same_in_other_forms(view: View, scale: Tensor) -> dict[int, Tensor]:
    """An output may tell its scale twice, as a Normal and as a log-variance, say. Every entry that
    says the same as `view.scale` in another form, for another scale: by its `id`."""
    if view.kind not in FORMS or view.scale is None:
        return {}
    back = FORMS[view.kind][1]
    now, then, found = back(view.scale.detach()), back(scale), {}
    for leaf in _tensors(view.raw):
        if leaf is view.scale or leaf.shape != now.shape or leaf.dtype != now.dtype:
            continue
        for form, (write, _) in FORMS.items():
            same = torch.allclose(leaf.detach(), write(now), rtol=1e-4, atol=1e-5)
            if same and form != view.kind:
                found[id(leaf)] = write(then).to(scale.dtype)
    return found


def _tensors(raw: Any) -> list[Tensor]:
    if isinstance(raw, Tensor):
        return [raw]
    if isinstance(raw, (tuple, list)):
        return [t for part in raw for t in _tensors(part)]
    parts = vars(raw) if isinstance(raw, Distribution) else named_parts(raw)
    return [] if parts is None else _tensors(list(parts.values()))
