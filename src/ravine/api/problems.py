"""What is wrong with a study file, or odd about it, before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ravine.api.studies import read_any
from ravine.errors import InputError
from ravine.host_memory import check_address_space
from ravine.messages import printable
from ravine.study.load import read_content


def problems(study: Path | str, *, overrides: Sequence[str] = (), trust: Sequence[str] = ()) -> list[str]:
    """What is wrong with a study file, a line for each independent problem; nothing is trained or stored.

    Args:
        study: path of a study file.
        overrides: texts such as "epochs=5".
        trust: as in `run`.

    Returns:
        Lines that begin with the path; [] if the study can be run.

    Raises:
        StudyError: the file cannot be read, or is not TOML.
    """
    return [f"{study}: {printable(str(fault))}" for fault in faults(study, overrides=overrides, trust=trust)]


def faults(
    study: Path | str, *, overrides: Sequence[str] = (), trust: Sequence[str] = ()
) -> list[InputError]:
    """The problems as errors: `at` says where each one is. See `problems`."""
    content, _ = read_content(study, overrides)
    check_address_space()
    from ravine.launch.problems import problems

    return problems(content, Path(study).resolve().parent, trust)


def remarks(study: Path | str, *, overrides: Sequence[str] = (), trust: Sequence[str] = ()) -> list[str]:
    """Lines about a sound study: what the weights that it keeps take on the disk, and outputs that look wrong.

    Args:
        study: path of a study file.
        overrides: texts such as "epochs=5".
        trust: as in `run`.
    """
    read, _, search = read_any(study, overrides, trust)
    from ravine.launch.problems import remarks as found

    return found(read, search)
