"""The one way in: without the extra `onnx`, one line says what to install."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ravine.errors import InputError, in_a_line
from ravine.predictors.predictor import Predictor, Session

if TYPE_CHECKING:
    from ravine.predictors.graph.check import Checked

_NEEDED = ("onnx", "onnxscript", "onnxruntime")


def require_onnx(what: str, packages: tuple[str, ...] = _NEEDED) -> None:
    """Import packages, or refuse what needs them.

    Args:
        what: needs them, as the beginning of the line.
        packages: that are imported.

    Raises:
        InputError: one of them is not installed, or does not work.
    """
    for each in packages:
        if find_spec(each) is None:
            raise InputError(f'{what} needs {each}: pip install "ravine[onnx]"')
        try:
            import_module(each)
        except Exception as error:
            raise InputError(
                f"{what} needs {each}, which cannot be imported: {in_a_line(error)}; install it again with "
                'pip install "ravine[onnx]"'
            ) from error


def write_graph(
    predictor: Predictor,
    path: Path | str,
    *,
    facts: Mapping[str, Any] | None = None,
    members: bool = False,
) -> Checked:
    """Write a predictor as one ONNX graph. See `ravine.predictors.graph.write`."""
    require_onnx("an ONNX graph")
    from ravine.predictors.graph import write

    return write.write_graph(predictor, path, facts=facts, members=members)


def check_graph(path: Path | str) -> Checked:
    """Run the test vectors of a graph. See `ravine.predictors.graph.check`."""
    require_onnx(str(path), ("onnxruntime",))
    from ravine.predictors.graph import check

    return check.check_graph(path)


def members_of(path: Path | str) -> Mapping[str, Session]:
    """The members of a graph, to be evaluated without their modules. See `ravine.predictors.graph.session`."""
    require_onnx(str(path), ("onnx", "onnxruntime"))
    from ravine.predictors.graph import session

    return session.members_of(path)
