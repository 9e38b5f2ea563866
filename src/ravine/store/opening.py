"""Opening a store: where its folder and its database are, whether both can be used, and a sweep if alone."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine, select
from sqlalchemy.engine import URL

from ravine.errors import StoreError, short
from ravine.messages import shown
from ravine.store import blocks, database, lock
from ravine.store.entries import known_files
from ravine.store.schema import VERSION, meta
from ravine.store.upgrade import COPIED, EARLIER, bring_up

DATABASE = "ravine.db"
_LONGEST = 200  # letters of a path that an error repeats


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What an open store consists of: its database, its two folders, and a descriptor with the shared lock.

    One that can only be read has no lock: None.
    """

    engine: Engine
    blocks: Path
    locks: Path
    held: int | None

    def close(self) -> None:
        """Close the database and release the lock."""
        self.engine.dispose()
        if self.held is not None:
            os.close(self.held)


def open_store(root: Path | str, *, create: bool, folder: Path | str | None) -> Opened:
    """Open or create a store. See `Store`.

    Raises:
        StoreError: not there, not a store, not writable, or of another version.
    """
    url, place = _resolve(root, folder)
    lock_file = place / "locks" / "store.lock"
    try:
        _check_own(place)
        if url is None and not create and not (place / DATABASE).exists():
            raise StoreError(f"no store at {str(root)!r}: it has no {DATABASE}; train a study there first")
        held = _make_folders(place)
    except (OSError, ValueError) as error:
        if isinstance(error, ValueError):  # a NUL in the path
            raise StoreError(f"cannot use {short(str(root), _LONGEST)!r} as a store: {error}") from error
        if url is None and not create and error.errno in (None, errno.EACCES, errno.EPERM, errno.EROFS):
            with contextlib.suppress(OSError):  # where not even the folder may be looked into
                return _read_only(place)
        here = f"cannot use {short(str(root), _LONGEST)!r} as a store"
        if error.errno == errno.ENOENT:  # where a folder would be made: /proc, say
            raise StoreError(
                f"{here}: no folder can be made at {short(str(error.filename), _LONGEST)}"
            ) from error
        raise StoreError(f"{here}: {short(str(error.filename), _LONGEST)}: {error.strerror}") from error
    try:
        engine = database.connect(url or database.sqlite_url(place / DATABASE))
    except StoreError:
        os.close(held)
        raise
    opened = Opened(engine=engine, blocks=place / "blocks", locks=place / "locks", held=held)
    try:
        alone = lock.try_exclusive(held)
        if not alone:
            lock.share(held, lock_file)
        version = database.prepare(engine, create=create, alone=alone)
        if version in EARLIER:
            if not alone and url is None:
                raise StoreError(
                    f"{str(root)!r} has store format {version} and is in use by {lock.holder_of([lock_file])}: open it "
                    "once while nobody else uses it, to upgrade it"
                )
            _bring_up(engine)
            version = str(VERSION)
        database.check_version(engine, version)
        # Machines that share a database may not see each other's locks: nothing is swept there.
        if alone and url is None:
            with database.transaction(engine, writes=False) as connection:
                known = known_files(connection)
            blocks.sweep(opened.blocks, known)
        lock.share(held, lock_file)
    except BaseException:
        opened.close()
        raise
    return opened


def _bring_up(engine: Engine) -> None:
    """Upgrade a store to this format, unless somebody else has just done so."""
    with database.transaction(engine, writes=True) as connection:
        version = connection.scalar(select(meta.c.value).where(meta.c.key == "version"))
        if version in EARLIER:
            bring_up(connection, version)


def _check_own(place: Path) -> None:
    """See that what a store is made of lies in its own folder.

    Raises:
        StoreError: a part of it is a link, which may lead anywhere, or a device.
    """
    for name in ("blocks", "locks"):
        if (place / name).is_symlink():
            raise StoreError(f"{place / name} is a link: all parts of a store must be in its own folder")
    for end in ("", "-wal", "-shm", "-journal"):
        path = place / f"{DATABASE}{end}"
        try:
            mode = path.lstat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            continue
        if not stat.S_ISREG(mode):
            raise StoreError(f"{path} is not a regular file: all parts of a store must be in its own folder")


def _read_only(place: Path) -> Opened:
    """Open a store in a folder that cannot be written: to be listed, shown and reported."""
    engine = database.connect(database.read_only_url(place / DATABASE))
    try:
        version = database.prepare(engine, create=False, alone=False)
        if version in COPIED:
            engine.dispose()
            engine = database.copied(place / DATABASE)
            _bring_up(engine)
            version = str(VERSION)
        elif version in EARLIER:
            raise StoreError(
                f"{database.describe(engine)} has store format {version}: open it once where it can be written"
            )
        database.check_version(engine, version)
    except BaseException:
        engine.dispose()
        raise
    return Opened(engine=engine, blocks=place / "blocks", locks=place / "locks", held=None)


def _resolve(root: Path | str, folder: Path | str | None) -> tuple[URL | None, Path]:
    """The database's address (None: a SQLite file in the folder) and the folder."""
    if not isinstance(root, str | Path):
        raise StoreError(f"store = {shown(root)}: must be a folder, or the address of a database")
    text = str(root)
    if not text:
        raise StoreError("store '': must be a folder; '.' is the current one")
    if "://" not in text:
        if folder is not None:
            raise StoreError(f"folder={str(folder)!r}: only for a store that is a database address")
        path = Path(root).absolute()
        try:
            is_file = path.is_file()
        except (OSError, ValueError):  # too long, forbidden, with a NUL: opening it will say so
            is_file = False
        if is_file:
            raise StoreError(
                f"store {text!r} is a file: name the folder that contains, or will contain, {DATABASE}"
            )
        return None, path
    url = database.parse_url(text)
    if url.get_backend_name() != "postgresql":
        raise StoreError(f"store {url.drivername!r}: must be a folder or postgresql+psycopg://...")
    place = folder or url.query.get("folder")
    if not place or not isinstance(place, (str, Path)):
        raise StoreError("a store in a database needs a folder for its weights: add ?folder=/some/path to it")
    return url.difference_update_query(["folder"]), Path(place).absolute()


def _make_folders(place: Path) -> int:
    """Make what is missing and open the lock file; OSError if anything can't be written."""
    for path in (place / "blocks", place / "locks"):
        path.mkdir(parents=True, exist_ok=True)
        if not os.access(path, os.W_OK):
            raise PermissionError(None, "Permission denied", str(path))
    if not os.access(place, os.W_OK):
        raise PermissionError(None, "Permission denied", str(place))
    blocks.sync_folder(place)
    return lock.open_lock_file(place / "locks" / "store.lock")
