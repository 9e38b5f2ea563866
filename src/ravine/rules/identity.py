"""What a rule computes, as text: two rules with the same text are the same rule.

A stored run is found by its recipe, so the recipe of a rule of one's own must change with the rule. The text contains
the source of its functions without comments and docstrings, the values that they close over or read from their module,
and the functions that they call, unless these are PyTorch's, Python's or ravine's.
"""

from __future__ import annotations

import ast
import builtins
import dis
import functools
import hashlib
import inspect
import math
import sys
import textwrap
import types
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import fields, is_dataclass
from typing import Any

from ravine.errors import StudyError

_LARGEST = 1 << 20  # numbers that a tensor in a rule may have
_KNOWN = ("torch", "ravine", "math", "numpy")  # packages whose functions are known by their names


def identity(
    name: str,
    parts: Mapping[str, object],
    version: str | None,
    noun: str = "rule",
    advice: str = '; or give the rule a version = "1"',
) -> str:
    """16 hex digits of the SHA-256 of what a rule, or another function of the user's, is.

    Args:
        name: its own, for errors.
        parts: functions and values by name.
        version: stands for the source of the functions; None: their source counts.
        noun: what it is, for errors.
        advice: what else a user can do, for errors.

    Raises:
        StudyError: some part has no text that says what it does.
    """
    try:
        if version is None:
            text = _Text().of(parts)
        else:
            plain = {key: value for key, value in parts.items() if not _is_code(value)}
            text = f"version {version!r} {_Text().of(plain)}"
    except _Unknown as unknown:
        raise StudyError(f"{noun} {name!r}: {unknown}{advice}") from None
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class _Unknown(Exception):
    """Something without a text that says what it does."""


def _is_code(value: object) -> bool:
    if isinstance(value, Mapping):
        return any(map(_is_code, value.values()))
    return callable(value)


class _Text:
    """Writes functions and values as text, each object once: later mentions are references."""

    def __init__(self) -> None:
        self._seen: dict[int, int] = {}
        self._alive: list[object] = []  # an id means its object only as long as that lives

    def of(self, value: object, where: str = "it") -> str:
        if value is None or isinstance(value, bool | int | str | bytes):
            return repr(value)
        if isinstance(value, float):
            return value.hex() if math.isfinite(value) else repr(value)
        if isinstance(value, list | tuple):
            return f"({', '.join(self.of(each, where) for each in value)})"
        if isinstance(value, Mapping):
            pairs = sorted((self.of(k, where), self.of(v, f"{where}[{k!r}]")) for k, v in value.items())
            return f"{{{', '.join(f'{k}: {v}' for k, v in pairs)}}}"
        if isinstance(value, Set):
            return f"{{{', '.join(sorted(self.of(each, where) for each in value))}}}"
        if isinstance(value, types.ModuleType):
            return self._module(value, where)
        if id(value) in self._seen:
            return f"#{self._seen[id(value)]}"
        self._seen[id(value)] = len(self._seen)
        self._alive.append(value)
        return self._once(value, where)

    def _once(self, value: Any, where: str) -> str:
        if isinstance(value, functools.partial):
            return f"partial({self.of(value.func, where)}, {self.of(value.args)}, {self.of(value.keywords)})"
        if isinstance(value, types.MethodType):
            return f"method({self.of(value.__func__, where)}, {self.of(value.__self__, where)})"
        if _is_known(value):
            return f"{value.__module__}.{value.__qualname__}"
        if isinstance(value, types.FunctionType):
            return self._function(value)
        if isinstance(value, types.BuiltinFunctionType | type) and value.__module__ in ("builtins", "math"):
            return f"{value.__module__}.{value.__qualname__}"
        if is_dataclass(value) and not isinstance(value, type):
            own = {field.name: getattr(value, field.name) for field in fields(value) if field.name != "about"}
            return f"{type(value).__module__}.{type(value).__qualname__}({self.of(own, where)})"
        if (
            type(value).__module__ in ("torch", "numpy")
            and hasattr(value, "dtype")
            and hasattr(value, "tolist")
        ):
            size = math.prod(value.shape)
            if size <= _LARGEST:
                return f"{type(value).__qualname__}({value.dtype}, {tuple(value.shape)}, {self.of(value.tolist())})"
        if type(value).__module__ == "torch":  # a dtype, a device
            return repr(value)
        raise _Unknown(
            f"{where} is of type {type(value).__qualname__}, which has no text that says what it does: use functions, "
            "numbers, texts, tensors, and tuples and dicts of them"
        )

    def _module(self, module: types.ModuleType, where: str) -> str:
        top = module.__name__.partition(".")[0]
        if top in _KNOWN or top in sys.stdlib_module_names:
            return f"module {module.__name__}"
        raise _Unknown(
            f"{where} is the module {module.__name__!r}: import the functions that it uses from there by name"
        )

    def _function(self, function: types.FunctionType) -> str:
        where = function.__qualname__
        source = _source(function)
        values: dict[str, object] = {}
        for name, value in _read(function):
            values[name] = value
        captured = {name: self.of(value, f"{name!r} in {where}") for name, value in sorted(values.items())}
        defaults = self.of(
            (function.__defaults__ or (), function.__kwdefaults__ or {}), f"a default of {where}"
        )
        return f"{source} with {captured!r} {defaults}"


def _is_known(value: object) -> bool:
    """Whether a class or function is known by its name: ravine's numbers are pinned, PyTorch's version is stored."""
    if not isinstance(value, types.FunctionType | types.BuiltinFunctionType | type):
        return False
    module = getattr(value, "__module__", None) or ""
    top = module.partition(".")[0]
    return top in _KNOWN or (top in sys.stdlib_module_names and top != "__main__") or top == "torch._C"


def _read(function: types.FunctionType) -> Iterator[tuple[str, object]]:
    """Names and values that a function, and functions within it, read from outside."""
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:  # not assigned yet
            continue
    for name in _global_names(function.__code__):
        if name in function.__globals__:
            yield name, function.__globals__[name]
        elif not hasattr(builtins, name):
            raise _Unknown(f"{function.__qualname__} reads {name!r}, which is not there")


def _global_names(code: types.CodeType) -> list[str]:
    names = {
        each.argval for each in dis.get_instructions(code) if each.opname in ("LOAD_GLOBAL", "LOAD_NAME")
    }
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names.update(_global_names(constant))
    return sorted(names)


def _source(function: types.FunctionType) -> str:
    """A function's source without comments, docstrings and layout."""
    name = function.__qualname__
    try:
        lines, _ = inspect.findsource(function)
        text = textwrap.dedent(inspect.getsource(function))
    except (OSError, TypeError, IndentationError):
        raise _Unknown(f"the source of {name} cannot be read: put it into a file") from None
    if not _is_as_loaded(function, "".join(lines)):
        raise _Unknown(f"the source of {name} has changed since it was imported: import it again")
    found = _nodes(text, "<lambda>" if function.__name__ == "<lambda>" else function.__code__.co_name)
    if len(found) != 1:
        raise _Unknown(
            f"the source of {name} cannot be separated from the code around it: write it as a function of its own"
        )
    node = found[0]
    for inner in ast.walk(node):
        if isinstance(inner, ast.FunctionDef):
            inner.returns = None
            first = inner.body[0]
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                inner.body[:1] = [] if len(inner.body) > 1 else [ast.Pass()]
        elif isinstance(inner, ast.arg):
            inner.annotation = None
    return ast.unparse(node)


def _nodes(text: str, name: str) -> Sequence[ast.FunctionDef | ast.Lambda]:
    """The functions of this name in a piece of source. A lambda's piece may begin in the middle of an expression."""
    lines = text.splitlines()
    for end in range(len(lines), 0, -1):
        for begin in ("", "(", "f(", "{"):
            close = {"": "", "(": ")", "f(": ")", "{": "}"}[begin]
            piece = "\n".join(lines[:end]).rstrip().rstrip(",") if begin else "\n".join(lines[:end])
            try:
                tree = ast.parse(begin + piece + close)
            except SyntaxError:
                continue
            if name == "<lambda>":
                return [node for node in ast.walk(tree) if isinstance(node, ast.Lambda)]
            return [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name]
    return []


def _is_as_loaded(function: types.FunctionType, text: str) -> bool:
    """Whether the source still compiles to this function: the file may have changed since it was imported."""
    code = function.__code__
    if any(name.startswith("@py") for name in (*code.co_names, *code.co_varnames)):
        return True  # rewritten by pytest
    try:
        whole = compile(text, code.co_filename, "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return True  # of a notebook's cell, with lines for the shell
    codes = list(_codes(whole))
    return any(
        (each.co_code, each.co_names, each.co_varnames) == (code.co_code, code.co_names, code.co_varnames)
        and _plain(each.co_consts) == _plain(code.co_consts)
        for each in codes
        if each.co_name == code.co_name
    )


def _plain(constants: Sequence[object]) -> list[str]:
    return [repr(each) for each in constants if not isinstance(each, types.CodeType)]


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)
