"""The ten patients of Chapter 7: the doctor agrees with the answers that the check expects."""

from __future__ import annotations

import pytest
import torch

import vae_tutorial as vt
from vae_tutorial.checks.chapter_07 import ward
from vae_tutorial.checks.patients_07 import CANDIDATES, patient


@pytest.mark.parametrize("number", range(1, 11))
def test_the_doctor_names_the_condition_and_no_other(number):
    found = vt.examine(*patient(number)).codes
    assert (found or ["healthy"]) == [ward()[number]]
    assert ward()[number] in CANDIDATES


def test_a_patient_is_always_the_same_and_leaves_random_numbers_alone():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first, second = patient(1)[0].state_dict(), patient(1)[0].state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("number", [0, 11, "3"])
def test_there_are_ten(number):
    with pytest.raises(ValueError, match="numbered from 1 to 10"):
        patient(number)
