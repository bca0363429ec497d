"""Compression: the entropy coder, the whole-number network, bits-back coding, the file."""

from __future__ import annotations

import copy
import decimal
import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import vae_tutorial as vt
from vae_tutorial.compress import Codec, DamagedFileError, Stack, container, gaussian, integers
from vae_tutorial.compress.container import HEADER
from vae_tutorial.compress.lossy import code_bits, rounded
from vae_tutorial.compress.rans import LOW, StackEmptyError, lent_words

SHAPE = (1, 6, 6)


def small_model(seed: int = 0, latents: int = 3) -> vt.VAE:
    torch.manual_seed(seed)
    return vt.VAE(vt.MLPEncoder(latents, (20,), SHAPE), vt.MLPDecoder(latents, (20,), SHAPE))


def small_images(count: int, seed: int = 1) -> torch.Tensor:
    return torch.bernoulli(torch.full((count, *SHAPE), 0.3), generator=torch.manual_seed(seed))


@pytest.fixture(scope="module")
def codec() -> Codec:
    return Codec(small_model(), bits=8)


# --- the entropy coder ------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(0, 255), st.integers(1, 256)), max_size=200), st.data())
def test_a_stack_gives_back_what_was_pushed(symbols, data):
    symbols = [(start, min(width, 256 - start)) for start, width in symbols]
    lanes = data.draw(st.integers(1, 5))
    stack = Stack(lanes)
    groups = [symbols[n : n + lanes] for n in range(0, len(symbols), lanes)]
    for group in groups:
        stack.push(*np.array(group, np.uint64).T, 8)
    for group in reversed(groups):
        starts, widths = np.array(group, np.uint64).T
        slots = stack.peek(len(group), 8)
        assert ((starts <= slots) & (slots < starts + widths)).all()
        stack.drop(starts, widths, 8)
    assert (stack.heads == LOW).all() and not len(stack.words)


def test_one_state_against_whole_numbers_of_any_size():
    """A state that never sheds is one large number: s → s // w · 2^b + s mod w + start."""
    stack, exact = Stack(1), LOW
    for start, width in [(0, 3), (3, 5), (0, 3), (3, 5), (0, 3)] * 40:
        stack.push(*np.array([[start], [width]], np.uint64), 3)
        exact = exact // width * 8 + exact % width + start
    # Shedding rounds each division at the top 63 bits, so the lengths agree to well below a bit.
    length = math.log2(int(stack.heads[0])) + 32 * len(stack.words)
    assert length == pytest.approx(math.log2(exact), abs=1e-3)


def test_the_length_is_the_information():
    generator = np.random.default_rng(0)
    widths = np.array([1, 15, 240], np.uint64)
    symbols = generator.choice(3, size=20_000, p=widths / 256)
    starts = np.array([0, 1, 16], np.uint64)
    stack = Stack(1)
    for symbol in symbols:
        stack.push(starts[symbol, None], widths[symbol, None], 8)
    information = -np.log2(widths[symbols] / 256).sum()
    found = math.log2(int(stack.heads[0])) - 31 + 32 * len(stack.words)
    assert found == pytest.approx(information, abs=0.01)


def test_an_empty_stack_says_so_unless_it_lends():
    starts, widths = np.array([[0], [1]], np.uint64)
    with pytest.raises(StackEmptyError, match="holds 0 words, and 1 are needed"):
        Stack(1).drop(starts, widths, 8)
    full = Stack(2)
    full.push(np.zeros(2, np.uint64), np.array([1, 200], np.uint64), 8)
    before = full.heads.copy()
    with pytest.raises(StackEmptyError):
        full.drop(np.zeros(2, np.uint64), np.ones(2, np.uint64), 8)
    assert np.array_equal(full.heads, before)  # the lane that had enough, too
    stack = Stack(1, lend=True)
    taken = []
    for _ in range(30):
        taken.append(stack.peek(1, 8))
        stack.drop(taken[-1], widths, 8)
    assert stack.lent > 3
    for slot in reversed(taken):
        stack.push(slot, widths, 8)
    assert (stack.heads == LOW).all()
    assert np.array_equal(stack.words, lent_words(0, stack.lent))


@pytest.mark.parametrize("call", [Stack.push, Stack.drop])
@pytest.mark.parametrize(
    ("starts", "widths", "dtype", "error", "message"),
    [
        ([0, 1], [1, 1], np.int64, TypeError, "starts must be an array of uint64, got int64"),
        ([0, 1], [1, 0], np.uint64, ValueError, "a width of at least 1"),
        ([0, 255], [1, 2], np.uint64, ValueError, r"within the 2\*\*8 slots"),
        ([0, 2**64 - 1], [1, 1], np.uint64, ValueError, r"within the 2\*\*8 slots"),
    ],
)
def test_symbols_that_no_stack_can_hold(call, starts, widths, dtype, error, message):
    stack = Stack(2, lend=True)
    with pytest.raises(error, match=message):
        call(stack, np.array(starts, dtype), np.array(widths, dtype), 8)
    assert (stack.heads == LOW).all() and len(stack.words) == stack.lent == 0


# --- buckets and tables -----------------------------------------------------------------------


def test_the_table_of_the_normal_distribution():
    whole = np.rint(np.linspace(-7.9, 7.9, 2001) * 2**gaussian.POINT).astype(np.int64)
    t, found = whole / 2**gaussian.POINT, gaussian.normal_cdf(whole) / 2**gaussian.MASS
    wanted = [0.5 * math.erfc(-each / math.sqrt(2)) for each in t]
    assert np.abs(found - wanted).max() < 5e-7  # linear between entries 1/256 apart
    assert (np.diff(found) >= 0).all()


def test_buckets_have_equal_prior_probability():
    edges = gaussian.Buckets(8).edges[1:-1] / 2**gaussian.POINT
    wanted = torch.distributions.Normal(0, 1).icdf(torch.arange(1, 256).double() / 256).numpy()
    assert np.abs(edges - wanted).max() < 2e-4


@pytest.mark.parametrize(("mu", "sigma"), [(0, 1), (1.3, 0.05), (-15.9, 0.001), (4, 7), (0.1, 0.3)])
def test_buckets_cover_all_slots_and_are_found(mu, sigma):
    buckets = gaussian.Buckets(8)
    mu = np.full(257, round(mu * 2**gaussian.POINT))
    precision = np.full(257, round(2**gaussian.SCALE / sigma))
    below = buckets.below(np.arange(257), mu, precision)
    assert below[0] == 0 and below[-1] == 2**gaussian.SLOTS
    assert (np.diff(below) >= 1).all()
    for slots in (below[:-1], below[1:] - 1):
        assert np.array_equal(buckets.find(slots, mu[1:], precision[1:]), np.arange(256))


def test_a_posterior_gets_its_own_probabilities():
    buckets, mu, sigma = gaussian.Buckets(6), 0.7, 0.4
    cdf = torch.distributions.Normal(mu, sigma).cdf
    edges = torch.tensor(buckets.edges / 2**gaussian.POINT)
    below = buckets.below(
        np.arange(65), np.full(65, round(mu * 2**16)), np.full(65, round(2**12 / sigma))
    )
    assert np.abs(below / 2**gaussian.SLOTS - cdf(edges).numpy()).max() < 2e-4


# --- the network in whole numbers ---------------------------------------------------------------


def test_the_whole_number_network_is_close_to_its_original():
    decoder = small_model().decoder
    z = np.random.default_rng(0).integers(-3 << 12, 3 << 12, (50, 3)).astype(float)
    found = integers.IntegerNetwork(decoder, largest=16)(z) / 2**12
    with torch.no_grad():
        wanted = decoder(torch.tensor(z / 2**12).float()).flatten(1).numpy()
    assert np.abs(found - wanted).max() < 2e-3


def whole_number_layer(step: integers.Step, x: np.ndarray) -> np.ndarray:
    """A linear layer or convolution in Python's own whole numbers, place by place: `(out, …)`."""
    layer, weight = step.layer, step.weight.numpy().astype(int).astype(object)
    x, bias = x.astype(int).astype(object), [int(b) for b in step.bias]
    if isinstance(layer, nn.Linear):
        return weight @ x + bias
    (k, _), (s, _), (p, _) = layer.kernel_size, layer.stride, layer.padding
    side = x.shape[1]
    if isinstance(layer, nn.Conv2d):
        padded = np.zeros((len(x), side + 2 * p, side + 2 * p), object)
        padded[:, p : p + side, p : p + side] = x
        out = np.zeros((len(weight), side // s, side // s), object)
        for o, i, j in np.ndindex(out.shape):
            patch = padded[:, s * i : s * i + k, s * j : s * j + k]
            out[o, i, j] = (patch * weight[o]).sum() + bias[o]
        return out
    full = np.zeros((weight.shape[1], s * (side - 1) + k, s * (side - 1) + k), object)
    for c, i, j in np.ndindex(x.shape):
        full[:, s * i : s * i + k, s * j : s * j + k] += x[c, i, j] * weight[c]
    return full[:, p:-p, p:-p] + np.array(bias, object)[:, None, None]


@pytest.mark.parametrize("convolutional", [False, True])
def test_its_sums_are_those_of_whole_numbers(convolutional):
    """One image at a time, in Python's own whole numbers: not one bit differs."""
    torch.manual_seed(0)
    shape, sizes = (1, 8, 8), ((2, 3), 10)
    if convolutional:
        networks = vt.ConvEncoder(3, *sizes, shape), vt.ConvDecoder(3, *sizes, shape)
    else:
        networks = vt.MLPEncoder(3, (20,), shape), vt.MLPDecoder(3, (20,), shape)
    inputs = np.random.default_rng(0).integers(0, 2, (5, *shape)), np.full((2, 3), 1.3)
    for network, x in zip(networks, inputs):
        whole = integers.IntegerNetwork(network, largest=16)
        x = np.rint(x * 2**12)
        for row, found in zip(x, whole(x)):
            for step in whole.steps:
                if step.weight is None:
                    row = step.layer(torch.tensor(row.astype(float))[None])[0].numpy()
                else:
                    row = np.floor_divide(whole_number_layer(step, row) + 2**13, 2**14)
            assert row.ravel().astype(int).tolist() == found.astype(int).tolist()


def test_sums_that_float64_cannot_hold_are_refused():
    network = nn.Sequential(nn.Linear(2, 2))
    with torch.no_grad():
        network[0].weight.fill_(1e9)
    with pytest.raises(ValueError, match=r"2\*\*53"):
        integers.IntegerNetwork(network, largest=16)
    for layer in (nn.Tanh(), nn.Conv2d(2, 2, 3, groups=2), nn.Linear(2, 2, bias=False)):
        with pytest.raises(TypeError, match=f"got {type(layer).__name__}"):
            integers.IntegerNetwork(nn.Sequential(layer), largest=1)


def test_probabilities_of_logits():
    logits = np.linspace(-20, 20, 999)
    found = integers.probabilities(np.rint(logits * 2**12)) / 2**16
    assert np.abs(found - 1 / (1 + np.exp(-logits))).max() < 2e-3  # steps of 1/64
    assert found.min() > 0 and found.max() < 1


# --- bits-back coding -------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_images_come_back_bit_for_bit(codec, count):
    x = small_images(count)
    assert torch.equal(codec.decode(codec.encode(x)), x)


def test_any_images_come_back():
    codec = Codec(small_model(), bits=12)
    x = torch.stack([torch.zeros(SHAPE), torch.ones(SHAPE), *small_images(3)])
    assert torch.equal(codec.decode(codec.encode(x)), x)


def test_the_bits_are_minus_the_elbo():
    """On average over z; the buckets are fine, so the sum is close to the continuous ELBO."""
    model, x = small_model(), small_images(4000)
    bits = Codec(model, bits=12).bits(x)
    with torch.no_grad():
        log_w = vt.log_weights(model, x, samples=1)[0]
    wanted = -log_w / math.log(2)
    error = math.hypot(bits.std(), wanted.std()) / math.sqrt(len(x))
    assert abs(bits.mean() - wanted.mean()) < 5 * error  # chance of failing: 6e-7


def test_the_file_is_as_long_as_its_bits(codec):
    x = small_images(3000)
    length = 8 * len(codec.encode(x))
    start = 8 * HEADER.size + 64 * codec.lanes + 32 * 8  # heads, words lent
    bits = float(codec.bits(x).sum())
    spread = 5 * float(codec.bits(x).std()) * math.sqrt(len(x))
    assert bits - spread < length < bits + spread + start


def test_an_image_costs_less_in_a_chain_than_alone(codec):
    """Alone, it would pay −log2 p(x, z), since nobody uses the bits that it took."""
    x = small_images(200)
    together = len(codec.encode(x)) - len(codec.encode(x[:0]))
    alone = [len(codec.encode(each[None])) - len(codec.encode(x[:0])) for each in x[:50]]
    assert together / 200 < sum(alone) / 50 - 1


def test_files_are_the_same_whatever_the_number_of_threads(codec):
    x = small_images(30)
    threads = torch.get_num_threads()
    try:
        files = []
        for count in (1, 2):
            torch.set_num_threads(count)
            files.append(Codec(small_model(), bits=8).encode(x))
    finally:
        torch.set_num_threads(threads)
    assert files[0] == files[1] == codec.encode(x)


# --- bad files --------------------------------------------------------------------------------


def test_a_flipped_bit_anywhere_is_noticed(codec):
    content = codec.encode(small_images(5))
    for place, bit in itertools.product(range(len(content)), (0, 7)):
        damaged = bytearray(content)
        damaged[place] ^= 1 << bit
        with pytest.raises(DamagedFileError):
            codec.decode(bytes(damaged))


def test_a_file_cut_short_or_with_something_behind_it_is_noticed(codec):
    content = codec.encode(small_images(5))
    for length in range(len(content)):
        with pytest.raises(DamagedFileError):
            codec.decode(content[:length])
    with pytest.raises(DamagedFileError, match="damaged"):
        codec.decode(content + b"\0")


def test_another_models_file_is_refused(codec):
    theirs = Codec(small_model(seed=5), bits=8).encode(small_images(5))
    with pytest.raises(DamagedFileError, match="another model"):
        codec.decode(theirs)
    with pytest.raises(DamagedFileError, match="another model"):
        codec.decode(Codec(small_model(), bits=9).encode(small_images(5)))


@pytest.mark.parametrize("change", ["stride", "no ReLU"])
def test_a_model_with_the_same_weights_but_other_layers_is_another_model(change):
    """Strides (2, 1) and (1, 2) have as many outputs, so every weight can stay as it is."""
    torch.manual_seed(0)
    first = vt.ConvEncoder(3, (4,), 20, SHAPE)
    convolution = first.layers[0]
    convolution.kernel_size, convolution.stride, convolution.padding = (3, 3), (2, 1), (1, 1)
    convolution.weight = nn.Parameter(torch.randn(4, 1, 3, 3))
    first.layers[-1][0] = nn.Linear(4 * 3 * 6, 20)
    second = copy.deepcopy(first)
    if change == "stride":
        second.layers[0].stride = (1, 2)
    else:
        second.layers[1] = nn.Flatten(0, 0)  # changes nothing
    decoder = vt.MLPDecoder(3, (20,), SHAPE)
    codecs = [Codec(vt.VAE(encoder, decoder), bits=8) for encoder in (first, second)]
    images = small_images(5)
    files = [each.encode(images) for each in codecs]
    for each, own, other in zip(codecs, files, reversed(files), strict=True):
        assert torch.equal(each.decode(own), images)
        with pytest.raises(DamagedFileError, match="another model"):
            each.decode(other)
    again = Codec(vt.VAE(copy.deepcopy(first), copy.deepcopy(decoder)), bits=8)
    assert torch.equal(again.decode(files[0]), images)


def unpacked(codec: Codec) -> tuple[container.Header, Stack]:
    content = codec.encode(small_images(5))
    return container.unpack(content, codec.fingerprint, codec.shape, codec.lanes)


def test_a_forged_file_does_not_end_where_it_should(codec):
    """With a right fingerprint and wrong words: the end of the stack gives it away."""
    header, stack = unpacked(codec)
    stack.words[0] ^= 1
    with pytest.raises(DamagedFileError, match="does not end where"):
        codec.decode(container.pack(header, stack))
    fewer = container.Header(*header[:1], header.count + 3, *header[2:])
    with pytest.raises(DamagedFileError, match=r"ends before|does not end"):
        codec.decode(container.pack(fewer, stack))


@pytest.mark.parametrize(
    ("lie", "message"),
    [
        ({"count": 2**32 - 1}, r"ends before|does not end"),  # 150 GB of images
        ({"lent": 2**32 - 1}, "does not end where"),  # 17 GB of words
        ({"lanes": 0}, "in 0 lanes"),
        ({"lanes": 2**16 - 1}, "in 65535 lanes"),
        ({"shape": (1, 9, 4)}, r"images \(1, 9, 4\)"),
    ],
)
def test_a_header_that_lies_is_noticed_at_once(codec, lie, message):
    """Although the fingerprint is right. No memory is taken on the header's word alone."""
    header, stack = unpacked(codec)
    with pytest.raises(DamagedFileError, match=message):
        codec.decode(container.pack(header._replace(**lie), stack))


def test_a_body_that_is_no_stack_is_noticed(codec):
    header, stack = unpacked(codec)
    for head in (0, LOW - 1, LOW << 32, 2**64 - 1):
        wrong = Stack(codec.lanes)
        wrong.heads[0] = head
        with pytest.raises(DamagedFileError, match="outside the range"):
            codec.decode(container.pack(header, wrong))
    for cut in (Stack(codec.lanes - 1), None):
        content = container.pack(header, cut or stack) + (b"" if cut else b"\0")
        body = content[HEADER.size :]
        bare = content[: HEADER.size - 8]
        forged = bare + container.fingerprint(bare + bytes(8) + body) + body
        with pytest.raises(DamagedFileError, match="whole words"):
            codec.decode(forged)


def test_the_callers_decimal_context_changes_no_table():
    wanted = [gaussian.cdf_table(), gaussian.precision_table(), integers.sigmoid_table()]
    tables = gaussian.cdf_table, gaussian.precision_table, integers.sigmoid_table
    with decimal.localcontext() as context:
        context.prec, context.rounding = 5, decimal.ROUND_UP
        for table, once in zip(tables, wanted):
            assert np.array_equal(table.__wrapped__(), once)


def test_images_that_no_header_can_describe_are_refused():
    shape = (1, 2, 70_000)
    with pytest.raises(ValueError, match="are too large"):
        Codec(vt.VAE(vt.MLPEncoder(2, (1,), shape), vt.MLPDecoder(2, (1,), shape)))


def test_the_tables_stay_as_they_are():
    """A file of today must open tomorrow: another table would be another code."""
    tables = [gaussian.cdf_table(), gaussian.precision_table(), integers.sigmoid_table()]
    tables += [gaussian.Buckets(12).edges, gaussian.Buckets(12).centres, lent_words(0, 99)]
    content = b"".join(table.astype("<i8").tobytes() for table in tables)
    assert container.fingerprint(content).hex() == "fe71479577f7c099"


def test_bad_arguments(codec):
    with pytest.raises(TypeError, match="bytes of a file, got str"):
        codec.decode("file")
    with pytest.raises(ValueError, match="binary, zeros and ones; 180 values"):
        codec.encode(torch.full((5, *SHAPE), 0.5))
    with pytest.raises(ValueError, match=r"images must be a tensor \(B, \*\(1, 6, 6\)\), got"):
        codec.encode(torch.zeros(5, 36))
    with pytest.raises(ValueError, match="bits must lie between"):
        Codec(small_model(), bits=20)
    with pytest.raises(TypeError, match="BernoulliLikelihood"):
        Codec(vt.VAE(vt.MLPEncoder(2), vt.MLPDecoder(2), vt.GaussianLikelihood()))
    with pytest.raises(TypeError, match=r"must be a vt\.VAE"):
        Codec(nn.Linear(2, 2))
    own = small_model()
    own.encoder = nn.Sequential(nn.Flatten(), nn.Linear(36, 6))
    for model in (own, vt.SequenceVAE(5, 4)):
        with pytest.raises(TypeError, match=r"encoder has an image_shape .*, got Sequen"):
            Codec(model)


# --- with loss --------------------------------------------------------------------------------


def test_the_bits_of_rounded_codes():
    """Cells cover the line: the code lengths are those of a distribution, by brute force."""
    mean, std = torch.tensor([0.3, -2.0]), torch.tensor([1.2, 0.1])
    grid = torch.arange(-60, 61).double() * 0.25
    for d in range(2):
        bits = code_bits(grid[:, None] + mean[d], 0.25, mean[d, None], std[d, None])
        assert abs(float((2.0**-bits).sum()) - 1) < 1e-4  # far cells count 2⁻²⁴ each
    codes = mean + rounded(torch.randn(500, 2) * std, 0.25)
    cell = torch.distributions.Normal(mean.double(), std.double())
    mass = cell.cdf(codes.double() + 0.125) - cell.cdf(codes.double() - 0.125)
    wanted = -mass.log2().sum(1)
    assert torch.allclose(code_bits(codes, 0.25, mean, std), wanted, atol=1e-3)


def test_rounding_keeps_to_the_grid_and_fine_grids_cost_the_differential_entropy():
    codes = torch.randn(20_000, 1, generator=torch.manual_seed(0)).double()
    step = 0.01
    on_grid = rounded(codes, step)
    assert (on_grid - codes).abs().max() <= step / 2 + 1e-9
    assert torch.allclose(on_grid / step, (on_grid / step).round())
    bits = code_bits(on_grid, step, torch.zeros(1), torch.ones(1)).mean()
    entropy = 0.5 * math.log2(2 * math.pi * math.e) - math.log2(step)
    assert abs(float(bits) - entropy) < 5 * 0.72 / math.sqrt(len(codes))
    with pytest.raises(ValueError, match="step must be a positive number"):
        rounded(codes, 0.0)
