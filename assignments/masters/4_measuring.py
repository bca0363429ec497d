# %% [markdown]
# # Assignment 4: Measuring
#
# This assignment goes with [Chapter 6](https://vae-tutorial.github.io/vae-tutorial/chapters/06_measuring.html). It takes three hours and gives 40 points: 27 for code, 5 for measurements, 8 for text.
#
# - Write each function in its own cell, under the name that is there. Use its arguments only. What a function needs from elsewhere must be an import, another function, or a number that you type in.
# - `check` says how many points the answer gets, and what is wrong. Run it as often as you like. Your teacher's program calls the same check, with other inputs.
# - `torch` and `numpy` are yours to use. The book's own package is not available in a graded function.
# - Arguments stay what they were: a function that changes one loses a point.

# %%
#@title Set-up: on Colab, install this book's package; anywhere else, nothing to do
from importlib.util import find_spec

if find_spec("google") and find_spec("google.colab"):
    package = "vae-tutorial @ git+https://github.com/vae-tutorial/vae-tutorial@main"
    get_ipython().run_line_magic("pip", f"install --quiet '{package}'")

# %%
import math

import torch

import vae_tutorial as vt
from vae_tutorial.checks import check

# %% [markdown]
# ## 1. Bits per dimension
#
# Tables for photographs have another unit than tables for digits. Write `bits_per_dim(nats, shape)`.
#
# - `nats` is a tensor `(B,)` of losses in nats per image, and `shape` is a tuple `(C, H, W)`: the shape of one image.
# - Return a tensor `(B,)`: the same losses in bits per dimension. An image has $C\cdot H\cdot W$ dimensions.

# %% answer=bits-per-dimension
def bits_per_dim(nats, shape):
    """Losses in nats per image (B,), shape (C, H, W) of an image -> bits/dim (B,)."""
    ### BEGIN SOLUTION
    return nats / (math.prod(shape) * math.log(2))
    ### END SOLUTION

# %% check=bits-per-dimension
check("bits-per-dimension", bits_per_dim)

# %% [markdown]
# ## 2. The number to beat
#
# Before a model is measured, measure one that is too simple. Take a model without latent variables: each pixel is a Bernoulli variable of its own, whatever the other pixels are. Its probability is the mean of that pixel over the *training* images. So that no test image is impossible, keep the probabilities between 0.001 and 0.999.
#
# Compute the mean of $-\log p(x)$ over the *test* images of the drawn digits, in nats per image. A grey value $g$ stands for a pixel that is 1 with probability $g$. Take the mean over this draw as well; for that nothing has to be drawn, since $-\log p(x)$ is linear in each pixel.
#
# Type the number in, rounded to one decimal. A VAE that does not come far below it has learnt nothing about how pixels belong together.

# %%
digits = vt.load_images("stroke-digits")
x = digits.train.images.float() / 255  # (10000, 1, 28, 28)
x_test = digits.test.images.float() / 255  # (2000, 1, 28, 28)

### BEGIN SOLUTION
p = x.mean(0).clamp(0.001, 0.999)
each = -(x_test * p.log() + (1 - x_test) * (1 - p).log())  # (2000, 1, 28, 28)
print(round(each.flatten(1).sum(1).mean().item(), 1))
### END SOLUTION

# %% measured=pixels_alone points=3 between=186.4,186.8
### BEGIN SOLUTION
pixels_alone = 186.6
### END SOLUTION

# %% [markdown]
# ## 3. The jackknife
#
# The estimate from $K$ weights, $\hat L=\log\frac1K\sum_kw_k$, lies below $\log p_\theta(x)$ by about $a/K$ on average. Let $\hat L_{-k}$ be the same from the $K-1$ weights without the $k$-th, and $\bar L=\frac1K\sum_k\hat L_{-k}$. The jackknife combines them:
#
# $$\hat J = K\hat L-(K-1)\,\bar L,\qquad s_J^2=\frac{K-1}K\sum_{k=1}^K\big(\hat L_{-k}-\bar L\big)^2 .$$
#
# Write `jackknife(log_w)`.
#
# - `log_w` are log-weights of shape `(K, B)`, $K\ge2$. They may be thousands of nats up or down, and one weight may outweigh all the others of its image.
# - Return a tuple of two tensors of shape `(B,)`: $\hat J$ and its standard error $s_J$ for each image.

# %% answer=jackknife
def jackknife(log_w):
    """log p(x) less its bias of order 1/K, and its error: (K, B) -> two (B,)."""
    ### BEGIN SOLUTION
    K = len(log_w)
    own = torch.eye(K, dtype=torch.bool, device=log_w.device)[:, :, None]  # (K, K, 1)
    others = log_w.expand(K, *log_w.shape).masked_fill(own, -math.inf)  # (K, K, B)
    without = others.logsumexp(1) - math.log(K - 1)  # (K, B)
    whole = log_w.logsumexp(0) - math.log(K)  # (B,)
    squares = (without - without.mean(0)).square().sum(0)
    return K * whole - (K - 1) * without.mean(0), ((K - 1) / K * squares).sqrt()
    ### END SOLUTION

# %% check=jackknife
check("jackknife", jackknife)

# %% [markdown]
# ## 4. How large is the bias?
#
# Let $\log w\sim\mathcal N(-\tfrac12,\,1)$. Then the mean weight is 1, and the right answer is 0. How many nats *below* 0 does $\hat L$ lie on average for $K=5$ (not $\hat J$)? Measure over so many repetitions that you know two decimals, and type the number in, without a sign.

# %%
### BEGIN SOLUTION
torch.manual_seed(0)
log_w = -0.5 + torch.randn(5, 100_000, dtype=torch.float64)
plain = log_w.logsumexp(0) - math.log(5)
print(f"± {plain.std().item() / len(plain) ** 0.5:.4f}, with the jackknife {jackknife(log_w)[0].mean():.2f}")
print(round(-plain.mean().item(), 2))
### END SOLUTION

# %% measured=bias_of_five points=2 between=0.12,0.15
### BEGIN SOLUTION
bias_of_five = 0.14
### END SOLUTION

# %% [markdown]
# ## 5. The rate in three parts
#
# With a standard normal prior, the rate (the mean KL term) has three parts:
#
# $$\mathrm{rate}=\mathrm I_q(x;z)+\mathrm{KL}\Big(q_\phi(z)\,\Big\|\,\prod_dq_\phi(z_d)\Big)+\sum_d\mathrm{KL}\big(q_\phi(z_d)\,\|\,p(z_d)\big)$$
#
# They are the mutual information, the total correlation, and the distance of each dimension from its prior. Write `rate_in_three(mu, logvar, z)`.
#
# - `mu` and `logvar`, `(N, D)`, are the parameters of $q_\phi(z\mid x)$ for $N$ images, and `z` are $S$ draws from each, `(S, N, D)`.
# - Estimate the first two parts from the draws. Take the mixture of all $N$ posteriors for $q_\phi(z)$, and the mixture in one dimension for $q_\phi(z_d)$.
# - The rate is known in closed form. The third part is what the first two leave of it.
# - Return a tuple of three numbers in nats, Python numbers or 0-d tensors.

# %% answer=rate-in-three
def rate_in_three(mu, logvar, z):
    """The parts of the rate: (N, D), (N, D), draws (S, N, D) -> three numbers, in nats.

    Mutual information, total correlation, and the sum over d of KL(q(z_d) || p(z_d)).
    """
    ### BEGIN SOLUTION
    N = len(mu)
    q = torch.distributions.Normal(mu, torch.exp(0.5 * logvar))
    each = q.log_prob(z[:, :, None])  # (S, N, N, D): every draw under every posterior
    own = q.log_prob(z).sum(-1)  # (S, N): log q(z | x)
    joint = each.sum(-1).logsumexp(2) - math.log(N)  # (S, N): log q(z)
    apart = (each.logsumexp(2) - math.log(N)).sum(-1)  # (S, N): the sum of log q(z_d)
    rate = 0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum(-1).mean()
    information, correlation = (own - joint).mean(), (joint - apart).mean()
    return information, correlation, rate - information - correlation
    ### END SOLUTION

# %% check=rate-in-three
check("rate-in-three", rate_in_three)

# %% [markdown]
# ## 6. In words
#
# A paper reports for its VAE on binarised MNIST "$-\log p(x)=85.1$ nats", and for an older one, from another paper, "$\le 86.8$ nats". Answer in about 200 words:
#
# - (a) Name three things that must be the same before the two numbers can be compared, and say for each which way a difference would move a number.
# - (b) The first number comes from importance sampling with $K=50$ samples from $q_\phi(z\mid x)$. On which side of the truth does it lie on average, and what would you do to find out how far away it is?
#
# *Rubric, 8 points.* (a) 1 point for each of three things (for instance: a bound or an estimate and its number of samples; the binarisation, fixed or dynamic; the images, test or validation, and how many the model was trained on), and 1 point in all for directions that are right where one can be named. (b) 2 points for the side: $\hat L$ lies below $\log p(x)$ on average, so that $-\hat L$ is too large. 2 points for a way to look: more samples until nothing moves, the jackknife, annealed importance sampling, or a model whose answer is known.

# %% [markdown] written=4.6 points=8
# **Answer 4.6**
#
# ### BEGIN SOLUTION
# (a) What is reported: the older number is a bound, $-$ELBO, and lies above $-\log p(x)$ by the gap of its encoder; an estimate with many samples is lower for the same model. The binarisation: with one fixed draw of the training images a model sees fewer different images, and its test numbers tend to be worse; numbers for fixed and for dynamic binarisation belong to different data sets. The images: the number must come from test images that chose neither weights nor the moment to stop. A number from training or validation images is too low.
#
# (b) By Jensen's inequality the mean of $\hat L$ is at most $\log p(x)$. So $-\hat L$ is too large on average, and the truth is better than reported. I would take $K=50, 500, 5000$ on the same images and see whether the number still falls by more than its standard error. The jackknife's correction shows the same with one set of weights. If a few weights rule, the encoder misses part of the posterior, and I would compare with annealed importance sampling.
# ### END SOLUTION
