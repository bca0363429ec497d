# %% [markdown]
# # Assignment 6: A project
#
# A small study of your own, from a question to a table that others can trust. It goes with all chapters up to [Chapter 7](https://vae-tutorial.github.io/vae-tutorial/chapters/07_clinic.html). It takes three hours, half an hour of them for the computer, and gives 40 points: 7 for code, 4 for a measurement, 29 for text.
#
# - Write each function in its own cell, under the name that is there. Use its arguments only. What a function needs from elsewhere must be an import, another function, or a number that you type in.
# - `check` says how many points the answer gets, and what is wrong. Run it as often as you like. Your teacher's program calls the same check, with other inputs.
# - `torch` and `numpy` are yours to use. The book's own package is not available in a graded function.
# - The texts are read by people. The rubric stands below each question.

# %%
#@title Set-up: on Colab, install this book's package; anywhere else, nothing to do
from importlib.util import find_spec

if find_spec("google") and find_spec("google.colab"):
    package = "vae-tutorial @ git+https://github.com/vae-tutorial/vae-tutorial@main"
    get_ipython().run_line_magic("pip", f"install --quiet '{package}'")

# %%
import torch

import vae_tutorial as vt
from vae_tutorial.checks import check

# %% [markdown]
# ## 1. A tool: one attribute, without its class
#
# Suppose that most thick digits in a collection are 8s, and most thin ones 1s. Then the difference of two mean codes, thick minus thin, leads from 1 to 8. The remedy is to compare within classes. Write `attribute_direction(mu, has, labels)`.
#
# - `mu` is a tensor `(N, D)` of codes, `has` a tensor `(N,)` of `bool` that says which images have the attribute, and `labels` a tensor `(N,)` of `int64` with their classes.
# - In each class, subtract the mean code without the attribute from the mean code with it.
# - Leave out classes in which all images have the attribute, or none has it.
# - Return the mean of these differences over the remaining classes, a tensor `(D,)`. Each class counts once, however many images it has. The arguments stay what they were.

# %% answer=attribute-direction
def attribute_direction(mu, has, labels):
    """Codes (N, D), attribute (N,) bool, classes (N,) int64 -> direction (D,)."""
    ### BEGIN SOLUTION
    steps = []
    for c in labels.unique():
        with_it, without = mu[(labels == c) & has], mu[(labels == c) & ~has]
        if len(with_it) and len(without):
            steps.append(with_it.mean(0) - without.mean(0))
    return torch.stack(steps).mean(0)
    ### END SOLUTION

# %% check=attribute-direction
check("attribute-direction", attribute_direction)

# %% [markdown]
# ## 2. The common baseline
#
# So that everybody's results can be compared, all start from the same model: `vt.VAE(vt.MLPEncoder(10, (200,)), vt.MLPDecoder(10, (200,)))`, trained by `vt.fit` on the training images of the drawn digits for 10 epochs, with all other settings as they are. Measure its −ELBO on the test images with `vt.evaluate`, in nats per image. Train it with three seeds, and type in the mean of the three, rounded to one decimal.

# %%
digits = vt.load_images("stroke-digits")

### BEGIN SOLUTION
losses = []
for seed in range(3):
    torch.manual_seed(seed)
    model = vt.VAE(vt.MLPEncoder(10, (200,)), vt.MLPDecoder(10, (200,)))
    vt.fit(model, digits.train, epochs=10)
    losses.append(vt.evaluate(model, digits.test)["loss"])
print([round(each, 2) for each in losses])
print(round(sum(losses) / 3, 1))
### END SOLUTION

# %% measured=baseline_loss points=4 between=115.0,119.0
### BEGIN SOLUTION
baseline_loss = 116.8
### END SOLUTION

# %% [markdown]
# ## 3. The question and the plan
#
# Choose one question, or bring one of your own and agree on it with your teacher:
#
# - **How many latent variables?** What changes from 2 to 5, 10 and 20: the loss, its two parts, the active units?
# - **Which β?** What do the two parts of the loss do for β between 0.1 and 4, and what the true −ELBO (β = 1)?
# - **What do the codes know?** Take the factors that the digits were drawn with, `digits.train.factors`. Which of them can be moved with your function from part 1, and which not?
# - **How much data?** What happens with 500, 2,000 and 10,000 training images, on training and on test images?
#
# Before you train, write down in about 120 words: the question in one sentence; what you will vary and what you will hold fixed; what you will measure, on which images, with how many seeds; what you expect and why; and which result would speak against it.
#
# *Rubric, 8 points.* 2 points for a question that a measurement can answer. 2 points for one thing that varies, with all else fixed. 2 points for measures with unit, images, and three seeds or more. 2 points for an expectation with a reason, and a result that would speak against it.

# %% [markdown] written=6.3 points=8
# **Answer 6.3**
#
# ### BEGIN SOLUTION
# *Question.* How many latent variables does a VAE of the drawn digits use, and what do more of them cost? *Varied:* their number, 2, 5, 10 and 20. *Fixed:* one hidden layer of 200 units on either side, Bernoulli pixels, 10 epochs, all else as `vt.fit` has it. *Measured:* −ELBO, reconstruction term and KL in nats per image, and active units (threshold 0.01), all on the 2,000 test images, three seeds. *Expected:* the digits were drawn with eight factors and a class. So the loss should fall up to about ten variables and then stay, as spare ones go to the prior and cost nothing. If the loss rose again by more than the spread of the seeds, or if all 20 were active, I would be wrong.
# ### END SOLUTION

# %% [markdown]
# ## 4. The runs
#
# Write and run the code of your study here, in as many cells as you like. It must run from top to bottom and print one table. Draw one figure with error bars, and label its axes with units.

# %%
### BEGIN SOLUTION
for size in (2, 5, 10, 20):
    rows = []
    for seed in range(3):
        torch.manual_seed(seed)
        model = vt.VAE(vt.MLPEncoder(size, (200,)), vt.MLPDecoder(size, (200,)))
        vt.fit(model, digits.train, epochs=10)
        found = vt.evaluate(model, digits.test)
        active = vt.active_units(model, digits.test).count
        rows.append([found["loss"], -found["log_px"], found["kl"], active])
    rows = torch.tensor(rows)
    print(size, "variables:", *(f"{m:.1f} ± {s:.1f}" for m, s in zip(rows.mean(0), rows.std(0))))
### END SOLUTION

# %% [markdown]
# ## 5. The report
#
# Write 300 to 400 words for somebody who has read the book and not your code: the result in the first sentence; the table, typed in, and what the figure shows; whether the result is what you expected; what else could explain it, and what you did to rule that out; what it does *not* show; and what you would measure next.
#
# *Rubric, 21 points.*
#
# | points | for |
# | --- | --- |
# | 3 | the result in one sentence that a number in the table supports |
# | 4 | a table with units, images, seeds and a spread, whose decimals are all worth printing |
# | 3 | a figure that shows the spread and can be read without colour |
# | 4 | the conclusion says no more than the spread allows; differences within it are called that |
# | 4 | one other explanation, and something done against it (longer training, a curve that has flattened, a baseline, another seed) |
# | 3 | limits, and a next step that follows from the result |
#
# A result that went against the plan gets as many points as one that confirmed it.

# %% [markdown] written=6.5 points=21
# **Answer 6.5**
#
# ### BEGIN SOLUTION
# With the same training, ten latent variables give the best VAE of the drawn digits; with twenty it is no better.
#
# | variables | −ELBO | reconstruction | KL | active |
# | --- | --- | --- | --- | --- |
# | 2 | 161.5 ± 0.6 | 156.4 ± 0.7 | 5.0 ± 0.1 | 2 of 2 |
# | 5 | 132.4 ± 0.3 | 122.0 ± 0.2 | 10.4 ± 0.1 | 5 of 5 |
# | 10 | 116.8 ± 0.6 | 100.4 ± 0.7 | 16.4 ± 0.1 | 10 of 10 |
# | 20 | 118.0 ± 1.0 | 98.4 ± 1.1 | 19.6 ± 0.1 | 20 of 20 |
#
# Nats per image, 2,000 test images with dynamic binarisation, one sample of z, mean and standard deviation of three seeds. The figure shows the same: a steep fall up to ten, then nothing that the bars can tell apart.
#
# From 2 to 5 and from 5 to 10 the loss falls by 29 and 16 nats, many times the spread. From 10 to 20 it changes by 1.2 ± 1.2 nats, which is no difference. The two parts do change: the reconstruction gains two nats and the KL costs three more.
#
# I was right about the loss and wrong about the units. All twenty are active by the threshold of 0.01. The sum of their KL is 20 nats, so that some must say very little; a threshold on the variance of the mean is not the same as being useful.
#
# Ten epochs may be too few, and larger models may need more. I have not trained longer, so I cannot say that nothing moves any more; a half of the points for this part is what I would give myself. Learning rate and width were chosen for ten variables, which may favour that size.
#
# This is one data set with known factors, one architecture, and a bound: a better encoder could change the order of 10 and 20. Next I would measure −log p(x) by importance sampling for both, to see whether the difference lies in the gap, and train until the validation loss is flat.
# ### END SOLUTION
