"""Randomness as a pure function of (seed, stream, step, position): no generator with a state anywhere."""

from ravine.rng.beta import BETA_WORDS, beta
from ravine.rng.torch_draws import draws, keyed_draws, keyed_init
from ravine.rng.words import (
    bernoulli,
    bits,
    bits_at,
    indicator,
    integers,
    key,
    normal,
    permutation,
    to_bernoulli,
    to_normal,
    to_signed,
    to_uniform,
    uniform,
)

__all__ = [
    "BETA_WORDS",
    "bernoulli",
    "beta",
    "bits",
    "bits_at",
    "draws",
    "indicator",
    "integers",
    "key",
    "keyed_draws",
    "keyed_init",
    "normal",
    "permutation",
    "to_bernoulli",
    "to_normal",
    "to_signed",
    "to_uniform",
    "uniform",
]
