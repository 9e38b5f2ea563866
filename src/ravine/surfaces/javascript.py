"""JavaScript, in float64, of expressions of single numbers."""

from __future__ import annotations

import importlib.resources
import json
import math
from collections.abc import Mapping, Sequence

from ravine.rng.words import stream_words
from ravine.surfaces.noise import STREAM
from ravine.surfaces.scalars import COMPARISONS, Scalar, in_order
from ravine.surfaces.traced import Expressions, TracedRule, TracedSurface

_INFIX = {"add": "+", "sub": "-", "mul": "*", "div": "/", "and": "&&", "or": "||", **COMPARISONS}
_INFIX |= {"eq": "===", "ne": "!=="}
_PREFIX = {"neg": "-", "not": "!"}
_MATH = {"maximum": "max", "minimum": "min"}  # all others have their own name


def program(surfaces: Sequence[TracedSurface], rules: Sequence[TracedRule]) -> str:
    """A script that defines ``ravine``: what walk.js has, and the functions of ``surfaces`` and ``rules``."""
    walk = (importlib.resources.files("ravine.surfaces") / "walk.js").read_text(encoding="utf-8")
    by_name = {
        "surfaces": _object({each.surface.name: surface_functions(each) for each in surfaces}),
        "rules": _object({each.rule.name: rule_functions(each) for each in rules}),
    }
    return "\n".join(
        [
            walk,
            f"ravine.stream = {list(stream_words(STREAM))};",
            *(f"ravine.{name} = {text};" for name, text in by_name.items()),
        ]
    )


def function(expressions: Expressions, places: Mapping[str, str], arguments: Sequence[str]) -> str:
    """A function that writes its results into its last argument, an array.

    Args:
        expressions: what it computes.
        places: what its inputs are called in JavaScript.
        arguments: names of its arguments.

    Example:
        >>> from ravine.rng.words import stream_words
        >>> from ravine.surfaces.noise import STREAM
        >>> from ravine.surfaces.scalars import ScalarPool
        >>> pool = ScalarPool()
        >>> twice = pool.op("mul", pool.const(2.0), pool.input("x0"))
        >>> print(function(Expressions(inputs=("x0",), outputs=(twice,)), {"x0": "x[0]"}, ("x", "out")))
        function (x, out) {
          out[0] = (2.0 * x[0]);
        }
    """
    uses: dict[Scalar, int] = {}
    for scalar in in_order(expressions.outputs):
        for arg in scalar.args:
            uses[arg] = uses.get(arg, 0) + 1
    for scalar in expressions.outputs:
        uses[scalar] = uses.get(scalar, 0) + 1
    names: dict[Scalar, str] = {}
    lines: list[str] = []
    for scalar in in_order(expressions.outputs):
        if scalar.op == "input":
            names[scalar] = places[str(scalar.value)]
        elif scalar.op == "const":
            names[scalar] = number(float(scalar.value))
        else:
            written = _operation(scalar, [names[arg] for arg in scalar.args])
            if uses.get(scalar, 0) > 1:
                lines.append(f"const v{len(lines)} = {written};")
                written = f"v{len(lines) - 1}"
            names[scalar] = written
    # An output may be an input: all are known before the first is written.
    outputs = [f"{arguments[-1]}[{i}] = {names[output]};" for i, output in enumerate(expressions.outputs)]
    body = "\n".join(f"  {line}" for line in (*lines, *outputs))
    return f"function ({', '.join(arguments)}) {{\n{body}\n}}"


def number(value: float) -> str:
    """A number, as JavaScript reads it: the same bits.

    Example:
        >>> number(0.1), number(-2.0), number(float("inf"))
        ('0.1', '(-2.0)', 'Infinity')
    """
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "(-Infinity)"
    return repr(value) if math.copysign(1.0, value) > 0 else f"({value!r})"


def _operation(scalar: Scalar, args: Sequence[str]) -> str:
    op = scalar.op
    if op in _INFIX:
        return f"({args[0]} {_INFIX[op]} {args[1]})"
    if op in _PREFIX:
        return f"({_PREFIX[op]}{args[0]})"
    if op == "where":
        return f"({args[0]} ? {args[1]} : {args[2]})"
    return f"Math.{_MATH.get(op, op)}({', '.join(args)})"


def surface_functions(traced: TracedSurface) -> str:
    """``{loss(x, p, out), slope(x, p, out)}`` of a surface: p has its parameters in order."""
    places = {"x0": "x[0]", "x1": "x[1]"}
    places |= {name: f"p[{i}]" for i, name in enumerate(traced.surface.params)}
    parts = {"loss": traced.loss, "slope": traced.slope}
    return _object({name: function(part, places, ("x", "p", "out")) for name, part in parts.items()})


def rule_functions(traced: TracedRule) -> str:
    """Of a rule ``{slots, init(x, out), gradientAt(x, s, h, out), weights(x, s, h, out), update(x, s, h, g, t, out)}``.

    s has the numbers of its state, h its hypers, in order; an update writes the step and then the new state.
    """
    places = {"x0": "x[0]", "x1": "x[1]", "g0": "g[0]", "g1": "g[1]", "t": "t"}
    places |= {name: f"s[{i}]" for i, name in enumerate(traced.slots)}
    places |= {name: f"h[{i}]" for i, name in enumerate(traced.hypers)}
    at = ("x", "s", "h", "out")
    return _object(
        {
            "slots": str(len(traced.slots)),
            "init": function(traced.init, places, ("x", "out")),
            "gradientAt": function(traced.gradient_at, places, at),
            "weights": function(traced.weights, places, at),
            "update": function(traced.update, places, ("x", "s", "h", "g", "t", "out")),
        }
    )


def _object(parts: Mapping[str, str]) -> str:
    # Escaped as a script element needs it: a function of the user's may have any name.
    keys = {name: json.dumps(name).replace("<", "\\u003c") for name in parts}
    return "{\n" + ",\n".join(f"{keys[name]}: {text}" for name, text in parts.items()) + "\n}"
