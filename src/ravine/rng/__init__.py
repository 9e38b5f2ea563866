"""Randomness as a pure function of (seed, stream, step, position): no generator with a state anywhere."""

from ravine.rng.torch_draws import draws, keyed_draws, keyed_init
from ravine.rng.words import bernoulli, bits, indicator, integers, key, normal, permutation, uniform

__all__ = [
    "bernoulli",
    "bits",
    "draws",
    "indicator",
    "integers",
    "key",
    "keyed_draws",
    "keyed_init",
    "normal",
    "permutation",
    "uniform",
]
