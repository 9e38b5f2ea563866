"""The ten figures of docs/gallery.md: how each is drawn, and the numbers in its words."""

from __future__ import annotations

import math
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from chart import Curve, chart

import ravine
from ravine.report.palette import REGIME_COLOURS
from ravine.rules import RULES, Rule, rule
from ravine.surfaces import Path as Walk
from ravine.surfaces import path, surface
from ravine.surfaces.newton import newton
from ravine.surfaces.traced import trace_rule
from ravine.surfaces.tuning import best_path

CLOSE = 1e-6  # of the first loss: so near to the minimum that a rule has arrived


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A picture, the command that draws it, and what is to be seen on it."""

    name: str
    title: str
    command: str
    text: str
    svg: str


def zigzag() -> Figure:
    """Condition number."""
    command = "ravine surface ellipse --rules sgd,momentum --steps 60 --out zigzag.svg"
    ground, rows = surface("ellipse"), []
    for condition in (10, 100, 1000):
        root = math.sqrt(condition)
        plain = walk(
            "sgd", "ellipse", 40 * condition, params={"condition": condition}, lr=2 / (1 + condition)
        )
        rho, lr = ((root - 1) / (root + 1)) ** 2, 4 / (root + 1) ** 2
        heavy = walk("momentum", "ellipse", 4000, params={"condition": condition}, lr=lr, rho=rho)
        rows.append(f"| {condition:,} | {arrival(plain)} | {arrival(heavy)} |")
    text = f"""
The curvature across the valley is {ground.params["condition"].default:g} times the curvature along it. A learning
rate that is good along the valley is too high across it, so gradient descent zig-zags. The table has the number of
steps until the loss is a millionth of the first one, with the settings that are best in theory: lr 2 / (1 + k) for
gradient descent; lr 4 / (sqrt(k) + 1)^2 and rho ((sqrt(k) - 1) / (sqrt(k) + 1))^2 for momentum.

| condition number k | gradient descent | momentum |
|---|---|---|
{chr(10).join(rows)}

The number of steps grows with the condition number for gradient descent, and with its square root for momentum.
"""
    return Figure(
        name="zigzag", title="Zig-zag: the condition number", command=command, text=text, svg=drawn(command)
    )


def saddle() -> Figure:
    """How long each takes to leave."""
    command = "ravine surface saddle --rules sgd,momentum,rmsprop,adam --lr 0.05 --out saddle.svg"
    leaves = {
        kind: int(np.flatnonzero(abs(walk(kind, "saddle", 2000, lr=0.05).points[:, 1]) > 0.5)[0])
        for kind in ("sgd", "momentum", "rmsprop", "adam")
    }
    text = f"""
From (-1.6, 0.001), the way down leads to the saddle at (0, 0). At first, the slope that leads away from the saddle is
only a thousandth. At lr 0.05, the distance to the ridge reaches 0.5 after {leaves["sgd"]} steps of gradient descent,
{leaves["momentum"]} of momentum, {leaves["adam"]} of Adam and {leaves["rmsprop"]} of RMSProp. Momentum adds up what
little slope there is. Adam and RMSProp divide by the root of the squares, so a small slope counts as much as a large
one.
"""
    return Figure(name="saddle", title="A saddle", command=command, text=text, svg=drawn(command))


def local_minimum() -> Figure:
    """Velocity carries across."""
    command = "ravine surface local_minimum --rules sgd,momentum --lr 0.02 --out local_minimum.svg"
    ends = {kind: walk(kind, "local_minimum", 1000, lr=0.02) for kind in ("sgd", "momentum")}
    x = {kind: found.points[-1][0] for kind, found in ends.items()}
    lrs = [0.005, 0.01, 0.02, 0.03, 0.05]
    crosses = [lr for lr in lrs if walk("momentum", "local_minimum", 1000, lr=lr).points[-1][0] < 0]
    never = all(walk("sgd", "local_minimum", 1000, lr=lr).points[-1][0] > 0 for lr in lrs)
    text = f"""
The valley on the right is nearer, the one on the left is deeper. At lr 0.02, gradient descent ends in the right one,
at x = {x["sgd"]:.2f} with a loss of {ends["sgd"].losses[-1]:.2f}, and momentum in the left one, at
x = {x["momentum"]:.2f} with a loss of {ends["momentum"].losses[-1]:.2f}. Of the learning rates {words(lrs)}, momentum
crosses over at {words(crosses)}, and gradient descent {"at none" if never else "at some"}. Velocity can carry a run
across a rise, but not by design: at another lr it swings back.
"""
    return Figure(
        name="local_minimum", title="A local minimum", command=command, text=text, svg=drawn(command)
    )


def nesterov() -> Figure:
    """Less overshoot."""
    command = "ravine surface ellipse --rules momentum,nesterov --lr 0.03 --steps 150 --out nesterov.svg"
    found = {kind: walk(kind, "ellipse", 600, lr=0.03) for kind in ("momentum", "nesterov")}
    over = {kind: -each.points[:, 1].min() for kind, each in found.items()}
    text = f"""
Nesterov takes the gradient where the velocity is about to lead, so it brakes before it reaches the other side of the
valley. At lr 0.03 and rho 0.9, from 1.2 above the floor, momentum overshoots by {over["momentum"]:.2f} and Nesterov by
{over["nesterov"]:.2f}. They need {arrival(found["momentum"])} and {arrival(found["nesterov"])} steps until the loss is
a millionth of the first one.
"""
    return Figure(
        name="nesterov", title="Nesterov looks ahead", command=command, text=text, svg=drawn(command)
    )


def adagrad() -> Figure:
    """Steps that die away."""
    command = "ravine surface rosenbrock --rules adagrad,rmsprop --lr 0.01 --steps 1000 --out adagrad.svg"
    ada, rms = (walk(kind, "rosenbrock", 1000, lr=0.01).losses for kind in ("adagrad", "rmsprop"))
    rows = [
        f"| {t:,} | {stride('adagrad', t):.3f} lr | {stride('rmsprop', t):.3f} lr |"
        for t in (1, 10, 100, 10_000)
    ]
    text = f"""
AdaGrad divides by the root of the sum of all squared gradients. This sum only grows, so under a constant gradient the
step shrinks as 1 / sqrt(t). RMSProp's mean forgets, so its step settles at lr:

| step | AdaGrad | RMSProp (decay 0.9) |
|---|---|---|
{chr(10).join(rows)}

In Rosenbrock's valley, at lr 0.01, 1,000 steps take AdaGrad from a loss of {ada[0]:.2f} to {ada[-1]:.2f}, and RMSProp
to {rms[-1]:.2g}. A higher lr helps AdaGrad, but it still slows down.
"""
    return Figure(name="adagrad", title="AdaGrad slows down", command=command, text=text, svg=drawn(command))


def rmsprop() -> Figure:
    """No overshoot, but no rest either."""
    command = "ravine surface ellipse --rules sgd,momentum,rmsprop --steps 60 --out rmsprop.svg"
    kinds = ("sgd", "momentum", "rmsprop")
    found = {kind: tuned(kind, "ellipse", 60) for kind in kinds}
    over = {kind: max(0.0, -each.points[:, 1].min()) for kind, (_, each) in found.items()}
    lr = found["rmsprop"][0]
    late = np.abs(np.diff(walk("rmsprop", "ellipse", 400, lr=lr).points[300:], axis=0)).mean() / lr
    text = f"""
Gradient descent jumps across the valley and momentum swings through it. RMSProp takes equal steps along both axes, so
its path bends towards the floor. With the best of 41 learning rates for each rule
({", ".join(f"{kind} {each[0]:.3g}" for kind, each in found.items())}), from 1.2 above the floor, they overshoot by
{", ".join(f"{over[kind]:.2f} ({kind})" for kind in kinds)}. Momentum changes the direction of a step, RMSProp its
length. RMSProp's steps do not shrink near the minimum: from step 300 to 400 it jumps to and fro by {late:.2f} lr along
each axis. So it needs a schedule.
"""
    return Figure(
        name="rmsprop", title="RMSProp bends its path", command=command, text=text, svg=drawn(command)
    )


def adam_start() -> Figure:
    """Bias correction."""
    lengths = [stride("adam", t, bias_correction=0.0) for t in range(1, 201)]
    peak = int(np.argmax(lengths))
    slow = with_defaults("rmsprop", "RMSProp 0.999", decay=0.999)
    bare = with_defaults("adam", "Adam uncorrected", bias_correction=0.0)
    adam = replace(RULES["adam"], name="Adam")
    start, lr, steps = (-1.2, 0.7), 0.2, 60
    walks = [walk(each, "plateau", 1000, start=start, lr=lr) for each in (adam, bare, slow)]
    with tempfile.TemporaryDirectory() as folder:
        out = ravine.surface(
            "plateau", rules=[adam, bare, slow], start=start, lr=lr, steps=steps, out=f"{folder}/x.svg"
        )
        svg = out.read_text(encoding="utf-8")
    first = [float(np.abs(each.points[1] - each.points[0]).max()) for each in walks]
    text = f"""
Both of Adam's means start at 0. Without correction, the mean of squares is 0.001 g^2 at t = 1, and dividing by its
root makes the first step far too long. Under a constant gradient, the first step of RMSProp with decay 0.999 is
{stride("rmsprop", 1, decay=0.999):.1f} lr. Adam's mean of gradients starts low too: without correction, its first step
is {lengths[0]:.2f} lr, and its longest one, at t = {peak + 1}, is {lengths[peak]:.2f} lr. With correction, steps are
{stride("adam", 1):.2f} lr from the first one on.

The picture shows a pit in a plain, at lr {lr:g}. Along each axis, the first step is {first[0]:.2g} for Adam,
{first[1]:.2g} for Adam without correction and {first[2]:.2g} for RMSProp. RMSProp's leads out of the pit to a place
without slope, and it never comes back: after 1,000 steps its loss is {walks[2].losses[-1]:.2f}. By then Adam's loss is
{walks[0].losses[-1]:.1g} with correction and {walks[1].losses[-1]:.1g} without it.
"""
    return Figure(
        name="adam_start",
        title="Adam's first step, with and without bias correction",
        command="scripts/gallery adam_start",
        text=text,
        svg=svg,
    )


def rotated() -> Figure:
    """Axis by axis cannot see a valley across both axes."""
    command = "ravine surface rotated_ellipse --rules sgd,adagrad,rmsprop,adam --steps 100 --out rotated.svg"
    rows = []
    for condition in (25, 100):
        for kind in ("sgd", "momentum", "adagrad", "rmsprop", "adam"):
            cells = [fewest(kind, angle, condition) for angle in (0, 15, 30, 45)]
            rows.append(f"| {condition} | {kind} | {' | '.join(cells)} |")
    text = f"""
The valley is turned, and the start with it. The paths of gradient descent and momentum turn with the valley. Rules that
scale each axis separately do well where the valley lies along an axis, and lose this advantage where it lies across
both. The table has the number of steps until the loss is a millionth of the first one, at the best of 41 learning
rates from 1e-4 to 10:

| condition | rule | 0 degrees | 15 | 30 | 45 |
|---|---|---|---|---|---|
{chr(10).join(rows)}

AdaGrad and RMSProp lose most or all of their advantage. Adam is no faster than momentum even at 0 degrees, so it has
little to lose: in such a valley, its velocity does most of the work.
"""
    return Figure(name="rotated", title="The rotated ellipse", command=command, text=text, svg=drawn(command))


def lr() -> Figure:
    """Low, good, high, too high."""
    regimes = {"low": 1e-4, "good": 3e-3, "high": 0.1, "too high": 1.0}
    study = ravine.Study(
        name="four-lrs",
        data="digits",
        model={"kind": "mlp", "hidden": [64, 64]},
        epochs=20,
        batch_size=64,
        seeds=3,
        evaluations=40,
        rules=[{"kind": "adam", "lr": list(regimes.values())}],
    )
    with tempfile.TemporaryDirectory() as folder:
        results = ravine.run(study, store=folder, quiet=True)
        every = results.curves("train_loss")
        of = {
            name: [every[r.id] for r in results.runs if r.hypers["lr"] == lr] for name, lr in regimes.items()
        }
    steps = {name: each[0][0] for name, each in of.items()}
    losses = {name: np.median([loss for _, loss in each], axis=0) for name, each in of.items()}
    curves = [
        Curve(
            label=f"{name}, {regimes[name]:g}",
            x=steps[name].tolist(),
            y=[float(f"{value:.4g}") for value in losses[name]],
            colour=REGIME_COLOURS[name],
        )
        for name in regimes
    ]
    early = int(steps["good"][1])
    text = f"""
Adam on handwritten digits (MLP 64-64, batches of 64, 20 epochs, medians of 3 seeds), at four constant learning rates.
**Low**, 1e-4: the loss falls slowly all the way, to {losses["low"][-1]:.2f}. **Good**, 3e-3: it ends at
{losses["good"][-1]:.3f}. **High**, 0.1: it leads after {early} steps, with {losses["high"][1]:.2f} against
{losses["good"][1]:.2f}, and then stays at {losses["high"][-1]:.2f}. **Too high**, 1: it explodes to
{losses["too high"][0]:,.0f}, off the chart, and comes back to {losses["too high"][-1]:.2f}; guessing has a loss of
log 10 = {math.log(10):.2f}. Which learning rate leads after a few steps says little about the end.
"""
    svg = chart(curves, across="step", up="training loss", ceiling=10.0)
    return Figure(name="lr", title="Four learning rates", command="scripts/gallery lr", text=text, svg=svg)


def newton_wins() -> Figure:
    """On smooth ground without noise."""
    command = "ravine surface rosenbrock --rules newton,sgd,momentum,adam --steps 300 --out newton.svg"
    ground = surface("rosenbrock")
    exact = path(newton(ground), ground, hypers={}, steps=300).losses
    at = int(np.flatnonzero(exact < 1e-20)[0])
    ellipse = surface("ellipse")
    one = path(newton(ellipse), ellipse, hypers={}, steps=1).losses
    others = {kind: tuned(kind, "rosenbrock", 300) for kind in ("sgd", "momentum", "adam")}
    noisy = path(newton(ground), ground, hypers={}, steps=300, noise=10.0).losses
    calm = tuned("adam", "rosenbrock", 300, noise=10.0)[1].losses
    text = f"""
Newton's step uses the curvature in every direction, so neither the condition number nor the angle matters to it: on
the ellipse, one step takes the loss from {one[0]:.3g} to {one[1]:.1g}. In Rosenbrock's bent valley, where the curvature
changes, it needs {at} steps to a loss below 1e-20, and passes a loss of {exact[:at].max():.0f} on the way. The losses
of the others after 300 steps, each at its best learning rate, are
{", ".join(f"{each.losses[-1]:.1e} ({kind})" for kind, (_, each) in others.items())}.

With noise of standard deviation 10 on the gradient, the median loss over the last 100 steps is
{np.median(noisy[-100:]):.2g} for Newton and {np.median(calm[-100:]):.2g} for Adam: where the curvature is small, noise
becomes a long step. And the Hessian of a network with P weights has P^2 numbers.
"""
    return Figure(
        name="newton", title="Newton against them all", command=command, text=text, svg=drawn(command)
    )


FIGURES: Mapping[str, Callable[[], Figure]] = {
    "zigzag": zigzag,
    "saddle": saddle,
    "local_minimum": local_minimum,
    "nesterov": nesterov,
    "adagrad": adagrad,
    "rmsprop": rmsprop,
    "adam_start": adam_start,
    "rotated": rotated,
    "lr": lr,
    "newton": newton_wins,
}


def drawn(command: str) -> str:
    """What a command of `ravine surface` writes."""
    words = shlex.split(command)
    with tempfile.TemporaryDirectory() as folder:
        done = [sys.executable, "-m", *words]
        subprocess.run(done, cwd=folder, check=True, capture_output=True)
        return Path(folder, words[-1]).read_text(encoding="utf-8")


def walk(
    kind: str | Rule,
    ground: str,
    steps: int,
    *,
    start: tuple[float, float] | None = None,
    params: Mapping[str, float] | None = None,
    **hypers: float,
) -> Walk:
    """A rule's path."""
    named = rule(kind) if isinstance(kind, str) else kind
    return path(named, surface(ground), start=start, hypers=hypers, steps=steps, params=params)


def tuned(kind: str, ground: str, steps: int, noise: float = 0.0) -> tuple[float, Walk]:
    """A rule's best learning rate from the surface's start, as `ravine surface` chooses it, and the path."""
    own = surface(ground)
    return best_path(
        trace_rule(rule(kind)), own, start=own.start, steps=steps, noise=noise, seed=0, lowest=0.0
    )


def fewest(kind: str, angle: float, condition: float, most: int = 400) -> str:
    """Steps until the loss is a millionth of the first, on a turned ellipse, at the best learning rate."""
    start, params = turned(-2.6, 1.2, math.radians(angle)), {"angle": angle, "condition": condition}
    counts = []
    for lr in np.logspace(-4, 1, 41):
        losses = walk(kind, "ellipse", most, start=start, params=params, lr=lr).losses
        counts += np.flatnonzero(losses <= CLOSE * losses[0])[:1].tolist()
    return f"{min(counts):,}" if counts else f"more than {most:,}"


def arrival(found: Walk) -> str:
    """Steps until the loss is a millionth of the first."""
    at = np.flatnonzero(found.losses <= CLOSE * found.losses[0])
    return f"{at[0]:,}" if len(at) else f"more than {len(found.losses) - 1:,}"


def stride(kind: str, t: int, **hypers: float) -> float:
    """How long step t is under a gradient that is 1 at every step, in learning rates."""
    ground = surface("ellipse")
    slope = replace(ground, function=lambda x, _: x.sum(), params={})
    points = path(rule(kind), slope, start=(0.0, 0.0), hypers={"lr": 1.0, **hypers}, steps=t).points
    return float(points[t - 1][0] - points[t][0])


def with_defaults(kind: str, name: str, **values: float) -> Rule:
    """A rule with other defaults, under another name."""
    own = rule(kind)
    hypers = {key: replace(each, default=values.get(key, each.default)) for key, each in own.hypers.items()}
    return replace(own, name=name, hypers=hypers)


def turned(x: float, y: float, angle: float) -> tuple[float, float]:
    """A point, turned about 0."""
    return x * math.cos(angle) - y * math.sin(angle), x * math.sin(angle) + y * math.cos(angle)


def words(values: list[float]) -> str:
    """0.1, 0.2 and 0.3."""
    *first, last = [f"{value:g}" for value in values]
    return f"{', '.join(first)} and {last}" if first else last
