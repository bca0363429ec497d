"""Decisions about device and precision, and that what is half stays where it may be half."""

import pytest
import torch

import vae_tutorial as vt
from vae_tutorial.train.engine.environment import Precision, matrix_products, pick_precision

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize(
    ("capability", "name", "reason"),
    [
        ((7, 5), "float32", "no native bfloat16 at capability 7.5"),  # a T4
        ((8, 0), "bfloat16", "native from capability 8.0 on, this is 8.0"),
        ((9, 0), "bfloat16", "native from capability 8.0 on, this is 9.0"),
    ],
)
def test_precision_on_cuda_follows_the_hardware(capability, name, reason, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    found = pick_precision(CUDA)
    assert (found.name, found.reason) == (name, reason)
    assert pick_precision(CUDA, "float32").name == "float32"


def test_precision_elsewhere():
    assert pick_precision(CPU).name == "float32"
    assert pick_precision(torch.device("mps")).name == "float32"
    assert pick_precision(CPU, "bfloat16") == Precision("bfloat16", "asked for")
    with pytest.raises(ValueError, match=r"tf32.*CUDA only"):
        pick_precision(CPU, "tf32")
    with pytest.raises(ValueError, match=r"precision must be one of auto, .*got 'half'"):
        pick_precision(CPU, "half")


def test_tf32_is_switched_inside_only(monkeypatch):
    seen = []
    monkeypatch.setattr(torch, "set_float32_matmul_precision", seen.append)
    before = torch.backends.cudnn.allow_tf32
    for name, expected in (("float32", "highest"), ("tf32", "high"), ("bfloat16", "high")):
        with matrix_products(CUDA, Precision(name, "")):
            assert torch.backends.cudnn.allow_tf32 is (name != "float32")
        assert seen == [expected, torch.get_float32_matmul_precision()]
        assert torch.backends.cudnn.allow_tf32 is before
        seen.clear()


class Kinds(torch.nn.Module):
    """Notes the precision in which a network computes."""

    def __init__(self, network):
        super().__init__()
        self.network, self.latent_dim, self.seen = network, network.latent_dim, set()

    def forward(self, x):
        out = self.network(x)
        if self.training:
            self.seen.add((out[0] if isinstance(out, tuple) else out).dtype)
        return out


def test_bfloat16_computes_networks_in_half_and_everything_else_in_float32(blobs):
    shape, terms = (1, 8, 8), set()
    model = vt.VAE(
        Kinds(vt.MLPEncoder(2, (32,), shape)), Kinds(vt.MLPDecoder(2, (32,), shape))
    )  # fmt: skip

    def objective(model, x):
        found = vt.elbo(model, x)
        terms.update(term.dtype for term in found.values())
        terms.add(model.posterior(x).mean.dtype)
        return found

    history = vt.fit(model, blobs, objective=objective, epochs=1, precision="bfloat16")
    assert model.encoder.seen == model.decoder.seen == {torch.bfloat16}
    assert terms == {torch.float32}
    assert all(p.dtype == p.grad.dtype == torch.float32 for p in model.parameters())
    assert history.settings["precision"] == "bfloat16"


def test_bfloat16_learns_as_well(blobs):
    """The same run in both precisions ends within 2 % of the same loss: rounding is a small
    noise beside that of batches and samples."""
    losses = []
    for precision in ("float32", "bfloat16"):
        torch.manual_seed(0)
        shape = (1, 8, 8)
        model = vt.VAE(vt.MLPEncoder(2, (32,), shape), vt.MLPDecoder(2, (32,), shape))
        vt.fit(model, blobs, epochs=30, batch_size=32, precision=precision)
        losses.append(vt.evaluate(model, blobs)["loss"])
    assert losses[1] == pytest.approx(losses[0], rel=0.02)


def test_an_autoencoder_in_bfloat16(blobs):
    shape = (1, 8, 8)
    model = vt.Autoencoder(vt.MLPEncoder(2, (32,), shape, heads=1), vt.MLPDecoder(2, (32,), shape))
    seen = set()

    def objective(model, x):
        terms = vt.reconstruction_error(model, x)
        seen.update(term.dtype for term in terms.values())
        return terms

    vt.fit(model, blobs, objective=objective, epochs=1, precision="bfloat16")
    assert seen == {torch.float32}
