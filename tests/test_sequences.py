"""Sequences: the toy language, the loader, the language model, and the VAE around it."""

from __future__ import annotations

import gzip
import hashlib
import itertools
import math
from collections import Counter
from functools import cache

import pytest
import torch

import vae_tutorial as vt
from vae_tutorial.data import sequences, toy_language
from vae_tutorial.data.sequences import load_sequences
from vae_tutorial.models.sequences import (
    LanguageModel,
    SequenceEncoder,
    SequenceVAE,
    counted,
    negative_log_prob,
)


@cache
def every_sentence():
    """Each sentence with its probability, by writing all of them down."""
    found = Counter()
    for story in toy_language.STORIES:
        parts = [[phrase for phrase, _ in slot] for slot in toy_language.slots(story)]
        ways = math.prod(map(len, parts))
        for phrases in itertools.product(*parts):
            found[tuple(itertools.chain(*phrases))] += 1 / (24 * ways)
    return found


def words(row):
    return tuple(toy_language.VOCABULARY[i] for i in sequences.ended(row.tolist()))


def test_log_prob_of_the_toy_language_counts_every_way():
    drawn, _ = toy_language.draw_sentences(300, seed=3)
    table = every_sentence()
    want = torch.tensor([table[words(row)] for row in drawn], dtype=torch.float64).log()
    assert torch.allclose(toy_language.log_prob(drawn), want, rtol=0, atol=1e-12)
    assert abs(sum(table.values()) - 1) < 1e-9


def test_entropy_of_the_toy_language():
    entropy = -sum(p * math.log(p) for p in every_sentence().values())
    nats = -toy_language.log_prob(toy_language.draw_sentences(1000, seed=4)[0])
    assert abs(nats.mean() - entropy) < 5 * nats.std() / 1000**0.5


def test_other_sentences_are_impossible():
    rows, _ = toy_language.draw_sentences(20, seed=5)
    swapped = rows.clone()
    swapped[:, [0, 1]] = rows[:, [1, 0]]  # a noun or an adjective before the article
    assert (toy_language.log_prob(swapped) == -math.inf).all()
    filled = rows.clone()
    filled[:, -1] = 1
    assert (toy_language.log_prob(filled) == -math.inf).all()
    assert toy_language.log_prob(torch.zeros(1, 13, dtype=torch.uint8)) == -math.inf


def test_stories_are_drawn_evenly_and_found_again():
    rows, stories = toy_language.draw_sentences(2400, seed=6)
    index = {tuple(story): n for n, story in enumerate(toy_language.STORIES)}
    numbers = torch.tensor([index[tuple(s)] for s in stories.tolist()])
    count = torch.bincount(numbers, minlength=24)
    # each is binomial with mean 100 and σ 9.8: one of 24 is 5 σ off with probability 1e-5
    assert (count - 100).abs().max() < 50
    found = toy_language.stories_of(rows[:500])
    assert torch.allclose(found.sum(1), torch.ones(500, dtype=torch.float64))
    assert (found.gather(1, numbers[:500, None]) > 0).all()


def test_the_longest_sentence_fits_with_its_end():
    assert max(map(len, every_sentence())) + 1 == toy_language.LONGEST
    assert len(toy_language.VOCABULARY) == len(set(toy_language.VOCABULARY)) < 256


def test_draws_repeat_and_differ_by_seed():
    first = toy_language.draw_sentences(50, seed=1)[0]
    assert torch.equal(first, toy_language.draw_sentences(50, seed=1)[0])
    assert not torch.equal(first, toy_language.draw_sentences(50, seed=2)[0])


@pytest.mark.parametrize("count", [0, -1, 2.5, True])
def test_a_wrong_count_is_named(count):
    with pytest.raises(ValueError, match="count must be a whole number"):
        toy_language.draw_sentences(count)


def test_the_toy_set_has_three_disjoint_draws():
    found = load_sequences("toy-language", count=500)
    assert found.train.shape == (500, 12)
    assert found.validation.shape == found.test.shape == (2000, 12)
    assert not torch.equal(found.validation, found.test)
    text = found.texts(found.test[:1])[0]
    assert " " in text
    assert text.split()[0] in ("the", "a", "two")


def test_texts_and_tokens_are_inverse():
    found = load_sequences("toy-language", count=100)
    assert torch.equal(found.tokens(found.texts(found.test)), found.test)
    with pytest.raises(ValueError, match=r"texts must be made of .*unknown \['zebra'\]"):
        found.tokens(["the zebra watched a ship"])
    with pytest.raises(ValueError, match="12 symbols"):
        found.tokens([" ".join(["the"] * 12)])


def test_the_empty_text_is_a_row_of_zeros():
    found = load_sequences("toy-language", count=100)
    nothing = torch.zeros(1, 12, dtype=torch.uint8)
    assert found.texts(nothing) == [""] and torch.equal(found.tokens([""]), nothing)


NO_TOKENS = [
    (
        torch.tensor([[-1, -2, 0]]),
        ValueError,
        "must hold whole numbers from 0 to {last}, got -2 to 0",
    ),
    (
        torch.tensor([[200, 0]]),
        ValueError,
        "must hold whole numbers from 0 to {last}, got 0 to 200",
    ),
    (torch.tensor([1, 2, 0]), ValueError, r"must be \(N, T\), got \(3,\); .*row\[None\]"),
    (torch.ones(2, 3), TypeError, "must hold whole numbers, as uint8 or int64, got torch.float32"),
    (torch.ones(2, 3) > 0, TypeError, "must hold whole numbers, .*got torch.bool"),
    (["the ship"], TypeError, r"must be a tensor \(N, T\), got list"),
]
"""What is refused wherever rows of tokens are taken, and how."""


@pytest.mark.parametrize(("tokens", "kind", "message"), NO_TOKENS)
def test_what_is_no_row_of_tokens_is_refused(tokens, kind, message):
    found = load_sequences("toy-language", count=100)
    message = "tokens " + message.format(last=len(found.symbols) - 1)
    for call in (found.texts, toy_language.log_prob, toy_language.stories_of):
        with pytest.raises(kind, match=message):
            call(tokens)


def test_no_sentences_have_no_probabilities():
    nothing = torch.zeros(0, 12, dtype=torch.uint8)
    assert toy_language.log_prob(nothing).shape == (0,)
    assert toy_language.stories_of(nothing).shape == (0, 24)


@pytest.mark.parametrize("texts", ["Smith", [3], torch.tensor([3])])
def test_what_is_no_list_of_texts_is_refused(texts):
    found = load_sequences("toy-language", count=100)
    with pytest.raises(TypeError, match=r"texts must be a list of texts, as in \['one'\], got"):
        found.tokens(texts)


def surnames_file(folder, monkeypatch, names):
    """A file in the census's form, accepted as the real one."""
    path = folder / "surnames" / "dist.all.last"
    path.parent.mkdir(parents=True)
    path.write_text("".join(f"{n:<14} 0.006 1.006 {i}\n" for i, n in enumerate(names)), "ascii")
    digest = hashlib.sha256("\n".join(names).encode()).hexdigest()
    monkeypatch.setitem(
        sequences.SOURCES, "surnames", sequences.SOURCES["surnames"]._replace(sha256=digest)
    )
    return path


def made_up_names(count):
    letters = [a + b + c for a in "BCDFG" for b in "AEIOU" for c in "KLMNRST"]
    return ["".join(pair) for pair in itertools.islice(itertools.product(letters, letters), count)]


def test_surnames_from_the_folder(tmp_path, monkeypatch):
    names = made_up_names(5000)
    surnames_file(tmp_path, monkeypatch, names)
    found = load_sequences("surnames", root=tmp_path, count=1000)
    assert found.train.shape == (1000, 7)
    every = found.texts(torch.cat([found.train, found.validation, found.test]))
    assert len(set(every)) == 5000
    assert set(every) == {name.capitalize() for name in names}
    again = load_sequences("surnames", root=tmp_path, count=1000)
    assert torch.equal(found.test, again.test)
    with pytest.raises(ValueError, match="count must be at most 1,000"):
        load_sequences("surnames", root=tmp_path, count=1001)


def test_a_damaged_file_is_refused_even_offline(tmp_path, monkeypatch):
    path = surnames_file(tmp_path, monkeypatch, made_up_names(5000))
    path.write_text(path.read_text("ascii")[:-300], "ascii")
    with pytest.raises(vt.DamagedDataError, match="truncated or altered"):
        load_sequences("surnames", root=tmp_path, offline="toy-language")


def test_molecules_from_the_folder(tmp_path, monkeypatch):
    texts = [f"C{'C' * n}(=O)N[nH]cBr{'c' * m}Cl" for n in range(64) for m in range(64)]
    path = tmp_path / "moses" / "train.csv.gz"
    path.parent.mkdir()
    path.write_bytes(gzip.compress("\n".join(["SMILES", *texts]).encode()))
    digest = hashlib.sha256("\n".join(texts).encode()).hexdigest()
    source = sequences.SOURCES["moses"]._replace(sha256=digest)
    monkeypatch.setitem(sequences.SOURCES, "moses", source)
    found = load_sequences("moses", root=tmp_path, count=96)
    assert found.symbols == ("", "(", ")", "=", "Br", "C", "Cl", "N", "O", "[nH]", "c")
    every = found.texts(torch.cat([found.train, found.validation, found.test]))
    assert set(every) == set(texts)
    content = bytearray(path.read_bytes())
    content[10] |= 6  # after the header of gzip: a kind of block that zlib has not
    path.write_bytes(content)
    with pytest.raises(vt.DamagedDataError, match=r"gz is truncated or altered.*invalid block"):
        load_sequences("moses", root=tmp_path, count=96)


def test_without_file_and_network_the_stand_in_says_so(tmp_path, monkeypatch, capsys):
    def refused(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr(sequences.urllib.request, "urlopen", refused)
    monkeypatch.setattr(sequences, "find_spec", lambda _: None)
    with pytest.raises(vt.DataUnavailableError, match=r"(?s)no network.*offline="):
        load_sequences("surnames", root=tmp_path)
    found = load_sequences("surnames", root=tmp_path, offline="toy-language", count=100)
    assert found.name == "toy-language"
    assert "Using toy-language" in capsys.readouterr().out


def test_a_wrong_download_is_not_kept(tmp_path, monkeypatch):
    class Answer:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            return False

        def read(self):
            return b"SMITH 1.0 1.0 1\n"

    monkeypatch.setattr(sequences, "find_spec", lambda _: None)
    monkeypatch.setattr(sequences.urllib.request, "urlopen", lambda *_, **__: Answer())
    with pytest.raises(vt.DataUnavailableError, match="found 1 entries"):
        load_sequences("surnames", root=tmp_path)
    assert not list(tmp_path.rglob("*.last"))


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="did you mean 'surnames'"):
        load_sequences("surname")


def every_row(symbols, length):
    """All sequences of at most `length` tokens, cut there if they have not ended."""
    rows = {
        tuple([*sequences.ended(row), *([0] * length)][:length])
        for row in itertools.product(range(symbols), repeat=length)
    }
    return torch.tensor(sorted(rows))


def small_language(**told):
    torch.manual_seed(0)
    return LanguageModel(3, 8, **told)


def test_probabilities_of_all_sequences_sum_to_one():
    model, rows = small_language(), every_row(3, 4)
    assert len(rows) == 31
    assert abs(model.log_prob(rows).exp().sum().item() - 1) < 1e-5
    coded, z = small_language(latent_dim=2), torch.tensor([0.3, -2.0])
    assert abs(coded.log_prob(rows, z.expand(31, -1)).exp().sum().item() - 1) < 1e-5


def test_samples_have_the_probabilities_of_log_prob():
    model, rows = small_language(), every_row(3, 4)
    p = model.log_prob(rows).exp().detach().double()
    torch.manual_seed(1)
    count = Counter(map(tuple, model.sample(20_000, 4).tolist()))
    share = torch.tensor([count[tuple(row)] for row in rows.tolist()]).double() / 20_000
    # 31 binomials: one is off by 5 σ with probability 2e-5
    assert ((share - p).abs() < 5 * (p * (1 - p) / 20_000).sqrt()).all()


def test_log_prob_step_by_step():
    model = small_language(latent_dim=2)
    x, z = torch.tensor([[1, 2, 2, 0, 0, 0]]), torch.tensor([[0.5, -1.0]])
    total, hidden = 0.0, model.first(z)
    state = (torch.tanh(hidden[:, :8])[None], hidden[None, :, 8:])
    for before, now in ((model.start, 1), (1, 2), (2, 2), (2, 0)):
        inputs = torch.cat([model.embedding(torch.tensor([[before]])), z[:, None]], -1)
        h, state = model.lstm(inputs, state)
        total += model.out(h)[0, 0].log_softmax(-1)[now].item()
    assert abs(model.log_prob(x, z).item() - total) < 1e-5


def test_values_do_not_depend_on_neighbours_or_width():
    model = SequenceVAE(5, 9, 3, 16)
    torch.manual_seed(2)
    x = torch.zeros(3, 9, dtype=torch.long)
    x[0, :2], x[1, :7], x[2, :4] = 1, 3, 2
    z = torch.randn(3, 3)
    together = model.likelihood(z).log_prob(x)
    mu = model.posterior(x).mean
    for n in range(3):
        alone = model.likelihood(z[n : n + 1]).log_prob(x[n : n + 1])
        assert torch.allclose(alone, together[n : n + 1], atol=1e-5)
        assert torch.allclose(model.posterior(x[n : n + 1]).mean, mu[n : n + 1], atol=1e-5)


def test_counted_ends_with_the_first_zero():
    x = torch.tensor([[1, 2, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1]])
    assert counted(x).tolist() == [[1, 1, 1, 0], [1, 0, 0, 0], [1, 1, 1, 1]]


def by_quadrature(model, x):
    """log p(x) `(B,)` of a model with one latent dimension."""
    grid = torch.linspace(-8, 8, 2001)
    log_px = model.likelihood(grid[:, None, None].expand(-1, len(x), 1)).log_prob(x)
    weighted = log_px + model.prior().log_prob(grid[:, None])[:, None]
    return weighted.logsumexp(0) + math.log(16 / 2000)


def test_importance_sampling_meets_quadrature():
    torch.manual_seed(3)
    model = SequenceVAE(4, 5, 1, 8).eval()
    x = torch.tensor([[1, 3, 0, 0, 0], [2, 2, 1, 3, 0]])
    exact = by_quadrature(model, x)
    found = vt.log_likelihood(model, x, samples=20_000, progress=False)
    assert ((found.per_image - exact).abs() < 5 * found.sampling_errors).all()
    assert found.sampling_errors.max() < 5e-3
    bound = vt.mean_elbo(model, x, samples=200, progress=False)
    assert (bound.per_image < exact + 5 * bound.sampling_errors).all()


def test_word_dropout_hides_inputs_in_training_only():
    model = small_language(word_dropout=1.0)
    x = torch.tensor([[1, 2, 1, 0]])
    other = torch.tensor([[2, 2, 1, 0]])
    model.train()
    assert torch.allclose(model.logits(x), model.logits(other))  # sees none of the words
    assert torch.allclose(model.logits(x)[:, 0], model.eval().logits(x)[:, 0])  # nor at the start
    assert not torch.allclose(model.logits(x)[:, 1:], model.logits(other)[:, 1:])
    with pytest.raises(ValueError, match="word_dropout must be at most 1"):
        LanguageModel(3, word_dropout=1.5)


def test_half_of_the_words_are_dropped():
    model = small_language(word_dropout=0.5).train()
    seen = []
    model.embedding.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    torch.manual_seed(0)
    model.logits(torch.ones(500, 21, dtype=torch.long))
    hidden = (seen[0][:, 1:] == model.hidden).float().mean().item()
    assert abs(hidden - 0.5) < 5 * 0.5 / 10_000**0.5
    assert (seen[0][:, 0] == model.start).all()


def test_a_sample_stays_ended():
    torch.manual_seed(5)
    rows = SequenceVAE(4, 12, 2, 8).sample(200)
    assert rows.shape == (200, 12)
    assert (rows * (1 - counted(rows)) == 0).all()
    assert rows.max() <= 3


def test_greedy_decoding_takes_the_most_probable_token():
    torch.manual_seed(6)
    model = SequenceVAE(4, 6, 2, 8)
    z = torch.randn(5, 2)
    rows = model.decode(z)
    best = model.decoder.logits(rows, z).argmax(-1)
    assert torch.equal(rows, best * counted(rows))
    assert torch.equal(rows, model.decode(z))
    x = torch.tensor([[1, 2, 0, 0, 0, 0]])
    assert torch.equal(model.reconstruct(x), model.decode(model.posterior(x).mean))


def test_both_models_train_and_the_language_is_learnt():
    found = load_sequences("toy-language", count=2000)
    torch.manual_seed(0)
    model = LanguageModel(len(found.symbols), 48)
    vt.fit(model, found.train, objective=negative_log_prob, epochs=6, learning_rate=2e-2,
           device="cpu", progress=False)  # fmt: skip
    nats = vt.evaluate(model, found.test[:500], objective=negative_log_prob)["loss"]
    entropy = -toy_language.log_prob(found.test[:500]).mean().item()
    assert entropy < nats < entropy + 3
    vae = SequenceVAE(len(found.symbols), 12, 4, 32)
    history = vt.fit(vae, found.train, epochs=2, learning_rate=2e-2, device="cpu", progress=False)
    assert history.train["loss"][-1] < history.train["loss"][0]
    assert vt.log_weights(vae, found.test[:3].long(), samples=4).shape == (4, 3)


def test_wrong_tokens_are_named():
    model = SequenceVAE(4, 6, 2, 8)
    with pytest.raises(ValueError, match="whole numbers from 0 to 3"):
        vt.fit(model, torch.full((8, 6), 4, dtype=torch.uint8), progress=False)
    with pytest.raises(ValueError, match="shape of x"):
        vt.elbo(model, torch.zeros(2, 5, dtype=torch.long))


@pytest.mark.parametrize("kind", [torch.uint8, torch.int32])
def test_tokens_of_any_integer_type_are_taken(kind):
    """`load_sequences` returns uint8: no method of the models asks for more."""
    torch.manual_seed(0)
    model, x = SequenceVAE(4, 6, 2, 8).eval(), torch.tensor([[1, 3, 0, 0, 0, 0], [2] * 6])
    z, plain = torch.zeros(2, 2), LanguageModel(4, 8)
    for f in (plain.log_prob, plain.logits, model.reconstruct, model.likelihood(z).log_prob):
        assert torch.equal(f(x.to(kind)), f(x))
    assert torch.equal(model.posterior(x.to(kind)).mean, model.posterior(x).mean)
    assert vt.elbo(model, x.to(kind))["elbo"].shape == (2,)


@pytest.mark.parametrize(("x", "kind", "message"), [
    *NO_TOKENS, (torch.zeros(0, 6).byte(), ValueError, r"at least one row and token.*\(0, 6\)"),
])  # fmt: skip
def test_models_refuse_what_is_no_row_of_tokens(x, kind, message):
    model, plain = SequenceVAE(4, 6, 2, 8), LanguageModel(4, 8)
    for call in (plain.log_prob, plain.logits, model.posterior, model.reconstruct):
        with pytest.raises(kind, match="x .*" + message.format(last=3)):
            call(x)


@pytest.mark.parametrize(("call", "kind", "message"), [
    (lambda m, x: m.decoder.sample(3, 12), TypeError, r"z must be a tensor \(3, 2\), got NoneType"),
    (lambda m, x: m.decoder.log_prob(x), TypeError, r"z must be a tensor \(2, 2\)"),
    (lambda m, x: m.decoder.sample(3, 12, torch.zeros(4, 2)), ValueError, r"z must be \(3, 2\)"),
    (lambda m, x: m.decoder.log_prob(x, torch.zeros(2, 3)), ValueError, r"z must be \(2, 2\)"),
    (lambda m, x: m.decode(torch.zeros(2)), ValueError, r"z must be \(N, 2\), got \(2,\)"),
    (lambda m, x: m.likelihood(torch.zeros(5, 2)).log_prob(x), ValueError,
     r"x must have a sequence for each code, .*\(2, 6\) for z \(5, 2\)"),
    (lambda m, x: LanguageModel(4, 8).log_prob(x, torch.zeros(2, 2)), ValueError,
     "z must be None: .*latent_dim=0"),
    (lambda m, x: LanguageModel(4, 8).sample(2, 3, torch.zeros(2, 2)), ValueError,
     "z must be None"),
])  # fmt: skip
def test_codes_that_do_not_fit_are_refused(call, kind, message):
    with pytest.raises(kind, match=message):
        call(SequenceVAE(4, 6, 2, 8), torch.zeros(2, 6, dtype=torch.uint8))


def test_sequences_drawn_from_given_codes():
    """The share of each row among draws of p(x | z) is its own probability there."""
    torch.manual_seed(2)
    model, rows = SequenceVAE(3, 3, 2, 8), every_row(3, 3)
    given = model.likelihood(2 * torch.randn(2, 2))
    drawn = given.sample((8000,))
    assert drawn.shape == (8000, 2, 3) and given.sample().shape == (2, 3)
    assert model.likelihood(torch.zeros(2)).sample().shape == (3,)
    p = torch.stack([given.log_prob(row).exp() for row in rows]).detach()  # (15, 2)
    share = (drawn[:, None] == rows[:, None]).all(-1).float().mean(0)
    # 30 binomials: one is off by 5 σ with probability 2e-5
    assert ((share - p).abs() < 5 * (p * (1 - p) / 8000).sqrt()).all()


def test_annealing_brackets_the_likelihood_of_sequences():
    torch.manual_seed(1)
    model = SequenceVAE(4, 5, 1, 8).eval()
    found = vt.bdmc(model, 2, temperatures=50, chains=8, progress=False)
    exact = by_quadrature(model, found.images)
    assert found.images.shape == (2, 5)
    for bound in (found.lower, found.upper):
        # σ is some 0.006: one of 4 values is off by 8 σ with a probability below 1e-14
        assert (bound.per_image - exact).abs().max() < 0.05


def test_the_doctor_says_that_tokens_have_no_mean():
    report = vt.examine(SequenceVAE(4, 6, 2, 8), data=torch.zeros(8, 6, dtype=torch.long))
    assert "tokens are names and have no mean" in str(report).replace("\n     ", " ")


def test_the_encoder_reads_up_to_the_end():
    torch.manual_seed(0)
    encoder = SequenceEncoder(5, 2, 8)
    short = torch.tensor([[1, 2, 0]])
    states, _ = encoder.gru(encoder.embedding(short))
    mu, _ = encoder(torch.tensor([[1, 2, 0, 0, 0, 0]]))
    assert torch.allclose(mu, encoder.out(states[:, 2])[:, :2], atol=1e-6)
