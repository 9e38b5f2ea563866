"""Randomness as a pure function of (seed, stream, step, position).

No generator has a state here: `key` names a stream of random words, and word number i of it is a hash of key
and i. So a run's draws depend neither on its cohort, nor on its place in it, nor on a restart, and they are
the same bits on every device. Words have 32 bits and live in int64, whose products of a 32-bit word and a
31-bit constant cannot overflow. Keys have 63 bits: among 10^9 keys, 32 bits would bring 10^8 collisions.

Every function takes one key (0-d, as inside `torch.func.vmap`) or a batch of keys of any shape; the shape of
the keys comes first in what it returns.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

_WORD = 0xFFFFFFFF
_HALF_WORD = 0x7FFFFFFF
# The high word of a key, spread over 32 bits, meets the position here; odd, and < 2^31 so as not to overflow.
_LAST_MULTIPLIER = 0x6C8E9CF5
_UNIFORM_BITS = 24  # the precision of a float32 in [0.5, 1)


def _mix(x: Any) -> Any:
    """A bijection of 32-bit words in which each input bit flips each output bit with probability near 1/2.

    The structure is MurmurHash3's finalizer; shifts and multipliers are the ones found by Chris Wellons'
    search (hash-prospector, 2018, improved constants 2022), both below 2^31.
    """
    x = x ^ (x >> 16)
    x = (x * 0x21F0AAAD) & _WORD
    x = x ^ (x >> 15)
    x = (x * 0x735A2D97) & _WORD
    return x ^ (x >> 15)


@lru_cache(maxsize=4096)
def stream_words(stream: str | int) -> tuple[int, int]:
    """The two words that the keys of a stream start from."""
    digest = hashlib.sha256(f"{type(stream).__name__}:{stream}".encode()).digest()
    return int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:8], "little")


def key(seed: int | Tensor, stream: str | int, step: int | Tensor = 0) -> Tensor:
    """The key of the random words that `seed` draws from `stream` at `step`.

    Seed and step are absorbed one after the other into two words that start from a hash of the stream's name,
    each by a bijection. Two steps of one seed, or two seeds at one step, can only share a key through the one
    bit that is dropped at the end; otherwise keys collide as 63-bit random numbers do.

    Args:
        seed: any 64-bit integer, or an int64 tensor of them.
        stream: what is drawn, for example ``"order"`` or ``"dropout/layers.2"``. A Python value.
        step: any 64-bit integer, or an int64 tensor; broadcasts against `seed`.

    Returns:
        int64 tensor in [0, 2^63), of the broadcast shape; 0-d on the CPU if both were Python integers.

    Example:
        >>> key(seed=1, stream="order").item() == key(torch.tensor([0, 1]), "order")[1].item()
        True
        >>> key(1, "order").item() == key(1, "dropout").item()
        False
    """
    # Python integers stay Python integers up to the end: the same arithmetic without 60 tensor calls.
    start_low, start_high = stream_words(stream)
    low = _mix((seed & _WORD) ^ start_low)
    high = _mix(((((seed >> 32) & _WORD) ^ start_high) + low) & _WORD)
    low = _mix((step & _WORD) ^ low)
    high = _mix(((((step >> 32) & _WORD) ^ high) + low) & _WORD)
    low = _mix(low ^ high)  # so that the upper halves of seed and step reach both words
    packed = ((high & _HALF_WORD) << 32) | low
    return packed if isinstance(packed, Tensor) else torch.tensor(packed, dtype=torch.int64)


def bits(key: Tensor, num: int) -> Tensor:
    """The first `num` random words of a key.

    word_i = finish(mix(low + i) xor high): for one key all words differ up to i = 2^32.

    Args:
        key: int64, from `key`; any shape, 0-d inside vmap.
        num: number of words, at most 2^32.

    Returns:
        int64 tensor (*key.shape, num), each in [0, 2^32).

    References:
        Counter-based generators: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3".

    Example:
        >>> words = bits(key(0, "order"), 3)
        >>> words.shape, bool((words == bits(key(0, "order"), 5)[:3]).all())
        (torch.Size([3]), True)
    """
    return bits_at(key, torch.arange(num, device=key.device))


def bits_at(key: Tensor, positions: Tensor) -> Tensor:
    """The random words of a key at given positions: those that `bits` has there.

    So a draw for an example can be word number (example) of a key, whatever batch the example is in.

    Args:
        key: int64, from `key`; any shape, 0-d inside vmap.
        positions: int64, at least 0, below 2^32; any shape.

    Returns:
        int64 tensor (*key.shape, *positions.shape), each in [0, 2^32).

    Example:
        >>> k = key(0, "flip")
        >>> bool((bits_at(k, torch.tensor([7, 2])) == bits(k, 8)[[7, 2]]).all())
        True
    """
    key = key.reshape(key.shape + (1,) * positions.dim())
    x: Tensor = _mix(((key & _WORD) + positions) & _WORD)
    x = x ^ (key >> 31)
    x = (x * _LAST_MULTIPLIER) & _WORD
    return x ^ (x >> 16)


def _shaped(key: Tensor, shape: Sequence[int]) -> Tensor:
    return bits(key, math.prod(shape)).reshape(key.shape + tuple(shape))


def uniform(key: Tensor, shape: Sequence[int], dtype: torch.dtype = torch.float32) -> Tensor:
    """Uniform numbers in [0, 1), multiples of 2^-24: the same numbers in float32 and float64.

    Args:
        key: int64, from `key`.
        shape: shape of the draw of one key.
        dtype: float32 or float64.

    Returns:
        Tensor (*key.shape, *shape) of that dtype.

    Raises:
        TypeError: for a dtype with fewer than 24 bits of precision, which could round up to 1.

    Example:
        >>> u = uniform(key(0, "noise"), (1000,))
        >>> bool((u >= 0).all() and (u < 1).all() and abs(u.mean() - 0.5) < 0.05)
        True
    """
    if dtype not in (torch.float32, torch.float64):
        raise TypeError(f"uniform: dtype must be torch.float32 or torch.float64, not {dtype}")
    return to_uniform(_shaped(key, shape), dtype)


def to_uniform(words: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Random words, int64 from `bits`, as the numbers in [0, 1) that `uniform` makes of them."""
    return (words >> (32 - _UNIFORM_BITS)).to(dtype) * 2.0**-_UNIFORM_BITS


def to_signed(uniform: Tensor) -> Tensor:
    """Numbers of `to_uniform` as odd multiples of 2^-24 in (-1, 1): as likely above 0 as below.

    Example:
        >>> (to_signed(torch.tensor([0.0, 0.5])) * 2**24).tolist()
        [-16777215.0, 1.0]
    """
    return uniform * 2 - (1 - 2.0**-_UNIFORM_BITS)


def to_normal(uniform: Tensor) -> Tensor:
    """Numbers of `to_uniform` as the standard normal ones that `normal` makes of them."""
    return torch.erfinv(to_signed(uniform)) * math.sqrt(2)


def bernoulli(key: Tensor, shape: Sequence[int], rate: float | Tensor) -> Tensor:
    """True with probability `rate`: never for rate 0, always for rate 1.

    Args:
        key: int64, from `key`.
        shape: shape of the draw of one key.
        rate: probability in [0, 1], resolved to 2^-32; a number, or a floating tensor that broadcasts against
            the keys' shape (one rate per key).

    Returns:
        bool tensor (*key.shape, *shape).

    Example:
        >>> keys = key(torch.arange(2), "mask")
        >>> bernoulli(keys, (10_000,), torch.tensor([0.0, 0.5])).float().mean(1).round(decimals=1)
        tensor([0.0000, 0.5000])
    """
    return _shaped(key, shape) < _bound(rate, len(shape))


def to_bernoulli(words: Tensor, rate: Tensor) -> Tensor:
    """Which random words, int64 from `bits`, count as True: each with probability `rate`, 0-d."""
    return words < _bound(rate, 0)


def indicator(key: Tensor, shape: Sequence[int], rate: float | Tensor) -> Tensor:
    """The same draw as `bernoulli`, as numbers 1 and 0.

    For masks in compiled training steps: a stored bool costs PyTorch's CPU compiler some ten times a float.

    Args:
        key: int64, from `key`.
        shape: shape of the draw of one key.
        rate: as for `bernoulli`.

    Returns:
        float32 tensor (*key.shape, *shape) of ones and zeros.

    Example:
        >>> k = key(0, "mask")
        >>> bool((indicator(k, (100,), 0.3) == bernoulli(k, (100,), 0.3)).all())
        True
    """
    # The sign of a difference, spread over the word by an arithmetic shift, is -1 where word < bound.
    return -((_shaped(key, shape) - _bound(rate, len(shape))) >> 63).to(torch.float32)


def _bound(rate: float | Tensor, num_dims: int) -> Tensor | int:
    """The number of 32-bit words that count as True; scaling by a power of two is exact."""
    if not isinstance(rate, Tensor):
        return math.ceil(rate * 2.0**32)
    bound = (rate * 2.0**32).ceil().to(torch.int64)
    return bound.reshape(bound.shape + (1,) * num_dims)


def normal(key: Tensor, shape: Sequence[int], dtype: torch.dtype = torch.float32) -> Tensor:
    """Standard normal numbers, by the inverse of the distribution function.

    z = sqrt(2) erfinv(v) with v the odd multiples of 2^-24 in (-1, 1): symmetric, finite, |z| <= 5.3. Equal
    between devices up to the rounding of erfinv.

    Args:
        key: int64, from `key`.
        shape: shape of the draw of one key.
        dtype: float32 or float64.

    Returns:
        Tensor (*key.shape, *shape) of that dtype.

    Raises:
        TypeError: for another dtype.

    Example:
        >>> z = normal(key(0, "noise"), (10_000,))
        >>> bool(abs(z.mean()) < 0.05 and abs(z.std() - 1) < 0.05)
        True
    """
    return to_normal(uniform(key, shape, dtype))


def permutation(key: Tensor, n: int) -> Tensor:
    """A random order of 0..n-1.

    Sorts n random words; the index in the low bits settles ties, so the result is the same for every sorting
    algorithm. (The bias this leaves is below n^2 / 2^33.)

    Args:
        key: int64, from `key`.
        n: length of the permutation, below 2^31.

    Returns:
        int64 tensor (*key.shape, n).

    Example:
        >>> sorted(permutation(key(0, "order"), 5).tolist())
        [0, 1, 2, 3, 4]
    """
    words = (bits(key, n) << 31) | torch.arange(n, device=key.device)
    return torch.argsort(words, dim=-1)


def integers(key: Tensor, shape: Sequence[int], high: int | Tensor) -> Tensor:
    """Uniform integers in [0, high).

    floor(word * high / 2^32): each value's probability is within 2^-32 of 1/high.

    Args:
        key: int64, from `key`.
        shape: shape of the draw of one key.
        high: in [1, 2^31]; a number, or an int64 tensor that broadcasts against the keys' shape.

    Returns:
        int64 tensor (*key.shape, *shape).

    References:
        Lemire 2019, "Fast random integer generation in an interval", without the rejection step.

    Example:
        >>> integers(key(0, "crop"), (1000,), 3).unique().tolist()
        [0, 1, 2]
    """
    if isinstance(high, Tensor):
        high = high.reshape(high.shape + (1,) * len(shape))
    return (_shaped(key, shape) * high) >> 32
