"""Products of matrices as text: a block of the result stays in registers while the sums run.

A block is a few rows by two vectors of columns; the inner loop takes a row of the right matrix and multiplies it by one
number of each row of the left one. Where the right matrix does not lie row by row, it is turned round first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod

from ravine.native.code import Code, vector_type
from ravine.native.expressions import Buffer
from ravine.native.machine import machine
from ravine.native.schedule import Matrix, Product


def packing(work: Product) -> int:
    """How many numbers of scratch memory a product needs to turn its right matrix round."""
    column = len(work.stack) + len(work.rows) + len(work.sums)
    return 0 if work.right.place.coef(column) == 1 or work.columns == 1 else prod(work.sums) * work.columns


def write_product(code: Code, work: Product, pointers: Mapping[Buffer, str], room: str) -> None:
    """A product, or a stack of them; ``room`` is scratch memory for `packing`."""
    starts = {
        matrix: code.address(pointers[matrix.buffer], str(matrix.place.const), "f32")
        for matrix in (work.left, work.right, work.out)
    }
    _Blocks(code, work, room).stack(0, starts[work.left], starts[work.right], starts[work.out])


class _Blocks:
    """Blocks of the result, a few vectors wide.

    Args:
        code: what they are written into.
        work: the product.
        room: scratch memory for `packing`.
    """

    def __init__(self, code: Code, work: Product, room: str) -> None:
        self.code, self.work, self.room = code, work, room
        self.first_row = len(work.stack)
        self.first_sum = self.first_row + len(work.rows)
        self.column = self.first_sum + len(work.sums)
        self.right_coefs = [work.right.place.coef(self.first_sum + i) for i in range(len(work.sums))]

    def _far(self, start: str, matrix: Matrix, counter: int, value: str) -> str:
        """An address moved by a counter's value."""
        coef = matrix.place.coef(counter)
        if coef == 0:
            return start
        return self.code.address(start, self.code.value(f"mul nsw i64 {value}, {coef}"), "f32")

    def stack(self, level: int, left: str, right: str, out: str) -> None:
        """The products from one level of the stack on."""
        work = self.work
        if level == len(work.stack):
            self._product(left, right, out)
            return
        with self.code.loop(work.stack[level]) as i:
            self.stack(
                level + 1,
                self._far(left, work.left, level, i),
                self._far(right, work.right, level, i),
                self._far(out, work.out, level, i),
            )

    def _product(self, left: str, right: str, out: str) -> None:
        work, lanes = self.work, self.code.lanes
        if packing(work):
            assert len(work.sums) <= 1, "only a matrix is turned round"
            strides = (self.right_coefs[0] if work.sums else 0, work.right.place.coef(self.column))
            _turn(self.code, right, strides, prod(work.sums), work.columns, self.room)
            right, self.right_coefs = self.room, [work.columns] * len(work.sums)
        wide = 2 * lanes
        full = work.columns // wide * wide
        if full:
            with self.code.loop(full, wide) as j:
                line, target = (self.code.address(start, j, "f32") for start in (right, out))
                self._rows(self.first_row, left, line, target, [lanes, lanes])
        if full < work.columns:
            rest = work.columns - full
            num_vectors = -(-rest // lanes)
            line, target = (self.code.address(start, str(full), "f32") for start in (right, out))
            nums = [lanes] * (num_vectors - 1) + [rest - (num_vectors - 1) * lanes]
            self._rows(self.first_row, left, line, target, nums)

    def _rows(self, counter: int, left: str, right: str, out: str, nums: Sequence[int]) -> None:
        """All rows of some columns from one counter on; ``nums``: columns of each vector."""
        work, code = self.work, self.code
        if counter == self.first_sum:
            self._block(1, left, right, out, nums, (0, 0))
            return
        size = work.rows[counter - self.first_row]
        if counter < self.first_sum - 1:
            with code.loop(size) as i:
                further = (
                    self._far(left, work.left, counter, i),
                    right,
                    self._far(out, work.out, counter, i),
                )
                self._rows(counter + 1, *further, nums)
            return
        strides = work.left.place.coef(counter), work.out.place.coef(counter)
        room = (machine().registers - len(nums) - 2) // len(nums)
        most = 8 if room >= 8 and len(nums) > 1 else max(1, min(room, 16))
        height = -(-size // -(-size // most))
        full = size // height * height
        if full:
            with code.loop(full, height) as i:
                starts = self._far(left, work.left, counter, i), right, self._far(out, work.out, counter, i)
                self._block(height, *starts, nums, strides)
        if full < size:
            first = str(full)
            starts = (
                self._far(left, work.left, counter, first),
                right,
                self._far(out, work.out, counter, first),
            )
            self._block(size - full, *starts, nums, strides)

    def _block(
        self, height: int, left: str, right: str, out: str, nums: Sequence[int], strides: tuple[int, int]
    ) -> None:
        """Some rows; ``strides``: between rows of the left matrix and of the result."""
        code, lanes = self.code, self.code.lanes
        wide = vector_type("f32", lanes)
        sums = [[code.place(wide) for _ in nums] for _ in range(height)]
        for i, line in enumerate(sums):
            for v, (place, num) in enumerate(zip(line, nums, strict=True)):
                start = "zeroinitializer"
                if self.work.adds_up:
                    start = code.load_vector(out, str(i * strides[1] + v * lanes), "f32", num)
                code.do(f"store {wide} {start}, ptr {place}")

        def add(left: str, right: str) -> None:
            rights = [code.load_vector(right, str(v * lanes), "f32", num) for v, num in enumerate(nums)]
            for i in range(height):
                factor = code.splat(code.load(left, str(i * strides[0]), "f32"), "f32")
                for v, many in enumerate(rights):
                    so_far = code.value(f"load {wide}, ptr {sums[i][v]}")
                    more = code.call(
                        wide, f"llvm.fma.v{lanes}f32", (wide, factor), (wide, many), (wide, so_far)
                    )
                    code.do(f"store {wide} {more}, ptr {sums[i][v]}")

        self._sum(0, left, right, add)
        for i in range(height):
            for v, num in enumerate(nums):
                result = code.value(f"load {wide}, ptr {sums[i][v]}")
                code.store_vector(out, str(i * strides[1] + v * lanes), "f32", result, num)

    def _sum(self, level: int, left: str, right: str, add: Callable[[str, str], None]) -> None:
        """Add up from one level of the sum on."""
        if level == len(self.work.sums):
            add(left, right)
            return
        with self.code.loop(self.work.sums[level]) as k:
            far = self.code.value(f"mul nsw i64 {k}, {self.right_coefs[level]}")
            line = self.code.address(right, far, "f32")
            self._sum(level + 1, self._far(left, self.work.left, self.first_sum + level, k), line, add)


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
