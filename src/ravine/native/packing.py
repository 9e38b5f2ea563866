"""What of a product's matrices is copied to scratch memory before it is used, and the copying.

Rows that lie far apart use little of a cache (those that are a power of two apart share its places): large matrices are
multiplied in parts of their sum, and a part's columns of the right matrix, and where those are far apart the left
matrix's rows, are put side by side first. No sum changes its order, so a product has the same bits with and without.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from ravine.native.code import Code, vector_type
from ravine.native.machine import machine
from ravine.native.schedule import Product

HEIGHT = 8  # rows of a block
UNROLLED = 4  # places of the sum that one pass of the innermost loop adds, where the right matrix is packed
_DEPTH = 256  # of a part: two vectors of columns of the right matrix are 32 KiB
_FAR = 256  # numbers between neighbours in the sum, from which a matrix is better packed
_DEEP = 1024  # places of the sum, from which a part of it is better packed wherever it lies
_OFTEN = 4  # blocks that use what is packed, at least


@dataclass(frozen=True, slots=True, kw_only=True)
class Packing:
    """What is copied, part by part of a product's sum.

    Args:
        depth: places of the sum in a part; the last part may have fewer.
        right: whether some columns of the right matrix are.
        left: whether all rows of the left matrix are.
        turned: whether the left matrix's rows are neighbours: those of a block then are side by side, place after
            place of the sum. Otherwise each row is.
        size: numbers of scratch memory for the right matrix.
        left_size: for the left one, behind it.
    """

    depth: int = 0
    right: bool = False
    left: bool = False
    turned: bool = False
    size: int = 0
    left_size: int = 0


def packing(work: Product) -> Packing:
    """What of a product's matrices is worth copying, or has to be turned round."""
    if work.columns == 1 or len(work.sums) > 1:
        return Packing(depth=prod(work.sums))
    first_sum, wide = len(work.stack) + len(work.rows), 2 * machine().lanes
    depth, num_rows = prod(work.sums), prod(work.rows)
    left_far, right_far = (
        matrix.place.coef(first_sum) if work.sums else 0 for matrix in (work.left, work.right)
    )
    often = work.columns > wide and num_rows >= _OFTEN * HEIGHT
    right = work.right.place.coef(first_sum + len(work.sums)) != 1 or (
        often and (right_far >= _FAR or depth >= _DEEP)
    )
    row_far = work.left.place.coef(first_sum - 1) if len(work.rows) == 1 else 0
    turned = row_far == 1 and left_far >= _FAR
    left = often and work.columns >= _OFTEN * wide and (turned or (left_far == 1 and row_far >= _FAR))
    if not right and not left:
        return Packing(depth=depth)
    whole = (size for size in range(min(depth, _DEPTH), _DEPTH // 2, -1) if depth % size == 0)
    part = next(whole, min(depth, _DEPTH))
    return Packing(
        depth=part,
        right=right,
        left=left,
        turned=left and turned,
        size=part * min(work.columns, wide) if right else 0,
        left_size=part * num_rows if left else 0,
    )


def pack(
    code: Code, matrix: str, strides: tuple[int, ...], num_rows: int, num_columns: int, room: str
) -> None:
    """Copy a (rows, columns) matrix of any strides to ``room``, row by row."""
    lanes = code.lanes
    if strides[1] == 1:
        with code.loop(num_rows) as k:
            line = code.address(matrix, code.value(f"mul nsw i64 {k}, {strides[0]}"), "f32")
            target = code.address(room, code.value(f"mul nsw i64 {k}, {num_columns}"), "f32")
            for first in range(0, num_columns, lanes):
                num = min(lanes, num_columns - first)
                vector = code.load_vector(line, str(first), "f32", num)
                code.store_vector(target, str(first), "f32", vector, num)
        return
    full_rows, full_columns = num_rows // lanes * lanes, num_columns // lanes * lanes
    if strides[0] != 1:
        full_rows = 0
    if full_rows and full_columns:
        with code.loop(full_columns, lanes) as j, code.loop(full_rows, lanes) as k:
            _turn_square(code, matrix, strides, k, j, lanes, num_columns, room)
    if full_rows and full_columns < num_columns:
        with code.loop(full_rows, lanes) as k:
            num = num_columns - full_columns
            _turn_square(code, matrix, strides, k, str(full_columns), num, num_columns, room)
    if full_rows < num_rows:
        _turn_rest(code, matrix, strides, (full_rows, num_rows), (0, num_columns), num_columns, room)


def _turn_square(
    code: Code,
    matrix: str,
    strides: tuple[int, ...],
    row: str,
    column: str,
    num: int,
    num_columns: int,
    room: str,
) -> None:
    """As many columns as lanes, or ``num`` of them, each a vector of the rows' numbers, turned within registers."""
    lanes = code.lanes
    far = code.value(f"mul nsw i64 {column}, {strides[1]}")
    start = code.address(code.address(matrix, far, "f32"), row, "f32")
    lines = [code.load_vector(start, str(i * strides[1]), "f32", lanes) for i in range(num)]
    far = code.value(f"mul nsw i64 {row}, {num_columns}")
    target = code.address(code.address(room, far, "f32"), column, "f32")
    for i, line in enumerate(turned(code, lines)):
        code.store_vector(target, str(i * num_columns), "f32", line, num)


def turned(code: Code, lines: Sequence[str]) -> list[str]:
    """As many vectors as lanes, or fewer, turned round within registers: the first has the first number of each."""
    lanes = code.lanes
    wide = vector_type("f32", lanes)
    found = [*lines, *["zeroinitializer"] * (lanes - len(lines))]
    size = 1
    while size < lanes:
        for i in (i for i in range(lanes) if not i & size):
            first, second = found[i], found[i + size]
            low = [lane if not lane & size else lanes + lane - size for lane in range(lanes)]
            high = [lane + size if not lane & size else lanes + lane for lane in range(lanes)]
            found[i], found[i + size] = (
                code.value(
                    f"shufflevector {wide} {first}, {wide} {second}, "
                    f"<{lanes} x i32> <{', '.join(f'i32 {lane}' for lane in order)}>"
                )
                for order in (low, high)
            )
        size *= 2
    return found


def _turn_rest(
    code: Code,
    matrix: str,
    strides: tuple[int, ...],
    rows: tuple[int, int],
    columns: tuple[int, int],
    num_columns: int,
    room: str,
) -> None:
    start = code.address(matrix, str(rows[0] * strides[0] + columns[0] * strides[1]), "f32")
    target = code.address(room, str(rows[0] * num_columns + columns[0]), "f32")
    with code.loop(columns[1] - columns[0]) as j, code.loop(rows[1] - rows[0]) as k:
        far = code.value(f"mul nsw i64 {j}, {strides[1]}")
        along = code.value(f"mul nsw i64 {k}, {strides[0]}")
        value = code.load(start, code.value(f"add nsw i64 {far}, {along}"), "f32")
        place = code.value(f"add nsw i64 {code.value(f'mul nsw i64 {k}, {num_columns}')}, {j}")
        code.store(target, place, "f32", value)
