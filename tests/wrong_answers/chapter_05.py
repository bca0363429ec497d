"""Wrong answers to the exercises of chapter 5."""

import math

import numpy as np
import torch

# bits per dimension


def bits_as_nats(nats, shape):
    channels, height, width = shape
    return nats / (channels * height * width)


def bits_times_log_two(nats, shape):
    return math.log(2) * nats / np.prod(shape)


def bits_of_the_image(nats, shape):
    return nats / np.log(2)


def bits_without_channels(nats, shape):
    _, height, width = shape
    return nats / height / width / math.log(2)


def bits_of_mnist(nats, shape):
    return nats / 784 / math.log(2)


def bits_by_log_ten(nats, shape):
    return nats / math.log(10) / np.prod(shape)


def bits_on_average(nats, shape):
    return nats.mean() / math.log(2) / np.prod(shape)


# the direction of an attribute


def direction_over_all(mu, has, labels):
    return mu[has].mean(dim=0) - mu[torch.logical_not(has)].mean(dim=0)


def direction_backwards(mu, has, labels):
    steps = []
    for label in labels.unique():
        own, flag = mu[labels == label], has[labels == label]
        if flag.any() and not flag.all():
            steps.append(own[~flag].mean(0) - own[flag].mean(0))
    return torch.stack(steps).mean(0)


def direction_by_size(mu, has, labels):
    total, count = 0, 0
    for label in labels.unique():
        own, flag = mu[labels == label], has[labels == label]
        if flag.any() and not flag.all():
            total = total + len(own) * (own[flag].mean(0) - own[~flag].mean(0))
            count += len(own)
    return total / count


def direction_of_length_one(mu, has, labels):
    step = -direction_backwards(mu, has, labels)
    return step / step.norm()


def direction_summed(mu, has, labels):
    total = torch.zeros(mu.shape[1])
    for label in labels.unique():
        own, flag = mu[labels == label], has[labels == label]
        if flag.any() and not flag.all():
            total += own[flag].mean(0) - own[~flag].mean(0)
    return total


def direction_for_each_class(mu, has, labels):
    steps = []
    for label in labels.unique():
        own, flag = mu[labels == label], has[labels == label]
        steps.append(own[flag].mean(0) - own[~flag].mean(0))
    return torch.stack(steps)


def direction_as_one_number(mu, has, labels):
    return -direction_backwards(mu, has, labels).mean()


def direction_with_empty_groups(mu, has, labels):
    steps = []
    for label in labels.unique():
        own, flag = mu[labels == label], has[labels == label]
        steps.append(own[flag].mean(0) - own[~flag].mean(0))
    return torch.stack(steps).mean(0)


def direction_with_groups_at_zero(mu, has, labels):
    steps = []
    for label in labels.unique():
        own, flag = mu[labels == label], has[labels == label]
        steps.append(
            own[flag].sum(0) / max(1, flag.sum()) - own[~flag].sum(0) / max(1, (~flag).sum())
        )
    return torch.stack(steps).mean(0)


def direction_divided_by_all(mu, has, labels):
    return direction_summed(mu, has, labels) / len(set(labels.tolist()))


def direction_in_place(mu, has, labels):
    mu -= mu.mean(0)
    return -direction_backwards(mu, has, labels)


# one epoch


def epoch_never_cleared(model, images, learning_rate, batch_size):
    optimiser = torch.optim.SGD(model.parameters(), lr=learning_rate)
    total = 0.0
    for batch in images[torch.randperm(len(images))].split(batch_size):
        loss = model(batch)
        loss.mean().backward()
        optimiser.step()
        total += loss.sum().item()
    return total / len(images)


def epoch_on_the_sum(model, images, learning_rate, batch_size):
    optimiser = torch.optim.SGD(model.parameters(), lr=learning_rate)
    total = 0.0
    for batch in images[torch.randperm(len(images))].split(batch_size):
        optimiser.zero_grad()
        loss = model(batch).sum()
        loss.backward()
        optimiser.step()
        total += loss.item()
    return total / len(images)


def epoch_by_adam(model, images, learning_rate, batch_size):
    optimiser = torch.optim.Adam(model.parameters(), learning_rate)
    total = 0.0
    for batch in images[torch.randperm(len(images))].split(batch_size):
        optimiser.zero_grad()
        loss = model(batch)
        loss.mean().backward()
        optimiser.step()
        total += loss.sum().item()
    return total / len(images)


def epoch_without_a_step(model, images, learning_rate, batch_size):
    optimiser = torch.optim.SGD(model.parameters(), lr=learning_rate)
    total = 0.0
    for batch in images[torch.randperm(len(images))].split(batch_size):
        optimiser.zero_grad()
        loss = model(batch)
        loss.mean().backward()
        total += loss.sum().item()
    return total / len(images)


def epoch_with_one_step(model, images, learning_rate, batch_size):
    optimiser = torch.optim.SGD(model.parameters(), lr=learning_rate)
    total = 0.0
    for batch in images[torch.randperm(len(images))].split(batch_size):
        total = total + model(batch).sum()
    loss = total / len(images)
    loss.backward()
    optimiser.step()
    return loss.item()


def epoch_uphill(model, images, learning_rate, batch_size):
    total = 0.0
    for batch in images[torch.randperm(len(images))].split(batch_size):
        model.zero_grad()
        loss = model(batch)
        loss.mean().backward()
        with torch.no_grad():
            for weight in model.parameters():
                weight += learning_rate * weight.grad
        total += loss.sum().item()
    return total / len(images)


def epoch_means_of_means(model, images, learning_rate, batch_size):
    optimiser = torch.optim.SGD(model.parameters(), lr=learning_rate)
    means = []
    for batch in images[torch.randperm(len(images))].split(batch_size):
        optimiser.zero_grad()
        loss = model(batch).mean()
        loss.backward()
        optimiser.step()
        means.append(loss.item())
    return sum(means) / len(means)


def epoch_total(model, images, learning_rate, batch_size):
    return len(images) * epoch_right(model, images, learning_rate, batch_size)


def epoch_last_batch(model, images, learning_rate, batch_size):
    optimiser = torch.optim.SGD(model.parameters(), lr=learning_rate)
    for batch in images[torch.randperm(len(images))].split(batch_size):
        optimiser.zero_grad()
        loss = model(batch).mean()
        loss.backward()
        optimiser.step()
    return loss.item()


def epoch_drops_the_rest(model, images, learning_rate, batch_size):
    whole = len(images) // batch_size * batch_size
    return epoch_right(
        model, images[torch.randperm(len(images))][:whole], learning_rate, batch_size
    )


def epoch_with_replacement(model, images, learning_rate, batch_size):
    optimiser = torch.optim.SGD(model.parameters(), lr=learning_rate)
    total = 0.0
    for _ in range(math.ceil(len(images) / batch_size)):
        loss = model(images[torch.randint(len(images), (batch_size,))])
        optimiser.zero_grad()
        loss.mean().backward()
        optimiser.step()
        total += loss.sum().item()
    return total / len(images)


def epoch_asks_twice(model, images, learning_rate, batch_size):
    optimiser = torch.optim.SGD(model.parameters(), lr=learning_rate)
    total = 0.0
    for batch in images[torch.randperm(len(images))].split(batch_size):
        optimiser.zero_grad()
        model(batch).mean().backward()
        optimiser.step()
        total += model(batch).sum().item()
    return total / len(images)


def epoch_in_order(model, images, learning_rate, batch_size):
    optimiser = torch.optim.SGD(model.parameters(), lr=learning_rate)
    total = 0.0
    for batch in images.split(batch_size):
        optimiser.zero_grad()
        loss = model(batch)
        loss.mean().backward()
        optimiser.step()
        total += loss.sum().item()
    return total / len(images)


def epoch_seeded(model, images, learning_rate, batch_size):
    torch.manual_seed(0)
    return epoch_right(model, images, learning_rate, batch_size)


def epoch_right(model, images, learning_rate, batch_size):
    """Right; a part of the wrong ones."""
    optimiser = torch.optim.SGD(model.parameters(), lr=learning_rate)
    total = 0.0
    for batch in images[torch.randperm(len(images))].split(batch_size):
        optimiser.zero_grad()
        loss = model(batch)
        loss.mean().backward()
        optimiser.step()
        total += loss.sum().item()
    return total / len(images)


WRONG = {
    "bits-per-dimension": [
        (bits_as_nats, "nats per dimension"),
        (bits_times_log_two, "You multiplied by log 2"),
        (bits_of_the_image, "bits per image"),
        (bits_without_channels, "channels are missing"),
        (bits_of_mnist, "784 whatever the shape"),
        (bits_by_log_ten, "log 10 for log 2"),
        (bits_on_average, "These are the mean over the whole batch of the right results."),
    ],
    "attribute-direction": [
        (
            direction_over_all,
            "That is the difference over all classes at once: differences between",
        ),
        (direction_backwards, "sign is wrong"),
        (
            direction_by_size,
            "You weighted the classes by their numbers of images. Each counts once.",
        ),
        (direction_of_length_one, "length 1"),
        (direction_summed, "summed over the classes"),
        (direction_for_each_class, "One difference for each class"),
        (direction_as_one_number, "One number came"),
        (direction_with_empty_groups, "mean of an empty group"),
        (direction_with_groups_at_zero, "counted as a group at 0"),
        (direction_divided_by_all, "number of all classes"),
        (direction_in_place, "changed in place"),
    ],
    "one-epoch": [
        (epoch_never_cleared, "never cleared"),
        (epoch_on_the_sum, "longer for a larger batch"),
        (epoch_by_adam, "stepped with Adam"),
        (epoch_without_a_step, "have not changed"),
        (epoch_with_one_step, "one step for the whole epoch"),
        (epoch_uphill, "went uphill"),
        (epoch_means_of_means, "mean of the batches' means"),
        (epoch_total, "sum over the images"),
        (epoch_last_batch, "last batch only"),
        (epoch_drops_the_rest, "were never used"),
        (epoch_with_replacement, "drawn with replacement"),
        (epoch_asks_twice, "more than once"),
        (epoch_in_order, "order of the data set"),
        (epoch_seeded, "same order"),
    ],
}
