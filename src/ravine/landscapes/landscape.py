"""The loss around runs of a study: in a plane of their paths, about single runs, and between them.

Shapes: R run, T kept step, M point of all paths, A point of a grid's side, G points at once, P numbers of one run.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ravine.engine.points import Fill, Points
from ravine.errors import InputError
from ravine.free_memory import free_bytes
from ravine.landscapes.plane import Axes, filter_normalized, principal_plane
from ravine.landscapes.scenes import Around, Landscape, Line, Looking, Plane, Route, Wanted
from ravine.launch.trained import Trained
from ravine.store import RunRecord, Store
from ravine.study import Study
from ravine.verdict.barrier import barrier

MARGIN = 0.2  # of the paths' extent, on each side of the map
MOST_STEPS = 100  # kept steps of one run that are drawn: beyond that every second, third, ... of them


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """How far a look is: points evaluated, of so many of what is looked at now."""

    done: int
    all: int
    about: str


def look(
    study: Study,
    store: Store,
    wanted: Wanted,
    looking: Looking,
    *,
    search: Path | None = None,
    device: str = "auto",
) -> Iterator[Looked | Landscape]:
    """Evaluate the loss around runs.

    Args:
        study: whose data and model.
        store: where the runs are.
        wanted: what is looked at.
        looking: how.
        search: the study file's folder.
        device: "auto", "cpu", "cuda" or "mps".

    Yields:
        How far it is, and last what was found.

    Raises:
        InputError: what is wanted cannot be looked at, or data or model are others than the runs'.
    """
    looking.check()
    yield Looked(done=0, all=1, about="reading runs")
    trained = Trained.of(study, store, wanted.every, search=search, device=device, examples=looking.examples)
    points = Points(trained.network, trained.loss, trained.train, unit=trained.unit)
    plane = yield from _plane(trained, points, wanted, looking)
    around, lines = [], []
    for each in wanted.around:
        around.append((yield from _around(trained, points, each, wanted.labels[each.id], looking)))
    for first, second in wanted.pairs:
        lines.append((yield from _line(trained, points, first, second, wanted.labels, looking)))
    yield Landscape(
        study=study.name,
        task=trained.data.task,
        num_examples=len(trained.train.y),
        num_parameters=sum(int(np.prod(shape)) for shape in trained.network.layout.shapes),
        plane=plane,
        around=tuple(around),
        lines=tuple(lines),
        backend=points.backend,
    )


def _evaluated(
    points: Points, num: int, fill: Fill, others: Mapping[str, Tensor], about: str
) -> Generator[Looked, None, tuple[np.ndarray, np.ndarray]]:
    """Loss and accuracy at each point, (R,)."""
    losses, accuracies, done = [], [], 0
    for loss_G, accuracy_G in points.parts(num, fill, others):
        losses.append(loss_G.cpu().numpy())
        accuracies.append(accuracy_G.cpu().numpy())
        done += len(loss_G)
        yield Looked(done=done, all=num, about=about)
    return np.concatenate(losses), np.concatenate(accuracies)


def _plane(
    trained: Trained, points: Points, wanted: Wanted, looking: Looking
) -> Generator[Looked, None, Plane | None]:
    most = _most_steps(trained, len(wanted.runs))
    paths = [_path(trained, record, most) for record in wanted.runs]
    if all(len(steps) < 2 for steps, _, _ in paths):
        return None
    weights_MP = torch.cat([params_TP for _, params_TP, _ in paths])
    if len(weights_MP) < 3:
        return None
    theirs = _joined([others for _, _, others in paths])
    own_M, _ = yield from _evaluated(points, len(weights_MP), _copy(weights_MP), theirs, "along the paths")
    axes = principal_plane(weights_MP)
    del weights_MP
    own = {name: tensor[-1:] for name, tensor in paths[0][2].items()}  # the buffers at the first run's end
    places = axes.places_M2.cpu().numpy()
    middle, half = _frame(places)
    x, y = (np.linspace(middle[i] - half, middle[i] + half, looking.points) for i in (0, 1))
    grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    at = torch.from_numpy(np.concatenate([grid, places])).to(axes.axes_2P)
    fill = _combined(axes.center_P, axes.axes_2P, at)
    found, _ = yield from _evaluated(points, len(at), fill, own, "plane of the paths")
    shares = axes.shares
    return Plane(
        x=x,
        y=y,
        losses=found[: len(grid)].reshape(len(y), len(x)),
        shares=shares,
        outside=max(0.0, 1.0 - sum(shares)),
        routes=_routes(axes, places, [steps for steps, _, _ in paths], own_M, found[len(grid) :], wanted),
        buffers_of=wanted.labels[wanted.runs[0].id] if trained.network.buffers else None,
    )


def _routes(
    axes: Axes,
    places: np.ndarray,
    steps: Sequence[np.ndarray],
    own: np.ndarray,
    shadows: np.ndarray,
    wanted: Wanted,
) -> tuple[Route, ...]:
    off, far = axes.off_M.cpu().numpy(), axes.far_M.cpu().numpy()
    routes, start = [], 0
    for record, at in zip(wanted.runs, steps, strict=True):
        part = slice(start, start + len(at))
        start += len(at)
        routes.append(
            Route(
                run=record.id,
                label=wanted.labels[record.id],
                steps=at,
                points=places[part],
                losses=own[part],
                shadows=shadows[part],
                off=off[part],
                outside=_share(off[part], far[part]),
                end_outside=_share(off[part][-1:], far[part][-1:]),
            )
        )
    return tuple(routes)


def _share(off: np.ndarray, far: np.ndarray) -> float:
    total = float(np.square(far).sum())
    return float(np.square(off).sum()) / total if total else 0.0


def _frame(places: np.ndarray) -> tuple[np.ndarray, float]:
    """Middle and half the side of a square with room around all points; the same scale on both axes."""
    low, high = places.min(0), places.max(0)
    half = float((high - low).max()) * (0.5 + MARGIN)
    return (low + high) / 2, half or 1.0


def _around(
    trained: Trained, points: Points, record: RunRecord, label: str, looking: Looking
) -> Generator[Looked, None, Around]:
    params_RP, others = trained.weights([record.id])
    directions_2P = torch.stack(
        [filter_normalized(trained.network.layout, params_RP[0], looking.seed, number) for number in (0, 1)]
    )
    x = np.linspace(-looking.reach, looking.reach, looking.points)
    grid = np.stack(np.meshgrid(x, x), axis=-1).reshape(-1, 2)
    at = torch.from_numpy(np.concatenate([grid, np.zeros((1, 2))])).to(params_RP)
    fill = _combined(params_RP[0], directions_2P, at)
    found, _ = yield from _evaluated(points, len(at), fill, others, f"around {label}")
    first, second = directions_2P.norm(dim=1).tolist()
    return Around(
        run=record.id,
        label=label,
        x=x,
        losses=found[:-1].reshape(len(x), len(x)),
        lengths=(first, second),
        loss=float(found[-1]),
    )


def _line(
    trained: Trained,
    points: Points,
    first: RunRecord,
    second: RunRecord,
    labels: Mapping[str, str],
    looking: Looking,
) -> Generator[Looked, None, Line]:
    params_RP, others = trained.weights([first.id, second.id])
    x = np.linspace(0.0, 1.0, looking.points)
    share_A = torch.from_numpy(x).to(params_RP)

    def fill(start: int, stop: int, rows_GP: Tensor) -> None:
        share_G1 = share_A[start:stop, None]
        rows_GP.copy_((1 - share_G1) * params_RP[0] + share_G1 * params_RP[1])

    between = {name: _mixed(tensor, share_A) for name, tensor in others.items()}
    losses, accuracies = yield from _evaluated(points, len(x), fill, between, "lines between runs")
    height, at = barrier(x, losses)
    return Line(
        first=first.id,
        second=second.id,
        labels=(labels[first.id], labels[second.id]),
        x=x,
        losses=losses,
        accuracies=accuracies,
        barrier=height,
        at=at,
        distance=float((params_RP[1] - params_RP[0]).norm()),
    )


def _mixed(ends: Tensor, share_A: Tensor) -> Tensor:
    """A buffer on the way between two runs: a straight line too; whole numbers are the first run's."""
    if not ends.is_floating_point():
        return ends[:1].expand(len(share_A), *ends.shape[1:])
    share = share_A.view(-1, *(1,) * (ends.dim() - 1))
    return (1 - share) * ends[0] + share * ends[1]


def _path(trained: Trained, record: RunRecord, most: int) -> tuple[np.ndarray, Tensor, dict[str, Tensor]]:
    """A run's kept weights and those at its end: steps (T,), parameters (T, P), and all other tensors (T, ...)."""
    network, device = trained.network, trained.device
    params_1P, ending = trained.weights([record.id])
    steps, kept = trained.store.kept.path(record.id)
    before = steps < record.weights_of  # early stopping put back weights along the way
    steps, kept = steps[before], {name: array[before] for name, array in kept.items()}
    every = max(1, -(-len(steps) // max(1, most - 1)))
    steps = np.append(steps[::every], record.weights_of)
    parts, others = [params_1P], ending
    if kept:
        along = {name: torch.from_numpy(array[::every]).to(device) for name, array in kept.items()}
        parts = [network.layout.pack(along), params_1P]
        num = len(along[network.layout.names[0]])
        others = {
            name: torch.cat([along.get(name, tensor.expand(num, *tensor.shape[1:])), tensor])
            for name, tensor in ending.items()
        }
    return steps, torch.cat(parts), others


def _most_steps(trained: Trained, num_runs: int) -> int:
    """How many kept steps of each run there is memory for."""
    room = 0.25 * free_bytes(trained.device) / (trained.network.row_bytes * num_runs)
    if room < 3:
        raise InputError(f"runs: the paths of {num_runs} do not fit into memory; name fewer")
    return int(min(room, MOST_STEPS))


def _joined(others: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    return {name: torch.cat([each[name] for each in others]) for name in others[0]}


def _copy(weights_MP: Tensor) -> Fill:
    return lambda start, stop, rows_GP: rows_GP.copy_(weights_MP[start:stop])


def _combined(center_P: Tensor, axes_2P: Tensor, at_M2: Tensor) -> Fill:
    def fill(start: int, stop: int, rows_GP: Tensor) -> None:
        torch.addmm(center_P.expand(stop - start, -1), at_M2[start:stop], axes_2P, out=rows_GP)

    return fill
