"""A rule's walk over a surface as machine code: many starts at once, in float64, from the page's own expressions."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from ctypes import CFUNCTYPE, c_int64, c_void_p

import numpy as np

from ravine.native.code import Code
from ravine.native.machine import library_of, machine
from ravine.surfaces.scalars import Scalar, in_order
from ravine.surfaces.traced import Expressions, TracedRule, TracedSurface

_ARITHMETIC = {"add": "fadd", "sub": "fsub", "mul": "fmul", "div": "fdiv"}
_COMPARE = {"lt": "olt", "le": "ole", "gt": "ogt", "ge": "oge", "eq": "oeq", "ne": "une"}
_INTRINSIC = {
    "sqrt": "sqrt",
    "abs": "fabs",
    "floor": "floor",
    "ceil": "ceil",
    "trunc": "trunc",
    "maximum": "maximum",
    "minimum": "minimum",
}
_ORDER = ("starts", "losses", "hypers", "params", "noise")


class Walk:
    """A rule on a surface, compiled. What is the same for all starts is computed once for a vector of them.

    Args:
        rule: what walks.
        surface: what it walks on.
    """

    def __init__(self, rule: TracedRule, surface: TracedSurface) -> None:
        self.lanes = max(machine().lanes // 2, 2)  # numbers of float64 in a vector
        self._library = library_of(_Writer(self.lanes).text(rule, surface))
        signature = CFUNCTYPE(None, *([c_void_p] * len(_ORDER)), c_int64, c_int64)
        self._call = signature(self._library.address("walk"))

    def __call__(
        self,
        starts: np.ndarray,
        hypers: Sequence[float],
        params: Sequence[float],
        noise: np.ndarray,
    ) -> np.ndarray:
        """The losses after the last step; not finite where a walk diverged.

        Args:
            starts: (N, 2).
            hypers: the rule's, in order.
            params: the surface's, in order.
            noise: (S, 2), what is added to the gradient at each of S steps.

        Returns:
            (N,).
        """
        num = len(starts)
        padded = -(-num // self.lanes) * self.lanes
        columns = np.empty((2, padded))
        columns[:, :num], columns[:, num:] = starts.T, starts[0][:, None]
        given = {
            "starts": columns,
            "losses": np.empty(padded),
            "hypers": np.array([*hypers, 0.0], dtype=np.float64),
            "params": np.array([*params, 0.0], dtype=np.float64),
            "noise": np.ascontiguousarray(noise, dtype=np.float64),
        }
        self._call(*(given[name].ctypes.data for name in _ORDER), len(noise), padded)
        return given["losses"][:num]


class _Writer:
    """Writes a walk as a function in LLVM's language. A value is its name and whether it is a vector."""

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        self.code = Code(lanes)

    def text(self, rule: TracedRule, surface: TracedSurface) -> str:
        """A module with the function "walk"."""
        code = self.code
        vector = f"<{self.lanes} x double>"
        slots = [code.place(vector) for _ in rule.slots]
        place = [code.place(vector) for _ in range(2)]
        fixed = {name: self._load("%hypers", str(i)) for i, name in enumerate(rule.hypers)}
        params = {name: self._load("%params", str(i)) for i, name in enumerate(surface.surface.params)}
        with code.loop("%num", self.lanes) as first:
            second = code.value(f"add i64 {first}, %num")
            start = {"x0": self._wide("%starts", first), "x1": self._wide("%starts", second)}
            for target, name in zip(place, start, strict=True):
                code.do(f"store {vector} {start[name][0]}, ptr {target}")
            for target, value in zip(slots, self.apply(rule.init, start), strict=True):
                code.do(f"store {vector} {self.widened(value)}, ptr {target}")

            def here() -> dict[str, tuple[str, bool]]:
                named = [*zip(("x0", "x1"), place, strict=True), *zip(rule.slots, slots, strict=True)]
                return {**fixed, **{n: (code.value(f"load {vector}, ptr {at}"), True) for n, at in named}}

            with code.loop("%steps", start="0") as step:
                now = here()
                at = dict(zip(("x0", "x1"), self.apply(rule.gradient_at, now), strict=True))
                slope = self.apply(surface.slope, {**params, **at})
                doubled = code.value(f"shl i64 {step}, 1")
                offsets = (doubled, code.value(f"or i64 {doubled}, 1"))
                grad = [
                    self._op("add", value, self._load("%noise", offset))
                    for value, offset in zip(slope, offsets, strict=True)
                ]
                t = (code.value(f"sitofp i64 {code.value(f'add i64 {step}, 1')} to double"), False)
                found = self.apply(rule.update, {**now, "g0": grad[0], "g1": grad[1], "t": t})
                moved = [self._op("add", now[f"x{i}"], found[i]) for i in (0, 1)]
                for target, value in zip((*place, *slots), (*moved, *found[2:]), strict=True):
                    code.do(f"store {vector} {self.widened(value)}, ptr {target}")
            ended = dict(zip(("x0", "x1"), self.apply(rule.weights, here()), strict=True))
            (loss,) = self.apply(surface.loss, {**params, **ended})
            where = code.value(f"getelementptr inbounds double, ptr %losses, i64 {first}")
            code.do(f"store {vector} {self.widened(loss)}, ptr {where}, align 8")
        parameters = [*(f"ptr %{name}" for name in _ORDER), "i64 %steps", "i64 %num"]
        body = code.function(f"void @walk({', '.join(parameters)})")
        return "\n".join([*sorted(code.declared), body])

    def apply(
        self, expressions: Expressions, places: Mapping[str, tuple[str, bool]]
    ) -> list[tuple[str, bool]]:
        """What expressions of given values are."""
        values: dict[Scalar, tuple[str, bool]] = {}
        for scalar in in_order(expressions.outputs):
            if scalar.op == "input":
                values[scalar] = places[str(scalar.value)]
            elif scalar.op == "const":
                values[scalar] = ("0x" + struct.pack(">d", scalar.value).hex().upper(), False)
            else:
                values[scalar] = self._op(scalar.op, *(values[arg] for arg in scalar.args))
        return [values[output] for output in expressions.outputs]

    def widened(self, value: tuple[str, bool], kind: str = "double") -> str:
        """A value in every lane."""
        name, is_vector = value
        if is_vector:
            return name
        wide = f"<{self.lanes} x {kind}>"
        first = self.code.value(f"insertelement {wide} poison, {kind} {name}, i64 0")
        return self.code.value(
            f"shufflevector {wide} {first}, {wide} poison, <{self.lanes} x i32> zeroinitializer"
        )

    def _op(self, op: str, *args: tuple[str, bool]) -> tuple[str, bool]:
        code = self.code
        wide = any(is_vector for _, is_vector in args)
        if op == "where":
            condition, x, y = args
            kind = f"<{self.lanes} x double>" if wide else "double"
            picked = [self.widened(each) if wide else each[0] for each in (x, y)]
            of = f"<{self.lanes} x i1>" if condition[1] else "i1"
            return code.value(f"select {of} {condition[0]}, {kind} {picked[0]}, {kind} {picked[1]}"), wide
        truth = op in ("and", "or", "not")
        one = "i1" if truth else "double"
        kind = f"<{self.lanes} x {one}>" if wide else one
        names = [self.widened(arg, one) if wide else arg[0] for arg in args]
        if op == "not":
            return code.value(
                f"xor {kind} {names[0]}, {self.widened(('true', False), 'i1') if wide else 'true'}"
            ), wide
        if truth:
            return code.value(f"{op} {kind} {names[0]}, {names[1]}"), wide
        if op in _COMPARE:
            return code.value(f"fcmp {_COMPARE[op]} {kind} {names[0]}, {names[1]}"), wide
        if op in _ARITHMETIC:
            return code.value(f"{_ARITHMETIC[op]} {kind} {names[0]}, {names[1]}"), wide
        if op == "neg":
            return code.value(f"fneg {kind} {names[0]}"), wide
        if op in _INTRINSIC:
            width = f"v{self.lanes}f64" if wide else "f64"
            return code.call(kind, f"llvm.{_INTRINSIC[op]}.{width}", *((kind, name) for name in names)), wide
        if not wide:
            return code.call("double", op, *(("double", name) for name in names)), False
        made = "poison"
        for lane in range(self.lanes):
            parts = [code.value(f"extractelement {kind} {name}, i64 {lane}") for name in names]
            single = code.call("double", op, *(("double", part) for part in parts))
            made = code.value(f"insertelement {kind} {made}, double {single}, i64 {lane}")
        return made, True

    def _load(self, base: str, offset: str) -> tuple[str, bool]:
        where = self.code.value(f"getelementptr inbounds double, ptr {base}, i64 {offset}")
        return self.code.value(f"load double, ptr {where}"), False

    def _wide(self, base: str, offset: str) -> tuple[str, bool]:
        where = self.code.value(f"getelementptr inbounds double, ptr {base}, i64 {offset}")
        return self.code.value(f"load <{self.lanes} x double>, ptr {where}, align 8"), True
