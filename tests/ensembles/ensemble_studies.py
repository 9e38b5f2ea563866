"""The study that most tests of ensembles read."""

from __future__ import annotations

import ravine

RULES = [{"kind": "adam", "lr": [0.01, 0.03]}, {"kind": "sgd", "lr": [0.1, 1e30]}]


def classes(**changes: object) -> ravine.Study:
    given = {
        "name": "classes",
        "data": "iris",
        "model": {"kind": "mlp", "hidden": [8]},
        "steps": 31,
        "seeds": 3,
        "rules": RULES,
        "schedule": {"kind": "cosine_restarts", "cycles": 3, "warmup": 4},
        "keep": {"every": 1},
    }
    return ravine.Study(**given | changes)  # type: ignore[arg-type]
