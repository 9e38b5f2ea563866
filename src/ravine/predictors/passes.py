"""Members of a predictor evaluated by another mode than the mean pass: Monte Carlo passes, views of pictures.

Shapes: N example, B example of a batch, S sample, V view of a picture, K output.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ravine.data.answers import ClassTarget
from ravine.data.preparation import AnyTarget, Preparation
from ravine.data.scale import Floats
from ravine.data.several import LabelsTarget
from ravine.engine.loss import Loss
from ravine.engine.mixture import of_classes, of_labels, of_values
from ravine.engine.network import Network
from ravine.engine.objective import Objective
from ravine.engine.passes import Points, Sampling
from ravine.engine.sampling import Samples
from ravine.errors import InputError, ModelError
from ravine.launch.subject import rates_of, stored_run
from ravine.messages import one_of, whole_number
from ravine.store import RunRecord
from ravine.study.model import Model
from ravine.study.modes import MC, MEAN, MOST_SAMPLES, SAMPLES, Mode
from ravine.study.views import View, parse_views

Array = NDArray[np.float64]


def asked_mode(mode: str = MEAN, samples: int | None = None, views: object = None) -> Mode | None:
    """The mode that somebody asks for; None: the mean pass of the picture itself.

    Args:
        mode: "mean" or "mc".
        samples: of "mc"; None: 50.
        views: as in a study; None: none.

    Raises:
        InputError: it is something else.

    Example:
        >>> asked_mode("mc").samples, asked_mode("mean", views="flips").name, asked_mode()
        (50, 'mean+views', None)
    """
    drawn = one_of("mode", mode, (MEAN, MC)) == MC
    if samples is not None:
        samples = whole_number("samples", samples, 1, MOST_SAMPLES)
        if not drawn:
            raise InputError(f"samples = {samples}: only mode = 'mc' draws samples")
    found = Mode(
        samples=(samples or SAMPLES) if drawn else 0, views=() if views is None else parse_views(views)
    )
    return None if found == Mode() else found


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Passed:
    """What a member predicts by the passes of a mode together.

    Args:
        outputs: (N, K) logarithms of the mean probabilities, or (N,) mean values in the target's own units.
        within: (N,) the mean entropy of the passes; of a regression the standard deviation of their values, (N,) or
            (N, T).
    """

    outputs: np.ndarray
    within: Array


class Drawing:
    """Draws Monte Carlo passes of one member.

    Args:
        model: of its run.
        record: its run, whose rates and seed the passes have.
        tensors: its weights, by name.
        preparation: of the study's data.
        search: the study's folder, where a user's module is looked for.
        device: where it is evaluated.

    Raises:
        ModelError: it has no stochastic layer.
    """

    def __init__(
        self,
        model: Model,
        record: RunRecord,
        tensors: Mapping[str, np.ndarray],
        preparation: Preparation,
        *,
        search: Path | None,
        device: torch.device,
    ) -> None:
        run = stored_run(record)
        network = Network.of(
            model,
            preparation.inputs.shape,
            preparation.num_outputs,
            device=device,
            rates=rates_of([run]),
            search=search,
            precision=run.recipe.precision,
        )
        rates = network.rates([run.recipe.hypers], device)
        if not any(float(rate[0]) > 0.0 for rate in rates.values()):
            raise ModelError(
                f"mode = 'mc': run {run.id} has no stochastic layer with a rate above 0; mc would be the mean pass"
            )
        given = {name: torch.from_numpy(np.array(array))[None].to(device) for name, array in tensors.items()}
        self._objective = Objective(network=network, loss=Loss(task=preparation.task))
        self._points = Points(
            params_RP=network.layout.pack(given),
            others={name: given[name] for name in (*network.buffers, *network.fixed) if name not in rates},
            rates=rates,
            seeds=(run.seed,),
        )
        self._device = device
        self._samples: dict[int, Samples] = {}

    def __call__(self, x: Floats, numbers: NDArray[np.int64], samples: int) -> torch.Tensor:
        """Outputs (N, S, K) of examples with these numbers."""
        if samples not in self._samples:
            sampling = Sampling(samples=samples)
            self._samples[samples] = Samples(self._objective, self._points, sampling)
        given = torch.tensor(np.ascontiguousarray(x), device=self._device)
        parts = [part[0] for _, part in self._samples[samples](given, torch.from_numpy(numbers))]
        empty = torch.zeros(0, samples, self._objective.network.num_outputs)
        return torch.cat(parts) if parts else empty


def passed(
    mode: Mode,
    mean: Callable[[Floats], np.ndarray],
    drawing: Drawing | None,
    x: Floats,
    numbers: NDArray[np.int64],
    target: AnyTarget,
) -> Passed:
    """What a member predicts by a mode.

    Args:
        mode: which passes.
        mean: the member's mean pass, (N, K) for examples.
        drawing: draws its passes; None where the mode draws none.
        x: prepared examples, (N, ...).
        numbers: of the examples, by which their passes are drawn.
        target: what was done to the answers.
    """
    each = []
    for view in mode.views or (View(),):
        seen = view.of(x) if mode.views else x
        if mode.samples:
            assert drawing is not None, "a member that draws was made with what draws"
            each.append(drawing(seen, numbers, mode.samples))
        else:
            each.append(torch.from_numpy(np.array(mean(seen)))[:, None])
    outputs_NSVK = torch.stack(each, 2)
    if isinstance(target, ClassTarget):
        found = of_classes(outputs_NSVK)
    elif isinstance(target, LabelsTarget):
        found = of_labels(outputs_NSVK)
    else:
        found = of_values(torch.from_numpy(np.asarray(target.predictions(outputs_NSVK.numpy()))))
    return Passed(outputs=found.predicted_NK.numpy(), within=found.within_N.numpy())
