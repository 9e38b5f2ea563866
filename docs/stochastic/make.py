"""Draws the pictures of docs/stochastic.md: python docs/stochastic/make.py."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from ravine import rng
from ravine.nn import DropConnectLinear, Dropout
from ravine.nn.regions import drawn_starts, fixed_starts

HERE = Path(__file__).parent
INK, ACCENT, OTHER, GREY = "#1f2937", "#2563eb", "#d97706", "#9ca3af"
FONT = 'font-family="system-ui, sans-serif" font-size="13"'


def write(name: str, width: float, height: float, parts: list[str]) -> None:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" {FONT}>'
    paper = f'<rect width="{width:g}" height="{height:g}" fill="#ffffff"/>'
    (HERE / name).write_text("\n".join([head, paper, *parts, "</svg>"]) + "\n")


def text(x: float, y: float, words: str, anchor: str = "start", colour: str = INK) -> str:
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" fill="{colour}">{words}</text>'


def masks() -> None:
    """The same draw at three rates: a square is a unit of an example."""
    size, rows, columns = 12, 8, 16
    parts = []
    before = torch.ones(rows, columns, dtype=torch.bool)
    for place, rate in enumerate((0.2, 0.5, 0.8)):
        kept = Dropout(rate).draw_mask(torch.ones(rows, columns), rng.key(0, "dropout/picture")) > 0
        left = 10 + place * (columns * size + 30)
        parts.append(text(left, 20, f"rate {rate:g}"))
        for i in range(rows):
            for j in range(columns):
                colour = ACCENT if kept[i, j] else "#fde68a" if before[i, j] else "#f3f4f6"
                x, y = left + j * size, 30 + i * size
                parts.append(
                    f'<rect x="{x}" y="{y}" width="{size - 1}" height="{size - 1}" fill="{colour}"/>'
                )
        before = kept
    write("masks.svg", 3 * (columns * size + 30) - 10, 40 + rows * size, parts)


def regions() -> None:
    """The cuts of a picture of 25 x 25 pixels into 18 x 18 regions."""
    side, places, count = 8, 25, 18
    kinds = [("middle, u = 1/2", "fixed", 0), ("pseudo-random", "pseudo", 1), ("random", "random", 1)]
    parts = []
    for place, (words, kind, number) in enumerate(kinds):
        left, top = 10 + place * (places * side + 30), 30
        parts.append(text(left, 20, words))
        key = rng.key(number, "fractional_pool/picture")
        cuts = [
            list(fixed_starts(places, count))
            if kind == "fixed"
            else drawn_starts(key, (), places, count, kind, axis).tolist()
            for axis in (0, 1)
        ]
        length = places * side
        for i in range(places + 1):
            x, y = left + i * side, top + i * side
            parts.append(f'<path d="M{x} {top}v{length}M{left} {y}h{length}" stroke="#e5e7eb"/>')
        for row in cuts[0]:
            parts.append(
                f'<path d="M{left} {top + row * side}h{length}" stroke="{ACCENT}" stroke-width="1.5"/>'
            )
        for column in cuts[1]:
            parts.append(
                f'<path d="M{left + column * side} {top}v{length}" stroke="{ACCENT}" stroke-width="1.5"/>'
            )
    write("regions.svg", 3 * (places * side + 30) - 10, places * side + 45, parts)


def dropconnect() -> None:
    """Three ways to find the mean of a layer with dropped weights, by its distance to the mean of many masks."""
    with rng.keyed_init(0), torch.no_grad():
        layer = DropConnectLinear(64, 64, activation="relu")
        x = rng.normal(rng.key(0, "x"), (32, 64))
        ways: dict[str, list[float]] = {"a(q W x), weights scaled": [], "E[a(u)], moments matched": []}
        rates = [i / 20 for i in range(1, 20)]
        for rate in rates:
            layer.rate = torch.tensor(rate)
            keys = rng.key(0, "masks", torch.arange(2000))
            many = torch.func.vmap(lambda key: layer.sample(x, key))(keys).mean(0)
            unit = many.square().mean().sqrt()
            scaled = nn.functional.relu(layer.moments(x)[0])
            for found, way in zip((scaled, layer.mean(x)), ways.values(), strict=True):
                way.append(float((found - many).square().mean().sqrt() / unit))
    left, top, width, height = 60, 20, 420, 220
    most = max(max(way) for way in ways.values())
    parts = [f'<path d="M{left} {top}v{height}h{width}" fill="none" stroke="{GREY}"/>']
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        parts.append(text(left + tick * width, top + height + 18, f"{tick:g}", "middle"))
    parts.append(text(left + width / 2, top + height + 36, "rate", "middle"))
    parts += [
        text(left - 8, top + height - share * height + 4, f"{share * most:.2f}", "end")
        for share in (0, 0.5, 1)
    ]
    for (words, way), colour in zip(ways.items(), (OTHER, ACCENT), strict=True):
        points = " ".join(
            f"{left + rate * width:.1f},{top + height - value / most * height:.1f}"
            for rate, value in zip(rates, way, strict=True)
        )
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(text(left + 14, top + (14 if colour == OTHER else 32), words, colour=colour))
        print(f"{words}: {way[9]:.3f} at 0.5")
    write("dropconnect.svg", left + width + 20, top + height + 45, parts)


if __name__ == "__main__":
    masks()
    regions()
    dropconnect()
