"""A GPU computes what a CPU computes. Skipped where there is no CUDA.

`VAE_TUTORIAL_TEST_DEVICE=cpu` runs the tests on the CPU, to try out the tests themselves.
"""

import os
from itertools import pairwise

import pytest
import torch

import vae_tutorial as vt

DEVICE = os.environ.get("VAE_TUTORIAL_TEST_DEVICE", "cuda")
ON_CUDA = DEVICE == "cuda"
pytestmark = pytest.mark.skipif(
    ON_CUDA and not torch.cuda.is_available(), reason="needs a GPU with CUDA"
)
only_cuda = pytest.mark.skipif(not ON_CUDA, reason="exists on CUDA only")
SHAPE = (1, 8, 8)
CHOICES = [
    {"precision": "float32"},
    {"precision": "bfloat16"},
    pytest.param({"precision": "tf32"}, marks=only_cuda),
    pytest.param({"compile": True}, marks=only_cuda),
    pytest.param({"compile": "reduce-overhead"}, marks=only_cuda),
]


def networks(kind: str) -> vt.VAE:
    torch.manual_seed(0)
    if kind == "mlp":
        return vt.VAE(vt.MLPEncoder(2, (32,), SHAPE), vt.MLPDecoder(2, (32,), SHAPE))
    return vt.VAE(
        vt.ConvEncoder(2, (8, 8), 32, SHAPE), vt.ConvDecoder(2, (8, 8), 32, SHAPE)
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["mlp", "conv"])
def test_the_same_loss(kind, blobs):
    """In float32, of one z and of its KL: to 1e-4 of the loss; the sums have 64 terms."""
    x = vt.float_batch(blobs, binarise=True)
    z = torch.randn(len(x), 2)
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    found = []
    try:
        for device in ("cpu", DEVICE):
            model = networks(kind).to(device)
            with torch.no_grad():
                q = model.posterior(x.to(device))
                log_px = model.likelihood(z.to(device)).log_prob(x.to(device))
                kl = vt.gaussian_kl(q.mean, 2 * q.stddev.log())
            found.append((log_px.cpu(), kl.cpu()))
    finally:
        torch.backends.cudnn.allow_tf32 = before
    for on_cpu, there in zip(*found):
        torch.testing.assert_close(there, on_cpu, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("choice", CHOICES, ids=str)
@pytest.mark.parametrize("kind", ["mlp", "conv"])
def test_training_ends_where_it_ends_on_a_cpu(kind, choice, blobs):
    """The −ELBO after 20 epochs, other random numbers: within 5 % of the CPU's in float32."""
    found = []
    for device, settings in (("cpu", {}), (DEVICE, choice)):
        model = networks(kind)
        history = vt.fit(
            model, blobs, epochs=20, batch_size=50, learning_rate=5e-3, device=device, **settings
        )
        assert history.train["loss"][-1] < 0.8 * history.train["loss"][0]
        found.append(-vt.mean_elbo(model, blobs, samples=20, seed=0).mean)
    assert found[1] == pytest.approx(found[0], rel=0.05)


def test_a_checkpoint_moves_to_the_gpu_and_back(blobs, tmp_path):
    """Two epochs here, two there, two here again: the loss goes on where it was."""

    def stop_after(epochs):
        def look(history):
            if history.epochs == epochs:
                raise KeyboardInterrupt

        return look

    losses = []
    for device, last in (("cpu", 2), (DEVICE, 4), ("cpu", None)):
        torch.manual_seed(1)  # not used: the run brings its own random numbers
        model = networks("mlp")
        settings = {"epochs": 6, "batch_size": 50, "device": device, "checkpoint": tmp_path}
        if last is not None:
            with pytest.raises(vt.TrainingInterrupted):
                vt.fit(model, blobs, on_epoch=stop_after(last), **settings)
        else:
            losses = vt.fit(model, blobs, **settings).train["loss"]
    assert len(losses) == 6
    assert all(after < before for before, after in pairwise(losses))
