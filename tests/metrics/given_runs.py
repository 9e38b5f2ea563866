"""Random predictions with answers, with ties and rare classes, and metrics with weights on examples by hand."""

from __future__ import annotations

import numpy as np


def classes(
    seed: int, num_classes: int, num: int = 300, runs: int = 3, *, ties: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Logits (R, N, K) that know something of the answers (N,), of which class 0 has most; every class has some."""
    rng = np.random.default_rng([seed, num_classes, num])
    shares = 1.0 / np.arange(1, num_classes + 1)
    answers = rng.choice(num_classes, size=num, p=shares / shares.sum())
    answers[:num_classes] = np.arange(num_classes)
    logits = rng.normal(size=(runs, num, num_classes)) + 1.2 * np.eye(num_classes)[answers]
    return (np.round(2.0 * logits) / 2.0 if ties else logits).astype(np.float32), answers


def labels(
    seed: int, num_labels: int = 4, num: int = 300, runs: int = 3, *, ties: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Logits (R, N, K) and answers (N, K)."""
    rng = np.random.default_rng([seed, num_labels, num, 1])
    answers = (rng.random((num, num_labels)) < np.linspace(0.1, 0.6, num_labels)).astype(np.int64)
    answers[0], answers[1] = 0, 1
    logits = rng.normal(size=(runs, num, num_labels)) + 1.5 * answers - 0.8
    return (np.round(2.0 * logits) / 2.0 if ties else logits).astype(np.float32), answers


def values(
    seed: int, num_targets: int = 1, num: int = 301, runs: int = 3, *, ties: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Predictions (R, N) or (R, N, T), and answers."""
    rng = np.random.default_rng([seed, num_targets, num, 2])
    answers = 3.0 + rng.standard_gamma(2.0, size=(num, num_targets)) * np.arange(1, num_targets + 1)
    found = answers + rng.standard_t(4, size=(runs, num, num_targets))
    if ties:
        answers, found = np.round(answers), np.round(found)
    return (found[..., 0], answers[:, 0]) if num_targets == 1 else (found, answers)
