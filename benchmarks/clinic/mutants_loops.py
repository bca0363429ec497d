"""Faults of the training loop: `epoch(model, batches, optimiser, scheduler)`."""

from clinic.healthy import Parts, functions_loss, mutant
from clinic.vaes import conv_grey_blobs, gru_digits, mlp_blobs, mlp_digits, mlp_series


def step_loss(parts: Parts):
    """`loss(model, x)`, a number, for any of the styles."""
    return functions_loss(parts.reconstruction, parts.kl)


@mutant("no-zero-grad", of=(mlp_digits, mlp_blobs))
def gradients_pile_up(parts: Parts) -> None:
    """zero_grad is never called: each step uses the gradients of all batches so far."""
    loss_of = step_loss(parts)

    def epoch(model, batches, optimiser, scheduler):
        total = 0.0
        for x in batches:
            loss = loss_of(model, x)
            loss.backward()
            optimiser.step()
            total += loss.item() * len(x)
        scheduler.step()
        return total / sum(map(len, batches))

    parts.settings["epoch"] = epoch


@mutant("no-zero-grad", of=gru_digits)
def zeroed_once_an_epoch(parts: Parts) -> None:
    """zero_grad stands outside the loop over batches."""
    loss_of = step_loss(parts)

    def epoch(model, batches, optimiser, scheduler):
        total = 0.0
        optimiser.zero_grad()
        for x in batches:
            loss = loss_of(model, x)
            loss.backward()
            optimiser.step()
            total += loss.item() * len(x)
        scheduler.step()
        return total / sum(map(len, batches))

    parts.settings["epoch"] = epoch


@mutant("scheduler-wrong", of=mlp_digits)
def scheduler_forgotten(parts: Parts) -> None:
    """The schedule is made and never stepped."""
    loss_of = step_loss(parts)

    def epoch(model, batches, optimiser, scheduler):
        total = 0.0
        for x in batches:
            optimiser.zero_grad()
            loss = loss_of(model, x)
            loss.backward()
            optimiser.step()
            total += loss.item() * len(x)
        return total / sum(map(len, batches))

    parts.settings["epoch"] = epoch


@mutant("scheduler-wrong", of=mlp_series)
def scheduler_in_every_batch(parts: Parts) -> None:
    """A schedule meant for epochs is stepped in every batch."""
    loss_of = step_loss(parts)

    def epoch(model, batches, optimiser, scheduler):
        total = 0.0
        for x in batches:
            optimiser.zero_grad()
            loss = loss_of(model, x)
            loss.backward()
            optimiser.step()
            scheduler.step()
            total += loss.item() * len(x)
        return total / sum(map(len, batches))

    parts.settings["epoch"] = epoch


@mutant("scheduler-wrong", of=conv_grey_blobs)
def scheduler_first(parts: Parts) -> None:
    """The schedule is stepped before the optimiser: the first learning rate is never used."""
    loss_of = step_loss(parts)

    def epoch(model, batches, optimiser, scheduler):
        scheduler.step()
        total = 0.0
        for x in batches:
            optimiser.zero_grad()
            loss = loss_of(model, x)
            loss.backward()
            optimiser.step()
            total += loss.item() * len(x)
        return total / sum(map(len, batches))

    parts.settings["epoch"] = epoch


@mutant("last-batch-reported", of=(mlp_digits, mlp_blobs))
def last_loss_returned(parts: Parts) -> None:
    """The loss of the last batch is returned as the loss of the epoch."""
    loss_of = step_loss(parts)

    def epoch(model, batches, optimiser, scheduler):
        for x in batches:
            optimiser.zero_grad()
            loss = loss_of(model, x)
            loss.backward()
            optimiser.step()
        scheduler.step()
        return loss.item()

    parts.settings["epoch"] = epoch
