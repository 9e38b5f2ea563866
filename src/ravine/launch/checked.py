"""Sees that a study's modes can be evaluated at test, before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ravine.engine.network import Network
from ravine.errors import ModelError
from ravine.launch.subject import Subject, by_structure
from ravine.messages import count
from ravine.nn.example import example_pass
from ravine.rng import keyed_draws
from ravine.study import Run, Study
from ravine.study.views import check_views


def check_test_time(study: Study, subject: Subject, runs: Sequence[Run]) -> list[str]:
    """See that a study's modes can be evaluated, before anything is trained.

    Args:
        study: the study.
        subject: its data and models.
        runs: its runs.

    Returns:
        Lines for people.

    Raises:
        StudyError: views of what is no picture, or larger than one.
        ModelError: mc, and no run has a stochastic layer.
    """
    asked = study.test_time
    if asked is None:
        return []
    if asked.views:
        check_views(asked.views, subject.data.input_shape, "test_time.views")
    if not any(mode.samples for mode in asked.asked):
        return []
    without, lines = 0, []
    for same in by_structure(runs):
        network = subject.network(same)
        rates = network.rates([run.recipe.hypers for run in same], torch.device("cpu"))
        random = torch.stack(list(rates.values())).amax(0) > 0.0 if rates else torch.zeros(len(same))
        without += len(same) - int(random.sum())
        if not network.built_in and _draws_itself(network, subject.data_of(same).input_shape):
            lines.append(
                "! mc: in training the model also draws random numbers itself, in torch.nn.functional.dropout, say; mc "
                "leaves these out, as the mean pass does. A layer torch.nn.Dropout is drawn"
            )
    if without == len(runs):
        raise ModelError(
            'test_time.modes: "mc" needs a stochastic layer, and no run has one whose rate is above 0: mc would be the '
            'mean pass; give the model dropout, or leave "mc" out'
        )
    if without:
        has = "has" if without == 1 else "have"
        lines.append(f"mc: {count(without, 'run')} {has} no stochastic layer, and mc is the mean pass there")
    return list(dict.fromkeys(lines))


def _draws_itself(network: Network, shape: tuple[int, ...]) -> bool:
    """Whether a pass in training draws beside the stochastic layers."""
    with keyed_draws(0, "look") as drawing:
        example_pass(network.module, shape, training=True)
    return drawing.num_draws > 0
