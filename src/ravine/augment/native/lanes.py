"""Operations on vectors of floats and of 32-bit integers, as LLVM's instructions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from ravine.native.code import Code, literal

FOUR = "<4 x float>"
_FLOAT = {"add": "fadd", "sub": "fsub", "mul": "fmul", "div": "fdiv"}


class Lanes:
    """Writes operations on as many numbers as a vector has, and on single ones, into a function.

    Nothing is contracted to a fused multiply-add: the numbers are those of the same operations in PyTorch.

    Args:
        code: the function.
    """

    def __init__(self, code: Code) -> None:
        self.code, self.num = code, code.lanes
        self.floats, self.whole, self.truth = (f"<{self.num} x {kind}>" for kind in ("float", "i32", "i1"))

    def f(self, op: str, left: str | float, right: str | float, num: int | None = None) -> str:
        """Add, sub, mul or div of floats: names, or known numbers for all lanes."""
        num = self.num if num is None else num
        kind = "float" if num == 1 else f"<{num} x float>"
        sides = [self.number(each, num) if isinstance(each, float) else each for each in (left, right)]
        return self.code.value(f"{_FLOAT[op]} {kind} {sides[0]}, {sides[1]}")

    def number(self, value: float, num: int | None = None) -> str:
        """A known float in every lane."""
        num = self.num if num is None else num
        one = literal(value, "f32")
        return one if num == 1 else "<" + ", ".join([f"float {one}"] * num) + ">"

    def least(self, left: str, right: str | float) -> str:
        """The smaller one in each lane; the second one where the first is no number."""
        return self._chosen("olt", left, right)

    def most(self, left: str, right: str | float) -> str:
        """The larger one in each lane; the second one where the first is no number."""
        return self._chosen("ogt", left, right)

    def _chosen(self, how: str, left: str, right: str | float) -> str:
        other = self.number(right) if isinstance(right, float) else right
        return self.select(self.compare(how, left, other), left, other)

    def compare(self, how: str, left: str, right: str | float) -> str:
        """A comparison of floats, in LLVM's words."""
        other = self.number(right) if isinstance(right, float) else right
        return self.code.value(f"fcmp {how} {self.floats} {left}, {other}")

    def select(self, condition: str, yes: str, no: str) -> str:
        """One of two vectors of floats, lane by lane."""
        return self.code.value(f"select {self.truth} {condition}, {self.floats} {yes}, {self.floats} {no}")

    def unary(self, function: str, value: str) -> str:
        """An intrinsic of LLVM's: floor, fabs."""
        return self.code.call(self.floats, f"llvm.{function}.v{self.num}f32", (self.floats, value))

    def splat(self, value: str, kind: str = "float", num: int | None = None) -> str:
        """A single number in every lane."""
        num = self.num if num is None else num
        wide = f"<{num} x {kind}>"
        first = self.code.value(f"insertelement {wide} poison, {kind} {value}, i64 0")
        return self.code.value(f"shufflevector {wide} {first}, {wide} poison, <{num} x i32> zeroinitializer")

    def steps(self) -> str:
        """0, 1, 2 and so on, 32-bit integers."""
        return "<" + ", ".join(f"i32 {i}" for i in range(self.num)) + ">"

    def i(self, op: str, left: str, right: str, kind: str | None = None) -> str:
        """An operation on integers; vectors of 32-bit ones unless a kind is given."""
        return self.code.value(f"{op} {kind or self.whole} {left}, {right}")

    def integers(self, value: int) -> str:
        """A known 32-bit integer in every lane."""
        return "<" + ", ".join([f"i32 {value}"] * self.num) + ">"

    def between(self, index: str, low: str, high: str) -> str:
        """Which integers of a vector are at least one number and below another, vectors all."""
        above = self.i("icmp sge", index, low)
        below = self.i("icmp slt", index, high)
        return self.code.value(f"and {self.truth} {above}, {below}")

    def first(self, num: int, of: int | None = None) -> str:
        """The mask of the first lanes; of so many, if it is not of all."""
        return "<" + ", ".join(f"i1 {'true' if i < num else 'false'}" for i in range(of or self.num)) + ">"

    def float_at(self, base: str, offset: str | int) -> str:
        """Where a float lies, so many behind a pointer."""
        return self.code.value(f"getelementptr float, ptr {base}, i64 {offset}")

    def inputs(self, places: Iterable[tuple[str, int]]) -> dict[str, str]:
        """Where the inputs of the function lie, by name: each has a place in its table."""
        code = self.code
        tables = (
            (name, code.value(f"getelementptr ptr, ptr %inputs, i64 {place}")) for name, place in places
        )
        return {name: code.value(f"load ptr, ptr {at}") for name, at in tables}

    def column(self, base: str, names: Sequence[str], number: str, num: int) -> dict[str, str]:
        """The numbers of one picture, by name, out of a matrix (names, num)."""
        places = ((name, self.code.value(f"add i64 {number}, {i * num}")) for i, name in enumerate(names))
        return {name: self.code.value(f"load float, ptr {self.float_at(base, at)}") for name, at in places}

    def load(
        self, at: str, num: int | None = None, mask: str | None = None, other: str = "zeroinitializer"
    ) -> str:
        """Neighbouring floats; with a mask only some of them, the others are given."""
        num = self.num if num is None else num
        wide = f"<{num} x float>"
        if mask is None:
            return self.code.value(f"load {wide}, ptr {at}, align 4")
        given = [("ptr", at), ("i32", "4"), (f"<{num} x i1>", mask), (wide, other)]
        return self.code.call(wide, f"llvm.masked.load.v{num}f32.p0", *given)

    def store(self, value: str, at: str, num: int | None = None, mask: str | None = None) -> None:
        """Write neighbouring floats; with a mask only some of them."""
        num = self.num if num is None else num
        wide = f"<{num} x float>"
        if mask is None:
            self.code.do(f"store {wide} {value}, ptr {at}, align 4")
            return
        given = [(wide, value), ("ptr", at), ("i32", "4"), (f"<{num} x i1>", mask)]
        self.code.call("void", f"llvm.masked.store.v{num}f32.p0", *given)

    def shuffle(self, left: str, right: str, places: Sequence[int], num: int = 4) -> str:
        """Floats of two vectors in another order."""
        wide, order = f"<{num} x float>", ", ".join(f"i32 {place}" for place in places)
        return self.code.value(
            f"shufflevector {wide} {left}, {wide} {right}, <{len(places)} x i32> <{order}>"
        )

    def transposed(self, rows: Sequence[str]) -> list[str]:
        """Four vectors of four, rows made columns."""
        low = [self.shuffle(rows[i], rows[i + 1], (0, 4, 1, 5)) for i in (0, 2)]
        high = [self.shuffle(rows[i], rows[i + 1], (2, 6, 3, 7)) for i in (0, 2)]
        orders = ((0, 1, 4, 5), (2, 3, 6, 7))
        return [self.shuffle(pair[0], pair[1], order) for pair in (low, high) for order in orders]

    def over(self, num: int, some: Callable[[str, str | None], None]) -> None:
        """Go over so many numbers, a vector at a time: a function gets where one begins, and the mask of the last."""
        full = num // self.num * self.num
        if full:
            with self.code.loop(full, self.num) as start:
                some(start, None)
        if full < num:
            some(str(full), self.first(num - full))

    @contextmanager
    def only_if(self, condition: str) -> Iterator[None]:
        """Within it, code that is run only where a truth value says so."""
        then, after = self.code.label("then"), self.code.label("after")
        self.code.do(f"br i1 {condition}, label %{then}, label %{after}")
        self.code.begin(then)
        yield
        self.code.do(f"br label %{after}")
        self.code.begin(after)
