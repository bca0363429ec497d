# %% [markdown]
# # Assignment 1: Autoencoders and PCA
#
# This assignment goes with [Chapter 1](https://vae-tutorial.github.io/vae-tutorial/chapters/01_autoencoders.html). It takes two to three hours and gives 40 points: 29 for code, 3 for a measurement, 8 for text.
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

import vae_tutorial as vt
from vae_tutorial.checks import check

# %% [markdown]
# ## 1. The share that is explained
#
# An error in ink² says little to somebody who does not know the data. Turn it into a share. Write `explained_share(x, x_hat)`:
#
# - `x` are images and `x_hat` their reconstructions, both tensors of shape `(B, C, H, W)`;
# - it returns one number for the whole set, a Python number or a 0-d tensor;
# - the number is 1 for perfect reconstructions, and 0 if every reconstruction is the mean of the images `x`;
# - in between, it is 1 minus the ratio of the squared error to the total variance of `x`. The total variance is the mean squared distance of an image to the mean image.

# %% answer=explained-share
def explained_share(x, x_hat):
    """1 - error / total variance: (B, C, H, W), (B, C, H, W) -> one number."""
    ### BEGIN SOLUTION
    return 1 - (x - x_hat).square().sum() / (x - x.mean(0)).square().sum()
    ### END SOLUTION

# %% check=explained-share
check("explained-share", explained_share)

# %% [markdown]
# ## 2. PCA of the stroke digits
#
# The cell below loads the drawn digits, which need no download. Compute the ten principal axes of the training images, project the *test* images onto them, and reconstruct. The mean image is that of the training images. How large a share of the test images is explained? Use your function from part 1.
#
# Type the number in, rounded to two decimals. Your function and your code for it are not run again when this part is graded.

# %%
digits = vt.load_images("stroke-digits")
x = digits.train.images.float().flatten(1) / 255  # (10000, 784)
x_test = digits.test.images.float().flatten(1) / 255  # (2000, 784)

### BEGIN SOLUTION
mean = x.mean(0)
axes = torch.linalg.svd(x - mean, full_matrices=False)[2][:10]  # (10, 784)
x_hat = (x_test - mean) @ axes.T @ axes + mean
print(round(explained_share(x_test.reshape(-1, 1, 28, 28), x_hat.reshape(-1, 1, 28, 28)).item(), 2))
### END SOLUTION

# %% measured=explained_by_ten_axes points=3 between=0.52,0.54
### BEGIN SOLUTION
explained_by_ten_axes = 0.53
### END SOLUTION

# %% [markdown]
# ## 3. An objective with missing pixels
#
# Write `masking_error(model, x, drop=0.5)`:
#
# - `x` is a batch of images, `(B, C, H, W)`, and `model` maps images to images;
# - each pixel is dropped with probability `drop`, independently of all other pixels; each image has its own mask, and every call draws new masks;
# - a dropped pixel becomes 0, and a kept pixel keeps its value exactly, without rescaling;
# - the model is called on the masked images;
# - its answer is compared with the *clean* images `x`, over *all* pixels, dropped or not;
# - it returns a dictionary with two tensors of shape `(B,)`: `"squared_error"`, the squared error summed over the pixels of each image, and `"loss"`, half of it;
# - gradients of the loss reach the weights of the model, and the arguments stay what they were.

# %% answer=masking-error
def masking_error(model, x, drop=0.5):
    """An objective: images (B, C, H, W) -> {"loss": (B,), "squared_error": (B,)}."""
    ### BEGIN SOLUTION
    masked = x * (torch.rand_like(x) > drop)
    squared_error = (model(masked) - x).square().flatten(1).sum(1)  # (B,)
    return {"loss": 0.5 * squared_error, "squared_error": squared_error}
    ### END SOLUTION

# %% check=masking-error
check("masking-error", masking_error)

# %% [markdown]
# ## 4. The best denoiser of a training set
#
# Suppose that $x$ is one of the $N$ images $x^{(1)}, \dots, x^{(N)}$, each with probability $1/N$, and $\tilde x = x + \sigma\epsilon$ with standard normal noise. Then the conditional mean $\mathbb E[x \mid \tilde x]$ is a weighted mean of the images.
#
# Write `best_denoiser(noisy, images, sigma)`. `noisy` are noisy images, `(B, C, H, W)`; `images` are the clean ones, `(N, C, H, W)`; `sigma` is a number. It returns the conditional mean for each noisy image, a tensor `(B, C, H, W)`. It must also work for 784 pixels and small `sigma`, where densities underflow to zero. The arguments stay what they were.

# %% answer=best-denoiser
def best_denoiser(noisy, images, sigma):
    """E[x | noisy], x one of `images`: (B, C, H, W), (N, C, H, W) -> (B, C, H, W)."""
    ### BEGIN SOLUTION
    apart = torch.cdist(noisy.flatten(1), images.flatten(1)).square()  # (B, N)
    weights = torch.softmax(-apart / (2 * sigma**2), dim=1)  # (B, N), rows add up to 1
    return (weights @ images.flatten(1)).reshape(noisy.shape)
    ### END SOLUTION

# %% check=best-denoiser
check("best-denoiser", best_denoiser)

# %% [markdown]
# ## 5. In words
#
# A linear autoencoder with ten codes is trained on the squared error until nothing moves. Compare it with PCA. Answer in about 150 words:
#
# - (a) Which of these agree between the two, and which need not: the reconstructions, the error, the columns of the decoder, the codes?
# - (b) Why does a network that is not linear, with the same number of codes, reach a smaller error on the training images? What must you look at before you call it better?
#
# *Rubric, 8 points.* (a) 1 point for each of the four, with a reason for at least one. (b) 2 points for the curved surface (the images need not lie near a plane), 2 points for a comparison on images that were not used in training.

# %% [markdown] written=1.5 points=8
# **Answer 1.5**
#
# ### BEGIN SOLUTION
# (a) Both reconstruct by the orthogonal projection onto the span of the first ten principal axes, so reconstructions and error agree. The columns of the decoder span the same space, but any invertible matrix may stand between code and decoder: columns and codes agree only up to that matrix.
#
# (b) PCA reaches a flat surface. A network bends its surface, so that it passes nearer to the images. With enough freedom it passes through single training images and learns their noise. Only the error on images that it was not trained on says whether it is better.
# ### END SOLUTION
