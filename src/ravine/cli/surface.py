"""The verb that draws surfaces. Its docstring and signature are its help."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

from ravine.cli.options import Shown
from ravine.cli.output import prints_to_stderr, put
from ravine.errors import InputError
from ravine.host_memory import check_address_space


def surface(
    name: Annotated[str, Shown("SURFACE")] = "rosenbrock",
    /,
    rules: Annotated[str, Shown("RULE,RULE")] = "sgd,momentum,adagrad,rmsprop,adam",
    start: Annotated[str | None, Shown("X,Y")] = None,
    steps: int = 300,
    lr: float | None = None,
    ema: Annotated[float | None, Shown("DECAY")] = None,
    noise: float | None = None,
    seed: int = 0,
    maps: bool = True,
    out: Path = Path("surface.html"),
) -> None:
    """Write an interactive page on which update rules walk over a surface.

    Args:
        name: ellipse, rotated_ellipse, saddle, monkey_saddle, local_minimum, plateau, rosenbrock, beale, himmelblau or
            rastrigin; noisy_ in front of any of them adds noise to the gradient.
        rules: Rules that are on at first, separated by commas: their names, or module:name for a rule of your own.
            newton and saddle_free_newton are available too.
        start: Where the paths begin, as two numbers (default: the surface's own start).
        steps: Number of steps.
        lr: Learning rate of all rules (default: each rule's best from this start).
        ema: Beside each rule, show the exponential average of its weights with this decay, such as 0.9.
        noise: Standard deviation of the noise in each component of the gradient.
        seed: Seed of the noise.
        maps: Leave out the maps of where each rule ends up from every start.
        out: The page (.html), a picture of the paths (.svg, .png) or an animation (.gif).
    """
    check_address_space()
    from ravine.report.surface import surface as write

    words = ["ravine", *sys.argv[1:]]
    with prints_to_stderr():
        written = write(
            name,
            rules=[rule.strip() for rule in rules.split(",")],
            start=None if start is None else _pair(start),
            steps=steps,
            lr=lr,
            ema=ema,
            noise=noise,
            seed=seed,
            maps=maps,
            out=out,
            command=shlex.join(words),
        )
    put(f"surface: {written}")


def _pair(text: str) -> list[float]:
    try:
        first, second = map(float, text.split(","))
    except ValueError:
        raise InputError(f"--start {text}: must be two numbers, such as -1,2") from None
    return [first, second]
