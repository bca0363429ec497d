# %% [markdown]
# # Assignment 3: Reparameterization, and a VAE from scratch
#
# This assignment goes with [Chapter 4](https://vae-tutorial.github.io/vae-tutorial/chapters/04_reparameterization.html) and [Chapter 5](https://vae-tutorial.github.io/vae-tutorial/chapters/05_conv_vae.html). It takes three hours and gives 40 points: 28 for code, 4 for a measurement, 8 for text.
#
# - Write each function in its own cell, under the name that is there. Use its arguments only. What a function needs from elsewhere must be an import, another function, or a number that you type in.
# - `check` says how many points the answer gets, and what is wrong. Run it as often as you like. Your teacher's program calls the same check, with other inputs.
# - `torch` and `numpy` are yours to use. The book's own package is not available in a graded function.

# %%
#@title Set-up: on Colab, install this book's package; anywhere else, nothing to do
from importlib.util import find_spec

if find_spec("google") and find_spec("google.colab"):
    package = "vae-tutorial @ git+https://github.com/vae-tutorial/vae-tutorial@main"
    get_ipython().run_line_magic("pip", f"install --quiet '{package}'")

# %%
import torch
from torch import nn

import vae_tutorial as vt
from vae_tutorial.checks import check

# %% [markdown]
# ## 1. Several samples for each image
#
# Write `draw_latents(mu, logvar, K)`, the sampling step for $K$ samples of $z$ for each image.
#
# - `mu` and `logvar` have the shape `(B, D)`, and `K` is an integer, at least 1. Return one tensor of shape `(K, B, D)`.
# - The noise is standard normal, and independent for every sample, every image and every dimension. Noise of another shape with the same variance (uniform, Laplace) is not right, and neither are antithetic pairs $\epsilon$, $-\epsilon$. Every call draws fresh noise.
# - Gradients reach `mu` and `logvar`. The inputs themselves stay unchanged.

# %% answer=draw-latents
def draw_latents(mu, logvar, K):
    """K samples from N(mu, diag exp logvar): (B, D), (B, D), int -> (K, B, D)."""
    ### BEGIN SOLUTION
    eps = torch.randn(K, *mu.shape, dtype=mu.dtype, device=mu.device)
    return mu + torch.exp(0.5 * logvar) * eps
    ### END SOLUTION

# %% check=draw-latents
check("draw-latents", draw_latents)

# %% [markdown]
# ## 2. Without reparameterization
#
# Where $z$ cannot be reparameterized, the score estimator multiplies a value by the derivative of $\log q$. Its noise falls if each sample is compared with the mean of the *other* samples. Write `leave_one_out(values, scores)`.
#
# - `values` and `scores` are tensors of shape `(K, N)`, with $K \ge 2$: for each of $N$ problems, $K$ samples of $f(z_k)$ and of $\partial \log q(z_k)/\partial\theta$.
# - For each sample, take from its value the mean of the values of the $K - 1$ others in its column, and multiply by its score. Return the mean over the $K$ samples, a tensor of shape `(N,)`.
# - The arguments stay what they were.

# %% answer=leave-one-out
def leave_one_out(values, scores):
    """The score estimate with a baseline: (K, N), (K, N) -> one a column, (N,)."""
    ### BEGIN SOLUTION
    K = len(values)
    others = (values.sum(0) - values) / (K - 1)  # (K, N)
    return ((values - others) * scores).mean(0)
    ### END SOLUTION

# %% check=leave-one-out
check("leave-one-out", leave_one_out)

# %% [markdown]
# ## 3. One epoch by hand
#
# Write one epoch of plain gradient descent, `one_epoch(model, images, learning_rate, batch_size)`.
#
# - `model(x)` returns the losses `(B,)` of a batch `x`, one for each image. `images` is a tensor `(N, C, H, W)`.
# - Draw the order of the images afresh in each call, from torch's global random numbers, so that both the order and the batches change from epoch to epoch. Set no seed.
# - Go through the images in batches of `batch_size`. The last batch may be smaller. Use every image once, and call the model once for each batch.
# - For each batch, take one step of `torch.optim.SGD` with this learning rate, without momentum, on the *mean* loss of the batch. Train *all* parameters of the model. The model is changed in place.
# - Return the mean loss over all images, each taken when its batch was used, before that batch's step. Return a Python number or a 0-d tensor.

# %% answer=one-epoch
def one_epoch(model, images, learning_rate, batch_size):
    """One pass over images (N, C, H, W), the model changed in place -> mean loss."""
    ### BEGIN SOLUTION
    optimiser = torch.optim.SGD(model.parameters(), lr=learning_rate)
    total = 0.0
    for places in torch.randperm(len(images)).split(batch_size):
        losses = model(images[places])  # (B,)
        optimiser.zero_grad()
        losses.mean().backward()
        optimiser.step()
        total += losses.sum().item()
    return total / len(images)
    ### END SOLUTION

# %% check=one-epoch
check("one-epoch", one_epoch)

# %% [markdown]
# ## 4. A VAE from scratch
#
# Put the parts together, without `vt.VAE` and `vt.fit`. Write a VAE as an `nn.Module` whose `forward(x)` returns the negative ELBO of each image in nats, a tensor `(B,)`:
#
# - the encoder is a network with one hidden layer of 256 units and `nn.ReLU`; it gives `mu` and `logvar` of 8 latent variables;
# - the decoder is the same the other way round, and gives one logit for each pixel;
# - the likelihood is a product of Bernoulli distributions. Binarise each batch afresh: `x = torch.bernoulli(x)`;
# - the reconstruction term is *summed* over the 784 pixels, and the divergence in closed form is summed over the 8 latent variables. Draw one $z$ for each image.
#
# Train it on the drawn digits for 10 epochs with `torch.optim.Adam`, learning rate 0.001, batches of 128. Then compute the mean negative ELBO of the 2,000 test images, and type it in, rounded to one decimal.

# %%
digits = vt.load_images("stroke-digits")
x = digits.train.images.float() / 255  # (10000, 1, 28, 28)
x_test = digits.test.images.float() / 255  # (2000, 1, 28, 28)

### BEGIN SOLUTION
class VAE(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 16))
        self.decoder = nn.Sequential(nn.Linear(8, 256), nn.ReLU(), nn.Linear(256, 784))

    def forward(self, x):
        x = torch.bernoulli(x).flatten(1)
        mu, logvar = self.encoder(x).chunk(2, dim=1)  # (B, 8) each
        z = mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)
        bernoulli = nn.functional.binary_cross_entropy_with_logits
        energy = bernoulli(self.decoder(z), x, reduction="none").sum(1)  # (B,)
        return energy + 0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum(1)


model = VAE()
optimiser = torch.optim.Adam(model.parameters(), lr=0.001)
for _ in range(10):
    for places in torch.randperm(len(x)).split(128):
        loss = model(x[places]).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
with torch.no_grad():
    print(round(model(x_test).mean().item(), 1))
### END SOLUTION

# %% measured=test_loss points=4 between=112,117
### BEGIN SOLUTION
test_loss = 114.3
### END SOLUTION

# %% [markdown]
# ## 5. In words
#
# Answer in about 150 words:
#
# - (a) `z = torch.distributions.Normal(mu, sigma).sample()` trains a decoder, but not the encoder as it should. What is lost, and what part of the loss still trains the encoder?
# - (b) A colleague averages the reconstruction term over the 784 pixels and sums the divergence over the latent variables. Which β does this train, and what will the images look like?
#
# *Rubric, 8 points.* (a) 2 points for the gradient through $z$, 2 points for the divergence, which alone pulls $q$ to the prior. (b) 2 points for β = 784, 2 points for a collapse: all images are nearly the mean image.

# %% [markdown] written=3.5 points=8
# **Answer 3.5**
#
# ### BEGIN SOLUTION
# (a) `sample()` cuts the graph: the reconstruction term reaches the decoder, but not `mu` and `sigma`. The encoder sees only the divergence, which draws every posterior to the prior; so $z$ comes to say nothing about $x$.
#
# (b) The reconstruction term is 784 times too small, which is the same as β = 784. It costs more to say something by $z$ than it gains, so the posterior collapses to the prior, and the decoder draws nearly the mean image for every $z$.
# ### END SOLUTION
