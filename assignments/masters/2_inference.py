# %% [markdown]
# # Assignment 2: Inference and the ELBO
#
# This assignment goes with [Chapter 2](https://vae-tutorial.github.io/vae-tutorial/chapters/02_variational_inference.html) and [Chapter 3](https://vae-tutorial.github.io/vae-tutorial/chapters/03_elbo.html). It takes two to three hours and gives 40 points: 32 for code, 8 for text.
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

from vae_tutorial.checks import check

# %% [markdown]
# ## 1. Two Gaussians by their log-variances
#
# Networks give log-variances. Write `kl_of_two`, the divergence of $\mathcal N(\mu_q, \operatorname{diag}\sigma_q^2)$ from $\mathcal N(\mu_p, \operatorname{diag}\sigma_p^2)$, in these terms.
#
# - The four inputs are tensors of shape `(B, D)`; each row is one pair of Gaussians, and `logvar` is $\log\sigma^2$.
# - Return one tensor of shape `(B,)`, in nats.

# %% answer=kl-of-two
def kl_of_two(mu_q, logvar_q, mu_p, logvar_p):
    """KL of N(mu_q, exp logvar_q) from N(mu_p, exp logvar_p): four (B, D) -> (B,)."""
    ### BEGIN SOLUTION
    ratio = (logvar_q - logvar_p).exp()  # (B, D)
    apart = (mu_q - mu_p).square() * (-logvar_p).exp()
    return 0.5 * (ratio + apart - 1 - logvar_q + logvar_p).sum(-1)  # (B,)
    ### END SOLUTION

# %% check=kl-of-two
check("kl-of-two", kl_of_two)

# %% [markdown]
# ## 2. Importance sampling without underflow
#
# Write `log_mean_weight(log_joint, log_q)`, the logarithm of the importance-sampling estimate of $p(x)$ with $K$ draws from $q$, for each of $B$ images.
#
# - The inputs are two tensors of shape `(K, B)`: $\log p(x, z_k)$ and $\log q(z_k)$. For images they lie around $-1000$, so do not leave the logarithm: $e^{-1000}$ is zero to a computer.
# - Return one tensor of shape `(B,)`, in nats.

# %% answer=log-mean-weight
def log_mean_weight(log_joint, log_q):
    """log of the mean of p(x, z_k) / q(z_k) over k: two (K, B) -> (B,), nats."""
    ### BEGIN SOLUTION
    return torch.logsumexp(log_joint - log_q, dim=0) - math.log(len(log_q))
    ### END SOLUTION

# %% check=log-mean-weight
check("log-mean-weight", log_mean_weight)

# %% [markdown]
# ## 3. The divergence from the prior
#
# Derive the divergence of $\mathcal N(\mu, \operatorname{diag}\sigma^2)$ from the standard normal distribution on paper, and write it as code.
#
# - The inputs are two tensors `mu` and `logvar` of shape `(B, D)`.
# - Return a tensor of shape `(B,)`, one divergence in nats for each image. Gradients must reach `mu` and `logvar`.

# %% answer=kl
def my_kl(mu, logvar):
    """KL(N(mu, diag exp logvar) || N(0, I)) for each row: (B, D), (B, D) -> (B,)."""
    ### BEGIN SOLUTION
    return 0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum(-1)
    ### END SOLUTION

# %% check=kl
check("kl", my_kl)

# %% [markdown]
# ## 4. Another likelihood
#
# A decoder gives the mode $\hat x$ of a Laplace distribution for each pixel: $p(x \mid z) = \prod_i \frac1{2s}\, e^{-|x_i - \hat x_i| / s}$. Write `laplace_energy(x, x_hat, scale)`.
#
# - `x` and `x_hat` are tensors of shape `(B, C, H, W)`, and `scale` is the number $s$.
# - Return minus the log-likelihood of each image, a tensor of shape `(B,)`, in nats. Nothing is left out, constants neither.

# %% answer=laplace-energy
def laplace_energy(x, x_hat, scale):
    """-log p(x | z) of a Laplace decoder: (B, C, H, W), the same, a number -> (B,)."""
    ### BEGIN SOLUTION
    each = (x - x_hat).abs() / scale + math.log(2 * scale)
    return each.flatten(1).sum(1)
    ### END SOLUTION

# %% check=laplace-energy
check("laplace-energy", laplace_energy)

# %% [markdown]
# ## 5. In words
#
# Answer in about 150 words:
#
# - (a) $\log p(x)$ is the ELBO plus a divergence. Which one? What follows for the best $q$, and for a $q$ that cannot reach it?
# - (b) In training, the ELBO of a model rises by 3 nats. Name two different things that can have happened to $\log p(x)$.
#
# *Rubric, 8 points.* (a) 2 points for the divergence, in the right order of its arguments; 2 points for what follows. (b) 2 points for each of two cases, with what the gap did in it.

# %% [markdown] written=2.5 points=8
# **Answer 2.5**
#
# ### BEGIN SOLUTION
# (a) $\log p(x) = \mathrm{ELBO} + \mathrm{KL}(q(z)\,\Vert\,p(z \mid x))$. The best $q$ is the posterior; then the ELBO is $\log p(x)$. A $q$ that cannot reach the posterior leaves a gap, and the ELBO lies below $\log p(x)$ by that divergence.
#
# (b) $\log p(x)$ can have risen by 3 nats, with the gap as before. Or it stayed where it was, and $q$ came 3 nats nearer to the posterior. It can even have fallen, if the gap shrank by more than 3 nats.
# ### END SOLUTION
