"""The text of an LLVM function, written from top to bottom."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

Kind = Literal["f32", "i64", "i32", "i1"]
"""What a number is: a float, an integer (in registers also one of 32 bits, without a sign) or a truth value."""

_SCALAR = {"f32": "float", "i64": "i64", "i32": "i32", "i1": "i1"}
_MEMORY = {"f32": "float", "i64": "i64", "i1": "i8"}
BYTES = {"f32": 4, "i64": 8, "i1": 1}
LINE = 64  # bytes of a cache line: memory begins on one, so that vectors are aligned and threads share none


def vector_type(kind: Kind, lanes: int) -> str:
    """LLVM's type of several numbers.

    Example:
        >>> vector_type("f32", 16), vector_type("i64", 1)
        ('<16 x float>', 'i64')
    """
    return _SCALAR[kind] if lanes == 1 else f"<{lanes} x {_SCALAR[kind]}>"


def whole_lines(size: int) -> int:
    """So many bytes, rounded up to whole cache lines.

    Example:
        >>> whole_lines(0), whole_lines(1), whole_lines(64)
        (0, 64, 64)
    """
    return -(-size // LINE) * LINE


def literal(value: float | int | bool, kind: Kind) -> str:
    """A number as LLVM reads it.

    Example:
        >>> literal(0.5, "f32"), literal(True, "i1"), literal(3, "i64")
        ('0x3FE0000000000000', 'true', '3')
    """
    if kind == "i1":
        return "true" if value else "false"
    if kind == "i64":
        return str(int(value))
    if kind == "i32":
        return str((int(value) + 2**31) % 2**32 - 2**31)
    try:
        (rounded,) = struct.unpack("f", struct.pack("f", value))
    except OverflowError:  # beyond float32
        rounded = float("inf") if value > 0 else float("-inf")
    return "0x" + struct.pack(">d", rounded).hex().upper()


class Code:
    """A function under construction. Names are those of LLVM: ``%v7`` is the result of one operation.

    Numbers that change in a loop live in places (`place`), which LLVM turns into registers.

    Args:
        lanes: numbers in a vector.
    """

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        self.declared: set[str] = set()
        self._entry: list[str] = []
        self._lines: list[str] = []
        self._count = 0

    def value(self, operation: str) -> str:
        """The name of an operation's result."""
        self._count += 1
        name = f"%v{self._count}"
        self._lines.append(f"  {name} = {operation}")
        return name

    def do(self, operation: str) -> None:
        """An operation without a result."""
        self._lines.append(f"  {operation}")

    def call(self, result: str, function: str, *arguments: tuple[str, str]) -> str:
        """Call a function outside, such as an intrinsic of LLVM's; arguments are (type, value)."""
        self.declared.add(f"declare {result} @{function}({', '.join(kind for kind, _ in arguments)})")
        given = ", ".join(f"{kind} {value}" for kind, value in arguments)
        if result == "void":
            self.do(f"call void @{function}({given})")
            return ""
        return self.value(f"call {result} @{function}({given})")

    def place(self, kind: str) -> str:
        """Room for one value of a type."""
        self._count += 1
        name = f"%p{self._count}"
        self._entry.append(f"  {name} = alloca {kind}, align {LINE}")
        return name

    def label(self, name: str) -> str:
        """A new label's name."""
        self._count += 1
        return f"{name}{self._count}"

    def begin(self, label: str) -> None:
        """Go on behind a label."""
        self._lines.append(f"{label}:")

    @contextmanager
    def loop(self, stop: int | str, step: int = 1, start: str | None = None) -> Iterator[str]:
        """Within it, code that is run for 0, step, 2 step, ... below ``stop``, at least once; gives the counter.

        With a ``start`` the counter begins there, and there may be nothing to do.
        """
        counter = self.place("i64")
        self.do(f"store i64 {start or 0}, ptr {counter}")
        head, after = self.label("loop"), self.label("after")
        if start is None:
            self.do(f"br label %{head}")
        else:
            some = self.value(f"icmp slt i64 {start}, {stop}")
            self.do(f"br i1 {some}, label %{head}, label %{after}")
        self.begin(head)
        i = self.value(f"load i64, ptr {counter}")
        yield i
        following = self.value(f"add nuw nsw i64 {i}, {step}")
        self.do(f"store i64 {following}, ptr {counter}")
        again = self.value(f"icmp slt i64 {following}, {stop}")
        self.do(f"br i1 {again}, label %{head}, label %{after}")
        self.begin(after)

    def splat(self, value: str, kind: Kind) -> str:
        """A number in every lane."""
        if not value.startswith("%"):
            one = f"{_SCALAR[kind]} {value}"
            return "<" + ", ".join([one] * self.lanes) + ">"
        wide = vector_type(kind, self.lanes)
        first = self.value(f"insertelement {wide} poison, {_SCALAR[kind]} {value}, i64 0")
        return self.value(
            f"shufflevector {wide} {first}, {wide} poison, <{self.lanes} x i32> zeroinitializer"
        )

    def mask(self, num: int) -> str:
        """The first ``num`` lanes."""
        return "<" + ", ".join(f"i1 {'true' if i < num else 'false'}" for i in range(self.lanes)) + ">"

    def address(self, base: str, offset: str, kind: Kind) -> str:
        """Where number ``offset`` behind a base lies."""
        return self.value(f"getelementptr inbounds {_MEMORY[kind]}, ptr {base}, i64 {offset}")

    def load(self, base: str, offset: str, kind: Kind) -> str:
        """One number."""
        found = self.value(f"load {_MEMORY[kind]}, ptr {self.address(base, offset, kind)}")
        return self.value(f"icmp ne i8 {found}, 0") if kind == "i1" else found

    def load_vector(self, base: str, offset: str, kind: Kind, num: int) -> str:
        """``num`` neighbouring numbers, in the first lanes."""
        wide = f"<{self.lanes} x {_MEMORY[kind]}>"
        where = self.address(base, offset, kind)
        if num == self.lanes:
            found = self.value(f"load {wide}, ptr {where}, align {BYTES[kind]}")
        else:
            found = self.call(
                wide,
                f"llvm.masked.load.v{self.lanes}{_suffix(kind)}.p0",
                ("ptr", where),
                ("i32", str(BYTES[kind])),
                (f"<{self.lanes} x i1>", self.mask(num)),
                (wide, "zeroinitializer"),
            )
        return self.value(f"icmp ne {wide} {found}, zeroinitializer") if kind == "i1" else found

    def prefetch(self, base: str, offset: str, kind: Kind, *, writes: bool = True) -> None:
        """Have what lies there brought into the nearest cache: it is written to soon, or read."""
        where = self.value(f"getelementptr {_MEMORY[kind]}, ptr {base}, i64 {offset}")
        self.call(
            "void", "llvm.prefetch.p0", ("ptr", where), ("i32", str(int(writes))), ("i32", "3"), ("i32", "1")
        )

    def gather(self, base: str, offsets: str, kind: Kind, num: int) -> str:
        """The numbers at a vector of offsets, in the first ``num`` lanes."""
        wide = f"<{self.lanes} x {_MEMORY[kind]}>"
        where = self.value(
            f"getelementptr inbounds {_MEMORY[kind]}, ptr {base}, <{self.lanes} x i64> {offsets}"
        )
        found = self.call(
            wide,
            f"llvm.masked.gather.v{self.lanes}{_suffix(kind)}.v{self.lanes}p0",
            (f"<{self.lanes} x ptr>", where),
            ("i32", str(BYTES[kind])),
            (f"<{self.lanes} x i1>", self.mask(num)),
            (wide, "zeroinitializer"),
        )
        return self.value(f"icmp ne {wide} {found}, zeroinitializer") if kind == "i1" else found

    def store(self, base: str, offset: str, kind: Kind, value: str) -> None:
        """Write one number."""
        if kind == "i1":
            value = self.value(f"zext i1 {value} to i8")
        self.do(f"store {_MEMORY[kind]} {value}, ptr {self.address(base, offset, kind)}")

    def store_vector(self, base: str, offset: str, kind: Kind, value: str, num: int) -> None:
        """Write the first ``num`` lanes side by side."""
        wide = f"<{self.lanes} x {_MEMORY[kind]}>"
        if kind == "i1":
            value = self.value(f"zext <{self.lanes} x i1> {value} to {wide}")
        where = self.address(base, offset, kind)
        if num == self.lanes:
            self.do(f"store {wide} {value}, ptr {where}, align {BYTES[kind]}")
            return
        self.call(
            "void",
            f"llvm.masked.store.v{self.lanes}{_suffix(kind)}.p0",
            (wide, value),
            ("ptr", where),
            ("i32", str(BYTES[kind])),
            (f"<{self.lanes} x i1>", self.mask(num)),
        )

    def scatter(self, base: str, offsets: str, kind: Kind, value: str, num: int) -> None:
        """Write the first ``num`` lanes at a vector of offsets."""
        wide = f"<{self.lanes} x {_MEMORY[kind]}>"
        if kind == "i1":
            value = self.value(f"zext <{self.lanes} x i1> {value} to {wide}")
        where = self.value(
            f"getelementptr inbounds {_MEMORY[kind]}, ptr {base}, <{self.lanes} x i64> {offsets}"
        )
        self.call(
            "void",
            f"llvm.masked.scatter.v{self.lanes}{_suffix(kind)}.v{self.lanes}p0",
            (wide, value),
            (f"<{self.lanes} x ptr>", where),
            ("i32", str(BYTES[kind])),
            (f"<{self.lanes} x i1>", self.mask(num)),
        )

    def function(self, signature: str, end: str = "ret void") -> str:
        """The whole function."""
        return "\n".join(
            [
                f"define {signature} {{",
                "entry:",
                *self._entry,
                "  br label %start",
                "start:",
                *self._lines,
                f"  {end}",
                "}",
            ]
        )


def _suffix(kind: Kind) -> str:
    return {"f32": "f32", "i64": "i64", "i1": "i8"}[kind]
