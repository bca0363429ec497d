"""The second ward's faults of the training loop."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from clinic.patient import Case
from clinic.second_ward import (
    Criterion,
    sick,
    tokens,
)
from clinic.second_ward_more import (
    bare,
    clock,
    divergence,
)


def tokens_with(reconstruction, x: Tensor | None = None) -> Case:
    """A reconstruction term `reconstruction(logits, target)` in the place of the right one."""

    class Changed(Criterion):
        def reconstruction(self, logits, target):
            return reconstruction(logits, target)

    return tokens(criterion=Changed, x=x)


def bare_with(term) -> Case:
    def loss(recon, x, mu, log_var):
        return (term(recon, x) + divergence(mu, log_var)).mean()

    return bare(loss=loss)


bce = F.binary_cross_entropy_with_logits


def with_epoch(loop_body) -> Case:
    """`loop_body(loss, model, optimiser, scheduler)` is one step; the mean loss is reported."""
    case = bare()

    def epoch(model, batches, optimiser, scheduler):
        total = 0.0
        for x in batches:
            recon, mu, log_var = model(x)
            loss = case.loss(recon, x, mu, log_var)[0]
            loop_body(loss, model, optimiser, scheduler)
            total += loss.item() * len(x)
        scheduler.step()
        return total / sum(len(x) for x in batches)

    case.settings["epoch"] = epoch
    return case


@sick("bare", "no-zero-grad")
def half_of_the_gradients_zeroed() -> Case:
    """Only two of the six parameters' gradients are set to zero, by hand."""

    def body(loss, model, optimiser, scheduler):
        model.b.grad = model.c.grad = None
        loss.backward()
        optimiser.step()

    return with_epoch(body)


@sick("bare", "no-zero-grad")
def zeroed_before_the_step() -> Case:
    """zero_grad stands between backward and step: nothing is ever learnt."""

    def body(loss, model, optimiser, scheduler):
        loss.backward()
        optimiser.zero_grad()
        optimiser.step()

    return with_epoch(body)


@sick("bare", "scheduler-wrong")
def scheduler_twice() -> Case:
    """scheduler.step() in every batch, and once more at the end."""

    def body(loss, model, optimiser, scheduler):
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        scheduler.step()

    return with_epoch(body)


@sick("clock", "last-batch-reported")
def running_loss_overwritten() -> Case:
    """running_loss = … where running_loss += … was meant."""
    case = clock()

    def epoch(model, batches, optimiser, scheduler):
        running = torch.zeros(())
        for x in batches:
            model.zero_grad()
            loss = model.compute_loss(model(x), x)["loss"]
            loss.backward()
            optimiser.step()
            running = loss.detach() * len(x)
        scheduler.step()
        return running.item() / len(x)

    case.settings["epoch"] = epoch
    return case
