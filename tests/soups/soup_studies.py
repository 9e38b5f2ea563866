"""Studies that tests of soups read, and a plain network beside the engine's."""

from __future__ import annotations

import numpy as np
from scipy.special import log_softmax

import ravine

MLP = {"kind": "mlp", "hidden": [8]}
NORMED = {"kind": "mlp", "hidden": [8], "norm": "batch"}
RULES = [{"kind": "adam", "lr": [0.01, 0.02, 0.04]}]


def study(**changes: object) -> ravine.Study:
    given = {
        "name": "plain",
        "data": "wine",
        "model": MLP,
        "epochs": 12,
        "batch_size": 16,
        "seeds": 2,
        "rules": RULES,
    }
    return ravine.Study(**given | changes)  # type: ignore[arg-type]


def outputs(weights: dict[str, np.ndarray], x: np.ndarray, train: np.ndarray | None = None) -> np.ndarray:
    """A network with one hidden layer in float64; with a norm, whose statistics are those of all training examples."""
    w = {name: np.asarray(value, dtype=np.float64) for name, value in weights.items()}

    def hidden(x: np.ndarray) -> np.ndarray:
        bias = w.get("linear1.bias", 0.0)
        return x.astype(np.float64) @ w["linear1.weight"].T + bias

    h = hidden(x)
    if "norm1.weight" in w:
        before = hidden(train if train is not None else x)
        h = (h - before.mean(0)) / np.sqrt(before.var(0) + 1e-5) * w["norm1.weight"] + w["norm1.bias"]
    return np.maximum(h, 0.0) @ w["output.weight"].T + w["output.bias"]


def nll(logits: np.ndarray, y: np.ndarray) -> np.ndarray:
    return -log_softmax(logits, axis=1)[np.arange(len(y)), y]


def mixed(first: dict[str, np.ndarray], second: dict[str, np.ndarray], share: float) -> dict[str, np.ndarray]:
    return {
        name: (1.0 - share) * first[name].astype(np.float64) + share * second[name].astype(np.float64)
        for name in first
    }
