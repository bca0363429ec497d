"""Networks that see labels, M2 and its bounds, batches with few labels, Bayes' rule."""

import math

import pytest
import torch
from torch import nn
from torch.distributions import MultivariateNormal

import vae_tutorial as vt
from vae_tutorial.models.labelled import M2, LabelledDecoder, LabelledEncoder
from vae_tutorial.semi_supervised import (
    MixedBatches,
    choose_labelled,
    joint_bound,
    label_log_posterior,
    linear_probe,
    m2_bound,
)

SHAPE = (1, 1, 6)


def small_m2(hidden: int = 16) -> M2:
    torch.manual_seed(0)
    return M2(
        LabelledEncoder(2, 3, (hidden,), SHAPE),
        LabelledDecoder(2, 3, (hidden,), SHAPE),
        vt.MLPEncoder(3, (hidden,), SHAPE, heads=1),
        classes=3,
    )


class Linear(nn.Module):
    """x = a z + b_y + 0.7 · noise with one latent: everything about it is known exactly."""

    latent_dim, classes, sigma = 1, 3, 0.7

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.a = torch.randn(6, generator=generator, dtype=torch.float64)
        self.b = torch.randn(3, 6, generator=generator, dtype=torch.float64)

    def forward(self, z, y):
        return (z * self.a + self.b[y]).unflatten(-1, SHAPE)

    def log_joint(self, x):
        """log p(x, y) of every label, (B, 3): p(x | y) is normal."""
        covariance = torch.outer(self.a, self.a) + self.sigma**2 * torch.eye(6).double()
        each = [MultivariateNormal(b, covariance).log_prob(x.flatten(1)) for b in self.b]
        return torch.stack(each, 1) - math.log(3)


class ExactEncoder(nn.Module):
    """p(z | x, y) of `Linear`: a normal, since there is one latent."""

    latent_dim, classes = 1, 3

    def __init__(self, decoder):
        super().__init__()
        self.decoder = decoder

    def forward(self, x, y):
        a, sigma = self.decoder.a, self.decoder.sigma
        variance = 1 / (1 + a @ a / sigma**2)
        mu = variance * (x.flatten(1) - self.decoder.b[y]) @ a / sigma**2  # (..., B)
        return mu[..., None], variance.log().expand(*mu.shape, 1)


class ExactClassifier(nn.Module):
    def __init__(self, decoder):
        super().__init__()
        self.decoder = decoder

    def forward(self, x):
        return self.decoder.log_joint(x)  # p(y | x) up to a constant


class Fixed(nn.Module):
    """A classifier that says the same of every batch."""

    def __init__(self, logits):
        super().__init__()
        self.logits = logits

    def forward(self, x):
        return self.logits


def exact_m2() -> M2:
    decoder = Linear()
    likelihood = vt.GaussianLikelihood(decoder.sigma)
    parts = ExactEncoder(decoder), decoder, ExactClassifier(decoder)
    return M2(*parts, likelihood, classes=3).double()


def images(count: int = 5, seed: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, *SHAPE, generator=generator).round()


TWO, SAME = torch.arange(2), torch.zeros(5).long()  # places, and labels of five images
ROWS, LABELS = torch.eye(4), torch.tensor([0, 1, 2, 0])


def mixed(index=TWO, y=SAME):
    return MixedBatches(images(), y, index)


def probe(features=ROWS, y=LABELS, **settings):
    return linear_probe(features, y, 3, **settings)


def unconditional() -> vt.VAE:
    return vt.VAE(vt.MLPEncoder(2, (4,), SHAPE), vt.MLPDecoder(2, (4,), SHAPE))


# The networks


def test_a_label_is_a_one_hot_vector_appended_to_the_input():
    torch.manual_seed(0)
    encoder, x = LabelledEncoder(2, 3, (8, 5), SHAPE), torch.rand(4, *SHAPE)
    y = torch.tensor([0, 2, 1, 2])
    whole = vt.MLPEncoder(2, (8, 5), (1, 1, 9))  # six pixels and three label inputs
    whole.load_state_dict({**whole.state_dict(), **encoder.state_dict()} | {
        "layers.1.0.weight": torch.cat([encoder.layers[1][0].weight, encoder.of_label.weight.T], 1)
    }, strict=False)  # fmt: skip
    appended = torch.cat([x, torch.eye(3)[y][:, None, None]], -1)
    for found, expected in zip(encoder(x, y), whole(appended), strict=True):
        torch.testing.assert_close(found, expected)


def test_the_decoder_too_and_every_label_at_once():
    torch.manual_seed(0)
    decoder, z = LabelledDecoder(2, 3, (8,), SHAPE), torch.randn(4, 5, 2)
    y = torch.tensor([0, 2, 1, 2, 0])
    first, last = decoder.layers[0], decoder.layers[2]
    hidden = torch.relu(first(z) + decoder.of_label.weight[y])
    torch.testing.assert_close(decoder(z, y), last(hidden).unflatten(-1, SHAPE))
    every = torch.arange(3)[:, None].expand(3, 5)
    encoder, x = LabelledEncoder(2, 3, (8,), SHAPE), torch.rand(5, *SHAPE)
    together = encoder(x, every)[0]
    for label in range(3):
        torch.testing.assert_close(together[label], encoder(x, every[label])[0])


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda m: m.encoder(images(), torch.rand(5)), TypeError, "whole numbers from 0 to 2"),
        (lambda m: m.encoder(images(), None), TypeError, "NoneType"),
        (lambda m: m.encoder(torch.rand(5, 1, 2, 3), torch.zeros(5).long()), ValueError, "images"),
        (lambda m: m.decoder(torch.rand(5, 3), torch.zeros(5).long()), ValueError, "latent_dim=2"),
        (lambda m: LabelledEncoder(2, 3, (), SHAPE), ValueError, "hidden"),
        (lambda m: M2(m.encoder, m.decoder, m.classifier), ValueError, "3 classes"),
        (lambda m: M2(m.encoder, m.decoder, nn.Flatten(), classes=3).label_posterior(images()),
         ValueError, r"\(5, 3\)"),
        (lambda m: m2_bound(m, images(), None), TypeError, "whole number for each image"),
        (lambda m: m2_bound(m, images(), torch.rand(5)), TypeError, "float32"),
        (lambda m: m2_bound(m, images(), torch.zeros(4).long()), ValueError, r"y must be \(B,\)"),
        (lambda m: m2_bound(m, images(), torch.zeros(5).long(), alpha=-1.0), ValueError, "alpha"),
        (lambda m: MixedBatches(images(), torch.zeros(5), torch.tensor([])), ValueError, "index"),
        (lambda m: m.encoder(images(), torch.full((5,), 3)), ValueError, "from 0 to 2, got 3 to 3"),
        (lambda m: m.decoder(torch.rand(5, 2), torch.full((5,), -1)), ValueError, "got -1 to -1"),
        (lambda m: m2_bound(m, images(), torch.full((5,), 3)), ValueError, "below the model's 3"),
        (lambda m: m2_bound(m, images(), torch.ones(5).bool()), TypeError, "y .* torch.bool"),
        (lambda m: choose_labelled([0, 1], 1, 0), TypeError, "labels must be a tensor .* got list"),
        (lambda m: choose_labelled(torch.zeros(4, 1).long(), 1, 0), ValueError, r"must be \(N"),
        (lambda m: choose_labelled(torch.full((4,), -1), 1, 0), ValueError, "got none, or only"),
        (lambda m: choose_labelled(torch.zeros(9).long(), -1, 0), ValueError, "per_class must be"),
        (lambda m: choose_labelled(torch.zeros(9).long(), 0, 0), ValueError, "per_class must be"),
        (lambda m: choose_labelled(torch.zeros(9).long(), 2.5, 0), ValueError, "per_class must be"),
        (lambda m: mixed(torch.zeros(5).bool()), TypeError, r"index .* torch.bool.*nonzero\(\)"),
        (lambda m: mixed([0, 1]), TypeError, "index .* got list"),
        (lambda m: mixed(torch.tensor([0, 5])), ValueError, "index .* between 0 and 4.* 0 to 5"),
        (lambda m: mixed(torch.tensor([-1])), ValueError, "index .* got .* -1 to -1"),
        (lambda m: mixed(torch.tensor([[0]])), ValueError, r"index must be \(L,\)"),
        (lambda m: mixed(y=torch.zeros(4).long()), ValueError, r"y must be \(B,\) = \(5,\), got"),
        (lambda m: mixed(y=torch.zeros(5)), TypeError, "y must .* got torch"),
        (lambda m: mixed(y=torch.full((5,), -1)), ValueError, "index must name images with a"),
        (lambda m: probe(torch.rand(4, 2).byte()), TypeError, "features .* got torch"),
        (lambda m: probe(torch.full((4, 2), math.nan)), ValueError, "features .* with NaN"),
        (lambda m: probe(torch.rand(0, 2), y=torch.zeros(0).long()), ValueError, "features must"),
        (lambda m: probe(penalty=-1.0), ValueError, "penalty must be a non-negative number"),
        (lambda m: probe(y=torch.tensor([0, 1, 2, 3])), ValueError, "between 0 and 2, got 0 to 3"),
        (lambda m: probe(y=torch.tensor([0, 1, 2, -100])), ValueError, "labels .* got -100 to 2"),
        (lambda m: label_log_posterior(m, images(), 4), ValueError, "at most the model's 3, got 4"),
        (lambda m: label_log_posterior(unconditional(), images(), 3), TypeError, "conditional"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_named(call, error, words):
    with pytest.raises(error, match=words):
        call(small_m2())


# The bounds


def test_exact_networks_give_log_p_of_x_and_y_and_of_x():
    """With q(z | x, y) and q(y | x) exact, L is log p(x, y) and U is log p(x), on average."""
    model, x = exact_m2(), torch.randn(4, *SHAPE, dtype=torch.float64)
    torch.manual_seed(2)
    y = torch.tensor([0, 1, 2, 1])
    exact = model.decoder.log_joint(x)
    for labels, wanted in ((y, exact.gather(1, y[:, None])[:, 0]), (0 * y - 1, exact.logsumexp(1))):
        draws = torch.stack([m2_bound(model, x, labels)["elbo"] for _ in range(1000)])
        error = draws.std(0) / 1000**0.5
        assert ((draws.mean(0) - wanted).abs() < 5 * error).all()  # 4 in 10 million each
        assert (error < 0.05).all()


def test_the_bound_without_a_label_is_the_sum_over_labels_by_hand():
    model, x = small_m2(), images()
    torch.manual_seed(5)
    found = m2_bound(model, x, torch.full((5,), -1))["elbo"]
    torch.manual_seed(5)
    each = joint_bound(model, x, model.every_label(x))  # the same draws
    q = torch.softmax(model.classifier(x), 1)
    by_hand = torch.zeros(5)
    for i in range(5):
        for label in range(3):
            by_hand[i] += q[i, label] * (each[label, i] - q[i, label].log())
    torch.testing.assert_close(found, by_hand)


def test_the_joint_bound_by_hand():
    model, x, y = small_m2(), images(), torch.tensor([0, 1, 2, 0, 1])
    torch.manual_seed(5)
    found = joint_bound(model, x, y)
    torch.manual_seed(5)
    mu, logvar = model.encoder(x, y)
    z = mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)
    p = torch.sigmoid(model.decoder(z, y))
    log_px = (x * p.log() + (1 - x) * (1 - p).log()).flatten(1).sum(1)
    kl = 0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum(1)
    torch.testing.assert_close(found, log_px - kl - math.log(3))


def test_labelled_images_have_their_weight_and_alpha():
    model, x, y = small_m2(), images(), torch.tensor([0, -1, 2, -1, 1])
    torch.manual_seed(5)
    terms = m2_bound(model, x, y, alpha=7.0, labelled_weight=0.25)
    log_q = torch.log_softmax(model.classifier(x), 1)
    for i, label in enumerate(y.tolist()):
        if label < 0:
            assert terms["log_q"][i] == 0
            torch.testing.assert_close(terms["loss"][i], -terms["elbo"][i])
        else:
            torch.testing.assert_close(terms["log_q"][i], log_q[i, label])
            wanted = 0.25 * (-terms["elbo"][i] - 7.0 * log_q[i, label])
            torch.testing.assert_close(terms["loss"][i], wanted)


def test_without_alpha_a_label_sends_no_gradient_to_the_classifier():
    model, x, y = small_m2(), images(), torch.tensor([0, 1, 2, 0, 1])
    for alpha, moved in ((0.0, False), (1.0, True)):
        model.zero_grad()
        m2_bound(model, x, y, alpha=alpha)["loss"].sum().backward()
        gradients = [p.grad for p in model.classifier.parameters()]
        assert any(g is not None and bool(g.any()) for g in gradients) == moved


def test_the_gradient_to_the_logits_is_q_times_what_is_above_average():
    model, x = small_m2(), images()
    logits = torch.randn(5, 3, requires_grad=True)
    model.classifier = Fixed(logits)
    torch.manual_seed(5)
    m2_bound(model, x, torch.full((5,), -1))["loss"].sum().backward()
    torch.manual_seed(5)
    each = joint_bound(model, x, model.every_label(x)).T.detach()
    q = torch.softmax(logits.detach(), 1)
    reward = each - q.log()
    torch.testing.assert_close(logits.grad, -q * (reward - (q * reward).sum(1, keepdim=True)))


def test_one_drawn_label_gives_the_same_bound_and_gradient_on_average():
    model, x = exact_m2(), torch.randn(2, *SHAPE, dtype=torch.float64)
    logits = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    model.classifier = Fixed(logits)
    unknown, found = torch.full((2,), -1), {}
    torch.manual_seed(7)
    for way in (True, False):
        values, gradients = [], []
        for _ in range(1000):
            terms = m2_bound(model, x, unknown, enumerate_labels=way)
            gradients.append(torch.autograd.grad(terms["loss"].sum(), logits)[0])
            values.append(terms["elbo"].detach())
        found[way] = [torch.stack(each) for each in (values, gradients)]
    for exact, drawn in zip(found[True], found[False], strict=True):
        error = ((exact.var(0) + drawn.var(0)) / 1000).sqrt()
        assert ((exact.mean(0) - drawn.mean(0)).abs() < 5 * error).all()
    assert (found[False][1].var(0) > 3 * found[True][1].var(0)).all()  # and it is noisier


def test_fit_trains_m2_with_few_labels():
    torch.manual_seed(0)
    digits = vt.load_images("stroke-digits").train[:1000]
    model = M2(LabelledEncoder(4, 10, (32,)), LabelledDecoder(4, 10, (32,)),
               vt.MLPEncoder(10, (32,), heads=1))  # fmt: skip
    index = choose_labelled(digits.labels, 5, seed=0)
    batches = MixedBatches(digits.images, digits.labels, index, unlabelled=100, labelled=10)
    history = vt.fit(model, batches, objective=m2_bound, epochs=2, device="cpu")
    assert history.train["loss"][1] < history.train["loss"][0]
    found = vt.log_likelihood(model, digits[:20], samples=10)  # it is a conditional VAE
    assert found.per_image.isfinite().all()


# Choosing labels, batches, the probe


def test_choose_labelled_takes_as_many_of_each_class_and_depends_on_the_seed():
    labels = torch.randint(4, (200,), generator=torch.Generator().manual_seed(0))
    chosen = choose_labelled(labels, 3, seed=1)
    assert labels[chosen].bincount().tolist() == [3, 3, 3, 3] and len(chosen.unique()) == 12
    assert torch.equal(chosen, choose_labelled(labels, 3, seed=1))
    assert not torch.equal(chosen, choose_labelled(labels, 3, seed=2))
    with pytest.raises(ValueError, match="per_class must be at most"):
        choose_labelled(labels, 100, seed=1)
    none = torch.arange(200) % 3 == 0
    chosen = choose_labelled(labels.where(~none, -1), 3, seed=1)  # −1 is no class
    assert labels[chosen].bincount().tolist() == [3, 3, 3, 3] and not none[chosen].any()


def test_an_epoch_has_each_image_once_without_its_label_and_some_with():
    x = torch.arange(25).float()[:, None, None, None] / 100
    y = torch.arange(25) % 5
    batches = MixedBatches(x, y, torch.tensor([3, 7, 11]), unlabelled=10, labelled=2)
    found = list(batches)
    assert len(found) == len(batches) == 3
    without = torch.cat([images[labels < 0] for images, labels in found])
    assert torch.equal(without.flatten().sort().values, x.flatten())
    for images_, labels in found:
        known = labels >= 0
        assert known.sum() == 2
        rows = (images_[known].flatten() * 100).round().long()
        assert set(rows.tolist()) <= {3, 7, 11} and torch.equal(y[rows], labels[known])
    assert batches.labelled_weight == pytest.approx((3 / 2) / (25 / 10))


def test_a_batch_that_holds_all_images_weighs_them_alike():
    """However many more it asks for: the batches are the same."""
    x, y, index = torch.rand(20, *SHAPE), torch.arange(20) % 3, torch.arange(5)
    for unlabelled, labelled in ((20, 5), (20, 100), (50, 5), (500, 100)):
        batches = MixedBatches(x, y, index, unlabelled=unlabelled, labelled=labelled)
        ((found, _),) = batches
        assert len(found) == 25 and len(batches) == 1 and batches.labelled_weight == 1.0


def test_the_bound_takes_labels_of_any_whole_numbers():
    model, x, y = small_m2(), images(), torch.tensor([0, 1, 2, 0, 1])
    bounds = []
    for labels in (y, y.byte(), y.int()):
        torch.manual_seed(5)
        bounds.append(m2_bound(model, x, labels)["loss"])
    assert torch.equal(bounds[0], bounds[1]) and torch.equal(bounds[0], bounds[2])


def test_the_probe_is_at_the_minimum_of_its_loss():
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(60, 4, generator=generator, dtype=torch.float64)
    labels = torch.randint(3, (60,), generator=generator)
    probe = linear_probe(features, labels, 3, penalty=2.0)
    weight, bias = probe.weight.clone().requires_grad_(), probe.bias.clone().requires_grad_()
    loss = nn.functional.cross_entropy(features @ weight.T + bias, labels, reduction="sum")
    loss = loss + weight.square().sum()  # ½ · 2
    for gradient in torch.autograd.grad(loss, (weight, bias)):
        assert gradient.abs().max() < 1e-3


def test_the_probe_leaves_the_model_and_the_random_numbers_alone():
    model, before = nn.Linear(6, 4), torch.get_rng_state()
    features = model(images(9).flatten(1))
    found = linear_probe(features, torch.arange(9) % 3, 3)
    assert model.weight.grad is None and torch.equal(before, torch.get_rng_state())
    again = linear_probe(features.detach(), torch.arange(9).byte() % 3, 3)
    assert torch.equal(found.weight, again.weight) and torch.equal(found.bias, again.bias)


# Bayes' rule


def test_the_posterior_of_labels_is_the_exact_one():
    model, x = exact_m2(), torch.randn(6, *SHAPE, dtype=torch.float64)
    found = label_log_posterior(model, x, 3, samples=200)
    torch.testing.assert_close(found, model.decoder.log_joint(x).log_softmax(1))
    torch.testing.assert_close(found.exp().sum(1), torch.ones(6, dtype=torch.float64))
