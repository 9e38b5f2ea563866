"""How sharp the minima are that runs ended in: curvature, and how far the loss rises nearby.

Shapes: R run, P numbers of one run.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ravine import rng
from ravine.engine.native.products import NativeProducts
from ravine.engine.reasons import reason
from ravine.engine.state import Data
from ravine.engine.traced.threads import Threads
from ravine.errors import ModelError
from ravine.free_memory import free_bytes
from ravine.landscapes.curvature import Curvature
from ravine.landscapes.findings import Measuring, Settings, Sharpness
from ravine.landscapes.lanczos import lanczos
from ravine.launch.subject import by_model
from ravine.launch.trained import Trained
from ravine.native.tensors import Unsupported
from ravine.outcomes.scored import log_scored, recipe_id
from ravine.outcomes.trials import Predicted
from ravine.store import Labels, RunRecord, Store
from ravine.study import Study
from ravine.trace import Untraceable

NUM_TOP = 3
MOST_STEPS = 80  # of Lanczos' method
ADAPTIVE_RHO = 0.5  # radius of the ball of relative changes: what Kwon et al. use
_SEED = 0  # of start vectors and probes: the same for all runs, so that runs differ by their weights alone
_TRIED = 16  # examples with which it is tried whether vmap can carry the model
_APART = 1e-6  # length, as a share of a vector's, of the differences of gradients that it is checked by
_MOST_OFF = 0.02  # share by which they may differ
_BASIS_BYTES = 1 << 29  # that the vectors of Lanczos' method may take, if memory allows
_MOST_RUNS, _MOST_GPU_RUNS = 4, 64  # at once: on a processor more leave the caches


def measure(
    study: Study,
    store: Store,
    records: Sequence[RunRecord],
    settings: Settings,
    *,
    search: Path | None = None,
    device: str = "auto",
) -> Iterator[Measuring | list[Sharpness]]:
    """Measure how sharp the minima of some runs are, and store it; what is known is not measured again.

    Args:
        study: whose data and model.
        store: where the runs are.
        records: runs that are done, in the order of what is returned.
        settings: how.
        search: the study file's folder.
        device: "auto", "cpu", "cuda" or "mps".

    Yields:
        How far it is, and last what was found.

    Raises:
        InputError: settings that cannot be used, other data than the runs', or a model without second derivatives.
    """
    settings.check()
    plain = asdict(settings)
    ids = [record.id for record in records]
    known = {run: found for run, (how, found) in store.sharpness.read(ids).items() if how == plain}
    missing = [record for record in records if record.id not in known]
    yield Measuring(done=len(known), all=len(records))
    if missing:
        store.check_writable()
    for alike in by_model(missing):
        trained = Trained.of(study, store, alike, search=search, device=device, examples=settings.examples)
        labels = store.labels.of(trained.data.fingerprint)
        fused = _fusible(trained, [record.id for record in alike])
        size = _group_size(trained) if fused else 1
        threads = Threads(trained.device, adapt=fused)
        try:
            for start in range(0, len(alike), size):
                group = [record.id for record in alike[start : start + size]]
                words = {
                    recipe_id({run: 1.0}): f"{study.name}: run {run[:8]}, with its sharpness" for run in group
                }
                log_scored(store, trained.data.fingerprint, words)
                found = {
                    each.run: each.json()
                    for each in _measured(trained, group, settings, labels, threads, fused)
                }
                store.sharpness.save(plain, found)
                known.update(found)
                yield Measuring(done=len(known), all=len(records))
        finally:
            threads.close()
    yield [Sharpness.of(known[run]) for run in ids]


def _measured(
    trained: Trained, group: Sequence[str], settings: Settings, labels: Labels, threads: Threads, fused: bool
) -> list[Sharpness]:
    params_RP, others = trained.weights(group)
    around = Curvature(
        trained.objective(fused=fused), trained.train, params_RP, others, unit=trained.unit, threads=threads
    )
    loss_R, grad_RP = around.gradient()
    with _products(trained, around, params_RP, others) as product:
        spectra = lanczos(
            product,
            _draw(trained, "sharpness/start", 0, len(group)),
            num_top=NUM_TOP,
            most_steps=_steps(trained),
        )
        probes = [_draw(trained, "sharpness/probe", i, len(group)).sign() for i in range(settings.probes)]
        trace_NR = np.stack([(v * product(v)).double().sum(1).cpu().numpy() for v in probes])
    norm_R = grad_RP.norm(dim=1)
    uphill_RP = _of_length(settings.rho, grad_RP)
    relative_RP = params_RP.abs() * _of_length(ADAPTIVE_RHO, params_RP.abs() * grad_RP)
    rise_R = around.losses(params_RP + uphill_RP) - loss_R
    adaptive_R = around.losses(params_RP + relative_RP) - loss_R
    tests = [_test_scores(trained, run, labels) for run in group]
    return [
        Sharpness(
            run=run,
            num_examples=len(trained.train.y),
            loss=float(loss_R[i]),
            gradient_norm=float(norm_R[i]),
            top=tuple(map(float, spectra[i].top)),
            top_error=tuple(map(float, spectra[i].top_error)),
            lowest=spectra[i].lowest,
            lowest_error=spectra[i].lowest_error,
            trace=float(trace_NR[:, i].mean()),
            trace_error=float(trace_NR[:, i].std(ddof=1)) / math.sqrt(settings.probes),
            rho=settings.rho,
            rise=float(rise_R[i]),
            adaptive_rise=float(adaptive_R[i]),
            test_loss=tests[i][0],
            test_accuracy=tests[i][1],
        )
        for i, run in enumerate(group)
    ]


def _of_length(length: float, direction_RP: Tensor) -> Tensor:
    """Each run's direction at this length; one of 0 stays 0."""
    found_RP: Tensor = length * direction_RP / direction_RP.norm(dim=1, keepdim=True).clamp_min(1e-30)
    return found_RP


@contextmanager
def _products(
    trained: Trained, around: Curvature, params_RP: Tensor, others: Mapping[str, Tensor]
) -> Iterator[Callable[[Tensor], Tensor]]:
    """Products with the Hessians of some runs: by machine code where there is some, else in PyTorch."""
    made = None
    if trained.device.type == "cpu":
        with suppress(Unsupported, Untraceable):
            made = NativeProducts(
                trained.objective(fused=False), trained.train, params_RP, others, unit=trained.unit
            )
    if made is None:
        yield around.product
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # torch's threads wait by spinning, and would be in the workers' way
    try:
        yield made
    finally:
        torch.set_num_threads(before)


def _test_scores(trained: Trained, run: str, labels: Labels) -> tuple[float, float | None]:
    """Loss and accuracy on the test data, from the predictions that are stored."""
    stored = Predicted(store=trained.store, labels=labels)
    predicted = torch.from_numpy(stored.outputs("test", [run])[run]).double()
    regression = trained.data.task == "regression"
    right = torch.from_numpy(stored.answers("test"))
    if labels.scale:  # several targets, each in units of its deviation
        scale = torch.tensor(labels.scale, dtype=torch.float64)
        predicted, right = predicted / scale, right.double() / scale
    outputs = predicted[:, None] if regression and predicted.dim() == 1 else predicted
    losses, accuracies = trained.loss.scores(outputs, right.double() if regression else right)
    return float(losses.mean()), None if regression else float(accuracies.mean())


def _draw(trained: Trained, stream: str, number: int, num_runs: int) -> Tensor:
    """Normal numbers at the places of weights, zeros in the gaps, the same for all runs: (R, P)."""
    layout = trained.network.layout
    key = rng.key(_SEED, stream, number)
    flat_P = rng.normal(key, (layout.size,))
    drawn_P = layout.pack(layout.view_one(flat_P)).to(trained.device, trained.network.dtype)
    return drawn_P.expand(num_runs, -1)


def _fusible(trained: Trained, run_ids: Sequence[str]) -> bool:
    """Whether vmap can carry the model and its second derivatives.

    Raises:
        ModelError: not even one run's have any.
    """
    params_RP, others = trained.weights(run_ids[:2])
    vectors_RP = _draw(trained, "sharpness/probe", 0, len(params_RP))
    few = Data(x=trained.train.x[:_TRIED], y=trained.train.y[:_TRIED])

    def tried(num: int, fused: bool) -> Exception | None:
        try:
            own = {name: tensor[:num] for name, tensor in others.items()}
            around = Curvature(trained.objective(fused=fused), few, params_RP[:num], own)
            around.product(vectors_RP[:num])
        except Exception as error:  # noqa: BLE001 (whatever a user's module raises under vmap is the answer)
            return error
        return None

    fused = tried(len(params_RP), True) is None
    error = None if fused else tried(1, False)
    name = type(trained.network.module).__name__
    if error is not None:
        raise ModelError(
            f"model: {name} has no second derivative that could be taken: {reason(error)}"
        ) from error
    own = {name: tensor[:1] for name, tensor in others.items()}
    off = _deviation(trained, few, params_RP[:1], own, vectors_RP[:1], fused)
    if off > _MOST_OFF:
        raise ModelError(
            f"model: {name} has a second derivative that is not that of its gradient ({off:.0%} off from differences "
            "of gradients): some function in it is differentiable only once"
        )
    return fused


def _deviation(
    trained: Trained,
    few: Data,
    params_RP: Tensor,
    others: Mapping[str, Tensor],
    vectors_RP: Tensor,
    fused: bool,
) -> float:
    """How far a product with the Hessian is from a difference of gradients, as a share of it; 0 if that cannot be said.

    A function of a user's that is marked as differentiable once is left out of second derivatives by PyTorch without a
    word. In float64, so that a short difference crosses no kink of the loss.
    """
    point, along = params_RP.double(), _APART * vectors_RP.double()

    def at(point: Tensor) -> Curvature:
        return Curvature(trained.objective(fused=fused), few, point, others)

    try:
        product = at(point).product(along)
        difference = (at(point + along).gradient()[1] - at(point - along).gradient()[1]) / 2
    except Exception:  # noqa: BLE001 (a module of the user's may know no float64)
        return 0.0
    size = max(float(difference.norm()), float(product.norm()))
    return float((product - difference).norm()) / size if size > 1e-9 * _APART else 0.0


def _steps(trained: Trained) -> int:
    """Of Lanczos' method: as many as there is memory for, for one run."""
    one = trained.network.row_bytes
    return int(max(8, min(MOST_STEPS, 0.25 * free_bytes(trained.device) / one)))


def _group_size(trained: Trained) -> int:
    vectors = (_steps(trained) + 8) * trained.network.row_bytes
    most = _MOST_RUNS if trained.device.type == "cpu" else _MOST_GPU_RUNS
    return max(1, min(most, int(min(_BASIS_BYTES, 0.25 * free_bytes(trained.device)) / vectors)))
