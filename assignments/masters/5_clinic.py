# %% [markdown]
# # Assignment 5: The clinic
#
# This assignment goes with [Chapter 7](https://vae-tutorial.github.io/vae-tutorial/chapters/07_clinic.html). It takes three hours and gives 40 points: 26 for code, 4 for a measurement, 10 for text.
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
import math

import torch
from torch import nn

import vae_tutorial as vt
from vae_tutorial.checks import check
from vae_tutorial.checks.patients_07 import CANDIDATES, patient

# %% [markdown]
# ## 1. The β that a loss really has
#
# Somebody hands you `loss(logits, x, mu, logvar)`, which returns one number for a batch: a weight times the summed Bernoulli cross-entropy, plus another weight times the KL to $\mathcal N(0, I)$, averaged over the batch. You cannot see the weights. Write `effective_beta(loss, x, latents)`, which measures the weight of the KL in units of that of the reconstruction.
#
# - `x` is binary, of shape `(B, n)`, and `latents` is the number $D$ of latent variables. `logits` has the shape of `x`; `mu` and `logvar` are `(B, D)`.
# - Return one number. The arguments stay what they were.

# %% answer=effective-beta
def effective_beta(loss, x, latents):
    """The weight of the KL, in units of that of the reconstruction: one number."""
    ### BEGIN SOLUTION
    mu = torch.zeros(len(x), latents, dtype=x.dtype)
    even, sure = torch.zeros_like(x), 20 * (2 * x - 1)
    kl = loss(even, x, mu + 1, mu) - loss(even, x, mu, mu)  # honest: D / 2
    error = loss(even, x, mu, mu) - loss(sure, x, mu, mu)  # honest: n log 2
    return (kl / (latents / 2)) / (error / (x.shape[1] * math.log(2)))
    ### END SOLUTION

# %% check=effective-beta
check("effective-beta", effective_beta)

# %% [markdown]
# ## 2. Does the encoder matter?
#
# Write `uses_encoder(model, x)`. `model(x)` returns `(reconstruction, mu, logvar)` and draws fresh noise in every call. `x` is `(B, 10)`.
#
# - Return `True` if the reconstruction depends on what the encoder says of `x`, through μ or through σ, and `False` if $z$ is drawn without regard to it.
# - A model whose gradients are cut still uses its encoder, and one that multiplies μ by 0 does not, though gradients flow. The arguments stay what they were.
# - Points are for telling models apart: an answer that is always the same earns none.

# %% answer=uses-encoder
def uses_encoder(model, x):
    """Whether the reconstruction depends on the encoder: True or False."""
    ### BEGIN SOLUTION
    found = []
    for images in (x, 1 - x):
        torch.manual_seed(0)  # the same noise
        found.append(model(images)[0])
    return not torch.equal(*found)
    ### END SOLUTION

# %% check=uses-encoder
check("uses-encoder", uses_encoder)

# %% [markdown]
# ## 3. Ten patients
#
# Ten small VAEs lie in the ward, untrained. Each has exactly one of the conditions in `CANDIDATES`, and one is healthy. `patient(n)` returns a model and its loss. The model takes images `(B, 1, 28, 28)` and returns a tuple: the reconstruction as the loss expects it, `mu` and `logvar`, with 8 latents. The loss takes this tuple and the images, and returns one number.
#
# Find out what each has. You may call them, overwrite what they return before you hand it to the loss, and ask for gradients. Do not read their code. Write `"?"` where you do not know. Keep your measurements: part 5 asks for them.

# %%
for candidate, meaning in CANDIDATES.items():
    print(f"{candidate:25s} {meaning}")

# %% answer=ward
diagnoses = None  # {1: "?", 2: "healthy", …}: all ten
### BEGIN SOLUTION
diagnoses = {
    1: "exp-logvar-as-std", 2: "kl-averaged-over-latents", 3: "gradient-cut", 4: "healthy",
    5: "reconstruction-averaged", 6: "noise-shared", 7: "double-sigmoid", 8: "kl-part-missing",
    9: "target-wrong", 10: "logvar-nonnegative",
}
### END SOLUTION

# %% check=ward
check("ward", diagnoses)

# %% [markdown]
# ## 4. A script that somebody sends you
#
# "My VAE trains, but its samples are mud." The cell below has the model. It has exactly three faults. Find them, mend them in your own copy, and train it on the drawn digits for 10 epochs with `torch.optim.Adam`, learning rate 0.001, batches of 128. Then compute the mean negative ELBO of the 2,000 test images, in nats, and type it in, rounded to one decimal.

# %%
class Sick(nn.Module):
    """forward(x) should return the negative ELBO of each image in nats, (B,)."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(784, 200), nn.ReLU(),
                                     nn.Linear(200, 12), nn.ReLU())
        self.decoder = nn.Sequential(nn.Linear(6, 200), nn.ReLU(),
                                     nn.Linear(200, 784), nn.Sigmoid())

    def forward(self, x):
        x = torch.bernoulli(x).flatten(1)
        mu, logvar = self.encoder(x).chunk(2, dim=1)  # (B, 6) each
        z = mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)
        bernoulli = nn.functional.binary_cross_entropy_with_logits
        energy = bernoulli(self.decoder(z), x, reduction="none").sum(1)  # (B,)
        return energy + 0.5 * (mu**2 + logvar.exp() - 1 - logvar).mean(1)


digits = vt.load_images("stroke-digits")
x = digits.train.images.float() / 255  # (10000, 1, 28, 28)
x_test = digits.test.images.float() / 255  # (2000, 1, 28, 28)

### BEGIN SOLUTION
class Healthy(Sick):
    def __init__(self):
        super().__init__()
        self.encoder = self.encoder[:-1]  # mean and log-variance may be negative
        self.decoder = self.decoder[:-1]  # logits: the loss applies the sigmoid

    def forward(self, x):
        x = torch.bernoulli(x).flatten(1)
        mu, logvar = self.encoder(x).chunk(2, dim=1)
        z = mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)
        bernoulli = nn.functional.binary_cross_entropy_with_logits
        energy = bernoulli(self.decoder(z), x, reduction="none").sum(1)
        return energy + 0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum(1)  # summed over latents


torch.manual_seed(0)
model = Healthy()
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

# %% measured=healed_loss points=4 between=122.8,126.8
### BEGIN SOLUTION
healed_loss = 124.8
### END SOLUTION

# %% [markdown]
# ## 5. In words
#
# Write two short reports, about 250 words in all.
#
# - (a) *The script.* For each of the three faults: the line, what it does to training, and the measurement that shows it without reading the line.
# - (b) *The ward.* Choose two patients that were hard to tell. Which candidates were still possible, which examination told them apart, and what did it measure?
#
# *Rubric, 10 points.* (a) 2 points for each fault: 1 for the fault and what it does, 1 for a measurement that could have come out otherwise ("the loss looks odd" is none). (b) 2 points for each patient: 1 for candidates that the earlier examinations left, 1 for the examination with its number, and the number that a healthy model gives.

# %% [markdown] written=5.5 points=10
# **Answer 5.5**
#
# ### BEGIN SOLUTION
# (a) *`nn.ReLU` at the end of the encoder.* Neither mean nor log-variance can be negative, so σ is at least 1 and means lie in one corner: the code is mostly noise. To see it: the smallest `mu` and the smallest `logvar` over all test images are exactly 0. *`nn.Sigmoid` before a loss that wants logits.* "Logits" between 0 and 1 give pixels between 0.5 and 0.73, so that a black pixel costs at least 0.69 nats. To see it: the smallest and the largest reconstruction over many inputs are 0 and 1. *`.mean(1)` for the KL.* It is 6 times too small, β = 1/6: the code is used too freely, and samples from the prior look bad. To see it: μ = 1 in all 6 dimensions should cost 3 nats, and costs ½.
#
# (b) *Patient 1*: after the ranges and the loss were in order, "exp-logvar-as-std" and "healthy" were left. With constant encoders, raising log σ² from −6 to −5 changed the spread of the reconstruction by a factor of 2.7; a healthy one gives 1.65. *Patient 6*: its loss was honest. Sixteen copies of one image in a batch gave sixteen equal rows, of spread 0, while two calls differed. A healthy one gives rows that differ.
# ### END SOLUTION
