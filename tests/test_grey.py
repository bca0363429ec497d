"""Grey levels: the mixture of logistic distributions, and its code in whole numbers."""

from __future__ import annotations

import base64
import decimal
import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import vae_tutorial as vt
from vae_tutorial.compress import Codec, DamagedFileError, container, logistic
from vae_tutorial.models.grey import FLOOR, LEVELS, LogisticMixture

SHAPE = (1, 4, 4)
OLD_BINARY = (  # written before there were grey levels
    "VkFFYml0cwEQbQSmnL8miwMAAAABAAQABAACAAIAAAASYwXhWEQKEuikpKj09YQBvPmfTKS3DgI4KffPBYkwqA=="
)
OLD_GREY = (
    "VkFFYml0cwJNXbZoG9ueYwMAAAABAAQABAAEAAIAAABIrToIS6kBfSqf5U8eAAAAKlh4dSMAAACUNE0oDwAAACk0"
    "dSZ8BAAAShadye6J+xfkGsxnUQVIXeH0Sf2b6VzU9PhuxARsZ8w/N5FAXuxtQLadP4YNPmKhwDVJiwcFV0s="
)


def all_levels(raw: torch.Tensor, components: int) -> torch.Tensor:
    """log p of every level, `(256, pixels)`, for raw parameters `(3K, pixels)` of pixels."""
    likelihood = vt.LogisticMixtureLikelihood(components)
    pixels = likelihood(raw[None, :, None])  # (1, 3K, 1, pixels)
    levels = torch.arange(LEVELS)[:, None, None, None].expand(-1, 1, 1, raw.shape[1])
    return pixels.log_prob(levels)[:, 0, 0]


def random_raw(components: int, pixels: int, spread: float = 3.0, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return spread * torch.randn(3 * components, pixels, generator=generator, dtype=torch.float64)


# --- the likelihood ---------------------------------------------------------------------------


@pytest.mark.parametrize("components", [1, 2, 3, 8])
@pytest.mark.parametrize("spread", [1.0, 5.0, 200.0])
def test_the_256_probabilities_sum_to_one(components, spread):
    log_p = all_levels(random_raw(components, 50, spread), components)
    torch.testing.assert_close(log_p.exp().sum(0), torch.ones(50).double(), atol=1e-9, rtol=0)
    assert log_p.min() >= math.log(FLOOR) - 1e-9


def by_hand(level: int, raw: np.ndarray, components: int) -> float:
    """p(level) of one pixel from the definition: a loop over components, plain floats."""

    def cdf(t: float, k: int) -> float:
        slope = math.exp(min(max(raw[2 * components + k] + 2, -1), 8))
        anchor = k / (components - 1) if components > 1 else 0
        return 1 / (1 + math.exp(-min(max(slope * (t - anchor) - raw[components + k], -700), 700)))

    weights = np.exp(raw[:components] - raw[:components].max())
    total = 0.0
    for k, weight in enumerate(weights / weights.sum()):
        low = 0.0 if level == 0 else cdf(level / 256, k)
        high = 1.0 if level == 255 else cdf((level + 1) / 256, k)
        total += weight * (high - low)
    return (1 - 2**-16) * total + 2**-24


@pytest.mark.parametrize("components", [1, 3])
def test_log_prob_against_the_definition(components):
    raw = random_raw(components, 7, 2.0)
    found = all_levels(raw, components).exp()
    for level, pixel in itertools.product((0, 1, 17, 128, 254, 255), range(7)):
        wanted = by_hand(level, raw[:, pixel].numpy(), components)
        assert found[level, pixel].item() == pytest.approx(wanted, rel=1e-6, abs=1e-14)


def test_float32_keeps_its_digits_far_from_the_median():
    raw = random_raw(2, 200, 3.0)
    exact = all_levels(raw, 2)
    assert (all_levels(raw.float(), 2) - exact).abs().max() < 2e-3


def test_gradients_against_finite_differences_and_finite_for_any_output():
    raw = random_raw(3, 5, 1.0).view(1, 9, 1, 5).requires_grad_()
    likelihood = vt.LogisticMixtureLikelihood(3)
    x = torch.tensor([0, 1, 100, 254, 255]).view(1, 1, 1, 5)
    assert torch.autograd.gradcheck(lambda r: likelihood(r).log_prob(x), raw)
    wild = (1e4 * torch.randn(1, 9, 1, 5)).requires_grad_()
    log_p = likelihood(wild).log_prob(x)
    log_p.sum().backward()
    assert torch.isfinite(log_p).all() and torch.isfinite(wild.grad).all()


def test_cdf_and_mean_are_those_of_the_probabilities():
    raw = random_raw(3, 20, 2.0)
    p = all_levels(raw, 3).exp()  # (256, 20)
    pixels = vt.LogisticMixtureLikelihood(3)(raw[None, :, None])
    wanted = (torch.arange(256.0)[:, None] * p).sum(0)
    torch.testing.assert_close(pixels.mean[0, 0, 0], wanted, rtol=1e-6, atol=1e-6)
    level = torch.full((1, 1, 1, 20), 99)
    torch.testing.assert_close(pixels.cdf(level)[0, 0, 0], p[:100].sum(0))
    every = torch.arange(256)[:, None, None, None, None].expand(256, 1, 1, 1, 20)  # black too
    differences = (pixels.cdf(every) - pixels.cdf(every - 1))[:, 0, 0, 0]
    torch.testing.assert_close(differences, p, rtol=1e-6, atol=1e-6)
    for outside, wanted in ((-1, 0.0), (-300, 0.0), (255, 1.0), (300, 1.0)):
        found = pixels.cdf(torch.full((1, 1, 1, 20), outside))
        torch.testing.assert_close(found, torch.full_like(found, wanted))


def test_samples_have_the_probabilities():
    raw = random_raw(2, 3, 1.0, seed=4)
    torch.manual_seed(0)
    drawn = vt.LogisticMixtureLikelihood(2)(raw[None, :, None]).sample((20_000,))
    assert drawn.shape == (20_000, 1, 1, 1, 3) and drawn.min() >= 0 and drawn.max() <= 255
    p = all_levels(raw, 2).exp()
    for pixel in range(3):
        counts = torch.bincount(drawn[..., pixel].flatten(), minlength=256).double()
        cells, wanted = counts.view(16, 16).sum(1), 20_000 * p[:, pixel].view(16, 16).sum(1)
        cells, wanted = cells[wanted > 5], wanted[wanted > 5]
        # The statistic has about one degree of freedom a cell: 60 is beyond 1e-6 for 16 cells.
        assert ((cells - wanted) ** 2 / wanted).sum() < 60


def test_in_a_model_it_has_the_shapes_of_the_other_likelihoods():
    likelihood = vt.LogisticMixtureLikelihood(2, channels=3)
    shape = (3, 4, 5)
    decoder = vt.MLPDecoder(2, (8,), likelihood.outputs(shape))
    model = vt.VAE(vt.MLPEncoder(2, (8,), shape), decoder, likelihood)
    x = torch.randint(256, (6, *shape))
    z = model.posterior(x).rsample((7,))
    assert model.likelihood(z).log_prob(x).shape == (7, 6)
    assert model.likelihood(z[0]).mean.shape == model.likelihood(z[0]).sample().shape == x.shape
    assert vt.elbo(model, x)["loss"].shape == (6,)
    assert (model.values, model.levels) == ("integer", 256)
    one = LogisticMixture(*likelihood(decoder(z[0])).logits.new_zeros(3, 2, 4, 5))
    assert one.batch_shape == (4, 5)


def test_bad_arguments_of_the_likelihood():
    for wrong in (0, 9, 2.5):
        with pytest.raises(ValueError, match="components must be"):
            vt.LogisticMixtureLikelihood(wrong)
    with pytest.raises(ValueError, match="must have 1 channels"):
        vt.LogisticMixtureLikelihood(2).outputs((3, 4, 4))
    with pytest.raises(ValueError, match=r"image_shape must be \(C, H, W\), got \(6, 6\)"):
        vt.LogisticMixtureLikelihood(2).outputs((6, 6))


@pytest.mark.parametrize(
    ("likelihood", "way"),
    [
        (vt.LogisticMixtureLikelihood(2), r"image_shape=likelihood.outputs\(image_shape\)"),
        (vt.CategoricalLikelihood(6), r"image_shape=\(6, H, W\)"),
    ],
)
def test_a_decoder_without_room_for_the_parameters_is_told_how_to_be_made(likelihood, way):
    shape = (1, 4, 5)
    model = vt.VAE(vt.MLPEncoder(2, (8,), shape), vt.MLPDecoder(2, (8,), shape), likelihood)
    with pytest.raises(ValueError, match=rf"must give \(..., 6, H, W\).*{way}"):
        vt.elbo(model, torch.zeros(3, *shape).long())


# --- slots in whole numbers ---------------------------------------------------------------------


def whole(raw: torch.Tensor) -> np.ndarray:
    """Raw parameters `(3K, pixels)` as a whole-number network gives them: `(1, 3K · pixels)`."""
    return np.rint(raw.numpy().reshape(1, -1) * 2**12)


def test_the_tables_are_those_of_the_formulas():
    t = np.rint(np.linspace(-25, 25, 3001) * 2**16).astype(np.int64)
    found = logistic.logistic_cdf(t) / 2**30
    assert np.abs(found - 1 / (1 + np.exp(-t / 2**16))).max() < 2e-7
    assert (np.diff(found) >= 0).all() and found[0] == 0 and found[-1] == 1
    logs = np.arange(-(14 << 10), 1) / 1024
    assert np.abs(logistic.weight_table() - np.exp(logs) * 2**20).max() <= 0.5
    logs = np.arange(-(1 << 10), (8 << 10) + 1) / 1024
    assert np.abs(logistic.slope_table() - np.exp(logs) * 2**16).max() <= 0.5


@pytest.mark.parametrize("components", [1, 2, 3])
@pytest.mark.parametrize("spread", [2.0, 20.0, 1e7])
def test_slots_cover_everything_and_are_found(components, spread):
    raw = random_raw(components, 40, spread)
    mixtures = logistic.parameters(whole(raw), components, 1)[0]  # (3, K, 40)
    levels = np.arange(257)[:, None].repeat(40, 1)
    below = logistic.below(levels, mixtures[None].repeat(257, 0))
    assert (
        (below[0] == 0).all() and (below[-1] == 2**24).all() and (np.diff(below, axis=0) > 0).all()
    )
    for level in (0, 1, 77, 254, 255):
        for slots in (below[level], below[level + 1] - 1):
            assert (logistic.find(slots, mixtures) == level).all()


@pytest.mark.parametrize("components", [1, 2, 3])
def test_slots_have_the_likelihoods_probabilities(components):
    raw = random_raw(components, 60, 2.0)
    p = all_levels(raw, components).exp().numpy()
    mixtures = logistic.parameters(whole(raw), components, 1)
    below = logistic.below(np.arange(257)[:, None].repeat(60, 1), mixtures.repeat(257, 0))
    q = np.diff(below, axis=0) / 2**24
    lost = (p * np.log2(p / q)).sum(0)  # bits a pixel, on average over the pixel's distribution
    assert lost.max() < 2e-3 and lost.mean() < 2e-4


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(-(2**40), 2**40), min_size=9, max_size=9), st.integers(0, 256))
def test_slots_in_pythons_own_whole_numbers(raw, level):
    """No overflow, whatever a network says: numbers of any size give the same."""
    mixture = logistic.parameters(np.array([raw], float), 3, 1)
    found = int(logistic.below(np.array([[level]]), mixture)[0, 0])
    weights, shifts, slopes = ([int(v) for v in part] for part in mixture[0, :, :, 0])
    table = [int(v) for v in logistic.cdf_table()]

    def cdf(t: int) -> int:
        t = min(max(t, -22 << 16), 22 << 16) + (22 << 16)
        index, rest = t >> 8, t & 255
        return table[index] + ((table[index + 1] - table[index]) * rest >> 8)

    mass = sum(
        w * cdf((((level << 16) // 256 - (k << 16) // 2) * a >> 16) - b)
        for k, (w, b, a) in enumerate(zip(weights, shifts, slopes, strict=True))
    )
    mass = 0 if level == 0 else 1 << 30 if level == 256 else mass // sum(weights)
    assert found == (mass * (2**24 - 256) >> 30) + level


def test_the_tables_stay_as_they_are_whatever_the_decimal_context():
    tables = logistic.cdf_table, logistic.weight_table, logistic.slope_table
    content = b"".join(table().astype("<i8").tobytes() for table in tables)
    assert container.fingerprint(content).hex() == "4385ad143946f272"
    with decimal.localcontext() as context:
        context.prec, context.rounding = 5, decimal.ROUND_UP
        for table in tables:
            assert np.array_equal(table.__wrapped__(), table())


# --- files --------------------------------------------------------------------------------------


def model_of(components: int = 2, seed: int = 0, shape: tuple[int, int, int] = SHAPE) -> vt.VAE:
    torch.manual_seed(seed)
    likelihood = vt.LogisticMixtureLikelihood(components, shape[0])
    decoder = vt.MLPDecoder(2, (8,), likelihood.outputs(shape))
    return vt.VAE(vt.MLPEncoder(2, (8,), shape), decoder, likelihood)


def without_a_generator(model: vt.VAE) -> vt.VAE:
    """The model with weights from a formula: the same in every version of torch."""
    with torch.no_grad():
        for n, p in enumerate(model.parameters()):
            k = torch.arange(p.numel()).reshape(p.shape)
            p.copy_(((k * 37 + n * 11) % 64 - 32) / 128)
    return model


def patterns(count: int, modulus: int) -> torch.Tensor:
    k = torch.arange(count * 16).reshape(count, *SHAPE)
    return k * k // 7 % modulus


def grey_images(count: int, shape: tuple[int, int, int] = SHAPE, seed: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(256, (count, *shape), generator=generator).to(torch.uint8)


@pytest.fixture(scope="module")
def codec() -> Codec:
    return Codec(model_of(), bits=8)


@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_images_come_back_bit_for_bit(codec, count):
    x = grey_images(count)
    found = codec.decode(codec.encode(x))
    assert torch.equal(found, x) and found.dtype == torch.uint8
    assert codec.encode(x.float()) == codec.encode(x.long()) == codec.encode(x)


@pytest.mark.parametrize("components", [1, 3])
def test_any_images_come_back(components):
    shape = (3, 2, 5)
    codec = Codec(model_of(components, shape=shape))
    x = torch.cat([grey_images(3, shape), torch.zeros(1, *shape), torch.full((1, *shape), 255)])
    assert torch.equal(codec.decode(codec.encode(x)).long(), x.long())


def test_the_bits_are_minus_the_elbo_and_the_file_is_as_long():
    model, x = model_of(), grey_images(3000)
    codec = Codec(model, bits=12)
    bits = codec.bits(x)
    with torch.no_grad():
        wanted = -vt.log_weights(model, x.long(), samples=1)[0] / math.log(2)
    error = math.hypot(bits.std(), wanted.std()) / math.sqrt(len(x))
    assert abs(bits.mean() - wanted.mean()) < 5 * error  # chance of failing: 6e-7
    length, spread = 8 * len(codec.encode(x)), 5 * float(bits.std()) * math.sqrt(len(x))
    assert float(bits.sum()) - spread < length < float(bits.sum()) + spread + 8 * 300


def test_files_are_the_same_whatever_the_number_of_threads(codec):
    x, threads = grey_images(30), torch.get_num_threads()
    try:
        files = []
        for count in (1, 2):
            torch.set_num_threads(count)
            files.append(Codec(model_of(), bits=8).encode(x))
    finally:
        torch.set_num_threads(threads)
    assert files[0] == files[1] == codec.encode(x)


def test_files_of_yesterday_open_today():
    """Whole files are stored here: another byte, on whatever machine, would be another format."""
    binary = vt.VAE(vt.MLPEncoder(2, (8,), SHAPE), vt.MLPDecoder(2, (8,), SHAPE))
    for model, x, stored in (
        (binary, (patterns(3, 3) == 0).float(), OLD_BINARY),
        (model_of(), patterns(3, 256), OLD_GREY),
    ):
        codec, file = Codec(without_a_generator(model), 8), base64.b64decode(stored)
        assert torch.equal(codec.decode(file).long(), x.long())
        assert codec.encode(x) == file


def test_a_flipped_bit_or_a_missing_byte_is_noticed(codec):
    content = codec.encode(grey_images(5))
    for place, bit in itertools.product(range(len(content)), (0, 1, 7)):
        damaged = bytearray(content)
        damaged[place] ^= 1 << bit
        with pytest.raises(DamagedFileError):
            codec.decode(bytes(damaged))
    for length in range(len(content)):
        with pytest.raises(DamagedFileError):
            codec.decode(content[:length])


def test_a_file_of_another_kind_or_model_is_refused(codec, monkeypatch):
    x = grey_images(5)
    binary = Codec(vt.VAE(vt.MLPEncoder(2, (8,), SHAPE), vt.MLPDecoder(2, (8,), SHAPE)), 8)
    with pytest.raises(DamagedFileError, match="holds grey levels, and this model describes zeros"):
        binary.decode(codec.encode(x))
    with pytest.raises(DamagedFileError, match="holds zeros and ones, and this model describes gr"):
        codec.decode(binary.encode((x > 9).float()))
    for other in (model_of(seed=5), model_of(3)):
        with pytest.raises(DamagedFileError, match="another model"):
            codec.decode(Codec(other, bits=8).encode(x))
    header, stack = container.unpack(
        codec.encode(x), codec.fingerprint, codec.shape, codec.lanes, container.GREY
    )
    with pytest.raises(DamagedFileError, match="the unknown kind 7"):
        codec.decode(container.pack(header, stack, 7))
    stack.words[0] ^= 1
    with pytest.raises(DamagedFileError, match="does not end where"):
        codec.decode(container.pack(header, stack, container.GREY))


def test_a_machine_with_another_table_refuses(codec, monkeypatch):
    file, table = codec.encode(grey_images(5)), logistic.cdf_table().copy()
    table[len(table) // 3] += 1
    monkeypatch.setattr(logistic, "cdf_table", lambda: table)
    with pytest.raises(DamagedFileError, match="another model"):
        Codec(model_of(), bits=8).decode(file)


def test_bad_images_and_models(codec):
    for wrong, count in ((0.5, 16), (256, 16), (-1, 16), (math.nan, 16)):
        with pytest.raises(ValueError, match=f"whole numbers 0 … 255; {count} values are not"):
            codec.encode(torch.full((1, *SHAPE), float(wrong)))
    with pytest.raises(ValueError, match=r"images must be a tensor \(B, \*\(1, 4, 4\)\)"):
        codec.encode(grey_images(2, (1, 4, 5)))
    likelihood = vt.LogisticMixtureLikelihood(2)
    with pytest.raises(ValueError, match=r"the decoder gives 16 numbers, and images .* need 96"):
        Codec(vt.VAE(vt.MLPEncoder(2, (8,), SHAPE), vt.MLPDecoder(2, (8,), SHAPE), likelihood))
