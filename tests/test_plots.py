"""Figures hold what they should; what they look like is judged by eye."""

import re

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb

import vae_tutorial as vt
from vae_tutorial import plots


@pytest.fixture(autouse=True)
def close_figures():
    with plt.rc_context():
        plots.use_style()
        yield
    plt.close("all")


def test_images_places_each_picture():
    batch = torch.arange(6.0).view(6, 1, 1, 1).expand(6, 1, 4, 4) / 5
    sheet = plots.images(batch, columns=3).images[0].get_array()
    assert sheet.shape == (2 * 4 + 2, 3 * 4 + 2 * 2)
    for i in range(6):
        top, left = 6 * (i // 3), 6 * (i % 3)
        np.testing.assert_allclose(sheet[top : top + 4, left : left + 4], i / 5)


def test_bytes_and_floats_look_the_same():
    batch = torch.randint(0, 256, (4, 1, 5, 5), dtype=torch.uint8)
    pair = [plots.images(b).images[0].get_array() for b in (batch, batch.float() / 255)]
    np.testing.assert_allclose(*pair)


@pytest.mark.parametrize("shape", [(3, 28, 28), (0, 1, 28, 28), (2, 4, 28, 28), (2, 8, 8, 3)])
def test_images_refuses_other_shapes(shape):
    with pytest.raises(ValueError, match=r"batch must be grey images \(N, 1, H, W\) or colour"):
        plots.images(torch.zeros(shape))


def test_colours_are_where_they_belong():
    batch = torch.zeros(2, 3, 4, 4)
    batch[0, 0], batch[1, 2] = 1.0, 0.5  # one red, one half blue
    sheet = plots.images(batch, columns=2).images[0].get_array()
    assert sheet.shape == (4, 10, 3)
    np.testing.assert_allclose(sheet[:, :4], np.broadcast_to([1, 0, 0], (4, 4, 3)))
    np.testing.assert_allclose(sheet[:, 6:], np.broadcast_to([0, 0, 0.5], (4, 4, 3)))
    np.testing.assert_allclose(sheet[:, 4:6], 1.0)  # white between them


def test_values_outside_the_range_are_refused_or_named():
    x = torch.linspace(-1, 1, 16).view(1, 1, 4, 4)
    for wrong in (2 * x, 255 * x.abs(), x * torch.nan, (15 * x.abs()).long()):
        with pytest.raises(ValueError, match=r"holds values from .* value_range=\("):
            plots.images(wrong)
    sheet = plots.images(x, value_range=(-1, 1)).images[0].get_array()
    np.testing.assert_allclose(sheet, (x[0, 0] + 1) / 2)
    slightly = plots.images(1.02 * x.abs()).images[0].get_array()  # a Gaussian's means may
    assert slightly.max() == 1.0
    with pytest.raises(TypeError, match=r"got ndarray.*torch\.from_numpy"):
        plots.images(np.zeros((2, 1, 4, 4)))


def test_models_of_every_kind_of_pictures_are_shown():
    shape = (3, 8, 8)
    model = vt.VAE(vt.MLPEncoder(2, (4,), shape), vt.MLPDecoder(2, (4,), shape),
                   vt.GaussianLikelihood(learned=True))  # fmt: skip
    with torch.no_grad():
        model.decoder.layers[-1].bias.fill_(7.0)  # far outside [0, 1]
    x = torch.randint(0, 256, (5, *shape)).byte()
    sheet = plots.reconstructions(model, x).images[0].get_array()
    np.testing.assert_allclose(sheet[:8, :8], (x[0] / 255).movedim(0, -1), atol=1e-6)
    assert (sheet[10:, :8] == 1).all()
    assert plots.samples(model, 4).images[0].get_array().shape[-1] == 3
    levels = vt.VAE(vt.MLPEncoder(2, (4,), (1, 8, 8)), vt.MLPDecoder(2, (4,), (16, 8, 8)),
                    vt.CategoricalLikelihood(16))  # fmt: skip
    x = torch.randint(0, 16, (5, 1, 8, 8))
    sheet = plots.reconstructions(levels, x).images[0].get_array()
    np.testing.assert_allclose(sheet[:8, :8], x[0, 0] / 15, atol=1e-6)
    plots.samples(levels, 4)


def test_reconstructions_show_data_above_model():
    model = vt.VAE(vt.MLPEncoder(2), vt.MLPDecoder(2))
    x = torch.rand(5, 1, 28, 28)
    ax = plots.reconstructions(model, x)
    sheet = ax.images[0].get_array()
    np.testing.assert_allclose(sheet[:28, :28], x[0, 0])
    np.testing.assert_allclose(sheet[30:, :28], model.reconstruct(x)[0, 0], atol=1e-6)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["data", "model"]


def test_reconstructions_of_an_autoencoder():
    model = vt.Autoencoder(vt.MLPEncoder(2, heads=1), vt.MLPDecoder(2))
    x = torch.rand(5, 1, 28, 28)
    sheet = plots.reconstructions(model, x).images[0].get_array()
    np.testing.assert_allclose(sheet[30:, :28], model(x)[0, 0].detach(), atol=1e-6)


def test_a_model_with_codes_is_shown_like_any_other():
    shape, x = (1, 4, 4), torch.rand(5, 1, 4, 4).round()
    networks = vt.MLPEncoder(6, (8,), shape, heads=1), vt.MLPDecoder(6, (8,), shape)
    model = vt.CategoricalVAE(*networks, 2, 3)
    sheet = plots.reconstructions(model, x).images[0].get_array()
    np.testing.assert_allclose(sheet[6:, :4], model.decode(model.encode(x))[0, 0], atol=1e-6)
    assert plots.samples(model, 4).images[0].get_array().shape[0] >= 4
    with pytest.raises(ValueError, match=r"temperature must be 1 .*, got 0\.5"):
        plots.samples(model, 4, temperature=0.5)


@pytest.mark.parametrize("draw", ["samples", "manifold", "reconstructions"])
def test_a_model_with_a_condition_is_told_what_to_draw_instead(draw):
    shape, x, y = (1, 4, 4), torch.rand(3, 1, 4, 4), torch.tensor([0, 1, 2])
    model = vt.M2(vt.LabelledEncoder(2, 3, (4,), shape), vt.LabelledDecoder(2, 3, (4,), shape),
                  vt.MLPEncoder(3, (4,), shape, heads=1), classes=3)  # fmt: skip
    with pytest.raises(TypeError, match="M2 needs a condition y") as error:
        getattr(plots, draw)(model, *([x] if draw == "reconstructions" else []))
    instead = re.search(r"Draw (.*) instead", str(error.value))[1]
    names = {"vt": vt, "torch": torch, "model": model, "x": x, "y": y, "count": 3, "points": 3,
             "z": torch.zeros(3, 2)}  # fmt: skip
    with torch.no_grad():
        assert eval(instead, names).images  # the way out is one
    assert len(plt.get_fignums()) == 1


def test_history_draws_training_and_validation():
    record = vt.History()
    for epoch in range(3):
        record.append({"elbo": -epoch, "kl": 1.0}, {"elbo": -2.0 * epoch, "kl": 2.0}, epoch)
    ax = plots.history(record, ("elbo", "kl"))
    assert [list(line.get_ydata()) for line in ax.lines][:2] == [[0, -1, -2], [0, -2, -4]]
    assert len(ax.lines) == 4 and ax.get_ylabel() == "nats per image"
    assert len({(line.get_color(), line.get_linestyle()) for line in ax.lines}) == 4
    assert len(plots.history(record, "kl").lines) == 2
    with pytest.raises(ValueError, match=r"no 'los' was recorded, only \['elbo', 'kl'\]"):
        plots.history(record, ["los"])


def test_latents_names_each_class():
    ax = plots.latents(torch.randn(60, 2), torch.arange(60) % 10)
    assert sorted(text.get_text() for text in ax.texts) == [str(i) for i in range(10)]
    assert sum(len(points.get_offsets()) for points in ax.collections) == 60
    assert ax.get_xlabel() and ax.get_ylabel()
    with pytest.raises(ValueError, match=r"codes must be \(N, 2\)"):
        plots.latents(torch.randn(60, 3), torch.zeros(60))


@pytest.mark.parametrize("last", [torch.tensor(2), torch.tensor(-1), torch.tensor(0.0)])
def test_a_label_without_a_name_is_refused(last):
    labels = torch.cat([torch.tensor([0, 1, 0]).to(last.dtype), last[None]])
    wrong = last.item() if not last.is_floating_point() else "0.0"
    with pytest.raises(ValueError, match=f"from 0 to 1, one for each of the .*, got {wrong}"):
        plots.latents(torch.randn(4, 2), labels, ["a", "b"])
    assert not plt.get_fignums()
    assert len(plots.latents(torch.randn(4, 2), labels).texts) == len(labels.unique())


@pytest.mark.parametrize("row_labels", [("a",), ("a", "b", "c")])
def test_row_labels_are_as_many_as_rows(row_labels):
    with pytest.raises(ValueError, match=r"for each of the 2 rows of 2 images, got \d"):
        plots.images(torch.rand(4, 1, 4, 4), columns=2, row_labels=row_labels)
    assert not plt.get_fignums()


def test_names_of_classes_do_not_cover_each_other():
    codes = torch.randn(300, 2)
    codes[200:] += 5  # class 2 is elsewhere, classes 0 and 1 share a median
    codes[100:200] = codes[:100]
    ax = plots.latents(codes, torch.arange(300) // 100)
    first, second, far = (np.array(text.get_position()) for text in ax.texts)
    assert np.linalg.norm(first - second) > 0.5
    middle = codes[:100].median(0).values.numpy()
    assert max(np.linalg.norm(place - middle) for place in (first, second)) < 1
    assert np.linalg.norm(far - codes[200:].median(0).values.numpy()) < 0.05


def test_manifold_is_laid_out_like_its_axes():
    """z_1 grows to the right and z_2 upwards."""
    model = vt.VAE(vt.MLPEncoder(2), vt.MLPDecoder(2, hidden=()))
    with torch.no_grad():
        layer = model.decoder.layers[0]
        layer.bias.zero_()
        layer.weight.zero_()
        layer.weight[:392, 0] = 1.0  # the upper half of the image says z_1, the lower z_2
        layer.weight[392:, 1] = 1.0
    ax = plots.manifold(model, points=5)
    sheet = ax.images[0].get_array()
    assert sheet[0, -1] > 0.8 > 0.2 > sheet[0, 0]  # upper halves: left to right
    assert sheet[27, 0] > 0.8 > 0.2 > sheet[-1, 0]  # lower halves: top to bottom
    assert ax.get_xticks()[0] < ax.get_xticks()[-1]
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert labels[0] == "2.0" and labels[-1] == "-2.0"
    with pytest.raises(ValueError, match="latent_dim 2 for a map of it, got 3"):
        plots.manifold(vt.VAE(vt.MLPEncoder(3), vt.MLPDecoder(3)))


def test_ticks_of_the_manifold_fit_images_of_any_size():
    shape = (1, 8, 16)
    ax = plots.manifold(vt.VAE(vt.MLPEncoder(2, (4,), shape), vt.MLPDecoder(2, (4,), shape)), 4)
    assert list(ax.get_yticks()) == [3.5, 18.5, 33.5]  # centres of 8 pixels, 10 apart
    assert list(ax.get_xticks()) == [7.5, 34.5, 61.5]  # centres of 16 pixels, 18 apart


@pytest.mark.parametrize(
    "likelihood", [vt.LogisticMixtureLikelihood(1), vt.CategoricalLikelihood(4)]
)
def test_the_manifold_of_levels_is_between_black_and_white(likelihood):
    shape, outputs = (1, 4, 4), {4: (4, 4, 4), 256: (3, 4, 4)}[likelihood.levels]
    model = vt.VAE(vt.MLPEncoder(2, (4,), shape), vt.MLPDecoder(2, (4,), outputs), likelihood)
    sheet = plots.manifold(model, points=3).images[0].get_array()
    steps = torch.special.ndtri(torch.linspace(0.025, 0.975, 3))
    z = torch.stack([steps[0], steps[-1]])[None]  # at the upper left
    level = vt.models.vae.mean_of(model.likelihood(z))[0, 0].detach() / (likelihood.levels - 1)
    np.testing.assert_allclose(sheet[:4, :4], level, atol=1e-6)


def test_style_is_opaque_and_told_apart_without_colour():
    assert to_rgb(plt.rcParams["figure.facecolor"]) == (1, 1, 1)
    assert to_rgb(plt.rcParams["savefig.facecolor"]) == (1, 1, 1)
    assert len(set(map(str, plots.DASHES))) == len(plots.COLOURS) == len(plots.DASHES)

    # neighbours in the cycle differ in luminance, so they do in grey print as well
    def luminance(colour):
        return float(np.dot(to_rgb(colour), (0.2126, 0.7152, 0.0722)))

    pairs = zip(plots.COLOURS, plots.COLOURS[1:], strict=False)
    assert all(abs(luminance(a) - luminance(b)) > 0.02 for a, b in pairs)


def test_given_axes_are_used():
    _, ax = plt.subplots()
    assert plots.images(torch.rand(3, 1, 4, 4), ax=ax) is ax
    model = vt.VAE(vt.MLPEncoder(2), vt.MLPDecoder(2))
    assert plots.samples(model, 4, ax=ax) is ax
