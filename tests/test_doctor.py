"""The doctor leaves healthy models in peace and as they were, names faults, and never fails."""

from __future__ import annotations

import json
import random
import subprocess
import sys

import notebooks
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import vae_tutorial as vt
from vae_tutorial.doctor import CODES

sys.path.append(str(notebooks.ROOT / "benchmarks"))
from clinic import PATIENTS, patients

PIXELS, LATENTS = 64, 4
SOME = [p.name for p in patients()][::9]


class Plain(nn.Module):
    """A VAE as people write it, for 8 × 8 images."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.Linear(PIXELS, 32), nn.Linear(LATENTS, PIXELS)
        self.mu, self.logvar = nn.Linear(32, LATENTS), nn.Linear(32, LATENTS)

    def forward(self, x):
        h = torch.relu(self.encoder(x.flatten(1)))
        mu, logvar = self.mu(h), self.logvar(h)
        z = mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)
        return torch.sigmoid(self.decoder(z)), mu, logvar


def plain_loss(recon, x, mu, logvar):
    bce = F.binary_cross_entropy(recon, x.flatten(1), reduction="none").sum(1)
    return (bce - 0.5 * (1 + logvar - mu**2 - logvar.exp()).sum(1)).mean()


@pytest.fixture
def x():
    torch.manual_seed(1)
    return (torch.rand(16, 1, 8, 8) < 0.4).float()


@pytest.fixture
def model():
    torch.manual_seed(0)
    return Plain()


def test_a_healthy_model_is_left_in_peace(model, x):
    report = vt.examine(model, plain_loss, x)
    assert report.ok, str(report)
    assert report.measured["beta"] == pytest.approx(1, rel=1e-4)
    assert not report.left_out


@pytest.mark.parametrize("beta", [0.01, 0.37, 4.0, 250.0])
def test_the_weight_of_the_kl_is_recovered_as_a_number(model, x, beta):
    def loss(output, x):
        recon, mu, logvar = output
        return plain_loss(recon, x, 0 * mu, 0 * logvar) + beta * (
            0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum(1).mean()
        )

    report = vt.examine(model, loss, x)
    assert report.measured["beta"] == pytest.approx(beta, rel=1e-3)
    assert not report.ok
    assert vt.examine(model, loss, x, beta=beta).ok


def test_nothing_of_the_owner_is_changed(model, x):
    model.norm = nn.BatchNorm1d(3)
    model.eval()
    model.mu.train()
    model.mu.weight.grad = torch.ones_like(model.mu.weight)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    modes = [m.training for m in model.modules()]
    torch.manual_seed(5), np.random.seed(5), random.seed(5)
    states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    vt.examine(model, plain_loss, x)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert [m.training for m in model.modules()] == modes
    assert torch.equal(model.mu.weight.grad, torch.ones_like(model.mu.weight))
    assert model.logvar.weight.grad is None
    assert torch.equal(torch.get_rng_state(), states[0])
    assert (np.random.get_state()[1] == states[1]).all()
    assert random.getstate() == states[2]


def test_the_same_patient_gets_the_same_report(model, x):
    one, other = (vt.examine(model, plain_loss, x).to_dict() for _ in range(2))
    assert one == other


@pytest.mark.parametrize("error", [ValueError("no"), KeyError("x"), ZeroDivisionError()])
@pytest.mark.parametrize("where", ["model", "loss"])
def test_an_exception_in_the_patient_is_a_finding(model, x, error, where):
    def broken(*_):
        raise error

    if where == "model":
        model.forward = broken
    report = vt.examine(model, broken if where == "loss" else plain_loss, x)
    assert report.codes == ["exception"]
    assert type(error).__name__ in report.findings[0].evidence


def test_a_patient_that_is_no_module_is_refused():
    with pytest.raises(TypeError, match=r"model must be a torch\.nn\.Module, got int"):
        vt.examine(3)


@pytest.mark.parametrize("name", SOME)
def test_some_patients_of_the_clinic(name):
    check_patient(name, seed=3)


@pytest.mark.slow
@pytest.mark.parametrize("name", [p.name for p in patients() if p.name not in SOME])
def test_all_others(name):
    check_patient(name, seed=3)


def check_patient(name: str, seed: int) -> None:
    patient = PATIENTS[name]
    case = patient.make(seed)
    report = vt.examine(case.model, case.loss, case.data, **case.settings)
    if patient.kind == "control":
        assert report.ok, str(report)
    elif name in MISSED:
        pytest.xfail(MISSED[name])
    else:
        assert report.codes, "nothing found"
        assert report.codes[0] in patient.codes, str(report)


MISSED: dict[str, str] = {}
"""Patients whose fault the doctor does not name first, with the reason."""


def test_a_report_can_be_read_and_stored(model, x):
    report = vt.examine(model, lambda recon, x, mu, logvar: -plain_loss(recon, x, mu, logvar), x)
    text, page, data = str(report), report._repr_html_(), report.to_dict()
    first = report.findings[0]
    for part in (first.code, first.cause, first.remedy):
        assert " ".join(part.split()) in " ".join(text.split())
    assert f"<code>{first.code}</code>" in page
    assert json.loads(json.dumps(data))["findings"][0]["code"] == first.code
    assert not data["ok"]


def test_every_code_says_what_to_do_and_where_to_read():
    chapters = {f"chapters/{p.stem}.html" for p in notebooks.chapter_files()}
    for name, code in CODES.items():
        assert code.severity in ("fault", "warning", "note"), name
        assert code.cause.endswith(".") and code.remedy.endswith("."), name
        assert code.link in chapters, name
    assert {c for p in patients() for c in p.codes} <= set(CODES)


MODULE = """
import torch.nn.functional as F
from torch import nn
import torch

class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.e, self.d = nn.Linear(784, 6), nn.Linear(3, 784)
    def forward(self, x):
        mu, logvar = self.e(x.flatten(1)).chunk(2, 1)
        return self.d(mu + (0.5 * logvar).exp() * torch.randn_like(mu)), mu, logvar

def loss(recon, x, mu, logvar):
    terms = F.binary_cross_entropy_with_logits(recon, x.flatten(1), reduction="none").sum(1)
    return (terms + SIGN * 0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum(1)).mean()
"""


@pytest.mark.parametrize(("sign", "status"), [("1", 0), ("-1", 2)])
def test_the_command_ends_with_a_status(tmp_path, sign, status):
    (tmp_path / "my_vae.py").write_text(MODULE.replace("SIGN", sign))
    command = [sys.executable, "-m", "vae_tutorial", "doctor", "my_vae:Small", "--json"]
    command += ["--loss", "my_vae:loss"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == status, done.stderr
    assert json.loads(done.stdout)["ok"] == (status == 0)


@pytest.mark.parametrize("address", ["my_vae", "no_such:x", "my_vae:nothing"])
def test_the_command_says_what_it_cannot_find(tmp_path, address):
    (tmp_path / "my_vae.py").write_text(MODULE)
    command = [sys.executable, "-m", "vae_tutorial", "doctor", address]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ") and address.split(":")[0] in done.stderr
