"""One contract for every latent-variable model: each kind is trained, and measured by every
estimator, against its exact log p(x); or the estimator refuses, and says why."""

import itertools
import math

import numpy as np
import pytest
import torch
from contract_models import KINDS, Kind, Tokens, TokenVAE
from torch.distributions import Independent, MultivariateNormal, Normal

import vae_tutorial as vt

TRAINED: dict[str, Kind] = {}
COUNT = 40  # examples that are measured


@pytest.fixture(params=KINDS)
def kind(request):
    """A kind of model, trained for a moment; each once for all tests here."""
    return trained(request.param), request.param


def trained(name: str) -> Kind:
    if name not in TRAINED:
        torch.manual_seed(1)
        made = KINDS[name]()
        before = vt.evaluate(made.model, made.data, objective=made.objective)["loss"]
        history = vt.fit(made.model, made.data, objective=made.objective, epochs=25,
                         batch_size=50, learning_rate=1e-2, device="cpu")  # fmt: skip
        assert history.train["loss"][-1] < before - 0.3, name
        TRAINED[name] = made
    return TRAINED[name]


def some(made: Kind) -> tuple[object, torch.Tensor, torch.Tensor | None]:
    """Data for an estimator, and the same as x and y."""
    if isinstance(made.data, tuple):
        x, y = (part[:COUNT] for part in made.data)
        return (x, y), x, y
    if isinstance(made.data, list):
        x = made.data[0][:COUNT]
        return [x[:15], x[15:]], x, None
    x = made.data[:COUNT]
    return x, x, None


def exact_of(made: Kind) -> tuple[object, torch.Tensor]:
    data, x, y = some(made)
    x = x.long() if x.dtype == torch.uint8 else x
    return data, made.exact(x, y)


REFUSED = {
    ("vector quantised", "log_likelihood"), ("vector quantised", "iwae_bounds"),
    ("vector quantised", "mean_elbo"), ("vector quantised", "ais"), ("vector quantised", "bdmc"),
    ("vector quantised", "inference_gaps"), ("vector quantised", "active_units"),
    ("vector quantised", "information"), ("vector quantised", "objectives"),
    ("two layers", "mean_elbo"), ("two layers", "ais"), ("two layers", "bdmc"),
    ("two layers", "inference_gaps"), ("two layers", "active_units"),
    ("two layers", "information"), ("two layers", "embed"),
    ("conditional", "bdmc"), ("conditional", "information"),
    ("full covariance", "inference_gaps"), ("full covariance", "information"),
}  # fmt: skip
"""What has no meaning for a kind, or is not offered."""


def refuses(name: str, estimator: str, call) -> bool:
    if (name, estimator) not in REFUSED:
        return False
    with pytest.raises(TypeError) as caught:
        call()
    said = str(caught.value)
    assert len(said) > 60, said  # why, and what to do instead
    return True


def test_log_likelihood_is_exact(kind):
    made, name = kind
    data = some(made)[0]
    if refuses(name, "log_likelihood", lambda: vt.log_likelihood(made.model, data, 10)):
        return
    data, exact = exact_of(made)
    found = vt.log_likelihood(made.model, data, 4000)
    low, high = found.interval(errors=4.5)
    assert low - 1e-9 < exact.mean() < high + 1e-9
    assert found.sampling_error < 0.1  # the comparison means something


def test_iwae_bounds_rise_to_log_px(kind):
    made, name = kind
    data = some(made)[0]
    if refuses(name, "iwae_bounds", lambda: vt.iwae_bounds(made.model, data, (1, 2))):
        return
    data, exact = exact_of(made)
    found = vt.iwae_bounds(made.model, data, (1, 10, 1000))
    means = [found[k].mean for k in (1, 10, 1000)]
    slack = 4.5 * found[1].sampling_error
    assert means[0] < means[1] + slack and means[1] < means[2] + slack
    assert means[2] < exact.mean() + slack and exact.mean() - means[2] < 0.1 + slack


def test_mean_elbo_and_objectives_agree_below_log_px(kind):
    made, name = kind
    data, x, y = some(made)
    if name == "vector quantised":
        return
    x = x.long() if x.dtype == torch.uint8 else x
    _, exact = exact_of(made)
    with torch.no_grad():
        bounds = torch.stack([vt.elbo(made.model, x, y)["elbo"] for _ in range(400)])
        one = torch.stack([vt.iwae_bound(made.model, x, y, samples=1)["bound"] for _ in range(400)])
    errors = [4.5 * b.mean(1).std() / 20 for b in (bounds, one)]
    assert abs(bounds.mean() - one.mean()) < errors[0] + errors[1]
    assert bounds.mean() < exact.mean() + errors[0]
    if refuses(name, "mean_elbo", lambda: vt.mean_elbo(made.model, data, 5)):
        return
    found = vt.mean_elbo(made.model, data, 400)
    assert abs(found.mean - bounds.mean()) < errors[0] + 4.5 * found.sampling_error
    assert found.kl_is_exact is (name not in ("mixture prior", "VampPrior"))


def test_annealing_is_exact(kind):
    made, name = kind
    data = some(made)[0]
    if refuses(name, "ais", lambda: vt.ais(made.model, data, 3, 2)):
        return
    data, exact = exact_of(made)
    low, high = vt.ais(made.model, data, 60, 12, leapfrog=4).interval(errors=4.5)
    assert low - 0.05 < exact.mean() < high + 0.05


def test_bidirectional_bounds_hold_log_px(kind):
    made, name = kind
    if refuses(name, "bdmc", lambda: vt.bdmc(made.model, 3, 3, 2)):
        return
    found = vt.bdmc(made.model, 40, 40, 8, leapfrog=4)
    exact = made.exact(found.images, None).mean().item()
    low, high = found.interval(errors=4.5)
    assert low < exact < high


def test_inference_gaps_add_up(kind):
    made, name = kind
    data = some(made)[0]
    if refuses(name, "inference_gaps", lambda: vt.inference_gaps(made.model, data, steps=2)):
        return
    data, exact = exact_of(made)
    found = vt.inference_gaps(made.model, data, steps=60, samples=400)
    gap = exact.mean().item() - found.elbo.mean
    assert found.inference.mean == pytest.approx(gap, abs=0.05 + 4.5 * found.elbo.sampling_error)
    assert found.amortisation.mean > -0.05 and found.approximation.mean > -0.05


def test_latents_are_described(kind):
    made, name = kind
    data, x, _ = some(made)
    for estimator in ("active_units", "information"):
        function = getattr(vt, estimator)
        if not refuses(name, estimator, lambda function=function: function(made.model, data)):
            found = function(made.model, data)
            if estimator == "information":
                rate = vt.mean_elbo(made.model, data, 400)
                near = 0.02 + 4.5 * rate.sampling_error + 4.5 * found.aggregate_kl.sampling_error
                assert found.rate == pytest.approx(rate.rate, abs=near)
    if not refuses(name, "embed", lambda: vt.embed(made.model, data)):
        codes = vt.embed(made.model, data)
        assert isinstance(codes, np.ndarray) and len(codes) == len(x)


# What was wrong before, by its numbers


def test_a_mixture_prior_gets_its_true_kl_and_its_gradient():
    """q = N(0, I) for all images and a prior with one component N(m, I): KL = ½ |m|² = 0.375."""
    prior = vt.MixturePrior(3, 1)
    with torch.no_grad():
        prior.mu.fill_(0.5)
    encoder = vt.MLPEncoder(3, (), (1, 1, 2))
    torch.nn.init.zeros_(encoder.layers[1][0].weight)
    torch.nn.init.zeros_(encoder.layers[1][0].bias)
    model = vt.VAE(encoder, vt.MLPDecoder(3, (), (1, 1, 2)), prior=prior)
    terms = vt.elbo(model, torch.ones(5, 1, 1, 2), samples=20_000)
    assert terms["kl_estimate"].mean().item() == pytest.approx(0.375, abs=0.02)
    assert "kl" not in terms
    terms["loss"].mean().backward()
    assert prior.mu.grad.mean().item() == pytest.approx(0.5, abs=0.05)  # d ½|m|² / dm
    found = vt.mean_elbo(model, torch.ones(5, 1, 1, 2), 20_000, binarise=False)
    assert found.rate == pytest.approx(0.375, abs=0.02) and not found.kl_is_exact


def test_correlated_posteriors_get_their_true_kl():
    """KL(N(0, C) ‖ N(0, I)) = ½ (tr C − D − log det C), which the diagonal alone misses."""
    C = torch.tensor([[2.0, 1.8], [1.8, 2.0]])
    q = MultivariateNormal(torch.zeros(4, 2), C)
    p = Independent(Normal(torch.zeros(2), torch.ones(2)), 1)
    exact = 0.5 * (4 - 2 - math.log(4 - 1.8**2))
    torch.testing.assert_close(vt.kl(q, p), torch.full((4,), exact))
    z = q.sample((200_000,))
    estimate = (q.log_prob(z) - p.log_prob(z)).mean()
    assert estimate.item() == pytest.approx(exact, abs=0.02)


def test_a_kl_that_needs_draws_says_so():
    class Odd(Normal):
        pass

    mixture = vt.MixturePrior(2, 3)()
    q = Independent(Normal(torch.zeros(5, 2), torch.ones(5, 2)), 1)
    with pytest.raises(ValueError, match=r"z must be draws from q.*no closed form"):
        vt.kl(q, mixture)
    with pytest.raises(ValueError, match=r"free bits.*need.*diagonal normals"):
        vt.elbo(KINDS["mixture prior"]().model, torch.zeros(2, 1, 1, 6).double(), free_bits=0.1)


def test_a_posterior_that_is_not_joint_is_refused(small_vae):
    q = Normal(torch.zeros(3, 2), torch.ones(3, 2))
    small_vae.posterior = lambda x, y=None: q
    with pytest.raises(ValueError, match=r"must be joint .* Independent\(q, 1\)"):
        vt.elbo(small_vae, torch.zeros(3, 1, 8, 8))


def test_sequences_are_normalised():
    """p(x | z) over all sequences of three tokens that end or do not: sums to one."""
    model = TokenVAE(tokens=3, length=3).double()
    every = {
        tuple(s[: s.index(0)] + [0] * (3 - s.index(0)) if 0 in s else s)
        for s in map(list, itertools.product(range(3), repeat=3))
    }
    x = torch.tensor(sorted(every))
    p = Tokens(model, torch.randn(1, dtype=torch.float64).expand(len(x), 1))
    assert p.log_prob(x).exp().sum().item() == pytest.approx(1)
    assert Tokens(model, torch.randn(7, 1).double()).sample().shape == (7, 3)


def test_sixteen_levels_are_drawn_and_shown():
    made = trained("16 grey levels")
    images = made.model.sample(50)
    assert images.isfinite().all() and images.min() >= 0 and images.max() <= 15
    # the expected level of a reconstruction, by its definition
    x = made.data[:3].long()
    probabilities = made.model.decoder(made.model.posterior(x).mean).softmax(1)
    expected = (probabilities * torch.arange(16)[:, None, None]).sum(1, keepdim=True)
    torch.testing.assert_close(made.model.reconstruct(x), expected.detach())


def test_the_perplexity_of_codes_is_one_of_the_whole_set():
    """exp of the entropy of how often each code is used; means over batches would be smaller."""
    made = trained("vector quantised")
    codes = vt.embed(made.model, made.data)
    assert codes.dtype == np.int64 and codes.shape == (600, 2)

    def perplexity(part):
        used = np.bincount(part.ravel(), minlength=8) / part.size
        return np.exp(-(used[used > 0] * np.log(used[used > 0])).sum())

    whole = perplexity(codes)
    in_batches = np.mean([perplexity(codes[i : i + 20]) for i in range(0, 600, 20)])
    assert 1 < in_batches < whole <= 8


def test_a_conditional_model_asks_for_its_conditions():
    made = trained("conditional")
    x, y = made.data
    assert made.model.sample(4, y=y[:4]).shape == (4, 1, 1, 6)
    with pytest.raises(ValueError, match="y must hold 4 conditions, one for each image, got none"):
        made.model.sample(4)
    with pytest.raises((TypeError, ValueError), match="condition"):
        vt.log_likelihood(made.model, x[:4], 10)
    with pytest.raises((TypeError, ValueError), match="condition"):
        vt.fit(made.model, x, epochs=1)
