"""Files of the Hugging Face hub: from its cache where they are there, else from the hub, unless it is switched off.

A file that is in the cache is taken without asking the hub. One that is not is fetched, since the study names it; where
that cannot be, the error says how to go on without a connection.
"""

from __future__ import annotations

import json
import re
import socket
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

from ravine.backbones.files import existing
from ravine.errors import ModelError, in_a_line
from ravine.messages import shown

_REPOSITORY = re.compile(r"(\w[\w.-]*/\w[\w.-]*)@([\w./-]+)")
_PATIENCE_S = 5.0
_LONGEST_JSON = 10_000_000
CONFIG, WEIGHTS, PREPROCESSING = "config.json", "model.safetensors", "preprocessor_config.json"


def hub_file(
    name: str, filename: str, search: Path | None, *, optional: bool = False, key: str = "weights"
) -> Path | None:
    """A file of a repository, ``OWNER/NAME@REVISION``, or of a folder that was saved as one.

    Args:
        name: the repository or the folder.
        filename: in it.
        search: the folder that a relative path starts from.
        optional: whether it may be missing: None is returned then.
        key: of the model, which names it.

    Raises:
        ModelError: it is not there, or the hub cannot be reached.
    """
    where = f"model.{key} = {shown('hf:' + name)}"
    found = _REPOSITORY.fullmatch(name)
    if found is not None:
        return fetched(found[1], found[2], filename, where, optional)
    folder = existing(name, search or Path(), where, folder=True)
    file = folder / filename
    if file.is_file():
        return file
    if optional:
        return None
    other = next((each.name for each in sorted(folder.glob("*.bin")) + sorted(folder.glob("*.pt*"))), None)
    hint = f"; {other} may contain code: save it with safe_serialization=True" if other else ""
    raise ModelError(f"{where}: there is no {filename} in {folder}{hint}")


@lru_cache(maxsize=64)
def fetched(
    repository: str, revision: str | None, filename: str, where: str, optional: bool = False
) -> Path | None:
    """A file of a repository on the hub.

    Args:
        repository: OWNER/NAME.
        revision: a branch, a tag or a commit; None: the main branch.
        filename: in it.
        where: the key with its value, for errors.
        optional: whether it may be missing: None is returned then.

    Raises:
        ModelError: there is no such file, or the hub cannot be reached.
    """
    try:
        from huggingface_hub import constants, hf_hub_download
        from huggingface_hub.errors import (
            EntryNotFoundError,
            GatedRepoError,
            HFValidationError,
            LocalEntryNotFoundError,
            RepositoryNotFoundError,
            RevisionNotFoundError,
        )
    except ImportError:
        raise ModelError(f'{where}: needs huggingface_hub: pip install "ravine[hub]"') from None
    at = f"{repository}@{revision}" if revision else repository
    try:
        return Path(hf_hub_download(repository, filename, revision=revision, local_files_only=True))
    except HFValidationError as error:
        raise ModelError(f"{where}: {in_a_line(error)}") from None
    except LocalEntryNotFoundError:
        pass  # not in the cache
    if constants.HF_HUB_OFFLINE:
        if optional:
            return None
        raise ModelError(f"{where}: {_not_here(repository, revision, 'HF_HUB_OFFLINE is set', filename)}")
    if (why := _unreachable(constants.ENDPOINT)) is not None:
        raise ModelError(f"{where}: {_not_here(repository, revision, why, filename)}")
    try:
        return Path(hf_hub_download(repository, filename, revision=revision, etag_timeout=_PATIENCE_S))
    except LocalEntryNotFoundError as error:  # what is raised where there is no connection
        reason = f"the hub cannot be reached ({type(error.__cause__ or error).__name__})"
        raise ModelError(f"{where}: {_not_here(repository, revision, reason, filename)}") from None
    except GatedRepoError:
        raise ModelError(f"{where}: {repository} asks for terms to be accepted, and for a login") from None
    except RepositoryNotFoundError:
        raise ModelError(f"{where}: the hub has no model {repository}, or it is private") from None
    except RevisionNotFoundError:
        raise ModelError(f"{where}: {repository} has no revision {shown(revision)}") from None
    except EntryNotFoundError:
        if optional:
            return None
        raise ModelError(f"{where}: {at} has no {filename}") from None
    except Exception as error:  # noqa: BLE001 (whatever a connection raises)
        reason = f"the hub cannot be reached ({in_a_line(error)})"
        raise ModelError(f"{where}: {_not_here(repository, revision, reason, filename)}") from None


def _unreachable(endpoint: str) -> str | None:
    """Why the hub cannot be reached, found at once: its own client tries again and again for half a minute."""
    at = urlsplit(getproxies().get("https") or endpoint)
    try:
        with socket.create_connection((at.hostname or "", at.port or 443), timeout=_PATIENCE_S):
            return None
    except OSError as error:
        return f"{at.hostname} cannot be reached ({error.strerror or error})"


def _not_here(repository: str, revision: str | None, reason: str, filename: str) -> str:
    at = f" --revision {revision}" if revision else ""
    return (
        f"{filename} is not in the hub's cache, and {reason}; where there is a connection, run "
        f'`hf download {repository}{at} --local-dir FOLDER`, and give "hf:FOLDER"'
    )


def read_json(file: Path) -> dict[str, Any]:
    """A table out of a JSON file.

    Raises:
        ModelError: it is something else.
    """
    try:
        size = file.stat().st_size
        content = json.loads(file.read_bytes()) if size <= _LONGEST_JSON else None
    except OSError as error:
        raise ModelError(f"{file}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise ModelError(f"{file}: is no JSON") from None
    if not isinstance(content, dict):
        raise ModelError(f"{file}: must be a table of at most {_LONGEST_JSON:,} bytes")
    return content
