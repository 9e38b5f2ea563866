"""Products of matrices as text: a block of the result stays in registers while the sums run.

A block is a few rows by two vectors of columns; the inner loop takes a row of the right matrix and multiplies it by one
number of each row of the left one. Where the right matrix does not lie row by row, it is turned round first.
"""

from __future__ import annotations

from collections.abc import Mapping

from ravine.native.code import Code, vector_type
from ravine.native.expressions import Buffer, Stored
from ravine.native.machine import machine
from ravine.native.schedule import Product


def packing(work: Product) -> int:
    """How many numbers of scratch memory a product needs to turn its right matrix round."""
    rows, columns = work.right.shape[-2:]
    return 0 if work.right.strides[-1] == 1 or columns == 1 else rows * columns


def write_product(code: Code, work: Product, pointers: Mapping[Buffer, str], room: str) -> None:
    """A product, or a stack of them; ``room`` is scratch memory for `packing`."""
    if len(work.out.shape) == 3:
        with code.loop(work.out.shape[0]) as i:
            left, right, out = (_start(code, each, pointers, i) for each in (work.left, work.right, work.out))
            _write(code, work, left, right, out, room)
        return
    left, right, out = (_start(code, each, pointers, None) for each in (work.left, work.right, work.out))
    _write(code, work, left, right, out, room)


def _start(code: Code, matrix: Stored, pointers: Mapping[Buffer, str], number: str | None) -> str:
    base = code.address(pointers[matrix.buffer], str(matrix.offset), "f32")
    if number is None:
        return base
    far = code.value(f"mul nsw i64 {number}, {matrix.strides[0]}")
    return code.address(base, far, "f32")


def _write(code: Code, work: Product, left: str, right: str, out: str, room: str) -> None:
    num_rows, num_columns = work.out.shape[-2:]
    num_sum = work.left.shape[-1]
    right_stride = work.right.strides[-2]
    if packing(work):
        _turn(code, right, work.right.strides[-2:], num_sum, num_columns, room)
        right, right_stride = room, num_columns
    lanes = code.lanes
    block = _Block(
        code, left, work.left.strides[-2:], right, right_stride, out, work.out.strides[-2:], num_sum
    )
    wide = 2 * lanes
    full = num_columns // wide * wide
    if full:
        with code.loop(full, wide) as j:
            block.rows(num_rows, j, 2, lanes)
    if full < num_columns:
        rest = num_columns - full
        num_vectors = -(-rest // lanes)
        block.rows(num_rows, str(full), num_vectors, rest - (num_vectors - 1) * lanes)


class _Block:
    """Blocks of the result, a few vectors wide."""

    def __init__(
        self,
        code: Code,
        left: str,
        left_strides: tuple[int, ...],
        right: str,
        right_stride: int,
        out: str,
        out_strides: tuple[int, ...],
        num_sum: int,
    ) -> None:
        self.code, self.num_sum = code, num_sum
        self.left, self.left_strides = left, left_strides
        self.right, self.right_stride = right, right_stride
        self.out, self.out_strides = out, out_strides

    def rows(self, num_rows: int, column: str, num_vectors: int, last: int) -> None:
        """All rows of some columns; of the last vector, ``last`` lanes are there."""
        registers = machine().registers
        height = max(1, (registers - num_vectors - 2) // num_vectors)
        height = 8 if height >= 8 and num_vectors > 1 else min(height, 16)
        full = num_rows // height * height
        if full:
            with self.code.loop(full, height) as i:
                self._one(i, height, column, num_vectors, last)
        if full < num_rows:
            self._one(str(full), num_rows - full, column, num_vectors, last)

    def _one(self, row: str, height: int, column: str, num_vectors: int, last: int) -> None:
        code, lanes = self.code, self.code.lanes
        wide = vector_type("f32", lanes)
        nums = [lanes] * (num_vectors - 1) + [last]
        sums = [[code.place(wide) for _ in nums] for _ in range(height)]
        for place in (place for line in sums for place in line):
            code.do(f"store {wide} zeroinitializer, ptr {place}")
        start = code.address(self.left, code.value(f"mul nsw i64 {row}, {self.left_strides[0]}"), "f32")
        above = code.address(self.right, column, "f32")
        with code.loop(self.num_sum) as k:
            far = code.value(f"mul nsw i64 {k}, {self.right_stride}")
            line = code.address(above, far, "f32")
            rights = [code.load_vector(line, str(v * lanes), "f32", num) for v, num in enumerate(nums)]
            corner = code.address(start, code.value(f"mul nsw i64 {k}, {self.left_strides[1]}"), "f32")
            for i in range(height):
                factor = code.splat(code.load(corner, str(i * self.left_strides[0]), "f32"), "f32")
                for v, right in enumerate(rights):
                    so_far = code.value(f"load {wide}, ptr {sums[i][v]}")
                    more = code.call(
                        wide, f"llvm.fma.v{lanes}f32", (wide, factor), (wide, right), (wide, so_far)
                    )
                    code.do(f"store {wide} {more}, ptr {sums[i][v]}")
        place = code.value(f"mul nsw i64 {row}, {self.out_strides[0]}")
        corner = code.address(code.address(self.out, place, "f32"), column, "f32")
        for i in range(height):
            for v, num in enumerate(nums):
                result = code.value(f"load {wide}, ptr {sums[i][v]}")
                offset = str(i * self.out_strides[0] + v * lanes)
                code.store_vector(corner, offset, "f32", result, num)


def _turn(
    code: Code, matrix: str, strides: tuple[int, ...], num_rows: int, num_columns: int, room: str
) -> None:
    """Copy a (rows, columns) matrix of any strides to ``room``, row by row."""
    lanes = code.lanes
    full_rows, full_columns = num_rows // lanes * lanes, num_columns // lanes * lanes
    if strides[0] != 1:
        full_rows = full_columns = 0
    if full_rows and full_columns:
        with code.loop(full_columns, lanes) as j, code.loop(full_rows, lanes) as k:
            _turn_square(code, matrix, strides, k, j, num_columns, room)
    if full_columns < num_columns:
        _turn_rest(code, matrix, strides, (0, num_rows), (full_columns, num_columns), num_columns, room)
    if full_columns and full_rows < num_rows:
        _turn_rest(code, matrix, strides, (full_rows, num_rows), (0, full_columns), num_columns, room)


def _turn_square(
    code: Code, matrix: str, strides: tuple[int, ...], row: str, column: str, num_columns: int, room: str
) -> None:
    """As many columns as lanes, each a vector of the rows' numbers, turned within registers."""
    lanes = code.lanes
    wide = vector_type("f32", lanes)
    far = code.value(f"mul nsw i64 {column}, {strides[1]}")
    start = code.address(code.address(matrix, far, "f32"), row, "f32")
    lines = [code.load_vector(start, str(i * strides[1]), "f32", lanes) for i in range(lanes)]
    size = 1
    while size < lanes:
        for i in (i for i in range(lanes) if not i & size):
            first, second = lines[i], lines[i + size]
            low = [lane if not lane & size else lanes + lane - size for lane in range(lanes)]
            high = [lane + size if not lane & size else lanes + lane for lane in range(lanes)]
            lines[i], lines[i + size] = (
                code.value(
                    f"shufflevector {wide} {first}, {wide} {second}, "
                    f"<{lanes} x i32> <{', '.join(f'i32 {lane}' for lane in order)}>"
                )
                for order in (low, high)
            )
        size *= 2
    far = code.value(f"mul nsw i64 {row}, {num_columns}")
    target = code.address(code.address(room, far, "f32"), column, "f32")
    for i, line in enumerate(lines):
        code.store_vector(target, str(i * num_columns), "f32", line, lanes)


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
