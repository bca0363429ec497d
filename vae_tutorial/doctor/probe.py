"""The loss as a function of reconstruction, μ and scale, whichever way it is written.

A loss on outputs is called with outputs whose parts are replaced. A loss that runs the model
itself is run with the results of its operations overwritten.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from vae_tutorial.doctor.reading import View, named_parts
from vae_tutorial.doctor.record import LINEAR, Recorder, write
from vae_tutorial.doctor.sampler import sigma_of
from vae_tutorial.doctor.subject import Subject

NEUTRAL = {"std": 1.0, "var": 1.0, "softplus": 0.541325}  # the scale at which σ is 1, if not 0
DRAWS = 6  # averaged where the loss draws noise itself


def standard_noise(like: Tensor) -> Tensor:
    """Noise whose mean is 0 and whose mean square is 1 exactly, so that averages are exact."""
    noise = torch.randn(like.shape, generator=torch.Generator().manual_seed(11)).to(like.dtype)
    noise = noise - noise.mean()
    return noise / noise.square().mean().sqrt()


def moderate(recon: Tensor) -> Tensor:
    """Random values between 0.1 and 0.9, which cost little as probabilities and as logits."""
    generator = torch.Generator().manual_seed(12)
    return (0.1 + 0.8 * torch.rand(recon.shape, generator=generator)).to(recon.dtype)


class Probe:
    """The loss on `x`, with parts of the output replaced. `recon` is what the loss looks at."""

    seed = 0
    weighted = False  # whether the loss takes the logarithm of a mean of weights

    def __init__(self, subject: Subject, x: Tensor, reading: str | None) -> None:
        self.subject, self.x, self.reading = subject, x, reading
        self.view: View = subject.forward(x)
        self.noisy = False  # whether it changes with the noise when all parts are held
        self.double = False
        if subject.whole:
            self._watch()
        else:
            self._choose_recon()
            self.double = self._can_be_double()
        self.neutral = NEUTRAL.get(reading or self.view.kind, 0.0)
        if self.sees_latents and self.recon is not None:
            self.noisy = self._is_noisy()

    def _can_be_double(self) -> bool:
        """Whether the loss takes float64, in which small changes can be seen."""
        if self.recon is None or not self.recon.is_floating_point():
            return False
        self.double = True
        try:
            self(recon=torch.full_like(self.recon, 0.5))
        except Exception:  # weights of its own in float32, say
            return False
        return True

    def _is_noisy(self) -> bool:
        one, other = (self._held_value(seed) for seed in (0, 1))
        return abs(one - other) > 1e-6 * max(1.0, abs(one))

    def _held_value(self, seed: int) -> float:
        held = self.recon.detach()
        if self.subject.whole:
            return self._whole_value(held, 0.3, self.neutral + 0.5, (seed,))
        self.seed = seed
        try:
            return self(recon=held, mu=0.3, scale=self.neutral + 0.5)
        finally:
            self.seed = 0

    # --- a loss that runs the model ------------------------------------------------------------

    def _run(self, edits: dict | None = None, seed: int = 0) -> tuple[float, Recorder]:
        self.subject.model.train(self.subject.training)
        with Recorder(edits) as recorder:
            value = self.subject.loss(None, self.x, seed)
        return value.item(), recorder

    def _watch(self) -> None:
        value, first = self._run()
        _, second = self._run(seed=1)
        self.value_now = value
        self.mu_at = first.find(self.view.mu) if self.view.latent else None
        self.scale_at = first.find(self.view.scale) if self.view.latent else None
        sums = [n for n, name in enumerate(first.names) if name == "logsumexp"]
        self.weighted = any(first.tensors[n].numel() == len(self.x) for n in sums)
        count = self.x.numel()
        outputs = [
            n for n, name in enumerate(first.names)
            if name in LINEAR and first.tensors[n].numel() % count == 0
            and first.tensors[n].shape == second.tensors[n].shape
        ] if len(first.tensors) == len(second.tensors) else []  # fmt: skip
        self.recon = first.tensors[outputs[-1]] if outputs else None
        last = first.names[outputs[-1]] if outputs else None
        self.recon_at = [  # several, where z is drawn several times
            n for n in outputs
            if first.names[n] == last and first.tensors[n].shape == self.recon.shape
        ]  # fmt: skip

    # --- a loss on outputs ----------------------------------------------------------------------

    def _choose_recon(self) -> None:
        """Of several entries of the size of x, the one that the loss depends on."""
        view = self.view
        self.recon = view.recon
        self.value_now = self.subject.loss(view, self.x).item()
        parts = named_parts(view.raw) or {}
        others = [
            t for t in parts.values()
            if isinstance(t, Tensor) and t.numel() == self.x.numel() and t is not view.recon
            and t.is_floating_point() and not torch.equal(t.flatten(), self.x.flatten())
        ]  # fmt: skip
        for candidate in [view.recon, *others]:
            if candidate is None:
                continue
            view.recon = candidate
            if self(recon=torch.full_like(candidate, 0.3)) != self(
                recon=torch.full_like(candidate, 0.6)
            ):
                self.recon = candidate
                return
        view.recon = self.recon

    def __call__(
        self, recon: Tensor | None = None, mu: Tensor | float | None = None,
        scale: Tensor | float | None = None,
    ) -> float:  # fmt: skip
        """The loss with these parts in place of the model's own."""
        if self.subject.whole:
            return self._whole_value(recon, mu, scale)
        new = {}
        if recon is not None:
            new["recon"] = recon
        if mu is not None:
            new["mu"] = _filled(mu, self.view.mu)
        if scale is not None:
            new["scale"] = _filled(scale, self.view.scale)
        drawn = self.view.z is not None and self.view.z is not self.view.mu
        if drawn and mu is not None and scale is not None:
            reading = self.reading if self.reading not in (None, "constant") else "logvar"
            sigma = sigma_of(reading, new["scale"])
            z = new["mu"] + sigma * standard_noise(self.view.mu)
            new["z"] = z.expand_as(self.view.z) if z.dim() < self.view.z.dim() else z
        x = self.x
        if self.double:
            x = x.double() if x.is_floating_point() else x
            for name in ("recon", "mu", "scale", "z"):
                value = new.get(name, getattr(self.view, name))
                if value is not None and value.is_floating_point():
                    new[name] = value.detach().double()
        return self.subject.loss_with(self.view, x, self.seed, **new)

    def _whole_value(self, recon, mu, scale, seeds=None) -> float:
        edits = {}
        if recon is not None:
            edits |= {n: write(recon) for n in self.recon_at}
        if mu is not None and self.mu_at is not None:
            edits[self.mu_at] = write(mu)
        if scale is not None and self.scale_at is not None:
            edits[self.scale_at] = write(scale)
        seeds = seeds or (range(DRAWS) if self.noisy else (0,))
        return sum(self._run(edits, seed)[0] for seed in seeds) / len(seeds)

    def depends_on_x(self) -> bool:
        """Whether a loss on outputs changes with x while the outputs stay."""
        if self.subject.whole or self.recon is None or not self.x.is_floating_point():
            return True
        recon = moderate(self.recon)
        value, x = self.of_recon(), self.x
        here = value(recon)
        if here == value(1 - recon):
            return True  # there is no reconstruction term at all
        other = x.flip(0).roll(1, -1)  # other data of the same kind
        if torch.equal(other, x):
            return True  # all examples are alike, so nothing can be told
        try:
            self.x = other
            return abs(value(recon) - here) > 1e-9 * abs(here)
        finally:
            self.x = x

    # --- what is asked most ---------------------------------------------------------------------

    @property
    def sees_latents(self) -> bool:
        if not self.view.latent:
            return False
        return not self.subject.whole or None not in (self.mu_at, self.scale_at)

    def of_latents(self) -> Callable[[float, float], float]:
        """The loss at constant μ and scale, with the reconstruction held."""
        held = None if self.recon is None else moderate(self.recon)
        return lambda m, t: self(recon=held, mu=m, scale=t)

    def of_one_latent(self) -> Callable[[int], float]:
        """The loss where μ is 1.5 in one latent dimension, and 0 in the others (in all: −1)."""
        held = None if self.recon is None else moderate(self.recon)

        def value(d: int) -> float:
            mu = torch.zeros_like(self.view.mu)
            if d >= 0:
                mu[..., d] = 1.5
            return self(recon=held, mu=mu, scale=torch.full_like(mu, self.neutral))

        return value

    def of_recon(self) -> Callable[[Tensor], float]:
        """The loss at other reconstructions, with q at N(0, 1) where it can be held."""
        if not self.sees_latents:
            return lambda recon: self(recon=recon)
        return lambda recon: self(recon=recon, mu=0.0, scale=self.neutral)


def _filled(value: Tensor | float, like: Tensor) -> Tensor:
    return value if isinstance(value, Tensor) else torch.full_like(like, value)
