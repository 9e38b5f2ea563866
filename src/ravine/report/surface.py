"""The page of surfaces: one HTML file in which the rules walk, without any network.

The arithmetic on the page is the rules' own, traced and written as JavaScript (`ravine.surfaces.javascript`).
"""

from __future__ import annotations

import importlib.resources
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ravine.errors import InputError
from ravine.report.html import Html, fill
from ravine.report.page import embed, policy, save
from ravine.report.palette import looks
from ravine.rules import Hyper, Rule
from ravine.surfaces import Scene, Surface, scene
from ravine.surfaces.basins import Basins, basins
from ravine.surfaces.javascript import program
from ravine.surfaces.traced import trace_rule, trace_surface
from ravine.version import version

if TYPE_CHECKING:
    from torch import Tensor

KINDS = (".html", ".svg", ".png", ".gif")
TEMPLATES = importlib.resources.files("ravine.report") / "templates"


def surface(
    ground: str | Surface | Callable[[Tensor], Tensor] = "rosenbrock",
    *,
    rules: Sequence[str | Rule] | None = None,
    start: Sequence[float] | None = None,
    steps: int = 300,
    lr: float | None = None,
    ema: float | None = None,
    domain: Sequence[float] | None = None,
    noise: float | None = None,
    seed: int = 0,
    maps: bool = True,
    out: str | Path = "surface.html",
    command: str = "ravine.surface(...)",
) -> Path:
    """Write a page on which update rules walk over a surface, or a picture of their paths.

    Args:
        ground: a surface's name (see `ravine.surfaces.SURFACES`), or a function ``f(x: Tensor[2]) -> Tensor`` that is
            made of PyTorch's elementary operations.
        rules: that are switched on: names, ``"package.module:name"`` of a `Rule`, or rules themselves; None: sgd,
            momentum, adagrad, rmsprop and adam.
        start: two numbers; None: the surface's own start.
        steps: how many, at most 5000.
        lr: of all rules; None: for each the best from this start.
        ema: decay of an exponential average of the weights, which walks beside each of the rules; None: none does.
        domain: of a function's map: left, right, bottom, top; None: from -2 to 2.
        noise: standard deviation of what is added to each number of the gradient; None: the surface's own.
        seed: of the noise.
        maps: whether the page also shows where each rule ends up, from everywhere on the map at 25 learning rates.
        out: the file; an existing one is replaced. `.html` is the page, `.svg` and `.png` are pictures of the paths,
            `.gif` is an animation; the last two need the extra `images`.
        command: that makes it again, as the page shows it.

    Returns:
        The file's path.

    Raises:
        InputError: one line that says what is wrong.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     page = surface("saddle", rules=["momentum"], out=f"{folder}/saddle.html")
        ...     page.read_text().startswith("<!doctype html>")
        True
    """
    kind = Path(out).suffix.lower()
    if kind not in KINDS:
        raise InputError(f"out = {str(out)!r}: must end in {', '.join(KINDS)}")
    shown = scene(
        ground,
        rules=rules,
        start=start,
        steps=steps,
        lr=lr,
        ema=ema,
        domain=domain,
        noise=noise,
        seed=seed,
        command=command,
    )
    return save(_content(shown, kind, maps), out)


def _content(shown: Scene, kind: str, maps: bool) -> str | bytes:
    if kind == ".html":
        return html(shown, maps=maps)
    from ravine.report import surface_picture

    picture = surface_picture.collect(shown)
    if kind == ".svg":
        return surface_picture.svg(picture)
    return surface_picture.png(picture) if kind == ".png" else surface_picture.gif(picture)


def html(scene: Scene, *, maps: bool = True) -> str:
    """The page of a scene.

    Args:
        scene: what is on it.
        maps: whether it also shows where each rule ends up, from everywhere on the first surface's map.
    """
    ended = []
    if maps:
        plain = [trace_rule(each) for each in scene.rules if each.name not in scene.fixed]
        ended = [basins(scene.surface, plain, steps=scene.steps, noise=scene.noise, seed=scene.seed)]
    script = "\n".join(
        [
            program([trace_surface(each) for each in scene.surfaces], scene.traced),
            _asset("surface_map.js"),
            _asset("surface_charts.js"),
            _asset("surface.js"),
        ]
    )
    return fill(
        _asset("surface.html"),
        title=scene.surface.name.replace("_", " "),
        payload=embed(_payload(scene, ended)),
        script=Html(script),  # ours, and of the user only names that `program` escapes
        css=Html(_asset("surface.css")),
        policy=policy([script.encode()]),
        version=version(),
        command=scene.command,
    )


def _payload(scene: Scene, ended: Sequence[Basins]) -> dict[str, Any]:
    kinds = [each.name for each in scene.rules]
    drawn = looks(kinds)
    walked = {each.rule.name: each for each in scene.traced}
    return {
        "first": scene.surface.name,
        "start": scene.start,
        "steps": scene.steps,
        "seed": scene.seed,
        "noise": scene.noise,
        "surfaces": [
            {
                "name": each.name,
                "about": each.about,
                "domain": each.domain,
                "start": each.start,
                "minima": each.minima,
                "noise": each.noise,
                "noiseScale": each.noise_scale,
                "params": _hypers(each.params),
            }
            for each in scene.surfaces
        ],
        "rules": [
            {
                "name": kind,
                "look": {
                    "colour": drawn[kind].colour,
                    "symbol": drawn[kind].symbol,
                    "dash": drawn[kind].dash,
                    "swatch": drawn[kind].swatch(),
                },
                "on": kind in scene.on,
                "lr": scene.lr,
                "hypers": _hypers(walked[kind].rule.hypers) if kind in walked else [],
                "fixed": scene.fixed[kind].json(scene.surface.name) if kind in scene.fixed else None,
            }
            for kind in kinds
        ],
        "basins": [each.json() for each in ended],
    }


def _hypers(hypers: Mapping[str, Hyper]) -> Sequence[dict[str, Any]]:
    return [
        {
            "name": name,
            "about": hyper.about,
            "default": hyper.default,
            "low": hyper.low,
            "high": hyper.high if hyper.high < 1e300 else None,
            "lowOpen": hyper.low_open,
            "highOpen": hyper.high_open,
            "log": hyper.log,
        }
        for name, hyper in hypers.items()
    ]


def _asset(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")
