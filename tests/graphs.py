"""Data and predictors that ONNX graphs are made of, and rows as such a graph takes them."""

import csv

import numpy as np

from ravine import rng
from ravine.data import load, parse_data
from ravine.nn.build import build
from ravine.predictors.predictor import Part, Predictor

HEADER = ("when", "day", "colour", "member", "code", "weight", "kind")
COLOURS = ("red", "light blue", "grün", "NA")
START = 1_700_000_000  # seconds: float32 knows these to 128 s only


def rows(number, seed=0):
    """Cells of a table as texts: a time stamp, a date, a colour, a truth value, a code, a weight, a class."""
    draw = np.random.default_rng(seed)
    for _ in range(number):
        weight = draw.normal(70, 12)
        yield [
            str(START + int(draw.integers(0, 100_000))),
            f"2024-05-{draw.integers(1, 5):02}",
            COLOURS[draw.integers(0, 4)] if draw.random() > 0.1 else "",
            str(bool(draw.integers(0, 2))),
            str(draw.integers(1, 4)),
            f"{weight:.3f}" if draw.random() > 0.1 else "",
            ("no", "yes", "so so")[int(weight > 65) + int(weight > 75)],
        ]


def mixed(folder, number=120, **options):
    """A data set out of a CSV file of such rows."""
    path = folder / "mixed.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([HEADER, *rows(number)])
    spec = {"kind": "csv", "path": str(path), "target": "kind", "missing": "impute", "categorical": ["code"]}
    return load(parse_data({**spec, **options}))


def raw_columns(table, inputs):
    """Texts of a file as a predictor takes them: arrays of texts by column."""
    return {of.name: np.array([row[HEADER.index(of.name)] for row in table]) for of in inputs.columns}


def feeds(raw, inputs):
    """The same as a graph takes them: numbers with NaN for an empty cell, and texts."""
    return {
        of.name: np.array([float(cell or "nan") for cell in raw[of.name]], dtype=np.float64)[:, None]
        if of.kind == "number"
        else np.array(raw[of.name], dtype=str)[:, None]
        for of in inputs.columns
    }


def predictor_of(data, model, number=3, *, shares=None, train=None, **options):
    """A pool of untrained members; `train` changes each module."""
    parts = []
    for seed in range(number):
        with rng.keyed_init(seed):
            module = build(model, data.preparation.inputs.shape, data.preparation.num_outputs)
        if train:
            train(module, seed)
        share = shares[seed] if shares else 1 / number
        parts.append(Part(name=f"run{seed}", share=share, model=module.eval().requires_grad_(False)))
    return Predictor(preparation=data.preparation, members=tuple(parts), **options)
