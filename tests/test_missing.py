"""Inference of hidden and noisy pixels against exact conditionals and sums over all images."""

import itertools

import pytest
import torch
from exact_models import curved_vae, exact_posterior, made_by, trained_vae, weights_of, widened
from torch.distributions import MultivariateNormal

import vae_tutorial as vt
from vae_tutorial import missing

SEEN = torch.tensor([True, True, False, True, False, False])


def poor_model(factor: float = 0.15):
    """A linear VAE whose encoder knows the posterior's mean, and states too small a variance."""
    return widened(trained_vae(6, 2), factor)


def exact_given_seen(model, x, seen):
    """p(z | x_seen) and p(x | x_seen) of a linear model, for one image `(6,)`."""
    weight, bias, sigma = weights_of(model)
    w = weight[seen]
    precision = torch.eye(weight.shape[1], dtype=torch.float64) + w.T @ w / sigma**2
    mean = torch.linalg.solve(precision, w.T @ (x - bias)[seen] / sigma**2)
    spread = torch.linalg.inv(precision)
    pixels = MultivariateNormal(
        bias + weight @ mean,
        weight @ spread @ weight.T + sigma**2 * torch.eye(len(bias), dtype=torch.float64),
    )
    return MultivariateNormal(mean, spread), pixels


def one_image(model, copies):
    x, _ = made_by(model, 1)
    x = x.expand(copies, -1, -1, -1).clone()
    seen = SEEN.expand_as(x)
    return torch.where(seen, x, 0.0), seen


def last_states(model, x, seen, steps, **how):
    *_, state = missing.gibbs(model, x, missing.fill_hidden(x, seen), steps, **how)
    return state


def test_hidden_pixels_are_left_out():
    model = trained_vae(6, 2)
    x, z = made_by(model, 5)
    seen = SEEN.expand_as(x)
    p = model.likelihood(z)
    by_hand = p.base_dist.log_prob(x)[..., SEEN].flatten(1).sum(1)
    torch.testing.assert_close(missing.log_px_seen(p, x, seen), by_hand)
    torch.testing.assert_close(missing.log_px_seen(p, x, torch.ones_like(seen)), p.log_prob(x))
    nonsense = torch.where(seen, x, torch.nan)  # what is hidden does not matter, whatever it is
    torch.testing.assert_close(missing.log_px_seen(p, nonsense, seen), by_hand)
    several = missing.log_px_seen(model.likelihood(z.expand(3, -1, -1)), x, seen)
    torch.testing.assert_close(several, by_hand.expand(3, -1))


def test_the_corrected_chain_is_exact_where_the_other_is_biased():
    """20,000 chains of one image; a chain's last state is one draw. Means to four errors."""
    torch.manual_seed(0)
    model = poor_model()
    x, seen = one_image(model, 20_000)
    _, exact = exact_given_seen(model, x[0].flatten(), SEEN)
    hidden = ~SEEN
    spread = exact.covariance_matrix[hidden][:, hidden]
    drawn = last_states(model, x, seen, 150, pseudo_first=5).x.flatten(1)[:, hidden]
    error = spread.diagonal().sqrt() / len(drawn) ** 0.5
    assert ((drawn.mean(0) - exact.mean[hidden]).abs() < 4 * error).all()
    assert ((drawn.T.cov() - spread).abs().max() < 0.06 * spread.diagonal().max()).all()
    biased = last_states(model, x, seen, 150, corrected=False).x.flatten(1)[:, hidden]
    assert (biased.T.cov().trace() < 0.9 * spread.trace()).all()


def test_the_uncorrected_chain_is_exact_for_the_true_posterior():
    torch.manual_seed(0)
    model = trained_vae(6, 1)  # one latent: a diagonal q can be the exact posterior
    model = widened(model, 1.0)
    x, seen = one_image(model, 20_000)
    _, exact = exact_given_seen(model, x[0].flatten(), SEEN)
    drawn = last_states(model, x, seen, 60, corrected=False)
    assert drawn.moved.all()
    hidden = drawn.x.flatten(1)[:, ~SEEN]
    spread = exact.covariance_matrix[~SEEN][:, ~SEEN]
    error = spread.diagonal().sqrt() / len(hidden) ** 0.5
    assert ((hidden.mean(0) - exact.mean[~SEEN]).abs() < 4 * error).all()
    assert (hidden.T.cov() - spread).abs().max() < 0.06 * spread.diagonal().max()
    corrected = last_states(model, x[:500], seen[:500], 20)
    assert corrected.moved.all()  # the ratio of weights is one: nothing is rejected


def test_seen_pixels_stay_and_the_arguments_do_not_change():
    model = poor_model()
    x, seen = one_image(model, 50)
    before = x.clone()
    for state in missing.gibbs(model, x, missing.fill_hidden(x, seen), 5):
        assert torch.equal(state.x[seen], x[seen])
        assert state.z.shape == (50, 2) and state.moved.shape == (50,)
    assert torch.equal(x, before)


def test_importance_weights_know_the_marginal_and_resampling_the_posterior():
    torch.manual_seed(0)
    model = widened(trained_vae(6, 2), 2.0)
    x, seen = one_image(model, 1)
    weight, bias, sigma = weights_of(model)
    cover = weight @ weight.T + sigma**2 * torch.eye(6, dtype=torch.float64)
    marginal = MultivariateNormal(bias[SEEN], cover[SEEN][:, SEEN])
    posterior, _ = exact_given_seen(model, x.flatten(), SEEN)
    z, log_w = missing.weigh_completions(model, x, seen, 60_000)
    found = log_w.logsumexp(0) - torch.tensor(60_000.0).log()
    assert found.item() == pytest.approx(marginal.log_prob(x.flatten()[SEEN]).item(), abs=0.03)
    drawn = missing.resample(z, log_w, 20_000)[:, 0]
    assert drawn.shape == (20_000, 2)
    torch.testing.assert_close(drawn.mean(0), posterior.mean, atol=0.04, rtol=0)
    torch.testing.assert_close(drawn.T.cov(), posterior.covariance_matrix, atol=0.04, rtol=0)


def test_the_most_probable_z_of_a_linear_model_is_the_mean():
    model = poor_model()
    model.zero_grad(set_to_none=True)
    x, seen = one_image(model, 1)
    posterior, _ = exact_given_seen(model, x.flatten(), SEEN)
    z = missing.most_probable_z(model, x, seen, 400)
    torch.testing.assert_close(z[0], posterior.mean, atol=1e-3, rtol=0)
    assert all(p.grad is None for p in model.parameters())


def test_flipped_bits_against_a_sum_over_all_images():
    """p(clean | noisy) of eight bits, by the sum over 256 images and an integral over z."""
    torch.manual_seed(0)
    model, rate = curved_vae(), 0.2
    y = torch.tensor([1.0, 0, 1, 1, 0, 0, 1, 0]).view(1, 1, 2, 4)
    images = torch.tensor(list(itertools.product([0.0, 1.0], repeat=8))).view(-1, 1, 2, 4)
    z = torch.linspace(-6, 6, 2001)[:, None]
    with torch.no_grad():
        log_px = model.likelihood(z[:, None]).log_prob(images)  # (2001, 256)
    log_p = (log_px + model.prior().log_prob(z)[:, None]).logsumexp(0)
    flips = (images != y).flatten(1).double().sum(1)
    share = (log_p.double() + flips * torch.tensor(rate / (1 - rate)).log()).softmax(0)
    exact = (share @ images.flatten(1).double()).float()
    start = y.expand(6000, -1, -1, -1)
    *_, state = missing.gibbs(model, start, missing.undo_flips(start, rate), 60)
    assert (state.x.flatten(1).mean(0) - exact).abs().max() < 4 * 0.5 / 6000**0.5


def test_miwae_bounds_the_seen_marginal_and_imputes_the_exact_mean():
    torch.manual_seed(0)
    model = trained_vae(6, 2)
    x, _ = made_by(model, 8)
    seen = torch.rand(x.shape) < 0.6
    holes = torch.where(seen, x, torch.nan)  # NaN in the holes does no harm
    weight, bias, sigma = weights_of(model)
    cover = weight @ weight.T + sigma**2 * torch.eye(6, dtype=torch.float64)
    exact = torch.stack([
        MultivariateNormal(bias[s], cover[s][:, s]).log_prob(v[s]) if s.any() else torch.zeros(())
        for v, s in zip(x.flatten(1), seen.flatten(1))
    ])  # fmt: skip
    many = missing.miwae_bound(model, holes, seen.double(), samples=20_000)
    torch.testing.assert_close(many["bound"].detach(), exact.double(), atol=0.06, rtol=0)
    torch.testing.assert_close(many["loss"], -many["bound"])
    few = torch.stack([missing.miwae_bound(model, holes, seen, samples=1)["bound"].detach()
                       for _ in range(400)])  # fmt: skip
    assert (few.mean(0) < exact).all()
    filled = missing.impute(model, holes, seen, 20_000)
    for found, v, s in zip(filled.flatten(1), x.flatten(1), seen.flatten(1)):
        expected = exact_given_seen(model, v, s)[1].mean
        torch.testing.assert_close(found[~s], expected[~s], atol=0.05, rtol=0)
        assert torch.equal(found[s], v[s])


def test_miwae_trains_with_fit():
    torch.manual_seed(0)
    x, seen = torch.randn(60, 5), (torch.rand(60, 5) < 0.5).float()
    model = vt.VAE(vt.MLPEncoder(2, (8,), (5,)), vt.MLPDecoder(2, (8,), (5,)),
                   vt.GaussianLikelihood(1.0, learned=True))  # fmt: skip
    history = vt.fit(model, (x * seen, seen), objective=missing.miwae_bound, epochs=2,
                     progress=False, device="cpu")  # fmt: skip
    assert history.train["bound"][-1] == pytest.approx(-history.train["loss"][-1])


def test_what_cannot_be_meant():
    model = poor_model()
    x, seen = one_image(model, 4)
    p = model.likelihood(torch.zeros(4, 2, dtype=torch.float64))
    for bad in (SEEN, None, torch.ones(4)):
        with pytest.raises(ValueError, match="seen must be a mask"):
            missing.log_px_seen(p, x, bad)
    whole = MultivariateNormal(torch.zeros(4, 6), torch.eye(6))
    with pytest.raises(TypeError, match="independent"):
        missing.log_px_seen(whole, x, seen)
    for rate in (0, 1, 1.5):
        with pytest.raises(ValueError, match="rate must be"):
            missing.undo_flips(x, rate)
    for steps in (0, 1.5):
        with pytest.raises((TypeError, ValueError), match="steps"):
            list(missing.gibbs(model, x, missing.fill_hidden(x, seen), steps))
    with pytest.raises(ValueError, match="learning_rate"):
        missing.most_probable_z(model, x, seen, 5, learning_rate=-1)
    nan = torch.where(seen, x, torch.nan)
    for call in (
        lambda x: missing.most_probable_z(model, x, seen, 5),
        lambda x: missing.weigh_completions(model, x, seen, 5),
        lambda x: list(missing.gibbs(model, x, missing.fill_hidden(x, seen), 2)),
    ):
        with pytest.raises(ValueError, match=f"NaN or ∞ in {int((~seen).sum())} places"):
            call(nan)
        call(torch.where(seen, nan, 0.0))  # the way out is one
    z, log_w = missing.weigh_completions(model, x, seen, 5)
    for bad in (log_w[:, :3], log_w[:3], log_w.T):
        with pytest.raises(ValueError, match=r"z must be \(K, B, D\) and log_w \(K, B\), got"):
            missing.resample(z, bad, 2)
    with pytest.raises(ValueError, match="count must be a whole number of at least 1, got 0"):
        missing.resample(z, log_w, 0)
    assert exact_posterior(model, x).mean.shape == (4, 2)
