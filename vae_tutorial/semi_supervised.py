"""Learning with few labels: the bound of M2, batches that mix both kinds, and Bayes' rule.

A label of −1 means that the image has none.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vae_tutorial.arguments import real_number, whole_number
from vae_tutorial.measure.likelihood import log_likelihood
from vae_tutorial.models.labelled import M2
from vae_tutorial.models.vae import VAE
from vae_tutorial.objectives import is_conditional, kl, log_px_given


def m2_bound(
    model: M2,
    x: Tensor,
    y: Tensor,
    *,
    alpha: float = 0.0,
    labelled_weight: float = 1.0,
    enumerate_labels: bool = True,
) -> dict[str, Tensor]:
    """The bounds of M2 (Kingma, Mohamed, Rezende and Welling, 2014, equations 6 to 9), in nats.

    With L(x, y) = E_q(z|x,y)[log p(x | y, z)] − KL(q(z | x, y) ‖ p(z)) + log p(y), which is at
    most log p(x, y), and U(x) = Σ_y q(y | x) L(x, y) + H(q(y | x)), at most log p(x). One z is
    drawn for each pair of an image and a label. `x` is `(B, C, H, W)`, `y` `(B,)` holds labels,
    or −1 for images without one. Entries, each `(B,)`:

    - `"loss"`: `labelled_weight` · (−L − `alpha` · log q(y | x)) with a label, −U without;
    - `"elbo"`: L or U;
    - `"log_q"`: log q(y | x) with a label, else 0.

    `labelled_weight` makes up for batches that hold labelled images more often than the data do.
    `enumerate_labels=False` draws one y from q(y | x) instead of the sum over all of them. Then
    the gradient of q(y | x) is estimated by the score function: unbiased, and noisy.

    Raises `TypeError` or `ValueError` for labels that are not whole numbers `(B,)` below the
    model's number of classes, and for a negative `alpha` or `labelled_weight`.
    """
    y = _labels("y", y, len(x))
    if (y >= model.classes).any():
        raise ValueError(f"y must hold labels below the model's {model.classes}, got {y.max()}")
    for name, value in (("alpha", alpha), ("labelled_weight", labelled_weight)):
        real_number(name, value, "non-negative", 0.0)
    known = y >= 0
    log_q = model.label_posterior(x).logits  # (B, classes), normalised
    found = torch.zeros(len(x), dtype=log_q.dtype, device=x.device)
    loss, log_q_y = found.clone(), found.clone()
    if known.any():
        bound = joint_bound(model, x[known], y[known])
        chosen = log_q[known].gather(1, y[known, None]).squeeze(1)
        found, log_q_y = found.index_put((known,), bound), log_q_y.index_put((known,), chosen)
        loss = loss.index_put((known,), labelled_weight * (-bound - alpha * chosen))
    if not known.all():
        rest, log_q = x[~known], log_q[~known]
        if enumerate_labels:
            each = joint_bound(model, rest, model.every_label(rest))  # (classes, B)
            bound = (log_q.exp() * (each.T - log_q)).sum(1)
            cost = -bound
        else:
            drawn = torch.distributions.Categorical(logits=log_q).sample()
            score = log_q.gather(1, drawn[:, None]).squeeze(1)
            bound = joint_bound(model, rest, drawn) - score
            cost = -bound - bound.detach() * score + (bound.detach() * score).detach()
        found, loss = found.index_put((~known,), bound), loss.index_put((~known,), cost)
    return {"loss": loss, "elbo": found, "log_q": log_q_y}


def joint_bound(model: M2, x: Tensor, y: Tensor) -> Tensor:
    """L(x, y), a lower bound of log p(x, y), of the shape of y: `(B,)` or `(classes, B)`."""
    q = model.posterior(x, y)
    z = q.rsample()  # (..., B, D)
    log_px = log_px_given(model.likelihood(z, y), x)
    return log_px - kl(q, model.prior(y)) - math.log(model.classes)


def choose_labelled(labels: Tensor, per_class: int, seed: int) -> Tensor:
    """The index of `per_class` images of each class, drawn at random: whose label may be used.

    `labels` is `(N,)`; images without one (−1) are never drawn. The result depends on `labels` and
    `seed` alone. Raises `TypeError` for labels that are not whole numbers, `ValueError` for another
    shape, for `per_class` below 1, and where a class has fewer images or no image has a label.
    """
    labels, per_class = _labels("labels", labels), whole_number("per_class", per_class)
    shuffled = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    chosen = []
    for label in labels[labels >= 0].unique():
        found = shuffled[labels[shuffled] == label][:per_class]
        if len(found) < per_class:
            raise ValueError(
                f"per_class must be at most the {len(found)} images of class {label.item()}, got "
                f"{per_class}"
            )
        chosen.append(found)
    if not chosen:
        raise ValueError("labels must name a class of at least one image, got none, or only −1")
    return torch.cat(chosen)


class MixedBatches:
    """Batches for `fit` that hold `labelled` images with a label and `unlabelled` without.

    An epoch passes once over the images `x` `(N, C, H, W)` without their labels; into each batch
    come images from those at `index`, with their label from `y` `(N,)`. Order and choice are
    drawn with torch's global random numbers. Images without a label get y = −1. `index` `(L,)`
    holds places 0 … N − 1. Where a batch is to hold more images than there are, it holds all.

    Raises `TypeError` or `ValueError` for labels that are not whole numbers `(N,)`, and for an
    `index` that is empty, a mask or out of range, or that names an image without a label.
    """

    def __init__(
        self, x: Tensor, y: Tensor, index: Tensor, unlabelled: int = 500, labelled: int = 100
    ) -> None:
        unlabelled = whole_number("unlabelled", unlabelled)
        labelled = whole_number("labelled", labelled)
        self.x, self.y, self.index = x, *_checked_index(len(x), y, index)
        self.unlabelled, self.labelled = min(unlabelled, len(x)), min(labelled, len(index))

    @property
    def labelled_weight(self) -> float:
        """What `m2_bound` needs so that every image of a full batch counts as often as any other.

        A batch has the share `unlabelled` / N of all images, and `labelled` / L of those with a
        label; the second kind weighs as much less as its share is larger.
        """
        return (len(self.index) / self.labelled) / (len(self.x) / self.unlabelled)

    def __len__(self) -> int:
        return math.ceil(len(self.x) / self.unlabelled)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for rest in torch.randperm(len(self.x)).split(self.unlabelled):
            some = self.index[torch.randperm(len(self.index))[: self.labelled]]
            y = torch.cat([self.y[some], torch.full((len(rest),), -1)])
            yield self.x[torch.cat([some, rest])], y


@torch.enable_grad()
def linear_probe(features: Tensor, labels: Tensor, classes: int, penalty: float = 1.0) -> nn.Linear:
    """Logistic regression from features `(N, F)` to logits, fitted to labels `(N,)`.

    Minimises the summed cross-entropy plus ½ `penalty` ‖W‖², which is convex: so the result
    depends on nothing but its arguments. Features should have about unit variance. Nothing is
    drawn, and no gradient reaches the model that the features come from.

    Raises `TypeError` for features that are no floats or labels that are no whole numbers,
    `ValueError` for other shapes, no features, NaN, labels outside 0 … `classes` − 1, or a
    negative `penalty`.
    """
    classes = whole_number("classes", classes, 2)
    penalty = real_number("penalty", penalty, "non-negative", 0.0)
    features = _checked_features(features)
    labels = _labels("labels", labels, len(features))
    if labels.min() < 0 or labels.max() >= classes:
        raise ValueError(
            f"labels must lie between 0 and {classes - 1}, got {labels.min()} to {labels.max()}. "
            "Leave out what has none (−1): known = labels >= 0, then features[known]."
        )
    size, like = features.shape[1], {"device": features.device, "dtype": features.dtype}
    probe = nn.utils.skip_init(nn.Linear, size, classes, **like)
    nn.init.zeros_(probe.weight)
    nn.init.zeros_(probe.bias)
    search = torch.optim.LBFGS(probe.parameters(), max_iter=500, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        search.zero_grad()
        cost = F.cross_entropy(probe(features), labels, reduction="sum")
        cost = (cost + 0.5 * penalty * probe.weight.square().sum()) / len(features)
        cost.backward()
        return cost

    search.step(loss)
    return probe.requires_grad_(False)


@torch.no_grad()
def label_log_posterior(
    model: VAE, images: Tensor, classes: int, *, samples: int = 50, seed: int = 0
) -> Tensor:
    """log p(y | x) of each image and label by Bayes' rule, `(N, classes)`, from p(x | y).

    p(y | x) ∝ p(x | y) p(y) with uniform p(y), and `log_likelihood` with `samples` draws for
    p(x | y). `model` is a conditional VAE whose condition is a label; `images` are as for
    `log_likelihood`, and binarised alike for all labels.

    Raises `TypeError` for a model without a condition, whose p(x | y) would be one p(x) for all
    labels, and `ValueError` for more `classes` than the model knows.
    """
    if not is_conditional(model):
        raise TypeError(
            f"model must be conditional, with a label as its condition, got {type(model).__name__} "
            "without one. Make it with conditional=True, a LabelledEncoder and a LabelledDecoder."
        )
    parts = model, getattr(model, "encoder", None), getattr(model, "decoder", None)
    known = min(getattr(part, "classes", math.inf) for part in parts)
    if whole_number("classes", classes, 2) > known:
        raise ValueError(f"classes must be at most the model's {known}, got {classes}")
    each = [
        log_likelihood(
            model, (images, torch.full((len(images),), label)), samples, seed=seed, progress=False
        ).per_image
        for label in range(classes)
    ]
    return torch.stack(each, 1).log_softmax(1)


def _labels(name: str, labels: Tensor, count: int | None = None) -> Tensor:
    """Labels as int64 `(N,)`, if they are whole numbers, `count` of them where that is given."""
    if not _is_whole(labels):
        raise TypeError(
            f"{name} must be a tensor with a whole number for each image, −1 where it has no "
            f"label, got {_kind(labels)}"
        )
    wanted = "(N,)" if count is None else f"(B,) = ({count},)"
    if labels.dim() != 1 or count not in (None, len(labels)):
        raise ValueError(f"{name} must be {wanted}, got {tuple(labels.shape)}")
    return labels.long()


def _checked_index(count: int, y: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    """The labels of `count` images, and the places of those whose label may be used."""
    if len(index) == 0:
        raise ValueError("index must name at least one image with a label, got none")
    if not _is_whole(index):
        raise TypeError(
            f"index must be a tensor of places, whole numbers (L,), got {_kind(index)}. A mask "
            "becomes one by mask.nonzero().squeeze(1), a list by torch.tensor(...)."
        )
    y, index = _labels("y", y, count), index.long()
    if index.dim() != 1 or index.min() < 0 or index.max() >= count:
        raise ValueError(
            f"index must be (L,) and lie between 0 and {count - 1}, got {tuple(index.shape)} with "
            f"{index.min()} to {index.max()}"
        )
    if (y[index] < 0).any():
        raise ValueError("index must name images with a label, got some whose label is below 0")
    return y, index


def _is_whole(values: object) -> bool:
    if not isinstance(values, Tensor) or values.dtype == torch.bool:
        return False
    return not (values.is_floating_point() or values.is_complex())


def _kind(values: object) -> str:
    return str(values.dtype) if isinstance(values, Tensor) else type(values).__name__


def _checked_features(features: Tensor) -> Tensor:
    """Features `(N, F)` without their graph."""
    if not isinstance(features, Tensor) or not features.is_floating_point():
        raise TypeError(f"features must be a tensor of floats (N, F), got {_kind(features)}")
    if features.dim() != 2 or 0 in features.shape or not features.isfinite().all():
        raise ValueError(
            f"features must be finite numbers (N, F), at least one row, got shape "
            f"{tuple(features.shape)}{' with NaN or ∞' if features.numel() else ''}"
        )
    return features.detach()
