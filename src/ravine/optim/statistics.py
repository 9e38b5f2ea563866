"""BatchNorm's statistics for weights that training never evaluated, in a loop of the user's own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

import torch
from torch import Tensor, nn

from ravine.errors import InputError
from ravine.messages import count
from ravine.nn.norms import BatchNorm, estimated_norms, noting, pooled


def estimate_batchnorm(model: nn.Module, batches: Iterable[object]) -> None:
    """Estimate the statistics of a model's BatchNorm layers again, exactly, for the weights that it has now.

    All batches go through the model once, in their order. Each is normalized by itself, as in training; all else is as
    in evaluation, so nothing is dropped. Mean and biased variance are those of all examples together, summed in
    float64: ``mu = sum n_b mu_b / n``, ``v = sum n_b (v_b + (mu_b - mu)^2) / n``. A norm in evaluation mode keeps its
    statistics. Every module is left in the mode that it had. Use it under ``optimizer.deployed()``, before weights are
    evaluated or saved.

    Where it differs from `torch.optim.swa_utils.update_bn`: that one takes the mean of the batches' variances, leaves
    out how their means differ, weighs a last, smaller batch as much as the others, and drops as in training.

    Args:
        model: in training mode, but for norms that are frozen. Without BatchNorm nothing is done.
        batches: inputs, or tuples or lists that begin with the inputs, as a `DataLoader` gives them. They are moved to
            the model's device. A single example joins the batch before it.

    Raises:
        InputError: all norms are in evaluation mode, or there is no batch, or only one example.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> model, x = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 1)), torch.randn(50, 2)
        >>> estimate_batchnorm(model, x.split(8))
        >>> bool(torch.allclose(model[1].running_var, model[0](x).var(0, correction=0)))
        True
    """
    norms = estimated_norms(model)
    if not norms:
        kept = [
            name
            for name, each in model.named_modules()
            if isinstance(each, BatchNorm) and each.running_mean is not None
        ]
        if kept:
            raise InputError(
                f"model: {count(len(kept), 'BatchNorm layer')}, such as {kept[0]!r}, all in evaluation mode, in which "
                "they keep their statistics: call model.train() first"
            )
        return
    device = next(chain(model.parameters(), model.buffers())).device
    parts: dict[str, tuple[list[int], list[Tensor], list[Tensor]]] = {name: ([], [], []) for name in norms}
    try:
        for norm in norms.values():
            norm.track_running_stats = False  # it normalizes by the batch, and changes no running statistic
        with torch.no_grad(), noting(model, norms) as noted:
            for x in _whole(batches):
                noted.clear()
                model(x.to(device))
                for call, mean_C, variance_C in noted:
                    counts, means, variances = parts[call.norm]
                    counts.append(len(x) * call.per_example)
                    means.append(mean_C)
                    variances.append(variance_C)
    finally:
        for norm in norms.values():
            norm.track_running_stats = True
    for name, (counts, means, variances) in parts.items():
        if counts:
            mean_1C, variance_1C = pooled(counts, torch.stack(means)[None], torch.stack(variances)[None])
            norms[name].get_buffer("running_mean").copy_(mean_1C[0])
            norms[name].get_buffer("running_var").copy_(variance_1C[0])


def _whole(batches: Iterable[object]) -> Iterator[Tensor]:
    """The inputs of each batch; a single example joins the batch before it."""
    before: Tensor | None = None
    for number, batch in enumerate(batches):
        x = batch[0] if isinstance(batch, tuple | list) and batch else batch
        if not isinstance(x, Tensor):
            raise InputError(
                f"batches: batch {number} is {type(x).__name__}; a tensor, or a tuple that begins with one, is needed"
            )
        if before is not None and len(x) > 1 and len(before) > 1:
            yield before
            before = x
        else:
            before = x if before is None else torch.cat([before, x])
    if before is None or len(before) < 2:
        raise InputError(
            f"batches: {count(0 if before is None else len(before), 'example')}; at least 2 are needed"
        )
    yield before
