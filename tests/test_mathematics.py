"""The numbered equations of pages/mathematics.md: each is computed on both sides, in two ways.

Everything is float64. Quadrature is the trapezoid rule on a grid that reaches far into the tails,
which for smooth densities is exact to rounding. Where draws are used, the tolerance is five
standard errors: a right equation fails with a probability below 1e-6.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import notebooks
import numbered
import pytest
import torch
from torch.distributions import (
    Beta,
    Gumbel,
    Independent,
    Laplace,
    MultivariateNormal,
    Normal,
    kl_divergence,
)

PAGE = (notebooks.ROOT / "pages/mathematics.md").read_text(encoding="utf-8")
TAGS = [equation.number for equation in numbered.page_equations(PAGE)]
CHECKED: list[str] = []


def checks(*tags: str) -> Callable:
    """Mark a test as the check of these equations."""
    CHECKED.extend(tags)
    return lambda test: test


def line(start: float, end: float, steps: int) -> torch.Tensor:
    return torch.linspace(start, end, steps, dtype=torch.float64)


GRID = line(-14, 14, 4001)  # for integrals over one dimension


def integral(values: torch.Tensor) -> torch.Tensor:
    """∫ over GRID, along the last dimension."""
    return torch.trapezoid(values, GRID, dim=-1)


def plane(steps: int = 601, reach: float = 12.0) -> tuple[torch.Tensor, float]:
    """Points (G, 2) of a grid in the plane, and the area of one of its squares."""
    side = line(-reach, reach, steps)
    return torch.cartesian_prod(side, side), (side[1] - side[0]).item() ** 2


def covariance(n: int) -> torch.Tensor:
    """A random one, with variances between 0.4 and 2 along its axes."""
    axes = torch.linalg.qr(torch.randn(n, n).double()).Q
    return axes * (0.4 + 1.6 * torch.rand(n).double()) @ axes.T


def density(x: torch.Tensor, m: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """(M.4) as the page writes it, for x (..., n)."""
    n, rest = len(m), x - m
    exponent = -0.5 * (rest @ torch.linalg.inv(sigma) * rest).sum(-1)
    return (2 * math.pi) ** (-n / 2) * torch.linalg.det(sigma) ** -0.5 * exponent.exp()


def close(left, right, tolerance: float = 1e-8) -> None:
    torch.testing.assert_close(
        torch.as_tensor(left).double(), torch.as_tensor(right).double(), rtol=0, atol=tolerance
    )


def agree(draws: torch.Tensor, expected: torch.Tensor | float) -> None:
    """The mean of draws (K, ...) lies within five standard errors of what is expected."""
    error = draws.std(0) / len(draws) ** 0.5
    assert ((draws.mean(0) - expected).abs() < 5 * error).all()


def test_every_equation_of_the_page_has_its_check():
    assert [f"M.{n}" for n in range(1, len(TAGS) + 1)] == TAGS
    assert sorted(CHECKED) == sorted(TAGS)  # none without, none twice, none of what is not there


# --- expectations -----------------------------------------------------------------------------


@checks("M.1")
def test_an_expectation_by_the_density_and_by_the_noise():
    """an integral over z = exp(ε) with the log-normal density, and one over ε"""
    f = torch.sqrt
    z = line(1e-6, 400, 2_000_001)
    log_normal = Normal(0.3, 0.8).log_prob(z.log()).exp() / z
    by_density = torch.trapezoid(f(z) * log_normal, z)
    by_noise = integral(f((0.3 + 0.8 * GRID).exp()) * Normal(0.0, 1.0).log_prob(GRID).exp())
    close(by_density, by_noise, 1e-5)


@checks("M.2")
def test_variance_is_the_mean_square_less_the_squared_mean():
    """quadrature for a skewed density, against the variance that torch gives"""
    x = line(0, 1, 100_001)
    p = Beta(2.0, 5.0)
    mean, square = (torch.trapezoid(x**k * p.log_prob(x.clamp(1e-12)).exp(), x) for k in (1, 2))
    close(square - mean**2, p.variance, 1e-7)


@checks("M.3")
def test_mean_and_variance_in_two_steps():
    """a mixture of three Gaussians: its density by quadrature, against the two steps"""
    share = torch.tensor([0.2, 0.5, 0.3]).double()
    m, s = torch.tensor([-2.0, 0.5, 3.0]).double(), torch.tensor([0.4, 1.0, 0.7]).double()
    mixed = (share[:, None] * Normal(m[:, None], s[:, None]).log_prob(GRID).exp()).sum(0)
    mean = integral(GRID * mixed)
    close(mean, (share * m).sum())
    within, between = (share * s**2).sum(), (share * (m - mean) ** 2).sum()
    close(integral((GRID - mean) ** 2 * mixed), within + between)


# --- the Gaussian -----------------------------------------------------------------------------


@checks("M.4")
def test_the_density_integrates_to_one_with_its_mean_and_covariance():
    """sums over a fine grid in the plane, and torch's log-density in four dimensions"""
    m, sigma = torch.tensor([0.5, -1.0]).double(), covariance(2)
    points, area = plane()
    p = density(points, m, sigma) * area
    close(p.sum(), 1)
    close(p @ points, m)
    close((points - m).T @ ((points - m) * p[:, None]), sigma)
    x, m, sigma = torch.randn(7, 4).double(), torch.randn(4).double(), covariance(4)
    close(density(x, m, sigma).log(), MultivariateNormal(m, sigma).log_prob(x))


@checks("M.5")
def test_an_affine_map_with_noise_stays_gaussian():
    """the density of Az + b + η at five places, by integrating over z in the plane"""
    m, sigma = torch.tensor([0.5, -1.0]).double(), covariance(2)
    A, b, S = torch.tensor([1.3, -0.6]).double(), 0.4, 0.5
    z, area = plane()
    y = line(-3, 3, 5)
    given_z = Normal(z @ A + b, S**0.5).log_prob(y[:, None]).exp()  # (5, G)
    by_integral = (given_z * density(z, m, sigma)).sum(1) * area
    close(by_integral, Normal(A @ m + b, (A @ sigma @ A + S).sqrt()).log_prob(y).exp())


@checks("M.6")
def test_moments_of_a_standard_normal():
    """quadrature; the derivative of a curved f by automatic differentiation"""
    eps = GRID.clone().requires_grad_()
    values = torch.tanh(eps - 0.7) + eps**3
    (slopes,) = torch.autograd.grad(values.sum(), eps)
    p = Normal(0.0, 1.0).log_prob(GRID).exp()
    close(integral(p * GRID * values.detach()), integral(p * slopes))
    for power, moment in ((2, 1), (4, 3), (6, 15), (8, 105)):
        close(integral(p * GRID**power), moment)


@checks("M.7")
def test_the_product_of_two_densities():
    """both sides at random points in three dimensions, with torch's densities"""
    a, b, A, B = *torch.randn(2, 3).double(), covariance(3), covariance(3)
    C = torch.linalg.inv(torch.linalg.inv(A) + torch.linalg.inv(B))
    c = C @ (torch.linalg.solve(A, a) + torch.linalg.solve(B, b))
    x = torch.randn(20, 3).double()
    left = MultivariateNormal(a, A).log_prob(x) + MultivariateNormal(b, B).log_prob(x)
    right = MultivariateNormal(b, A + B).log_prob(a) + MultivariateNormal(c, C).log_prob(x)
    close(left, right)


@checks("M.8")
def test_conditioning():
    """the joint density over the marginal one, at random points, by Bayes' rule"""
    m, sigma = torch.randn(5).double(), covariance(5)
    (xx, xy), (yx, yy) = (rows.split([2, 3], 1) for rows in sigma.split([2, 3]))
    x, y = torch.randn(8, 2).double(), torch.randn(8, 3).double()
    K = yx @ torch.linalg.inv(xx)
    given_x = MultivariateNormal(m[2:] + (x - m[:2]) @ K.T, yy - K @ xy)
    joint = MultivariateNormal(m, sigma).log_prob(torch.cat([x, y], 1))
    close(given_x.log_prob(y), joint - MultivariateNormal(m[:2], xx).log_prob(x))


@checks("M.9")
def test_two_forms_of_one_matrix():
    """both inverses, computed, for a random tall and a random wide W"""
    for n, D in ((7, 3), (3, 7)):
        W, s2 = torch.randn(n, D).double(), 0.3
        left = W.T @ torch.linalg.inv(W @ W.T + s2 * torch.eye(n).double())
        close(left, torch.linalg.inv(W.T @ W + s2 * torch.eye(D).double()) @ W.T)


@checks("M.10")
def test_entropy_of_a_gaussian():
    """minus the mean log-density, by a sum over the plane; a narrow one is negative"""
    m, sigma = torch.zeros(2).double(), covariance(2)
    points, area = plane()
    p = density(points, m, sigma)
    formula = 0.5 * torch.logdet(2 * math.pi * math.e * sigma)
    close(-(torch.xlogy(p, p)).sum() * area, formula)
    narrow = 0.5 * math.log(2 * math.pi * math.e * 0.1**2)
    close(narrow, Normal(0.0, torch.tensor(0.1).double()).entropy())
    assert narrow < 0


# --- Jensen -----------------------------------------------------------------------------------


@checks("M.11")
def test_the_logarithm_lies_below_its_tangent():
    """from 1e-6 to 1e6 in small steps; equality at 1 and nowhere else"""
    u = 10 ** line(-6, 6, 100_001)
    slack = u - 1 - u.log()
    assert (slack[u != 1] > 0).all()
    assert slack[(u - 1).abs().argmin()] < 1e-8
    assert (slack[(u - 1).abs() > 0.01] > 1e-5).all()


@checks("M.12")
def test_jensen_for_the_logarithm():
    """exact means of random discrete distributions; a constant one has equality"""
    weights = torch.rand(200, 6).double().softmax(1)
    values = torch.rand(200, 6).double() * 3 + 0.01  # logarithms of both signs
    gap = (weights * values).sum(1).log() - (weights * values.log()).sum(1)
    assert (gap > 0).all()
    close((weights * 3.0).sum(1).log(), (weights * math.log(3.0)).sum(1))


@checks("M.13")
def test_what_jensen_loses():
    """X = 1 + δ on two values, exactly: the ratio goes to one as the spread goes to zero"""
    ratios = []
    for spread in (0.4, 0.1, 0.01):
        values, share = torch.tensor([5 - spread, 5 + 3 * spread]).double(), (0.75, 0.25)
        mean = share[0] * values[0] + share[1] * values[1]
        variance = share[0] * (values[0] - mean) ** 2 + share[1] * (values[1] - mean) ** 2
        lost = mean.log() - share[0] * values[0].log() - share[1] * values[1].log()
        ratios.append((lost / (variance / (2 * mean**2)) - 1).abs().item())
    assert ratios[0] > ratios[1] > ratios[2]
    assert ratios[2] < 0.01


# --- the divergence ---------------------------------------------------------------------------


@checks("M.14")
def test_the_divergence_is_never_negative():
    """quadrature for 200 random pairs of mixtures; zero for two equal ones"""

    def mixture():
        logits, m, s = torch.randn(200, 3, 1), 2 * torch.randn(200, 3, 1), torch.rand(200, 3, 1)
        parts = Normal(m.double(), 0.5 + s.double()).log_prob(GRID)
        return (logits.double().log_softmax(1) + parts).logsumexp(1)  # (200, G)

    log_q, log_p = mixture(), mixture()
    assert (integral(log_q.exp() * (log_q - log_p)) > 0).all()
    close(integral(log_q.exp() * (log_q - log_q)), torch.zeros(200))
    assert integral(log_q.exp() * (log_q - log_p)).ne(integral(log_p.exp() * (log_p - log_q))).all()


@checks("M.15")
def test_the_divergence_adds_up():
    """torch's divergence of two Gaussians in the plane, against marginal and conditional"""
    m, sigma = torch.tensor([0.4, -0.3]).double(), torch.tensor([[1.2, 0.5], [0.5, 0.8]]).double()
    n, tau = torch.tensor([-0.2, 0.6]).double(), torch.tensor([[0.9, -0.3], [-0.3, 1.5]]).double()
    whole = kl_divergence(MultivariateNormal(m, sigma), MultivariateNormal(n, tau))

    def given(a, mean, cov):  # b | a
        slope = cov[1, 0] / cov[0, 0]
        return Normal(mean[1] + slope * (a - mean[0]), (cov[1, 1] - slope * cov[0, 1]).sqrt())

    first, other = Normal(m[0], sigma[0, 0].sqrt()), Normal(n[0], tau[0, 0].sqrt())
    rest = kl_divergence(given(GRID, m, sigma), given(GRID, n, tau))
    close(whole, kl_divergence(first, other) + integral(first.log_prob(GRID).exp() * rest))


@checks("M.16")
def test_the_divergence_of_two_gaussians():
    """a sum over the plane; torch in four dimensions; torch's sum over independent dimensions"""

    def formula(m1, S1, m2, S2):
        inverse, rest = torch.linalg.inv(S2), m2 - m1
        logs = torch.logdet(S2) - torch.logdet(S1)
        return 0.5 * ((inverse @ S1).trace() + rest @ inverse @ rest - len(m1) + logs)

    two = torch.randn(2).double(), covariance(2), torch.randn(2).double(), covariance(2)
    points, area = plane()
    log_q, log_p = (MultivariateNormal(*two[i : i + 2]).log_prob(points) for i in (0, 2))
    close(formula(*two), (log_q.exp() * (log_q - log_p)).sum() * area, 1e-7)
    four = torch.randn(4).double(), covariance(4), torch.randn(4).double(), covariance(4)
    close(formula(*four), kl_divergence(*(MultivariateNormal(*four[i : i + 2]) for i in (0, 2))))
    m, s, zero = torch.randn(3).double(), torch.rand(3).double() + 0.2, torch.zeros(3).double()
    alone = kl_divergence(Normal(m, s), Normal(zero, 1.0)).sum()
    close(formula(m, s.square().diag(), zero, torch.eye(3).double()), alone)


@checks("M.17")
def test_cross_entropy_is_entropy_and_divergence():
    """a Laplace under a Gaussian: quadrature, torch's entropy and torch's divergence"""
    x = line(-60, 60, 400_001)
    q, p = Laplace(torch.tensor(0.4).double(), 0.8), Normal(torch.tensor(-0.5).double(), 1.4)
    cross = torch.trapezoid(q.log_prob(x).exp() * -p.log_prob(x), x)
    close(cross, q.entropy() + kl_divergence(q, p), 1e-6)
    assert cross > q.entropy()


@checks("M.18")
def test_mutual_information():
    """four images with Gaussian codes: entropies by quadrature, against the two divergences"""
    m, s = torch.tensor([-2.0, 0, 0.5, 3]).double()[:, None], torch.tensor([0.5]).double()
    each = Normal(m, s).log_prob(GRID)  # (4, G), images are equally frequent
    total = each.logsumexp(0) - math.log(4)
    by_entropies = -integral(total.exp() * total) - Normal(m, s).entropy().mean()
    to_total = integral(each.exp() * (each - total)).mean()
    r = Normal(0.3, 2.0).log_prob(GRID)
    to_r, gap = integral(each.exp() * (each - r)).mean(), integral(total.exp() * (total - r))
    close(to_total, by_entropies)
    close(to_r - gap, by_entropies)
    assert to_r > by_entropies


# --- change of variables ----------------------------------------------------------------------


@checks("M.19")
def test_the_divergence_knows_no_units():
    """x = exp(z): quadrature with the log-normal densities, against torch for z; not the entropy"""
    x = torch.exp(line(-12, 12, 400_001))
    q, p = Normal(torch.tensor(0.2).double(), 0.5), Normal(torch.tensor(-0.4).double(), 0.9)
    log_qx, log_px = (each.log_prob(x.log()) - x.log() for each in (q, p))
    close(torch.trapezoid(log_qx.exp() * (log_qx - log_px), x), kl_divergence(q, p), 1e-6)
    entropy = -torch.trapezoid(log_qx.exp() * log_qx, x)
    assert (entropy - q.entropy()).abs() > 0.1


@checks("M.20")
def test_change_of_variables():
    """a bent map of the plane: its density integrates to one and gives the mean of the draws"""

    def f(z):
        return torch.stack([z[..., 0] + 0.5 * torch.sin(z[..., 1]), 1.5 * z[..., 1]], -1)

    x, area = plane()
    z = torch.stack([x[:, 0] - 0.5 * torch.sin(x[:, 1] / 1.5), x[:, 1] / 1.5], -1)
    close(f(z), x)
    jacobian = torch.autograd.functional.jacobian(f, z[:1])[0, :, 0]
    close(torch.linalg.det(jacobian).abs(), 1.5)  # here the same everywhere
    p = density(z, torch.tensor([0.3, 0.2]).double(), torch.eye(2).double()) / 1.5
    close(p.sum() * area, 1)
    draws = f(torch.tensor([0.3, 0.2]).double() + torch.randn(100_000, 2).double())
    agree(draws, (x * p[:, None]).sum(0) * area)
    far = Independent(Normal(torch.zeros(5).double(), 256.0), 1).log_prob(torch.ones(5) * 256)
    near = Independent(Normal(torch.zeros(5).double(), 1.0), 1).log_prob(torch.ones(5))
    close((near - far) / math.log(2) / 5, 8)  # bits for each of five dimensions


@checks("M.21")
def test_any_distribution_from_a_uniform_one():
    """a Gumbel by −log(−log u): shares of draws below five marks, against torch's cdf"""
    draws = -(-torch.rand(200_000).double().log()).log()
    marks = torch.tensor([-1.0, 0, 0.5, 1, 3]).double()
    agree((draws[:, None] <= marks).double(), Gumbel(0.0, 1.0).cdf(marks))


# --- Monte Carlo ------------------------------------------------------------------------------


@checks("M.22")
def test_the_standard_error():
    """200,000 averages of skewed draws, with known mean and variance"""
    averages = torch.empty(200_000, 25).double().exponential_(0.5).mean(1)  # mean 2, deviation 2
    agree(averages, 2.0)
    agree((averages - 2.0).square(), 2.0**2 / 25)


@checks("M.23")
def test_how_far_off_an_average_may_be():
    """shares of averages beyond c errors: Chebyshev for a wild one, erfc for many draws"""
    wild = torch.where(torch.rand(100_000) < 0.02, 7.0, -1 / 7)  # mean 0, variance 1, K = 1
    for c in (1.5, 2.0, 5.0):
        assert 0 < (wild.abs() > c).double().mean() <= 1 / c**2
    sums = torch.empty(100_000, 200).exponential_(1.0).mean(1)
    for c in (1.0, 2.0):
        beyond = ((sums - 1).abs() > c / 200**0.5).double().mean()
        assert abs(beyond - math.erfc(c / 2**0.5)) < 0.01
    assert f"{100 * math.erfc(2 / 2**0.5):.1f} %" in PAGE
    assert f"about {1e7 * math.erfc(5 / 2**0.5):.0f} in ten million" in PAGE


@checks("M.24")
def test_the_variance_of_a_difference():
    """two functions of the same noise, by quadrature; less than with separate noise"""
    p = Normal(0.0, 1.0).log_prob(GRID).exp()
    x, y = torch.exp(0.5 * GRID), torch.exp(0.45 * GRID)

    def cov(a, b):
        return integral(p * a * b) - integral(p * a) * integral(p * b)

    difference = integral(p * (x - y).square()) - integral(p * (x - y)).square()
    close(difference, cov(x, x) + cov(y, y) - 2 * cov(x, y))
    assert difference < 0.05 * (cov(x, x) + cov(y, y))


@checks("M.25")
def test_weights_with_and_without_a_variance():
    """quadrature where it is finite; growing without end below ½; and there the error bar lies"""

    def second_moment(sigma, reach):
        z = line(-reach, reach, 200_001)
        p, q = Normal(0.0, 1.0).log_prob(z), Normal(0.0, sigma).log_prob(z)
        return torch.trapezoid((2 * p - q).exp(), z).item()

    for sigma in (0.75, 1.0, 2.0):
        formula = sigma**2 / math.sqrt(2 * sigma**2 - 1)
        assert math.isclose(second_moment(sigma, 40), formula, rel_tol=1e-6)
    assert second_moment(0.6, 20) > 1e6 * second_moment(0.6, 5)
    for sigma, honest in ((1.2, True), (0.4, False)):
        z = sigma * torch.randn(2000, 1000).double()
        w = (Normal(0.0, 1.0).log_prob(z) - Normal(0.0, sigma).log_prob(z)).exp()
        too_low = w.mean(1) + 2 * w.std(1) / 1000**0.5 < 1  # should happen to 2 in 100
        assert (too_low.double().mean() < 0.05) == honest


@checks("M.26")
def test_the_mean_of_correlated_draws():
    """the sum of all entries of the covariance matrix, and simulation"""
    n, rho, s2 = 30, 0.2, 1.7
    matrix = s2 * (rho * torch.ones(n, n) + (1 - rho) * torch.eye(n)).double()
    formula = s2 / n * (1 + (n - 1) * rho)
    close(matrix.sum() / n**2, formula)
    draws = MultivariateNormal(torch.zeros(n).double(), matrix).sample((50_000,)).mean(1)
    agree(draws.square(), formula)
    assert formula > rho * s2


# --- log-sum-exp ------------------------------------------------------------------------------


@checks("M.27")
def test_log_sum_exp():
    """the plain sum where it can be computed, torch where it cannot; the bounds always"""
    for shift in (0.0, -110.0, 5000.0):
        a = 3 * torch.randn(50, 8).double() + shift
        m = a.max(1).values
        by_page = m + (a - m[:, None]).exp().sum(1).log()
        close(by_page, a.logsumexp(1))
        assert (m <= by_page).all() and (by_page <= m + math.log(8)).all()
        if shift == 0:
            close(by_page, a.exp().sum(1).log())
    assert torch.tensor(-110.0, dtype=torch.float32).exp() == 0  # as the page says
    assert 1e-48 < math.exp(-110) < 3e-48


@checks("M.28")
def test_the_gradient_of_log_sum_exp():
    """central differences of the plain formula"""
    a, h = torch.randn(6).double(), 1e-5
    formula = a.exp() / a.exp().sum()
    for j in range(6):
        step = h * torch.eye(6).double()[j]
        slope = ((a + step).exp().sum().log() - (a - step).exp().sum().log()) / (2 * h)
        close(slope, formula[j], 1e-8)


@checks("M.29")
def test_softplus():
    """the plain formula where it can be computed, and its limits where it cannot"""
    logit = line(-30, 30, 121)
    by_page = logit.clamp(min=0) + torch.log1p((-logit.abs()).exp())
    close(by_page, (1 + logit.exp()).log(), 1e-12)
    for extreme in (-1e4, 1e4):
        far = torch.tensor(extreme).double()
        close(far.clamp(min=0) + torch.log1p((-far.abs()).exp()), max(extreme, 0.0))


def test_links_lead_to_chapters_that_exist():
    """The strict build checks them too; here the message is plainer."""
    for name in set(re.findall(r"\(chapters/([\w.]+)", PAGE)):
        assert (notebooks.ROOT / "chapters" / name).exists(), name


@pytest.mark.parametrize("number", TAGS)
def test_every_check_can_fail(number):
    """Its test compares something: it asserts, or calls one of the comparisons above."""
    source = (notebooks.ROOT / "tests" / "test_mathematics.py").read_text(encoding="utf-8")
    (equation,) = [e for e in numbered.tested_equations(PAGE, source) if e.number == number]
    (check,) = equation.checks
    assert check.says, "a line that says what it is compared with"
    assert check.assertions or re.search(r"\b(close|agree)\(", check.code)
