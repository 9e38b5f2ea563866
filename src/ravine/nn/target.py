"""The user's own modules: found by name, built, and identified for a recipe's hash."""

from __future__ import annotations

import functools
import hashlib
import importlib
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ravine.errors import ModelError, choices, in_a_line, nearest, raised_at, with_article
from ravine.host_memory import check_address_space
from ravine.messages import shown
from ravine.nn.provenance import check_may_run, check_module_name, check_reached

if TYPE_CHECKING:
    from torch import nn

Factory = Callable[..., "nn.Module"]


def find_factory(target: str, search: Path | None = None, trust: Sequence[str] | None = ()) -> Factory:
    """The class or function that a study names as its model's target, if it may (`ravine.nn.provenance`).

    Args:
        target: ``"package.module:Name"``.
        search: the study's folder, looked at first; then the working directory, then what is installed.
        trust: installed packages all of whose functions may run; None: nothing may run.

    Returns:
        The callable of that name.

    Raises:
        ModelError: the module does not exist or fails to import, has no such name, or the name is of something that
            cannot be called or that a study may not call.

    Example:
        >>> find_factory("torch.nn:Linear").__name__
        'Linear'
    """
    if trust is None:
        raise ModelError(
            f"model.target = {target!r}: no study file found here names it, and ravine runs no code that only a store "
            "names: give the study file"
        )
    found = find_named(target, search, "model.target")
    if not callable(found):
        raise ModelError(
            f"model.target = {target!r} is {with_article(type(found).__name__)}, not a class or function that "
            "returns an nn.Module"
        )
    check_may_run(f"model.target = {target!r}", found, folders_of(search), trust)
    return found  # type: ignore[no-any-return]


def find_named(target: str, search: Path | None, key: str, wanted: Callable[[Any], bool] = callable) -> Any:
    """The object that a study names as ``"package.module:name"``.

    Args:
        target: the name.
        search: the study's folder, looked at first; then the working directory, then what is installed.
        key: the study's key, for errors.
        wanted: which other objects of the module a hint may name.

    Raises:
        ModelError: the module does not exist or fails to import, or it has no such name.
    """
    module_name, _, attribute = target.partition(":")
    folders = folders_of(search)
    with importable(search):
        where = f"{key} = {target!r}"
        _refuse_namesake(where, module_name, search)
        check_module_name(where, module_name, folders)
        module = _import(where, module_name, search)
        found: Any = module
        for name in attribute.split("."):
            if not hasattr(found, name):
                names = [n for n in dir(found) if not n.startswith("_") and wanted(getattr(found, n, None))]
                near = nearest(name, names)
                hint = f"did you mean {near!r}?" if near else choices(name, _own(found, names))
                raise ModelError(f"{key} = {target!r}: {module_name} has no {name!r}; {hint}")
            found = getattr(found, name)
            check_reached(where, found, folders)
    return found


def folders_of(search: Path | None) -> list[Path]:
    """The folders of the user's own modules: the study's, and the working directory."""
    return [folder for folder in (search, Path.cwd()) if folder is not None]


def _import(where: str, module_name: str, search: Path | None) -> Any:
    check_address_space()  # most import PyTorch
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        # Either this module is missing, or one that it imports.
        if error.name is not None and (module_name + ".").startswith(error.name + "."):
            folders = " or ".join(dict.fromkeys(str(p) for p in (search, Path.cwd()) if p is not None))
            plain = module_name.removesuffix(".py")
            hint = f"; did you mean {plain!r}, without .py?" if plain != module_name else ""
            raise ModelError(
                f"{where}: no module {error.name!r} in {folders}, and none is installed{hint}"
            ) from error
        raise ModelError(f"{where}: importing {module_name} failed: {in_a_line(error)}") from error
    except (Exception, SystemExit) as error:
        raise ModelError(f"{where}: importing {module_name} failed: {in_a_line(error)}") from error


def _refuse_namesake(where: str, module_name: str, search: Path | None) -> None:
    """Python caches modules by name: without this check a study could get the `models.py` of another folder."""
    top = module_name.partition(".")[0]
    loaded = getattr(sys.modules.get(top), "__file__", None)
    for folder in (search, Path.cwd()):
        if loaded is None or folder is None:
            continue
        for here in (folder / f"{top}.py", folder / top / "__init__.py"):
            if here.is_file():
                if here.resolve() != Path(loaded).resolve():
                    raise ModelError(
                        f"{where}: {here} cannot be imported, another module named {top!r} "
                        f"is loaded from {loaded}; rename one of them"
                    )
                return


def _own(found: Any, names: list[str]) -> list[str]:
    """Those of the names that a module defines itself; of a package all, since it often imports everything."""
    if hasattr(found, "__path__"):
        return names
    home = getattr(found, "__name__", "")
    return [n for n in names if getattr(getattr(found, n), "__module__", None) == home] or names


def call_factory(factory: Factory, args: Mapping[str, Any], search: Path | None = None) -> nn.Module:
    """The module that a user's class or function builds.

    Args:
        factory: a class or function.
        args: its keyword arguments.
        search: the study's folder, from which it may import.

    Returns:
        A new module.

    Raises:
        ModelError: it raised an exception or returned no nn.Module.

    Example:
        >>> import torch
        >>> call_factory(torch.nn.Linear, {"in_features": 2, "out_features": 3})
        Linear(in_features=2, out_features=3, bias=True)
    """
    from torch import nn

    name = getattr(factory, "__qualname__", type(factory).__name__)
    if isinstance(factory, nn.Module):
        raise ModelError(
            f"model must be a class or a function that builds a {type(factory).__name__}, not one already "
            "built: each run starts from weights of its own"
        )
    given = ", ".join(f"{key}={shown(value)}" for key, value in args.items())
    try:
        with importable(search):
            module = factory(**args)
    except ModelError:
        raise
    except (Exception, SystemExit) as error:
        raise ModelError(f"model: {name}({given}) failed: {in_a_line(error)}{raised_at(error)}") from error
    if not isinstance(module, nn.Module):
        raise ModelError(
            f"model: {name}({given}) returned {with_article(type(module).__name__)}, not an nn.Module"
        )
    return module


def describe_factory(factory: Factory) -> str:
    """A text that identifies a class or function in every process, for a recipe's hash.

    It changes with the source of the class or function itself, but not with the source of what that calls.

    Args:
        factory: a class, a function, or a `functools.partial` of one.

    Returns:
        ``"module:qualname"``, then ``"@"`` and 16 hexadecimal digits of the SHA-256 of its source, where that
        can be had; a partial's arguments follow in parentheses.

    Example:
        >>> describe_factory(dict)
        'builtins:dict'
    """
    if isinstance(factory, functools.partial):
        shown = [repr(a) for a in factory.args] + [f"{k}={v!r}" for k, v in sorted(factory.keywords.items())]
        return f"{describe_factory(factory.func)}({', '.join(shown)})"
    named = factory if hasattr(factory, "__qualname__") else type(factory)
    name = f"{named.__module__}:{named.__qualname__}"
    try:
        source = inspect.getsource(named)
    except (OSError, TypeError):  # typed into an interpreter, or written in C
        return name
    return f"{name}@{hashlib.sha256(inspect.cleandoc(source).encode()).hexdigest()[:16]}"


@contextmanager
def importable(search: Path | None) -> Iterator[None]:
    """Within it, Python imports from `search` and from the working directory first.

    Example:
        >>> with importable(Path("/tmp")):
        ...     sys.path[0]
        '/tmp'
    """
    before = list(sys.path)
    sys.path[:0] = dict.fromkeys(str(p.resolve()) for p in (search, Path.cwd()) if p is not None)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path[:] = before
