"""VAEs whose latent variables are P codes with K values each.

In these models z is a tensor of whole numbers `(..., P)`. `prior()`, `posterior(x)` and
`likelihood(z)` are distributions as in every model of the package, so `log_weights`,
`log_likelihood`, `iwae_bounds` and `mean_elbo` work as they are. Only training differs, since
no gradient passes through a whole number: the objectives are in `vae_tutorial.discrete`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli, Categorical, Distribution, Independent
from torch.nn import functional as F

from vae_tutorial.arguments import real_number, whole_number
from vae_tutorial.models.networks import MLPDecoder
from vae_tutorial.models.quantisers import FiniteScalarQuantiser, Quantised, VectorQuantiser


@torch.no_grad()
def start_at_mean(decoder: MLPDecoder, images: Tensor) -> None:
    """Set the decoder's last bias so that training starts at the mean of `images` `(N, C, H, W)`.

    `images` are bytes, or numbers in [0, 1]; a mean below 1 % or above 99 % counts as that.
    Otherwise the first steps push all codes of all images in one direction, to learn what one
    picture for everything looks like. A code behind a softmax or a sigmoid can be driven so far
    that its gradient vanishes, and it never comes back.

    Raises `ValueError` for no images, for other numbers, or for another number of pixels.
    """
    if len(images) == 0:
        raise ValueError("images must hold at least one image, got none")
    least, most = images.min().item(), images.max().item()
    if images.dtype != torch.uint8 and not 0 <= least <= most <= 1:  # NaN too
        raise ValueError(
            f"images must be bytes or numbers in [0, 1], got {images.dtype} from {least:.4g} to "
            f"{most:.4g}. Grey levels 0 … 255 become bytes by images.byte()."
        )
    mean = images.float().mean(0).flatten() / (255 if images.dtype == torch.uint8 else 1)
    bias = decoder.layers[-1].bias
    if mean.shape != bias.shape:
        raise ValueError(
            f"images must have the decoder's {len(bias)} pixels, got {tuple(images.shape[1:])}"
        )
    bias.copy_(torch.logit(mean.clamp(0.01, 0.99)))


class CodeVAE(nn.Module):
    """What the two models share: P = `positions` codes, K = `categories`, and binary pixels.

    `encoder` maps images to `(B, P · E)` (the package's encoders do with `heads=1`), `decoder`
    maps `(..., P · E)` to one logit for each pixel. `prior` is a module that returns a
    distribution over codes `(P,)` when called, such as `CodePrior`; by default all K^P codes
    have the same probability.

    Raises `ValueError` where the sizes of encoder and decoder do not fit.
    """

    values = "binary"

    def __init__(
        self, encoder: nn.Module, decoder: nn.Module, positions: int, categories: int,
        width: int, prior: nn.Module | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.positions = self.latent_dim = whole_number("positions", positions)
        self.categories = whole_number("categories", categories, least=2)
        for name, network in (("encoder", encoder), ("decoder", decoder)):
            if getattr(network, "latent_dim", positions * width) != positions * width:
                raise ValueError(
                    f"{name} must have latent_dim = {positions} positions × {width} numbers = "
                    f"{positions * width}, got {network.latent_dim}"
                )
        self.encoder, self.decoder, self.prior_module = encoder, decoder, prior
        self.register_buffer("flat", torch.zeros(positions, categories), persistent=False)

    def prior(self) -> Distribution:
        """p(z) over codes `(P,)`."""
        if self.prior_module is not None:
            return self.prior_module()
        return Independent(Categorical(logits=self.flat, validate_args=False), 1)

    def posterior(self, x: Tensor) -> Distribution:
        """q(z | x) over codes `(P,)`: the positions are independent, given x `(B, C, H, W)`."""
        return Independent(Categorical(logits=self.logits(x), validate_args=False), 1)

    def likelihood(self, z: Tensor) -> Distribution:
        """p(x | z) for codes z `(..., P)`."""
        return self.likelihood_of(self.embedded(z))

    def likelihood_of(self, inputs: Tensor) -> Distribution:
        """p(x | z) for what the decoder sees, `(..., P · E)`."""
        logits = self.decoder(inputs)
        each = Bernoulli(logits=logits, validate_args=False)
        return Independent(each, logits.dim() - inputs.dim() + 1)

    def heads(self, x: Tensor) -> Tensor:
        """The encoder's output, position by position: `(B, P, E)`."""
        return self.encoder(x).unflatten(-1, (self.positions, -1))

    @torch.no_grad()
    def encode(self, x: Tensor) -> Tensor:
        """The most probable codes `(B, P)` of images `(B, C, H, W)`."""
        return self.logits(x).argmax(-1)

    @torch.no_grad()
    def decode(self, z: Tensor) -> Tensor:
        """The mean of p(x | z) for codes z `(..., P)`."""
        return self.likelihood(z).mean

    @torch.no_grad()
    def reconstruct(self, x: Tensor) -> Tensor:
        """The mean of p(x | z) at the most probable codes of images `(B, C, H, W)`."""
        return self.decode(self.encode(x))

    @torch.no_grad()
    def sample(self, count: int) -> Tensor:
        """`count` images: codes from the prior, then the mean of p(x | z)."""
        return self.decode(self.prior().sample((whole_number("count", count),)))

    def logits(self, x: Tensor) -> Tensor:
        """log q(z | x) up to a constant, `(B, P, K)`."""
        raise NotImplementedError

    def embedded(self, z: Tensor) -> Tensor:
        """What the decoder sees of codes `(..., P)`: `(..., P · E)`."""
        raise NotImplementedError


class CategoricalVAE(CodeVAE):
    """q(z | x) has the probabilities softmax(encoder(x)); the decoder sees one-hot vectors.

    Encoder and decoder have `latent_dim` = P · K.
    """

    def __init__(
        self, encoder: nn.Module, decoder: nn.Module, positions: int, categories: int,
        prior: nn.Module | None = None,
    ) -> None:  # fmt: skip
        super().__init__(encoder, decoder, positions, categories, categories, prior)

    def logits(self, x: Tensor) -> Tensor:
        return self.heads(x)

    def embedded(self, z: Tensor) -> Tensor:
        onehot = F.one_hot(z.long(), self.categories).flatten(-2)
        return onehot.to(self.flat.dtype)


class QuantisedVAE(CodeVAE):
    """An encoder whose P vectors `(D,)` are quantised: VQ-VAE, or FSQ.

    Encoder and decoder have `latent_dim` = P · D. The code of an image is a function of it: q
    puts all its mass on z(x), the nearest codes. `spread` > 0 makes q a distribution again,
    proportional to exp(−distance / spread), with the same most probable code. Training ignores
    it. It is a proposal for importance sampling.
    """

    def __init__(
        self, encoder: nn.Module, decoder: nn.Module, positions: int,
        quantiser: VectorQuantiser | FiniteScalarQuantiser, prior: nn.Module | None = None,
        spread: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__(encoder, decoder, positions, quantiser.codes, quantiser.dim, prior)
        self.quantiser = quantiser
        self.spread = real_number("spread", spread, "non-negative", 0.0)

    def quantised(self, x: Tensor) -> Quantised:
        """The quantised encoder output of images: z `(B, P, D)`, codes `(B, P)`."""
        return self.quantiser(self.heads(x))

    def logits(self, x: Tensor) -> Tensor:
        distances = self.quantiser.distances(self.heads(x))  # (B, P, K)
        if self.spread > 0:
            return -distances / self.spread
        nearest = F.one_hot(distances.argmin(-1), self.categories)
        return nearest.to(distances.dtype).log()  # 0 for the nearest code, −∞ for the others

    def embedded(self, z: Tensor) -> Tensor:
        return self.quantiser.lookup(z.long()).flatten(-2)
