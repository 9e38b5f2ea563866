"""The verb that draws surfaces. Its docstring and signature are its help."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

from ravine.cli.options import Shown
from ravine.cli.output import put
from ravine.errors import InputError


def surface(
    name: Annotated[str, Shown("SURFACE")] = "rosenbrock",
    /,
    rules: Annotated[str, Shown("RULE,RULE")] = "sgd,momentum,adagrad,rmsprop,adam",
    start: Annotated[str | None, Shown("X,Y")] = None,
    steps: int = 300,
    lr: float | None = None,
    noise: float | None = None,
    seed: int = 0,
    maps: bool = True,
    out: Path = Path("surface.html"),
) -> None:
    """Write a page on which update rules walk over a surface, and everything can be moved.

    Args:
        name: ellipse, rotated_ellipse, saddle, monkey_saddle, local_minimum, plateau, rosenbrock, beale, himmelblau or
            rastrigin; each with noisy_ before it for a noisy gradient.
        rules: Rules that are switched on at first, with commas between them; newton and saddle_free_newton too.
        start: Where paths begin, two numbers with a comma between them (default: the surface's own start).
        steps: How many.
        lr: Learning rate of all rules (default: for each the best from this start).
        noise: Standard deviation of the noise of each number of the gradient.
        seed: Of the noise.
        maps: Also show where each rule ends up, from everywhere on the map at 25 learning rates.
        out: The file: .html for the page, .svg or .png for a picture of the paths, .gif for an animation.
    """
    from ravine.report.surface import surface as write

    words = ["ravine", *sys.argv[1:]]
    written = write(
        name,
        rules=[rule.strip() for rule in rules.split(",")],
        start=None if start is None else _pair(start),
        steps=steps,
        lr=lr,
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
        raise InputError(f"--start {text}: must be two numbers with a comma between them") from None
    return [first, second]
