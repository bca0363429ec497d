"""The two models of the book: the autoencoder and the variational autoencoder."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, Independent, Normal

from vae_tutorial.arguments import real_number, true_or_false, whole_number
from vae_tutorial.models.likelihoods import BernoulliLikelihood


class StandardNormal(Independent):
    """N(0, I) over `(D,)`, known as such, so that the KL to it needs no division by ones."""


class Autoencoder(nn.Module):
    """An encoder and a decoder in a row.

    `encoder` maps images to codes `(B, D)` (make it with `heads=1`), `decoder` maps codes to
    one raw number for each pixel. A sigmoid brings that into [0, 1]; `sigmoid=False` leaves it
    out, as for principal component analysis.
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module, sigmoid: bool = True) -> None:
        super().__init__()
        self.latent_dim = _shared_latent_dim(encoder, decoder, heads=1)
        self.encoder, self.decoder = encoder, decoder
        self.sigmoid = true_or_false("sigmoid", sigmoid)
        self.values = "unit" if sigmoid else "real"  # the data that it is for

    def encode(self, x: Tensor) -> Tensor:
        """The codes `(B, D)` of images `(B, C, H, W)`."""
        return self.encoder(x)

    def decode(self, z: Tensor) -> Tensor:
        """The images `(..., C, H, W)` of codes `(..., D)`."""
        raw = at_least_float32(self.decoder(z))
        return torch.sigmoid(raw) if self.sigmoid else raw

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x))


class Output(NamedTuple):
    """What calling a VAE returns: the mean of p(x | z) for one z from q, and q's parameters."""

    reconstruction: Tensor  # (B, C, H, W)
    mu: Tensor  # (B, D)
    logvar: Tensor  # (B, D)


class VAE(nn.Module):
    """A variational autoencoder (Kingma and Welling, 2014), as three distributions.

    - `prior()`: p(z), a standard normal over `(D,)`, or what the module `prior` returns;
    - `posterior(x)`: q(z | x), a diagonal normal whose parameters the encoder gives;
    - `likelihood(z)`: p(x | z), a distribution over images whose parameters the decoder gives.

    Each is joint over one example: `posterior(x).log_prob(z)` is `(B,)`, summed over the D
    latent dimensions, and `likelihood(z).log_prob(x)` is summed over pixels. A model with
    another q overrides `posterior`; every function of the package uses these three alone.

    - `likelihood` is one of the modules of `likelihoods`; the default is Bernoulli. It stays in
      the attribute `observation_model`. The attribute `values` says what data it is for,
      `"binary"`, `"unit"`, `"real"` or `"integer"`, and `levels` how many integers, if known.
    - `prior` is a module that returns a distribution over `(D,)` when called; see `priors`.
    - `conditional=True`: everything depends on a condition y as well, p(z | y), q(z | x, y) and
      p(x | z, y). Encoder and decoder are then called with `(x, y)` and `(z, y)`, a prior
      module with `(y,)`.

    Raises `ValueError` where encoder and decoder do not fit together.
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        likelihood: nn.Module | None = None,
        prior: nn.Module | None = None,
        conditional: bool = False,
    ) -> None:
        super().__init__()
        self.latent_dim = _shared_latent_dim(encoder, decoder, heads=2)
        for name, part in (("likelihood", likelihood), ("prior", prior)):
            if not (part is None or isinstance(part, nn.Module)):
                raise TypeError(
                    f"{name} must be a torch.nn.Module or None, got {part!r}. See vt.Gaussian"
                    "Likelihood and vt.MixturePrior for how one looks."
                )
        self.encoder, self.decoder = encoder, decoder
        self.conditional = true_or_false("conditional", conditional)
        self.observation_model = BernoulliLikelihood() if likelihood is None else likelihood
        self.prior_module = prior
        self.values = getattr(self.observation_model, "values", "unit")
        self.levels = getattr(self.observation_model, "levels", None)
        # Buffers, not attributes: they follow the model from device to device.
        self.register_buffer("prior_mean", torch.zeros(self.latent_dim), persistent=False)
        self.register_buffer("prior_scale", torch.ones(self.latent_dim), persistent=False)

    def prior(self, y: Tensor | None = None) -> Distribution:
        """p(z), or p(z | y): `log_prob` of z `(..., D)` is `(...)`, `sample((B,))` is `(B, D)`."""
        if self.prior_module is not None:
            return self.prior_module(y) if self.conditional else self.prior_module()
        return StandardNormal(Normal(self.prior_mean, self.prior_scale, validate_args=False), 1)

    def posterior(self, x: Tensor, y: Tensor | None = None) -> Distribution:
        """q(z | x), or q(z | x, y), for images `(B, C, H, W)`: over `(D,)` for each of B."""
        if hasattr(self.observation_model, "to_encoder"):
            x = self.observation_model.to_encoder(x).to(self.prior_mean.dtype)
        parameters = self.encoder(x, y) if self.conditional else self.encoder(x)
        if not isinstance(parameters, tuple) or len(parameters) != 2:
            raise TypeError(
                "the encoder of a VAE must return a tuple (mu, logvar), each (B, D), got "
                f"{type(parameters).__name__}. The package's encoders do so with heads=2."
            )
        mu, logvar = map(at_least_float32, parameters)
        return Independent(Normal(mu, torch.exp(0.5 * logvar), validate_args=False), 1)

    def likelihood(self, z: Tensor, y: Tensor | None = None) -> Distribution:
        """p(x | z) for z `(..., D)`: `log_prob` of images sums over pixels, shape `(...)`."""
        raw = self.decoder(z, y) if self.conditional else self.decoder(z)  # (..., C, H, W)
        each = self.observation_model(at_least_float32(raw))
        return Independent(each, len(each.batch_shape) - z.dim() + 1)

    def forward(self, x: Tensor, y: Tensor | None = None) -> Output:
        """Reconstructions through one z from q(z | x), with q's mean and log-variance."""
        q = self.posterior(x, y)
        return Output(mean_of(self.likelihood(q.rsample(), y)), q.mean, 2 * q.stddev.log())

    @torch.no_grad()
    def sample(self, count: int, temperature: float = 1.0, y: Tensor | None = None) -> Tensor:
        """`count` images from the model: z from the prior, then the mean of p(x | z).

        `temperature` scales the distance of z from the prior's mean; 1 draws z from the prior
        itself, less stays closer to the middle of the latent space, where images are more
        alike. A conditional model needs `y`, one for each image.
        """
        count = whole_number("count", count)
        temperature = real_number("temperature", temperature, "non-negative", 0.0)
        if self.conditional and (y is None or len(y) != count):
            found = "none" if y is None else len(y)
            raise ValueError(f"y must hold {count} conditions, one for each image, got {found}")
        prior = self.prior(y)
        z = prior.sample(() if prior.batch_shape else (count,))  # (N, D)
        if temperature != 1:
            z = prior.mean + temperature * (z - prior.mean)
        return mean_of(self.likelihood(z, y))

    @torch.no_grad()
    def reconstruct(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """The mean of p(x | z) at the mean of q(z | x), for images `(B, C, H, W)`."""
        return mean_of(self.likelihood(self.posterior(x, y).mean, y))


def mean_of(p: Distribution) -> Tensor:
    """The mean of p(x | z); for grey levels or tokens 0 … L − 1, the expected one.

    torch gives NaN as the mean of a `Categorical`, since it takes the values as mere names.
    """
    each = p.base_dist if isinstance(p, Independent) else p
    if isinstance(each, Categorical):
        levels = torch.arange(each.probs.shape[-1], device=each.probs.device)
        return (each.probs * levels).sum(-1)
    return p.mean


@torch.no_grad()
def warn_of_outputs(model: nn.Module, x: Tensor) -> None:
    """Warn of networks whose last layer forbids values that it should be able to give.

    Tries a few examples of `x` `(B, ...)` in evaluation mode, as they are and a hundred times as
    large, which drives any linear last layer out of a narrow range: a decoder that ends in a
    sigmoid where logits are expected, and an encoder whose log-variances went through a softplus
    that was meant for a standard deviation.
    """
    own = isinstance(model, VAE) and type(model).posterior is VAE.posterior
    if not own or model.conditional or not x.is_floating_point():
        return
    modes = [(part, part.training) for part in model.modules()]
    model.eval()
    try:
        few = x[:32]
        mu, logvar = model.encoder(few)
        far = [model.encoder(s * few)[1] for s in (100, -100)]
        raw = [model.decoder(s * mu) for s in (1, 100, -100)]
    finally:
        for part, mode in modes:
            part.training = mode
    logits = model.values in ("binary", "unit") and all(isinstance(r, Tensor) for r in raw)
    if logits and all(r.min() >= 0 and r.max() <= 1 for r in raw):
        warnings.warn(
            "the decoder's outputs all lie between 0 and 1, as after a sigmoid, but the "
            "likelihood takes them for logits. Leave out the decoder's sigmoid.",
            stacklevel=4,
        )
    if logvar.min() > 0.2 and all(f.min() >= 0 for f in far):
        warnings.warn(
            "the encoder's log-variances are all positive, as after a softplus, which allows no "
            "standard deviation below 1. A log-variance needs a linear last layer.",
            stacklevel=4,
        )


def at_least_float32(x: Tensor) -> Tensor:
    """What a network computed in half precision, as float32; other tensors as they are.

    Distributions, log-likelihoods and their sums are never computed in half precision: a sum
    over 784 pixels in bfloat16 would keep two or three digits.
    """
    half = isinstance(x, Tensor) and x.dtype in (torch.bfloat16, torch.float16)
    return x.float() if half else x


def _shared_latent_dim(encoder: nn.Module, decoder: nn.Module, heads: int) -> int:
    for name, network in (("encoder", encoder), ("decoder", decoder)):
        if not isinstance(network, nn.Module):
            raise TypeError(f"{name} must be a torch.nn.Module, got {type(network).__name__}")
    found = getattr(encoder, "heads", heads)
    if found != heads:
        model = {1: "an Autoencoder", 2: "a VAE"}[heads]
        raise ValueError(f"{model} needs an encoder made with heads={heads}, got heads={found}")
    sizes = {
        part: getattr(network, "latent_dim", None)
        for part, network in (("encoder", encoder), ("decoder", decoder))
    }
    if sizes["decoder"] is None or sizes["encoder"] not in (None, sizes["decoder"]):
        raise ValueError(
            "encoder and decoder must have the same attribute latent_dim, got "
            f"encoder {sizes['encoder']}, decoder {sizes['decoder']}"
        )
    return sizes["decoder"]
