"""Right answers to the exercises of chapter 5."""

import math
import random

import numpy as np
import torch
from torch.utils.data import DataLoader, TensorDataset

# bits-per-dimension


def bits_plain(nats, shape):
    return nats / math.log(2) / (shape[0] * shape[1] * shape[2])


def bits_by_numpy(nats, shape):
    return nats.numpy() / np.log(2) / np.prod(shape)


def bits_by_log2(nats, shape):
    return nats * math.log2(math.e) / math.prod(shape)


def bits_of_a_list(nats, shape):
    return [float(n) / (math.prod(shape) * math.log(2)) for n in nats]


def bits_by_tensor(nats, shape):
    return nats / (torch.tensor(shape).prod() * torch.log(torch.tensor(2.0)))


def bits_by_unpacking(nats, shape):
    C, H, W = shape
    return (nats.double() / (C * H * W)) / np.log(2.0)


def bits_by_numel(nats, shape):
    return torch.div(nats, torch.zeros(shape).numel() * math.log(2))


def bits_by_size(nats, shape):
    return nats / (torch.Size(shape).numel() * np.log(2))


LOG_TWO = math.log(2)


def bits_with_a_constant(nats, shape):
    n = 1
    for size in shape:
        n *= size
    return nats / n / LOG_TWO


def make_bits(unit):
    return lambda nats, shape: nats / (math.prod(shape) * unit)


# attribute-direction


def direction_plain(mu, has, labels):
    steps = []
    for label in torch.unique(labels):
        here = labels == label
        a, b = mu[here & has], mu[here & ~has]
        if len(a) > 0 and len(b) > 0:
            steps.append(a.mean(0) - b.mean(0))
    return torch.stack(steps).mean(0)


def direction_by_numpy(mu, has, labels):
    m, h, c = mu.numpy(), has.numpy(), labels.numpy()
    steps = [
        m[(c == k) & h].mean(0) - m[(c == k) & ~h].mean(0)
        for k in np.unique(c)
        if 0 < h[c == k].sum() < (c == k).sum()
    ]
    return np.mean(steps, axis=0)


def direction_by_running_sum(mu, has, labels):
    total, count = torch.zeros(mu.shape[1]), 0
    for label in set(labels.tolist()):
        flag = has[labels == label]
        if flag.any() and not flag.all():
            own = mu[labels == label]
            total = total + own[flag].mean(0) - own[~flag].mean(0)
            count += 1
    return total / count


def direction_by_nanmean(mu, has, labels):
    steps = [
        mu[(labels == k) & has].mean(0) - mu[(labels == k) & ~has].mean(0) for k in labels.unique()
    ]
    return torch.stack(steps).nanmean(0)


def direction_by_one_hot(mu, has, labels):
    _, c = labels.unique(return_inverse=True)
    one = torch.nn.functional.one_hot(c).float()
    a, b = one * has[:, None], one * ~has[:, None]
    ok = (a.sum(0) > 0) & (b.sum(0) > 0)
    means = [(w.T @ mu / w.sum(0)[:, None])[ok] for w in (a, b)]
    return (means[0] - means[1]).mean(0)


def direction_by_index_add(mu, has, labels):
    C = int(labels.max()) + 1
    sums, counts = torch.zeros(2, C, mu.shape[1]), torch.zeros(2, C)
    for g, flag in enumerate((has, ~has)):
        sums[g].index_add_(0, labels[flag], mu[flag])
        counts[g].index_add_(0, labels[flag], torch.ones(int(flag.sum())))
    ok = (counts > 0).all(0)
    means = sums[:, ok] / counts[:, ok, None]
    return (means[0] - means[1]).mean(0)


def direction_by_means_of_means(mu, has, labels):
    with_it, without = [], []
    for k in sorted({int(v) for v in labels}):
        rows = [mu[i] for i in range(len(mu)) if labels[i] == k and has[i]]
        rest = [mu[i] for i in range(len(mu)) if labels[i] == k and not has[i]]
        if rows and rest:
            with_it.append(torch.stack(rows).mean(0))
            without.append(torch.stack(rest).mean(0))
    return torch.stack(with_it).mean(0) - torch.stack(without).mean(0)


def direction_in_double(mu, has, labels):
    return direction_plain(mu.double(), has, labels)


def direction_by_regression(mu, has, labels):
    steps = []
    for k in labels.unique():
        own = labels == k
        y = has[own].double()
        if len(y.unique()) < 2:
            continue
        design = torch.stack([torch.ones_like(y), y], 1)
        steps.append(torch.linalg.lstsq(design, mu[own].double()).solution[1])
    return sum(steps) / len(steps)


def direction_as_lists(mu, has, labels):
    def mean(rows):
        return [sum(column) / len(rows) for column in zip(*rows)]

    steps = []
    for k in set(labels.tolist()):
        groups = [
            [m for m, h, c in zip(mu.tolist(), has.tolist(), labels.tolist()) if c == k and h == g]
            for g in (True, False)
        ]
        if all(groups):
            steps.append([a - b for a, b in zip(mean(groups[0]), mean(groups[1]))])
    return mean(steps)


# one-epoch


def epoch_plain(model, images, learning_rate, batch_size):
    optimiser = torch.optim.SGD(model.parameters(), lr=learning_rate)
    total = 0.0
    for index in torch.randperm(len(images)).split(batch_size):
        losses = model(images[index])
        optimiser.zero_grad()
        losses.mean().backward()
        optimiser.step()
        total += losses.sum().item()
    return total / len(images)


def epoch_by_loader(model, images, learning_rate, batch_size):
    optimiser = torch.optim.SGD(model.parameters(), lr=learning_rate)
    total, count = 0.0, 0
    for (x,) in DataLoader(TensorDataset(images), batch_size=batch_size, shuffle=True):
        optimiser.zero_grad()
        losses = model(x)
        losses.mean().backward()
        optimiser.step()
        total, count = total + losses.detach().sum(), count + len(x)
    return total / count


def epoch_by_hand(model, images, learning_rate, batch_size):
    order, losses = torch.randperm(images.shape[0]), []
    for start in range(0, images.shape[0], batch_size):
        loss = model(images[order[start : start + batch_size]])
        for p in model.parameters():
            p.grad = None
        loss.mean().backward()
        with torch.no_grad():
            for p in model.parameters():
                p -= learning_rate * p.grad
        losses.append(loss.detach())
    return torch.cat(losses).mean()


def epoch_by_autograd(model, images, learning_rate, batch_size):
    parameters, total = list(model.parameters()), 0.0
    for x in images[torch.randperm(len(images))].split(batch_size):
        losses = model(x)
        slopes = torch.autograd.grad(losses.mean(), parameters)
        with torch.no_grad():
            for p, g in zip(parameters, slopes):
                p.sub_(learning_rate * g)
        total += float(losses.detach().sum())
    return total / len(images)


def epoch_by_numpy_order(model, images, learning_rate, batch_size):
    opt = torch.optim.SGD(model.parameters(), learning_rate)
    order, means, sizes = np.random.permutation(len(images)), [], []
    for k in range(0, len(order), batch_size):
        loss = model(images[order[k : k + batch_size]])
        opt.zero_grad()
        loss.mean().backward()
        opt.step()
        means.append(loss.mean().item())
        sizes.append(len(loss))
    return np.average(means, weights=sizes)


def epoch_by_python_order(model, images, learning_rate, batch_size):
    order = list(range(len(images)))
    random.shuffle(order)
    opt, record = torch.optim.SGD(model.parameters(), lr=learning_rate), []
    while order:
        batch, order = order[:batch_size], order[batch_size:]
        loss = model(images[batch])
        loss.mean().backward()
        opt.step()
        opt.zero_grad()
        record += loss.tolist()
    return sum(record) / len(record)


def epoch_by_chunks(model, images, learning_rate, batch_size):
    model.train()
    opt = torch.optim.SGD(model.parameters(), lr=learning_rate, momentum=0.0, weight_decay=0.0)
    shuffled, total = images[torch.randperm(len(images))], torch.zeros(1)
    for b in range(math.ceil(len(images) / batch_size)):
        opt.zero_grad(set_to_none=False)
        loss = model(shuffled[b * batch_size : (b + 1) * batch_size])
        (loss.sum() / len(loss)).backward()
        opt.step()
        total += loss.detach().sum()
    return total / len(images)


def epoch_by_argsort(model, images, learning_rate, batch_size):
    opt, seen = torch.optim.SGD(model.parameters(), lr=learning_rate), []
    for index in torch.split(torch.rand(len(images)).argsort(), batch_size):
        loss = model(images.index_select(0, index))
        opt.zero_grad()
        loss.mean().backward()
        opt.step()
        seen.extend(loss.detach().unbind())
    return torch.stack(seen).mean().item()


def epoch_by_closure(model, images, learning_rate, batch_size):
    opt = torch.optim.SGD(model.parameters(), lr=learning_rate)

    def step(x):
        opt.zero_grad()
        losses = model(x)
        torch.mean(losses).backward()
        opt.step()
        return losses.detach().double().sum().item()

    order = torch.randperm(len(images))
    return sum(step(images[i]) for i in order.split(batch_size)) / len(images)


def epoch_with_vectors(model, images, learning_rate, batch_size):
    vector = torch.nn.utils.parameters_to_vector
    total = torch.zeros(())
    for x in torch.split(images[torch.randperm(len(images))], batch_size):
        losses = model(x)
        slope = vector(torch.autograd.grad(losses.mean(), list(model.parameters())))
        new = vector(model.parameters()).detach() - learning_rate * slope
        torch.nn.utils.vector_to_parameters(new, model.parameters())
        total = total + losses.detach().sum()
    return np.float32(total / len(images))


RIGHT = {
    "bits-per-dimension": [
        bits_plain, bits_by_numpy, bits_by_log2, bits_of_a_list, bits_by_tensor, bits_by_unpacking,
        bits_by_numel, bits_by_size, bits_with_a_constant, make_bits(math.log(2)),
    ],
    "attribute-direction": [
        direction_plain, direction_by_numpy, direction_by_running_sum, direction_by_nanmean,
        direction_by_one_hot, direction_by_index_add, direction_by_means_of_means,
        direction_in_double, direction_by_regression, direction_as_lists,
    ],
    "one-epoch": [
        epoch_plain, epoch_by_loader, epoch_by_hand, epoch_by_autograd, epoch_by_numpy_order,
        epoch_by_python_order, epoch_by_chunks, epoch_by_argsort, epoch_by_closure,
        epoch_with_vectors,
    ],
}  # fmt: skip
