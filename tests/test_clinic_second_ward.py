"""The second ward's patients: all build from their seed, are told, and bear codes of the table."""

from __future__ import annotations

import importlib
from collections import Counter

import pytest
import torch
from clinic_cases import clinic
from test_clinic_patients import CODES

WARD = importlib.import_module("clinic.second_ward_all").WARD


def test_there_are_enough_of_each_kind():
    kinds = Counter(p.kind for p in WARD.values())
    assert kinds["mutant"] >= 45 and kinds["control"] >= 20
    assert min(Counter(p.network for p in WARD.values()).values()) >= 10


def test_every_patient_is_told_and_none_is_in_the_first_ward():
    for name, p in WARD.items():
        assert p.story.endswith(".") and len(p.story) > 20, name
        assert bool(p.codes) == (p.kind == "mutant"), name
        assert set(p.codes) <= CODES, name
    assert not set(WARD) & set(clinic.PATIENTS)


@pytest.mark.parametrize("name", WARD)
def test_the_seed_decides_all(name):
    state = torch.get_rng_state()
    one, again, other = (WARD[name].make(seed) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(one.data, again.data)
    assert not torch.equal(one.data, other.data)
    for p, q in zip(one.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(p, q)
