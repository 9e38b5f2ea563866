"""Sums of logarithms of sums, for many candidates at once, in machine code.

Greedy selection asks for sum_n log(S_n + q_n) of every candidate at every step: 2 x 10^9 logarithms for 1,000 members,
10,000 examples and 20 bags of 20 steps. Here eight terms are multiplied, the exponent of the product is taken off and
added up as a whole number, and what is left goes into the next product. So there is one multiplication a term, and no
logarithm but one a lane at the end.

Shapes: M member, B bag, N example, P pair of a member and a bag, L lane.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from ravine.parallel import each, num_threads

FLOOR = 2.0**-15  # what S must not be below: eight factors of it, and the rest, are a normal float32
CEILING = 2.0**14  # nor above
ERROR = 2.5e-7  # by which a mean of logarithms may be off: four roundings of 2^-24 a term
_FACTORS = 8

Array = NDArray[np.float64]


class Screen:
    """Candidates whose terms q are fixed.

    Args:
        terms_MN: q, from 0 to 1.
    """

    def __init__(self, terms_MN: Array) -> None:
        num_members, self._num_examples = terms_MN.shape
        self._products = _products()  # compiled by one thread: LLVM's context is no place for two
        whole = _FACTORS * self._products.lanes
        size = -(-self._num_examples // whole) * whole  # the rest has S = 1 and q = 0: a logarithm of 0
        self._terms = np.zeros((num_members, size), dtype=np.float32)
        self._terms[:, : self._num_examples] = terms_MN

    def mean_logs(self, sums_BN: Array, bags: Sequence[NDArray[np.int64]]) -> list[Array]:
        """For each bag the means over examples of log(S + q) of its members, off by at most `ERROR`.

        Args:
            sums_BN: S, from `FLOOR` to `CEILING`.
            bags: the members of each.
        """
        sums = np.ones((len(bags), self._terms.shape[1]), dtype=np.float32)
        sums[:, : self._num_examples] = sums_BN
        num = num_threads()
        shares = [range(start, len(bags), num) for start in range(min(num, len(bags)))]
        found: list[Array] = [np.empty(0)] * len(bags)

        def work(share: range) -> None:
            # A member's terms are in the cache still when the next bag that has it asks for them.
            rows = np.concatenate([bags[bag] for bag in share])
            order = np.argsort(rows, kind="stable")
            of_bag = np.repeat(np.array(share, dtype=np.int64), [len(bags[bag]) for bag in share])
            means = np.empty(len(rows))
            means[order] = self._means(sums, rows[order], of_bag[order])
            ends = np.cumsum([len(bags[bag]) for bag in share])
            for bag, part in zip(share, np.split(means, ends[:-1]), strict=True):
                found[bag] = part

        each(work, shares)
        return found

    def _means(self, sums: np.ndarray, rows: np.ndarray, of_bag: np.ndarray) -> Array:
        lanes, size = self._products.lanes, self._terms.shape[1]
        rows, of_bag = (np.ascontiguousarray(array, dtype=np.int64) for array in (rows, of_bag))
        mantissas = np.empty((len(rows), lanes), dtype=np.float32)
        exponents = np.empty((len(rows), lanes), dtype=np.int32)
        arrays = (self._terms, sums, rows, of_bag, mantissas, exponents)
        self._products.call(*(array.ctypes.data for array in arrays), size, len(rows))
        biases = 127 * size // _FACTORS
        exponent = exponents.sum(axis=1, dtype=np.int64) - biases
        logs = np.log(mantissas.astype(np.float64)).sum(axis=1) + exponent * math.log(2.0)
        found: Array = logs / self._num_examples
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Products:
    """The compiled function.

    Args:
        library: which keeps it alive.
        lanes: of its vectors.
        call: it.
    """

    library: object
    lanes: int
    call: Callable[..., None]


@cache
def _products() -> _Products:
    from ravine.native.machine import library_of, machine

    lanes = machine().lanes
    library = library_of(_text(lanes))
    kind = ctypes.CFUNCTYPE(None, *(ctypes.c_void_p,) * 6, ctypes.c_int64, ctypes.c_int64)
    return _Products(library=library, lanes=lanes, call=kind(library.address("products")))


def _text(lanes: int) -> str:
    """The module, for vectors of so many float32 numbers."""
    real, whole = f"<{lanes} x float>", f"<{lanes} x i32>"

    def every(kind: str, value: str) -> str:
        return f"<{', '.join([f'{kind} {value}'] * lanes)}>"

    lines = []
    for i in range(_FACTORS):
        lines += [
            f"%at{i} = add i64 %c, {i * lanes}",
            f"%q_at{i} = getelementptr float, ptr %q, i64 %at{i}",
            f"%s_at{i} = getelementptr float, ptr %s, i64 %at{i}",
            f"%q{i} = load {real}, ptr %q_at{i}, align 4",
            f"%s{i} = load {real}, ptr %s_at{i}, align 4",
            f"%f{i} = fadd {real} %q{i}, %s{i}",
        ]
    level = [f"%f{i}" for i in range(_FACTORS)]
    while len(level) > 1:  # a tree, so that no product waits for all before it
        above = []
        for a, b in zip(level[::2], level[1::2], strict=True):
            name = f"%m{len(lines)}"
            lines.append(f"{name} = fmul {real} {a}, {b}")
            above.append(name)
        level = above
    body = "\n  ".join(lines)
    return f"""
define void @products(ptr %terms, ptr %sums, ptr %rows, ptr %bags, ptr %mantissas, ptr %exponents, i64 %size,
                      i64 %num) {{
entry:
  %some = icmp sgt i64 %num, 0
  br i1 %some, label %pair, label %end
pair:
  %p = phi i64 [ 0, %entry ], [ %p_next, %done ]
  %row_at = getelementptr i64, ptr %rows, i64 %p
  %row = load i64, ptr %row_at
  %bag_at = getelementptr i64, ptr %bags, i64 %p
  %bag = load i64, ptr %bag_at
  %row_place = mul i64 %row, %size
  %bag_place = mul i64 %bag, %size
  %q = getelementptr float, ptr %terms, i64 %row_place
  %s = getelementptr float, ptr %sums, i64 %bag_place
  br label %terms_left
terms_left:
  %c = phi i64 [ 0, %pair ], [ %c_next, %terms_left ]
  %mantissa = phi {real} [ {every("float", "1.0")}, %pair ], [ %mantissa_next, %terms_left ]
  %exponent = phi {whole} [ zeroinitializer, %pair ], [ %exponent_next, %terms_left ]
  {body}
  %product = fmul {real} %mantissa, {level[0]}
  %bits = bitcast {real} %product to {whole}
  %high = lshr {whole} %bits, {every("i32", "23")}
  %exponent_next = add {whole} %exponent, %high
  %low = and {whole} %bits, {every("i32", "8388607")}
  %one = or {whole} %low, {every("i32", "1065353216")}
  %mantissa_next = bitcast {whole} %one to {real}
  %c_next = add i64 %c, {_FACTORS * lanes}
  %more = icmp slt i64 %c_next, %size
  br i1 %more, label %terms_left, label %done
done:
  %place = mul i64 %p, {lanes}
  %mantissa_at = getelementptr float, ptr %mantissas, i64 %place
  store {real} %mantissa_next, ptr %mantissa_at, align 4
  %exponent_at = getelementptr i32, ptr %exponents, i64 %place
  store {whole} %exponent_next, ptr %exponent_at, align 4
  %p_next = add i64 %p, 1
  %pairs_left = icmp slt i64 %p_next, %num
  br i1 %pairs_left, label %pair, label %end
end:
  ret void
}}
"""
