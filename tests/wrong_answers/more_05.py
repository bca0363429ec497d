"""More wrong answers to the exercises of chapter 5, from a trial without a look at the checks."""

import math

import torch


def bits_divided_by_two(nats, shape):
    return nats / math.prod(shape) / 2


def bits_summed_sizes(nats, shape):
    return nats / sum(shape) / math.log(2)


def bits_without_height(nats, shape):
    return nats / (shape[0] * shape[2]) / math.log(2)


def bits_log2_of_nats(nats, shape):
    return torch.log2(nats) / math.prod(shape)


def bits_log_of_size(nats, shape):
    return nats / math.log(2 * math.prod(shape))


def bits_times_dimensions(nats, shape):
    return nats * math.prod(shape) / math.log(2)


def bits_negative(nats, shape):
    return -nats / math.prod(shape) / math.log(2)


def bits_of_256(nats, shape):
    return nats / (math.prod(shape) * math.log(256))


def bits_plus_eight(nats, shape):
    return nats / (math.prod(shape) * math.log(2)) + 8


def bits_rounded(nats, shape):
    return torch.round(nats / (math.prod(shape) * math.log(2)))


def _steps(mu, has, labels):
    found = []
    for k in labels.unique():
        a, b = mu[(labels == k) & has], mu[(labels == k) & ~has]
        if len(a) and len(b):
            found.append(a.mean(0) - b.mean(0))
    return torch.stack(found)


def direction_median(mu, has, labels):
    return _steps(mu, has, labels).median(0).values


def direction_from_class_means(mu, has, labels):
    steps = []
    for k in labels.unique():
        own = labels == k
        if has[own].any() and not has[own].all():
            steps.append(mu[own & has].mean(0) - mu[own].mean(0))
    return torch.stack(steps).mean(0)


def direction_first_class(mu, has, labels):
    return _steps(mu, has, labels)[0]


def direction_of_sums(mu, has, labels):
    steps = []
    for k in labels.unique():
        a, b = mu[(labels == k) & has], mu[(labels == k) & ~has]
        if len(a) and len(b):
            steps.append(a.sum(0) - b.sum(0))
    return torch.stack(steps).mean(0)


def direction_over_n(mu, has, labels):
    return _steps(mu, has, labels).sum(0) / len(mu)


def direction_by_range(mu, has, labels):
    total = torch.zeros(mu.shape[1])
    for k in range(len(labels.unique())):
        a, b = mu[(labels == k) & has], mu[(labels == k) & ~has]
        if len(a) and len(b):
            total += a.mean(0) - b.mean(0)
    return total / len(labels.unique())


def direction_with_only(mu, has, labels):
    return torch.stack([mu[(labels == k) & has].mean(0) for k in labels.unique()]).mean(0)


def direction_unit_steps(mu, has, labels):
    steps = _steps(mu, has, labels)
    return (steps / steps.norm(dim=1, keepdim=True)).mean(0)


def direction_absolute(mu, has, labels):
    return _steps(mu, has, labels).abs().mean(0)


def direction_centred_first(mu, has, labels):
    centred = mu.clone()
    for k in labels.unique():
        centred[labels == k] -= mu[labels == k].mean(0)
    return centred[has].mean(0) - centred[~has].mean(0)


def _epoch(model, images, batches, step, value):
    total, count = 0.0, 0
    for x in batches:
        losses = model(x)
        step(losses)
        total, count = total + value(losses), count + len(x)
    return total / count


def _order(images, batch_size):
    return images[torch.randperm(len(images))].split(batch_size)


def _sgd(parameters, lr, **more):
    optimiser = torch.optim.SGD(parameters, lr=lr, **more)

    def step(losses):
        optimiser.zero_grad()
        losses.mean().backward()
        optimiser.step()

    return step


def _sum(losses):
    return losses.detach().sum().item()


def epoch_one_parameter(model, images, learning_rate, batch_size):
    step = _sgd([next(model.parameters())], learning_rate)
    return _epoch(model, images, _order(images, batch_size), step, _sum)


def epoch_fixed_batches(model, images, learning_rate, batch_size):
    batches = images.split(batch_size)
    batches = [batches[i] for i in torch.randperm(len(batches))]
    return _epoch(model, images, batches, _sgd(model.parameters(), learning_rate), _sum)


def epoch_reversed(model, images, learning_rate, batch_size):
    step = _sgd(model.parameters(), learning_rate)
    return _epoch(model, images, images.flip(0).split(batch_size), step, _sum)


def epoch_momentum(model, images, learning_rate, batch_size):
    step = _sgd(model.parameters(), learning_rate, momentum=0.9)
    return _epoch(model, images, _order(images, batch_size), step, _sum)


def epoch_twice(model, images, learning_rate, batch_size):
    step = _sgd(model.parameters(), learning_rate)
    batches = [*_order(images, batch_size), *_order(images, batch_size)]
    return _epoch(model, images, batches, step, _sum)


def epoch_over_batch_size(model, images, learning_rate, batch_size):
    optimiser = torch.optim.SGD(model.parameters(), lr=learning_rate)

    def step(losses):
        optimiser.zero_grad()
        (losses.sum() / batch_size).backward()
        optimiser.step()

    return _epoch(model, images, _order(images, batch_size), step, _sum)


def epoch_first_batch_only(model, images, learning_rate, batch_size):
    step = _sgd(model.parameters(), learning_rate)
    return _epoch(model, images, _order(images, batch_size)[:1], step, _sum)


def epoch_shuffles_with_a_seed(model, images, learning_rate, batch_size):
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(1))
    step = _sgd(model.parameters(), learning_rate)
    return _epoch(model, images, images[order].split(batch_size), step, _sum)


def epoch_loss_at_the_end(model, images, learning_rate, batch_size):
    step = _sgd(model.parameters(), learning_rate)
    _epoch(model, images, _order(images, batch_size), step, _sum)
    with torch.no_grad():
        return model(images).mean().item()


def epoch_of_one_image(model, images, learning_rate, batch_size):
    step = _sgd(model.parameters(), learning_rate)
    return _epoch(model, images, _order(images, 1), step, _sum)


def epoch_new_optimiser_half_rate(model, images, learning_rate, batch_size):
    step = _sgd(model.parameters(), 0.5 * learning_rate)
    return _epoch(model, images, _order(images, batch_size), step, _sum)


def epoch_list_of_losses(model, images, learning_rate, batch_size):
    step, seen = _sgd(model.parameters(), learning_rate), []
    for x in _order(images, batch_size):
        losses = model(x)
        step(losses)
        seen += losses.tolist()
    return seen


WRONG = {
    "bits-per-dimension": [
        (bits_divided_by_two, "You divided by 2. One bit is log 2 ≈ 0.69 nats."),
        (bits_summed_sizes, "You added C, H and W. An image has C · H · W values."),
        (bits_without_height, "All results are H times what they should be."),
        (bits_log2_of_nats, "A right answer with the logarithm of `nats` in its place gives your"),
        (bits_log_of_size, "The largest deviation"),
        (bits_times_dimensions, "The largest deviation"),
        (bits_negative, "All results are minus what they should be: the sign is wrong."),
        (bits_of_256, "All results are 0.125 times what they should be."),
        (bits_plus_eight, "All results are too large by 8."),
        (bits_rounded, "✗ wrong, 0 of 2"),
    ],
    "attribute-direction": [
        (direction_median, "You took the median over the classes. Take the mean."),
        (
            direction_from_class_means,
            "You subtracted the mean of the whole class. Subtract that of the",
        ),
        (direction_first_class, "That is the first class alone. Take the mean over classes."),
        (direction_of_sums, "You subtracted sums. Subtract the means of the two groups."),
        (direction_over_n, "All results are the number of classes/N times what they should be."),
        (direction_by_range, "The largest deviation"),
        (direction_with_only, "A right answer without `- without.mean(0)` gives your results."),
        (
            direction_unit_steps,
            "You scaled each difference to length 1. Leave it as long as it is.",
        ),
        (direction_absolute, "The largest deviation"),
        (direction_centred_first, "The largest deviation"),
    ],
    "one-epoch": [
        (
            epoch_one_parameter,
            "2 of the model's 3 parameters have not moved. Give the optimiser all",
        ),
        (
            epoch_fixed_batches,
            "The batches are always the same ones, in another order. Draw an order",
        ),
        (epoch_reversed, "Two epochs had the same order. Draw a new one in every call, and set"),
        (epoch_momentum, "You stepped with momentum. The exercise asks for plain gradient"),
        (epoch_twice, "All results are 2 times what they should be."),
        (
            epoch_over_batch_size,
            "You divided the sum of the last, smaller batch by batch_size. Divide",
        ),
        (
            epoch_first_batch_only,
            "There was one step for the whole epoch. `optimiser.step()` belongs",
        ),
        (
            epoch_shuffles_with_a_seed,
            "Two epochs had the same order. Draw a new one in every call, and set",
        ),
        (epoch_loss_at_the_end, "A batch has 37 images, more than batch_size = 8."),
        (epoch_of_one_image, "You stepped on the sum over the batch. Then a step is longer for a"),
        (epoch_new_optimiser_half_rate, "All results are ½ times what they should be."),
        (
            epoch_list_of_losses,
            "The last axis is still there: it should be summed or averaged over.",
        ),
    ],
}
