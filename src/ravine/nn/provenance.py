"""Whether a study may run the code that its target names.

A study file names code by text, and people run study files that they did not write. So a target must be code that
someone put beside the study on purpose, or an installed class or function that makes networks: not just anything that
Python can reach by a name.
"""

from __future__ import annotations

import functools
import importlib.util
import inspect
import sys
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from ravine.errors import ModelError

_DEEPEST = 20  # wrappers around a function (partials, methods, decorators) that are looked through
_ALLOWED = (
    "a model must be an nn.Module class, or a function that returns one, beside the study file, in the working "
    "directory or in an installed package"
)


_OWN_CODE = "it must be a function beside the study file or in the working directory, which may call it"
_CODE = "a study names code beside it, in the working directory or in an installed package"


def check_module_name(where: str, name: str, folders: Sequence[Path]) -> None:
    """Refuse modules of the standard library, and programs, before they are imported.

    Args:
        where: the key and its value, for the error.
        name: of the module.
        folders: those with the user's own modules.

    Raises:
        ModelError: the module may not be imported.
    """
    top = name.partition(".")[0]
    if "__main__" in name.split(".") and not _main_is_own(folders):
        raise ModelError(f"{where}: {name} is a program; {_CODE}")
    if is_standard(top) and not _found_in(top, folders):
        raise _standard(where, name)


def check_reached(where: str, found: object, folders: Sequence[Path]) -> None:
    """Refuse to reach the standard library through the names of another module.

    Args:
        where: the key and its value, for the error.
        found: what one of the names on the way leads to.
        folders: those with the user's own modules.

    Raises:
        ModelError: it is a module of the standard library.
    """
    if isinstance(found, ModuleType):
        name = found.__name__
        if is_standard(name) and not _is_own(name, getattr(found, "__file__", None), folders):
            raise _standard(where, name)


def check_may_run(where: str, found: object, folders: Sequence[Path], trust: Sequence[str]) -> None:
    """Refuse what a study may not call.

    Args:
        where: the key and its value, for the error.
        found: what the study names.
        folders: those with the user's own modules, whose functions may run.
        trust: installed packages all of whose functions may run.

    Raises:
        ModelError: it is neither an nn.Module class nor a function that may run.
    """
    from torch import nn

    if isinstance(found, nn.Module):  # `call_factory` has a better error
        return
    if isinstance(found, type):
        if not issubclass(found, nn.Module):
            raise ModelError(f"{where} is a class, but not an nn.Module; {_ALLOWED}")
        _check_of_torch(where, found.__module__, trust)
        return
    function = _python_function(found)
    if function is None:
        raise ModelError(
            f"{where} is a builtin or extension function, whose source is not Python; {_ALLOWED}"
        )
    home = str(function.__globals__.get("__name__", ""))
    if _is_own(home, function.__globals__.get("__file__"), folders):
        return
    if is_standard(home):
        raise _standard(where, home)
    if _trusted(home, trust):
        return
    if _returns_module(function):
        _check_of_torch(where, home, trust)
        return
    package = home.partition(".")[0] or "PACKAGE"
    raise ModelError(
        f"{where} is a function of the installed package {package!r} that is not annotated to return "
        f"an nn.Module: it runs only with --trust {package}, in Python trust=[{package!r}]"
    )


def check_may_compute(where: str, found: object, folders: Sequence[Path]) -> None:
    """Refuse functions of numbers, such as a loss, that are not the user's own.

    Args:
        where: the key and its value, for the error.
        found: what the study names.
        folders: those with the user's own modules.

    Raises:
        ModelError: it is no function, or one of an installed package or of the standard library.
    """
    function = _python_function(found)
    if isinstance(found, type) or function is None:
        raise ModelError(f"{where} is not a function that is written in Python; {_OWN_CODE}")
    home = str(function.__globals__.get("__name__", ""))
    if _is_own(home, function.__globals__.get("__file__"), folders):
        return
    if is_standard(home):
        raise _standard(where, home)
    package = home.partition(".")[0] or "PACKAGE"
    raise ModelError(f"{where} is a function of the installed package {package!r}; {_OWN_CODE}")


def _trusted(home: str, trust: Sequence[str]) -> bool:
    return any(f"{home}.".startswith(f"{package}.") for package in trust if package)


def _check_of_torch(where: str, home: str, trust: Sequence[str]) -> None:
    """Of PyTorch itself only torch.nn makes models of plain numbers: torch.fx, say, compiles source text."""
    if (
        home.partition(".")[0] == "torch"
        and not f"{home}.".startswith("torch.nn.")
        and not _trusted(home, trust)
    ):
        raise ModelError(
            f"{where} belongs to {home}; of PyTorch itself a study names what torch.nn has: all else runs only with "
            "--trust torch, in Python trust=['torch']"
        )


def is_standard(module: str) -> bool:
    """Whether a name is one of the standard library's.

    Example:
        >>> is_standard("os.path"), is_standard("torch")
        (True, False)
    """
    top = module.partition(".")[0]
    return top in sys.stdlib_module_names or top in sys.builtin_module_names


def _standard(where: str, module: str) -> ModelError:
    return ModelError(f"{where}: {module} belongs to Python's standard library; {_CODE}")


def _found_in(top: str, folders: Sequence[Path]) -> bool:
    """Whether Python, which looks at these folders first, finds a module there; nothing is imported."""
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return False
    return spec is not None and spec.has_location and _is_own(top, spec.origin, folders)


def _is_own(module: str, file: object, folders: Sequence[Path]) -> bool:
    """Whether a module, or the package that it is in, lies in one of the folders, and not somewhere below them."""
    if not isinstance(file, str):
        return False
    top, path = module.partition(".")[0], Path(file).resolve()
    for folder in (folder.resolve() for folder in folders):
        alone = path.parent == folder and (top == "__main__" or path.name.partition(".")[0] == top)
        if alone or path.is_relative_to(folder / top):
            return True
    return False


def _main_is_own(folders: Sequence[Path]) -> bool:
    """Whether the running program is the user's script, and not the command line of some package."""
    return _is_own("__main__", getattr(sys.modules.get("__main__"), "__file__", None), folders)


def _python_function(found: object) -> FunctionType | None:
    """The Python function that runs first when something is called; None if none does."""
    for _ in range(_DEEPEST):
        if isinstance(found, functools.partial):
            found = found.func
        elif inspect.ismethod(found):
            found = found.__func__
        elif callable(wrapped := getattr(found, "__wrapped__", None)):
            found = wrapped
        elif isinstance(found, FunctionType):
            return found
        elif isinstance(found, type) or inspect.isroutine(found):
            return None
        else:
            found = inspect.getattr_static(type(found), "__call__", None)
    return None


def _returns_module(function: FunctionType) -> bool:
    from torch import nn

    try:
        hints: Mapping[str, Any] = typing.get_type_hints(function)
    except Exception:  # noqa: BLE001 (a name in an annotation that is not there at run time)
        return False
    returned = hints.get("return")
    return isinstance(returned, type) and issubclass(returned, nn.Module)
