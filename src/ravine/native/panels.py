"""Products of one batch with the weights of several runs, as machine code.

A block of examples is copied from where they lie in the data set, with rows that are an odd number of cache lines
apart, so that they share no places of a cache. Forward, some of them at a time are turned round, so that neighbours are
those of one feature. While they are in a core's caches they are multiplied with one run after another. Each result is
one sum, over features or over examples, from the first to the last: its bits do not depend on the other runs, nor on
how many examples are taken at a time.

Shapes: B example of a batch, D feature, K row of the weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache

from ravine.native.code import BYTES, LINE, Code, vector_type
from ravine.native.expressions import Affine, Buffer
from ravine.native.function import Function
from ravine.native.machine import Library, library_of, machine
from ravine.native.packing import turned
from ravine.native.products import write_product
from ravine.native.schedule import Matrix, Product

BLOCK = 64  # examples that are kept in a core's caches while all runs use them
_AHEAD = 2  # rows that are fetched before they are copied
_ROWS = 14  # of the weights, at most, whose sums are in registers at once, two vectors each


@dataclass(frozen=True, slots=True, kw_only=True)
class Panels:
    """The two products of a batch x (B, D) with weights (K, D): product (K, B), and gradient (K, D) of slopes (B, K).

    Args:
        examples: B.
        width: D.
        rows: K.
        offset: of the weights, and of their gradient, in a run's row of numbers.
        x: number of the input that has all examples, row by row.
        batch: that has the numbers of the batch's examples.
        block: memory of the thread for a block of them, see `block_bytes`.
        weights: that has a run's numbers.
        product, slopes, grads: likewise.
        scaled: numbers of "shift" and "factor" (D,), perhaps of "fill", by which all runs of a group scale the
            examples as they are copied: ``(x - shift) factor``, and ``fill`` where x is missing. (): they don't.
    """

    examples: int
    width: int
    rows: int
    offset: int
    x: int
    batch: int
    block: int
    weights: int
    product: int
    slopes: int = -1
    grads: int = -1
    scaled: tuple[tuple[str, int], ...] = ()

    @property
    def far(self) -> int:
        """Numbers from a row of a block to the next."""
        line = LINE // BYTES["f32"]
        return (-(-self.width // line) | 1) * line

    @property
    def block_bytes(self) -> int:
        """Of the memory for a block."""
        return BYTES["f32"] * self.far * min(self.examples, BLOCK)

    @property
    def several(self) -> bool:
        """Whether a batch is more than a block."""
        return self.examples > BLOCK

    def forward(self) -> Function:
        """Weights times the batch, for each run of a group."""
        library = _library(self, "forward")
        scratch = BYTES["f32"] * self.width * _wide()
        return Function(library=library, address=library.address("forward"), scratch=scratch)

    def backward(self) -> Function:
        """The gradient of the weights, for each run of a group."""
        library = _library(self, "backward")
        return Function(library=library, address=library.address("backward"), scratch=0)

    def backward_alone(self) -> Function:
        """The same for one run, called like any other function of a run."""
        library = _library(self, "backward")
        return Function(library=library, address=library.address("alone"), scratch=0)


def _wide() -> int:
    """Examples that are turned round at a time, and features of a block of the gradient."""
    return 2 * machine().lanes


@lru_cache(maxsize=16)
def _library(panels: Panels, which: str) -> Library:
    code = Code(machine().lanes)
    writer = _Writer(code, panels)
    getattr(writer, which)()
    text = code.function(f"void @{which}(ptr %tables, ptr %scratch, i64 %num, i64 %size)")
    alone = (
        "define void @alone(ptr %table, ptr %scratch) {\n"
        f"  call void @{which}(ptr %table, ptr %scratch, i64 1, i64 0)\n  ret void\n}}"
    )
    return library_of("\n".join([*sorted(code.declared), text, *([alone] if which == "backward" else [])]))


class _Writer:
    """What a group's function consists of."""

    def __init__(self, code: Code, panels: Panels) -> None:
        self.code, self.panels = code, panels
        numbers = panels.x, panels.batch, panels.block
        self.x, self.batch, self.block = (self._pointer("%tables", number) for number in numbers)
        self.scaled = {name: self._pointer("%tables", number) for name, number in panels.scaled}

    def forward(self) -> None:
        """Some examples of a block after others: turned round, and multiplied with the weights of each run."""
        panels, code = self.panels, self.code

        def block(first: str, size: int) -> None:
            self._copy(first, size)

            def panel(start: str, num: int) -> None:
                self._turn(start, num)
                place = code.value(f"add nsw i64 {first}, {start}")
                with self._runs() as table:
                    weights = self._moved(self._pointer(table, panels.weights), str(panels.offset))
                    self._multiply(weights, self._moved(self._pointer(table, panels.product), place), num)

            _each(code, _wide(), size, panel)

        _each(code, BLOCK, panels.examples, block)

    def backward(self) -> None:
        """Some examples after others: the gradient of each run, which is begun or gone on with."""
        panels, code = self.panels, self.code

        def block(first: str, size: int) -> None:
            fresh = "true"
            if panels.several:  # else it is there, from the way forward
                self._copy(first, size)
                fresh = code.value(f"icmp eq i64 {first}, 0") if first.startswith("%") else "false"
            with self._runs() as table:
                grads = self._moved(self._pointer(table, panels.grads), str(panels.offset))
                far = code.value(f"mul nsw i64 {first}, {panels.rows}")
                slopes = self._moved(self._pointer(table, panels.slopes), far)
                self._gradient((slopes, grads), size, fresh)

        _each(code, BLOCK, panels.examples, block)

    def _pointer(self, table: str, number: int) -> str:
        place = self.code.value(f"getelementptr inbounds ptr, ptr {table}, i64 {number}")
        return self.code.value(f"load ptr, ptr {place}")

    def _moved(self, start: str, by: str) -> str:
        return self.code.address(start, by, "f32")

    @contextmanager
    def _runs(self) -> Iterator[str]:
        """Within it, code for each run of the group; gives its table."""
        with self.code.loop("%num") as number:
            far = self.code.value(f"mul nsw i64 {number}, %size")
            yield self.code.value(f"getelementptr inbounds i64, ptr %tables, i64 {far}")

    def _copy(self, first: str, size: int) -> None:
        """Bring a block's examples together."""
        code, panels, wide = self.code, self.panels, _wide()
        batch = code.value(f"getelementptr inbounds i64, ptr {self.batch}, i64 {first}")

        def example(number: str) -> str:
            row = code.load(batch, number, "i64")
            return self._moved(self.x, code.value(f"mul nsw i64 {row}, {panels.width}"))

        with code.loop(size) as b:
            later = code.value(f"add nuw nsw i64 {b}, {_AHEAD}")
            inside = code.value(f"icmp slt i64 {later}, {size}")
            following = example(code.value(f"select i1 {inside}, i64 {later}, i64 {b}"))
            line, target = example(b), self._row(b)

            def features(d: str, num: int) -> None:
                for v in range(0, num, code.lanes):
                    some, place = min(code.lanes, num - v), code.value(f"add nuw nsw i64 {d}, {v}")
                    code.prefetch(following, place, "f32", writes=False)
                    found = self._rescaled(code.load_vector(line, place, "f32", some), place, some)
                    code.store_vector(target, place, "f32", found, some)

            _each(code, wide, panels.width, features)

    def _rescaled(self, x: str, place: str, num: int) -> str:
        """Some features of an example, as the runs have them."""
        if not self.scaled:
            return x
        code, wide = self.code, vector_type("f32", self.code.lanes)
        of = {name: code.load_vector(at, place, "f32", num) for name, at in self.scaled.items()}
        moved = code.value(f"fsub {wide} {x}, {of['shift']}")
        found = code.value(f"fmul {wide} {moved}, {of['factor']}")
        if "fill" not in of:
            return found
        missing = code.value(f"fcmp uno {wide} {x}, {x}")
        return code.value(f"select <{code.lanes} x i1> {missing}, {wide} {of['fill']}, {wide} {found}")

    def _row(self, number: str) -> str:
        """Where a row of the block begins."""
        return self._moved(self.block, self.code.value(f"mul nsw i64 {number}, {self.panels.far}"))

    def _turn(self, first: str, num: int) -> None:
        """Some examples of the block in scratch memory, (D, num): a square of a vector's size after another."""
        code, lanes, far = self.code, self.code.lanes, self.panels.far
        row = self._row(first)

        def square(d: str, features: int) -> None:
            line, target = self._moved(row, d), self._moved("%scratch", code.value(f"mul nsw i64 {d}, {num}"))
            for b in range(0, num, lanes):
                several = range(b, min(b + lanes, num))
                lines = [code.load_vector(line, str(i * far), "f32", features) for i in several]
                for i, each in enumerate(turned(code, lines)[:features]):
                    code.store_vector(target, str(i * num + b), "f32", each, len(several))

        _each(code, lanes, self.panels.width, square)

    def _multiply(self, weights: str, product: str, num: int) -> None:
        panels = self.panels
        left, right, out = Buffer("f32", source=0), Buffer("f32", source=1), Buffer("f32", source=2)
        row, feature, example = range(3)
        work = Product(
            stack=(),
            rows=(panels.rows,),
            sums=(panels.width,),
            columns=num,
            left=Matrix(buffer=left, place=Affine(((row, panels.width), (feature, 1)))),
            right=Matrix(buffer=right, place=Affine(((feature, num), (example, 1)))),
            out=Matrix(buffer=out, place=Affine(((row, panels.examples), (example, 1)))),
            adds_up=False,
        )
        write_product(self.code, work, {left: weights, right: "%scratch", out: product}, "%scratch")

    def _gradient(self, places: tuple[str, str], size: int, fresh: str) -> None:
        """The gradient's part of a block, some rows by two vectors after others."""
        code, panels, (slopes, grads) = self.code, self.panels, places
        most = min(_ROWS, (machine().registers - 4) // 2)
        height = -(-panels.rows // -(-panels.rows // most))

        def columns(first: str, num: int) -> None:
            x, out = self._moved(self.block, first), self._moved(grads, first)

            def rows(k: str, height: int) -> None:
                line = self._moved(out, code.value(f"mul nsw i64 {k}, {panels.width}"))
                self._sums((x, self._moved(slopes, k), line), (height, num, size), fresh)

            _each(code, height, panels.rows, rows)

        _each(code, _wide(), panels.width, columns)

    def _sums(self, places: tuple[str, str, str], sizes: tuple[int, int, int], fresh: str) -> None:
        """Those of some rows and columns, over the examples of a block."""
        (x, slopes, out), (height, columns, examples) = places, sizes
        code, panels, lanes = self.code, self.panels, self.code.lanes
        wide, nums = vector_type("f32", lanes), [min(lanes, columns - v) for v in range(0, columns, lanes)]
        sums = [[code.place(wide) for _ in nums] for _ in range(height)]
        for i, line in enumerate(sums):
            for v, (place, num) in enumerate(zip(line, nums, strict=True)):
                start = "zeroinitializer"
                if fresh != "true":
                    start = code.load_vector(out, str(i * panels.width + v * lanes), "f32", num)
                if fresh.startswith("%"):
                    start = code.value(f"select i1 {fresh}, {wide} zeroinitializer, {wide} {start}")
                code.do(f"store {wide} {start}, ptr {place}")
        with code.loop(examples) as b:
            example = self._moved(x, code.value(f"mul nsw i64 {b}, {panels.far}"))
            vectors = [code.load_vector(example, str(v * lanes), "f32", num) for v, num in enumerate(nums)]
            factors = self._moved(slopes, code.value(f"mul nsw i64 {b}, {panels.rows}"))
            for i in range(height):
                factor = code.splat(code.load(factors, str(i), "f32"), "f32")
                for v, vector in enumerate(vectors):
                    so_far = code.value(f"load {wide}, ptr {sums[i][v]}")
                    given = (wide, factor), (wide, vector), (wide, so_far)
                    more = code.call(wide, f"llvm.fma.v{lanes}f32", *given)
                    code.do(f"store {wide} {more}, ptr {sums[i][v]}")
        for i in range(height):
            for v, num in enumerate(nums):
                found = code.value(f"load {wide}, ptr {sums[i][v]}")
                code.store_vector(out, str(i * panels.width + v * lanes), "f32", found, num)


def _each(code: Code, step: int, end: int, do: Callable[[str, int], None]) -> None:
    """In steps from 0, and then what is left."""
    full = end // step * step
    if full:
        with code.loop(full, step) as i:
            do(i, step)
    if full < end:
        do(str(full), end - full)
