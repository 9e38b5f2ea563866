"""Products of matrices as text: a block of the result stays in registers while the sums run.

A block is a few rows by two vectors of columns; the inner loop takes a row of the right matrix and multiplies it by one
number of each row of the left one. What lies badly for that is packed first (`packing.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod

from ravine.native.code import Code, vector_type
from ravine.native.expressions import Buffer
from ravine.native.machine import machine
from ravine.native.packing import HEIGHT, UNROLLED, pack, packing
from ravine.native.schedule import Product


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
        self.packing = packing(work)
        self.first_row = len(work.stack)
        self.first_sum = self.first_row + len(work.rows)
        self.column = self.first_sum + len(work.sums)
        # Of the part of the sum that is being added: its size, and how far its places are apart in both matrices.
        self.sums = work.sums
        self.left_coefs = [work.left.place.coef(self.first_sum + i) for i in range(len(work.sums))]
        self.right_coefs = [work.right.place.coef(self.first_sum + i) for i in range(len(work.sums))]
        self.fresh = "false" if work.adds_up else "true"  # whether it is the first to be added

    def _far(self, start: str, coef: int, value: str) -> str:
        """An address moved by a counter's value."""
        if coef == 0 or value == "0":
            return start
        if not value.startswith("%"):
            return self.code.address(start, str(int(value) * coef), "f32")
        return self.code.address(start, self.code.value(f"mul nsw i64 {value}, {coef}"), "f32")

    def stack(self, level: int, left: str, right: str, out: str) -> None:
        """The products from one level of the stack on."""
        work = self.work
        if level == len(work.stack):
            self._product(left, right, out)
            return
        with self.code.loop(work.stack[level]) as i:
            starts = ((left, work.left), (right, work.right), (out, work.out))
            self.stack(level + 1, *(self._far(start, m.place.coef(level), i) for start, m in starts))

    def _product(self, left: str, right: str, out: str) -> None:
        """One product, a part of its sum after another."""
        depth, part, added = prod(self.work.sums), self.packing.depth, self.fresh
        full = depth // part * part
        if full == depth == part:
            self._part("0", part, left, right, out)
            return
        with self.code.loop(full, part) as k:
            self.fresh = added if added == "false" else self.code.value(f"icmp eq i64 {k}, 0")
            self._part(k, part, left, right, out)
        self.fresh = "false"
        if full < depth:
            self._part(str(full), depth - full, left, right, out)
        self.fresh = added

    def _part(self, first: str, size: int, left: str, right: str, out: str) -> None:
        """A part of the sum, some columns after others."""
        work, code = self.work, self.code
        if self.packing.depth < prod(work.sums) or self.packing.right or self.packing.left:
            self.sums = (size,) if work.sums else ()
            left, right = (
                self._far(start, m.place.coef(self.first_sum) if work.sums else 0, first)
                for start, m in ((left, work.left), (right, work.right))
            )
        if self.packing.left:
            left = self._packed_left(left, size)
        columns, wide = work.columns, 2 * code.lanes
        full = columns // wide * wide
        if full:
            with code.loop(full, wide) as j:
                self._columns(j, [code.lanes, code.lanes], left, right, out)
        if full < columns:
            last = (columns - full - 1) // code.lanes * code.lanes
            nums = [*[code.lanes] * (last // code.lanes), columns - full - last]
            self._columns(str(full), nums, left, right, out)

    def _packed_left(self, left: str, size: int) -> str:
        """The left matrix, packed: see `Packing`."""
        code, (num_rows,) = self.code, self.work.rows
        packed = code.address(self.room, str(self.packing.size), "f32")
        if not self.packing.turned:
            pack(code, left, (self.work.left.place.coef(self.first_row), 1), num_rows, size, packed)
            return packed
        far = self.work.left.place.coef(self.first_sum)
        full = num_rows // HEIGHT * HEIGHT
        with code.loop(full, HEIGHT) as i:
            pack(code, code.address(left, i, "f32"), (far, 1), size, HEIGHT, self._far(packed, size, i))
        if full < num_rows:
            start, target = (
                code.address(left, str(full), "f32"),
                code.address(packed, str(full * size), "f32"),
            )
            pack(code, start, (far, 1), size, num_rows - full, target)
        return packed

    def _columns(self, first: str, nums: Sequence[int], left: str, right: str, out: str) -> None:
        """Some columns; ``nums``: how many each vector has."""
        code, right_place = self.code, self.work.right.place
        start = self._far(right, right_place.coef(self.column), first)
        if self.packing.right:
            (size,), strides = self.sums or (1,), (0, right_place.coef(self.column))
            if self.work.sums:
                strides = (right_place.coef(self.first_sum), strides[1])
            pack(code, start, strides, size, sum(nums), self.room)
            start, self.right_coefs = self.room, [sum(nums)] * len(self.sums)
        self._rows(self.first_row, left, start, code.address(out, first, "f32"), nums)

    def _rows(self, counter: int, left: str, right: str, out: str, nums: Sequence[int]) -> None:
        """All rows of some columns from one counter on."""
        work, code = self.work, self.code
        if counter == self.first_sum:
            self._block(1, left, right, out, nums, (0, 0))
            return
        size, coef, out_coef = (
            work.rows[counter - self.first_row],
            work.left.place.coef(counter),
            work.out.place.coef(counter),
        )
        if counter < self.first_sum - 1:
            with code.loop(size) as i:
                self._rows(counter + 1, self._far(left, coef, i), right, self._far(out, out_coef, i), nums)
            return
        room = (machine().registers - len(nums) - 2) // len(nums)
        most = HEIGHT if room >= HEIGHT and len(nums) > 1 and size > room else max(1, min(room, 16))
        height = HEIGHT if self.packing.left else -(-size // -(-size // most))
        full = size // height * height
        far = self.sums[0] if self.packing.left else coef

        def block(first: str, height: int) -> None:
            row_far = far
            if self.packing.turned:
                row_far, self.left_coefs = 1, [height]
            starts = self._far(left, far, first), right, self._far(out, out_coef, first)
            self._block(height, *starts, nums, (row_far, out_coef))

        if full:
            with code.loop(full, height) as i:
                block(i, height)
        if full < size:
            block(str(full), size - full)

    def _block(
        self, height: int, left: str, right: str, out: str, nums: Sequence[int], strides: tuple[int, int]
    ) -> None:
        """Some rows; ``strides``: between rows of the left matrix and of the result."""
        code, lanes = self.code, self.code.lanes
        wide = vector_type("f32", lanes)
        if self.packing.right:  # the rows of the next block
            for i in range(height):
                for v in range(len(nums)):
                    code.prefetch(out, str((i + height) * strides[1] + v * lanes), "f32")
        sums = [[code.place(wide) for _ in nums] for _ in range(height)]
        for i, line in enumerate(sums):
            for v, (place, num) in enumerate(zip(line, nums, strict=True)):
                start = "zeroinitializer"
                if self.fresh != "true":
                    start = code.load_vector(out, str(i * strides[1] + v * lanes), "f32", num)
                if self.fresh.startswith("%"):
                    start = code.value(f"select i1 {self.fresh}, {wide} zeroinitializer, {wide} {start}")
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
        if level == len(self.sums):
            add(left, right)
            return
        last = level == len(self.sums) - 1 and self.packing.right
        several = UNROLLED if last and self.sums[level] % UNROLLED == 0 else 1
        with self.code.loop(self.sums[level], several) as k:
            left, right = (
                self._far(left, self.left_coefs[level], k),
                self._far(right, self.right_coefs[level], k),
            )
            for i in range(several):
                self._sum(
                    level + 1,
                    self._far(left, self.left_coefs[level], str(i)),
                    self._far(right, self.right_coefs[level], str(i)),
                    add,
                )
