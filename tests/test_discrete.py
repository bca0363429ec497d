"""Quantisers, codes and their prior, against brute force, hand computations and sums."""

import itertools
import math
from functools import partial

import pytest
import torch
from torch.distributions import Categorical, Independent, kl_divergence

import vae_tutorial as vt
from vae_tutorial import discrete
from vae_tutorial.models.code_prior import CodePrior
from vae_tutorial.models.discrete import CategoricalVAE, QuantisedVAE
from vae_tutorial.models.quantisers import (
    FiniteScalarQuantiser,
    VectorQuantiser,
    code_use,
    k_means,
    straight_through,
)

SHAPE = (1, 4, 4)


def small_categorical(positions=2, categories=3, seed=0):
    torch.manual_seed(seed)
    size = positions * categories
    return CategoricalVAE(
        vt.MLPEncoder(size, (12,), SHAPE, heads=1), vt.MLPDecoder(size, (12,), SHAPE),
        positions, categories,
    ).double()  # fmt: skip


def small_quantised(quantiser, positions=2, seed=0):
    torch.manual_seed(seed)
    size = positions * quantiser.dim
    return QuantisedVAE(
        vt.MLPEncoder(size, (12,), SHAPE, heads=1), vt.MLPDecoder(size, (12,), SHAPE),
        positions, quantiser,
    )  # fmt: skip


def binary(count=5, seed=1, dtype=torch.float64):
    noise = torch.Generator().manual_seed(seed)
    return torch.rand(count, *SHAPE, generator=noise).round().to(dtype)


# ---- straight through


def test_the_gradient_goes_straight_through():
    soft = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    hard = torch.randn(4, 3, dtype=torch.float64)
    out = straight_through(hard, soft)
    weights = torch.randn(4, 3, dtype=torch.float64)
    (out * weights).sum().backward()
    assert torch.allclose(out, hard) and torch.equal(soft.grad, weights)
    with pytest.raises(ValueError, match="hard and soft must have one shape"):
        straight_through(hard, soft[:1])


@pytest.mark.parametrize(
    "make",
    [
        lambda: VectorQuantiser(7, 3),
        lambda: VectorQuantiser(7, 3, decay=None),
        lambda: FiniteScalarQuantiser((3, 4, 5)),
    ],
)
def test_the_decoders_gradient_reaches_the_encoder(make):
    torch.manual_seed(0)
    quantiser = make().eval()
    h = torch.randn(6, 3, requires_grad=True)
    weights = torch.randn(6, 3)
    (quantiser(h).z * weights).sum().backward()
    slope = 1.0
    if isinstance(quantiser, FiniteScalarQuantiser):  # that of the bound, 2 sigmoid(h) − 1
        s = torch.sigmoid(h.detach())
        slope = 2 * s * (1 - s)
    assert torch.allclose(h.grad, slope * weights, atol=1e-6)


# ---- the codebook


@pytest.mark.parametrize("normalise", [False, True])
def test_the_nearest_code_by_brute_force(normalise):
    torch.manual_seed(1)
    quantiser = VectorQuantiser(9, 4, normalise=normalise).eval()
    h = torch.randn(5, 3, 4)
    found = quantiser(h)
    for at in itertools.product(range(5), range(3)):
        row = h[at] / h[at].norm() if normalise else h[at]
        away = [(row - e).norm().item() for e in quantiser.vectors]
        assert found.codes[at] == away.index(min(away))
        best = quantiser.vectors[found.codes[at]]
        assert torch.allclose(found.z[at], best, atol=1e-6)
        assert abs(found.commitment_cost[at] - (row - best).square().sum()) < 1e-5
        assert torch.allclose(quantiser.distances(h[at]).sqrt(), torch.tensor(away), atol=1e-3)


def test_who_learns_from_which_cost():
    quantiser = VectorQuantiser(4, 2, decay=None)
    h = torch.randn(6, 2, requires_grad=True)
    found = quantiser(h)
    (of_code,) = torch.autograd.grad(found.codebook_cost.sum(), quantiser.codebook)
    expected = torch.zeros(4, 2)
    for row, code in zip(h.detach(), found.codes):
        expected[code] += 2 * (quantiser.codebook.detach()[code] - row)
    assert torch.allclose(of_code, expected, atol=1e-6)
    cost = quantiser(h).commitment_cost.sum()
    (of_h,) = torch.autograd.grad(cost, h, retain_graph=True)
    assert torch.allclose(of_h, 2 * (h - quantiser.codebook[found.codes]).detach(), atol=1e-6)
    assert torch.autograd.grad(cost, quantiser.codebook, allow_unused=True) == (None,)


def test_moving_averages_by_hand():
    quantiser = VectorQuantiser(2, 1, decay=0.9)
    with torch.no_grad():
        quantiser.codebook.copy_(torch.tensor([[-1.0], [1.0]]))
        quantiser.sums.copy_(quantiser.codebook)
    quantiser.train()(torch.tensor([[0.5], [2.0], [-3.0]]))  # codes 1, 1, 0
    counts = torch.tensor([0.9 * 1 + 0.1 * 1, 0.9 * 1 + 0.1 * 2])
    sums = torch.tensor([[0.9 * -1 + 0.1 * -3.0], [0.9 * 1 + 0.1 * 2.5]])
    assert torch.allclose(quantiser.counts, counts)
    assert torch.allclose(quantiser.codebook, sums / counts[:, None])
    before = quantiser.codebook.clone()
    quantiser.eval()(torch.randn(5, 1))
    assert torch.equal(quantiser.codebook, before)


def test_a_code_that_nobody_chooses_stays_where_it_is():
    torch.manual_seed(2)
    quantiser = VectorQuantiser(2, 1, decay=0.5).train()
    quantiser.codebook.copy_(torch.tensor([[0.0], [9.0]]))
    quantiser.sums.copy_(quantiser.codebook)
    for _ in range(200):
        quantiser(torch.randn(20, 1))
    assert abs(quantiser.codebook[1] - 9) < 1e-3 and quantiser.codebook.isfinite().all()


def test_a_dead_code_restarts_at_a_vector_of_the_batch():
    torch.manual_seed(3)
    quantiser = VectorQuantiser(3, 2, decay=0.5, restart=0.1).train()
    quantiser.codebook.copy_(torch.tensor([[0.0, 0.0], [50.0, 0.0], [0.0, 50.0]]))
    quantiser.sums.copy_(quantiser.codebook)
    rows = torch.randn(30, 2)
    for _ in range(3):
        quantiser(rows)
        assert quantiser.codebook[1].norm() == 50  # 0.5³ > 0.1: not dead yet
    quantiser(rows)
    assert (quantiser.codebook[1] == rows).all(1).any()
    assert (quantiser.codebook[2] == rows).all(1).any()
    assert quantiser(rows).codes.unique().numel() >= 2


def test_k_means_and_the_start_from_data():
    torch.manual_seed(4)
    centres = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    rows = centres.repeat_interleave(40, 0) + 0.1 * torch.randn(120, 2)
    cost = min(torch.cdist(rows, k_means(rows, 3)).min(1).values.sum() for _ in range(8))
    assert cost < 120 * 0.2  # for one of eight starts; a wrong assignment costs 400
    quantiser = VectorQuantiser(3, 2, start="data").train()
    quantiser(rows)
    assert bool(quantiser.started)
    assert torch.cdist(quantiser.codebook, rows).min(1).values.max() < 8
    assert len(k_means(rows[:2], 5)) == 5


def test_bad_settings_of_a_codebook():
    with pytest.raises(ValueError, match="codes must be a whole number"):
        VectorQuantiser(0, 2)
    with pytest.raises(ValueError, match=r"decay must be None or lie in \[0, 1\), got 1.0"):
        VectorQuantiser(4, 2, decay=1.0)
    with pytest.raises(ValueError, match='start must be "uniform", "normal" or "data"'):
        VectorQuantiser(4, 2, start="kmeans")
    with pytest.raises(ValueError, match="restart counts with a moving average"):
        VectorQuantiser(4, 2, decay=None, restart=1.0)
    with pytest.raises(ValueError, match="h must end in a dimension of size 2"):
        VectorQuantiser(4, 2)(torch.zeros(3, 5))
    with pytest.raises(ValueError, match="levels must be at least 2 each"):
        FiniteScalarQuantiser((4, 1))
    with pytest.raises(TypeError, match="levels must list whole numbers"):
        FiniteScalarQuantiser(())


# ---- finite scalars


@pytest.mark.parametrize("levels", [(2,), (3, 4), (5, 2, 3)])
def test_numbers_and_vectors_of_finite_scalars_are_one_to_one(levels):
    quantiser = FiniteScalarQuantiser(levels)
    numbers = torch.arange(quantiser.codes)
    vectors = quantiser.lookup(numbers)
    assert len(vectors.unique(dim=0)) == math.prod(levels) == quantiser.codes
    assert torch.equal(quantiser.number(vectors), numbers)
    assert vectors.min() == -1 and vectors.max() == 1
    for d, L in enumerate(levels):
        wanted = torch.linspace(-1, 1, L)
        assert torch.allclose(vectors[:, d].unique(), wanted, atol=1e-6)


def test_rounding_is_the_nearest_finite_scalar():
    torch.manual_seed(5)
    quantiser = FiniteScalarQuantiser((4, 3))
    h = 2 * torch.randn(200, 2)
    found = quantiser(h)
    assert torch.equal(found.codes, quantiser.distances(h).argmin(-1))
    assert torch.allclose(found.z, quantiser.lookup(found.codes), atol=1e-6)
    assert not found.commitment_cost.any() and not found.codebook_cost.any()


# ---- use of codes


def test_perplexity_of_known_shares():
    assert code_use(torch.arange(8), 8) == (8, pytest.approx(8))
    assert code_use(torch.zeros(5, 3).long(), 4) == (1, pytest.approx(1))
    shares = torch.tensor([0, 0, 0, 1])
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert code_use(shares, 9).perplexity == pytest.approx(math.exp(entropy))
    with pytest.raises(ValueError, match="codes must be below count=2, got 3"):
        code_use(torch.tensor([3]), 2)


def test_the_mean_over_batches_is_never_above_the_perplexity_of_all():
    """Entropy is concave: batches of equal size have, on average, less of it than all together."""
    torch.manual_seed(6)
    codes = torch.randint(0, 50, (40, 10))
    whole = code_use(codes, 50).perplexity
    assert sum(code_use(batch, 50).perplexity for batch in codes) / 40 < whole
    assert all(code_use(batch, 50).perplexity <= 10 + 1e-9 for batch in codes)


# ---- the prior


def test_the_prior_sums_to_one():
    torch.manual_seed(7)
    prior = CodePrior(3, 4, hidden=20)
    codes = torch.tensor(list(itertools.product(range(4), repeat=3)))
    assert abs(prior.log_prob(codes).exp().sum() - 1) < 1e-5


def test_the_prior_looks_back_only():
    torch.manual_seed(8)
    prior = CodePrior(5, 3, hidden=40).double()
    onehot = torch.rand(15, dtype=torch.float64, requires_grad=True)
    for p in range(5):
        (slope,) = torch.autograd.grad(prior.logits_from(onehot)[p].square().sum(), onehot)
        reached = slope.view(5, 3).abs().sum(1) > 0
        assert reached.tolist() == [before < p for before in range(5)]


def test_samples_have_the_priors_frequencies():
    torch.manual_seed(9)
    prior = CodePrior(2, 3, hidden=16)
    with torch.no_grad():
        prior.direct.weight.mul_(8)
    draws = prior.sample((20_000,))
    assert draws.shape == (20_000, 2) and prior.sample().shape == (2,)
    codes = torch.cartesian_prod(torch.arange(3), torch.arange(3))
    p = prior.log_prob(codes).exp()
    share = (draws[:, None] == codes).all(-1).float().mean(0)
    assert ((share - p).abs() < 5 * (p * (1 - p) / 20_000).sqrt() + 1e-6).all()  # 9 × 6e-7


def test_the_prior_learns_what_depends_on_what():
    torch.manual_seed(10)
    first = torch.randint(0, 4, (2000, 1))
    codes = torch.cat([first, (first + 1) % 4], 1)  # log 4 nats, not 2 log 4
    prior = CodePrior(2, 4, hidden=32)
    vt.fit(
        prior, codes, objective=discrete.prior_loss, epochs=20, learning_rate=1e-2, progress=False
    )
    assert abs(-prior.log_prob(codes).mean().item() - math.log(4)) < 0.05
    with pytest.raises(ValueError, match="positions=2"):
        prior.log_prob(torch.zeros(3, 5).long())


# ---- the models, and what their objectives return


def by_hand(model, x, z):
    """log p(x | z) of one image and one code, pixel by pixel."""
    p = model.decode(torch.tensor(z)).flatten()
    each = [math.log(q if pixel else 1 - q) for q, pixel in zip(p.tolist(), x.flatten().tolist())]
    return sum(each)


def test_the_exact_likelihood_is_the_sum_over_codes():
    model, x = small_categorical(), binary(3)
    for image, found in zip(x, discrete.exact_log_p(model, x)):
        terms = [by_hand(model, image, z) for z in itertools.product(range(3), repeat=2)]
        assert abs(found.item() - math.log(sum(map(math.exp, terms)) / 9)) < 1e-9
    with pytest.raises(ValueError, match="10\\^5 codes are too many"):
        discrete.all_codes(5, 10)


def test_the_exact_elbo_and_the_sampled_ones():
    model, x = small_categorical(), binary(4)
    exact = discrete.exact_elbo(model, x)
    q = model.posterior(x)
    uniform = Independent(Categorical(logits=torch.zeros(2, 3, dtype=torch.float64)), 1)
    assert torch.allclose(exact["kl"], kl_divergence(q, uniform))
    for image in range(4):
        total = 0.0
        for z in itertools.product(range(3), repeat=2):
            weight = q.log_prob(torch.tensor(z))[image].exp().item()
            total += weight * by_hand(model, x[image], z)
        assert abs(total - exact["kl"][image].item() - exact["elbo"][image].item()) < 1e-9
    assert (exact["elbo"] < discrete.exact_log_p(model, x)).all()
    torch.manual_seed(0)
    many = x.repeat(4000, 1, 1, 1)
    for objective in (
        partial(discrete.leave_one_out_elbo, samples=3),
        partial(discrete.relaxed_elbo, hard=True),
    ):
        draws = objective(model, many)["elbo"].detach().view(4000, 4)
        error = draws.std(0) / 4000**0.5
        assert ((draws.mean(0) - exact["elbo"]).abs() < 5.5 * error).all()  # 8 × 4e-8


def test_the_exact_elbo_is_that_of_the_models_own_prior():
    torch.manual_seed(3)
    model, x = small_categorical(), binary(4)
    model.prior_module = CodePrior(2, 3, hidden=8).double()
    with torch.no_grad():
        for part in model.prior_module.parameters():
            part.mul_(4)  # far from uniform
    z = discrete.all_codes(2, 3)
    log_q, log_p = model.posterior(x).log_prob(z[:, None]), model.prior().log_prob(z)[:, None]
    kl = (log_q.exp() * (log_q - log_p)).sum(0)
    found = discrete.exact_elbo(model, x)
    torch.testing.assert_close(found["kl"], kl.detach())
    assert (found["elbo"] < discrete.exact_log_p(model, x)).all()


def test_probabilities_of_zero_count_nothing_in_the_kl():
    logits = torch.tensor([[[0.0, -math.inf, -math.inf], [0.0, 0.0, -math.inf]]])
    logits.requires_grad_(True)
    found = discrete.uniform_kl(logits)
    torch.testing.assert_close(found, torch.tensor([math.log(3) + math.log(3 / 2)]))
    found.sum().backward()
    assert logits.grad.isfinite().all()
    model, x = small_quantised(VectorQuantiser(3, 2)).eval(), binary(4, dtype=torch.float32)
    bound = discrete.quantised_loss(model, x)["elbo"]
    for objective in (discrete.exact_elbo, discrete.leave_one_out_elbo):
        torch.testing.assert_close(objective(model, x)["elbo"], bound)


@pytest.mark.parametrize("objective", [discrete.exact_log_p, discrete.exact_elbo])
def test_images_in_bytes_are_refused_by_name(objective):
    with pytest.raises(TypeError, match=r"x must be zeros and ones as floats, got .*uint8"):
        objective(small_categorical(), binary().byte())


def encoder_gradient(objective, model, x):
    logits = model.logits(x).detach().requires_grad_()
    model.logits = lambda images: logits
    try:
        (found,) = torch.autograd.grad(objective(model, x)["loss"].sum(), logits)
    finally:
        del model.logits
    return found


def test_the_exact_gradient_by_differences_and_the_leave_one_out_mean():
    model, x = small_categorical(), binary(1)
    exact = encoder_gradient(discrete.exact_elbo, model, x)
    logits = model.logits(x).detach()
    for at in itertools.product(range(2), range(3)):
        ends = []
        for step in (1e-5, -1e-5):
            moved = logits.clone()
            moved[0][at] += step
            model.logits = lambda images, moved=moved: moved
            ends.append(discrete.exact_elbo(model, x)["loss"].item())
            del model.logits
        assert abs((ends[0] - ends[1]) / 2e-5 - exact[0][at]) < 1e-7
    torch.manual_seed(1)
    draws = encoder_gradient(discrete.leave_one_out_elbo, model, x.repeat(20_000, 1, 1, 1))
    error = draws.std(0) / 20_000**0.5
    assert ((draws.mean(0) - exact[0]).abs() < 5 * error).all()  # 6 × 6e-7
    with pytest.raises(ValueError, match="samples must be at least 2"):
        discrete.leave_one_out_elbo(model, x, samples=1)


def test_a_cold_relaxation_has_little_bias():
    model, x = small_categorical(), binary(1)
    exact = encoder_gradient(discrete.exact_elbo, model, x)[0]
    many = x.repeat(20_000, 1, 1, 1)
    off = {}
    for tau in (0.1, 5.0):
        torch.manual_seed(2)
        objective = partial(discrete.relaxed_elbo, temperature=tau)
        off[tau] = (encoder_gradient(objective, model, many).mean(0) - exact).norm()
    assert off[0.1] < 0.5 * off[5.0]
    assert set(discrete.relaxed_elbo(model, x)) == {"loss", "kl", "relaxed"}


def test_the_quantised_loss_term_by_term():
    torch.manual_seed(11)
    x = binary(4, dtype=torch.float32)
    model = small_quantised(VectorQuantiser(5, 3, decay=None)).train()
    found = discrete.quantised_loss(model, x, commitment=0.5)
    z, h = model.encode(x), model.heads(x)
    e = model.quantiser.codebook[z]
    square = (h - e).square().sum((1, 2))
    log_px = model.likelihood(z).log_prob(x)
    assert torch.allclose(found["log_px"], log_px, atol=1e-4)
    assert torch.allclose(found["loss"], -log_px + 1.5 * square, atol=1e-4)
    assert torch.allclose(found["elbo"], log_px - 2 * math.log(5), atol=1e-4)
    assert (found["elbo"] <= discrete.exact_log_p(model, x) + 1e-5).all()


@pytest.mark.parametrize("quantiser", [VectorQuantiser(4, 2), FiniteScalarQuantiser((2, 3))])
def test_the_package_measures_quantised_models(quantiser):
    """With a spread, importance sampling finds what the sum over all codes gives."""
    model, x = small_quantised(quantiser).eval(), binary(3, dtype=torch.float32)
    exact = discrete.exact_log_p(model, x)
    bound = discrete.quantised_loss(model, x)["elbo"]
    deterministic = vt.log_likelihood(model, x, 8, binarise=False, progress=False)
    assert torch.allclose(deterministic.per_image, bound.double(), atol=1e-4)
    model.spread = 1.0
    sampled = vt.log_likelihood(model, x, 20_000, binarise=False, progress=False)
    assert abs(sampled.mean - exact.mean()) < 5 * sampled.sampling_error + 1e-4
    assert torch.equal(model.encode(x), model.quantised(x).codes)
    assert model.sample(3).shape == (3, *SHAPE)


def test_a_model_with_a_learnt_prior():
    model, x = small_categorical().float(), binary(3, dtype=torch.float32)
    model.prior_module = CodePrior(2, 3, hidden=8)
    z = discrete.all_codes(2, 3)
    log_px = torch.stack([model.likelihood(code).log_prob(x) for code in z])
    wanted = torch.logsumexp(log_px + model.prior_module.log_prob(z)[:, None], 0)
    assert torch.allclose(discrete.exact_log_p(model, x), wanted, atol=1e-5)
    found = vt.log_likelihood(model, x, 4000, binarise=False, progress=False)
    assert abs(found.mean - wanted.mean()) < 5 * found.sampling_error + 1e-4


@pytest.mark.parametrize(
    "objective",
    [discrete.exact_elbo, discrete.relaxed_elbo, discrete.leave_one_out_elbo],
)
def test_fit_trains_a_categorical_model(objective):
    images = (255 * binary(64, dtype=torch.float32)).byte()
    model = small_categorical().float()
    before = discrete.exact_elbo(model, binary(64, dtype=torch.float32))["elbo"].mean()
    vt.fit(model, images, objective=objective, epochs=30, batch_size=32, progress=False)
    after = discrete.exact_elbo(model, binary(64, dtype=torch.float32))["elbo"].mean()
    assert after > before + 0.2


def test_a_decoder_that_starts_at_the_mean():
    images = torch.tensor([0.0, 0.25, 0.75, 1.0]).expand(3, 1, 4, 4)
    decoder = vt.MLPDecoder(2, (8,), SHAPE)
    vt.start_at_mean(decoder, images)
    with torch.no_grad():
        decoder.layers[-1].weight.zero_()
    shown = torch.sigmoid(decoder(torch.randn(5, 2)))
    assert torch.allclose(shown, images[:1].clamp(0.01, 0.99).expand(5, 1, 4, 4), atol=1e-6)
    vt.start_at_mean(decoder, (255 * images).byte())
    assert (torch.sigmoid(decoder(torch.zeros(1, 2))) - shown[:1]).abs().max() < 0.01
    with pytest.raises(ValueError, match="the decoder's 16 pixels"):
        vt.start_at_mean(decoder, torch.zeros(2, 1, 3, 3))
    before = decoder.layers[-1].bias.clone()
    levels, nan = (255 * images).long(), torch.full_like(images, math.nan)
    for wrong in (levels, levels.float(), -images, nan):
        with pytest.raises(ValueError, match=r"bytes or numbers in \[0, 1\], got torch"):
            vt.start_at_mean(decoder, wrong)
    with pytest.raises(ValueError, match="at least one image, got none"):
        vt.start_at_mean(decoder, images[:0])
    assert torch.equal(before, decoder.layers[-1].bias)
    vt.start_at_mean(decoder, images.round().long())  # zeros and ones of any dtype


def test_sizes_that_do_not_fit():
    networks = vt.MLPEncoder(6, (4,), SHAPE, heads=1), vt.MLPDecoder(6, (4,), SHAPE)
    with pytest.raises(ValueError, match="encoder must have latent_dim = 2 positions × 4"):
        CategoricalVAE(*networks, 2, 4)
    with pytest.raises(ValueError, match="spread must be a non-negative number"):
        QuantisedVAE(*networks, 2, VectorQuantiser(4, 3), spread=-1.0)
