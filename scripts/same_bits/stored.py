"""What training left in a store, one hash for each part of each run.

Reads the files as docs/store.md describes them, without ravine.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import struct
from array import array
from pathlib import Path

Parts = dict[str, str]
"""Hashes by what they are of."""


def contents(folder: Path) -> dict[str, Parts]:
    """The parts of each run of a store, by the run's id."""
    db = sqlite3.connect(f"file:{folder / 'ravine.db'}?mode=ro", uri=True)
    try:
        found = {}
        runs = db.execute("SELECT id, config, seed, recipe, status, step, diverged_at FROM runs").fetchall()
        for run, *record in runs:
            metrics = db.execute("SELECT name, value FROM metrics WHERE run_id = ? ORDER BY name", [run])
            parts = {"record": _hash(repr(record)), "metrics": _hash(repr(metrics.fetchall()))}
            parts |= _tensors(db, folder, run)
            parts |= {f"curve {metric}": _hash(repr(curve)) for metric, curve in _curves(db, run).items()}
            found[run] = parts
        return found
    finally:
        db.close()


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _tensors(db: sqlite3.Connection, folder: Path, run: str) -> Parts:
    places = db.execute(
        "SELECT rows.kind, blocks.file, rows.row FROM rows JOIN blocks ON blocks.id = rows.block_id "
        "WHERE rows.run_id = ?",
        [run],
    ).fetchall()
    places += db.execute(
        "SELECT 'kept at ' || kept.step, blocks.file, kept.row FROM kept JOIN blocks ON blocks.id = kept.block_id "
        "WHERE kept.run_id = ?",
        [run],
    ).fetchall()
    parts = {}
    for kind, file, row in places:
        data = (folder / "blocks" / file).read_bytes()
        (length,) = struct.unpack("<Q", data[:8])
        header = json.loads(data[8 : 8 + length])
        for name, about in sorted(header.items()):
            if name == "__metadata__":
                continue
            start, end = (8 + length + at for at in about["data_offsets"])
            size = (end - start) // about["shape"][0]
            own = data[start + row * size : start + (row + 1) * size]
            parts[f"{kind} {name}"] = hashlib.sha256(own).hexdigest()[:12]
    return parts


def _curves(db: sqlite3.Connection, run: str) -> dict[str, list[tuple[int, str]]]:
    """Points of each metric: later chunks replace earlier ones, and cuts end what an interrupted run left behind."""
    cuts = db.execute("SELECT chunk_id, after_step FROM curve_cuts WHERE run_id = ?", [run]).fetchall()
    chunks = db.execute(
        'SELECT chunk.id, chunk.metric, chunk.steps, chunk.points, grp.num_runs, place."column" '
        "FROM curve_columns AS place JOIN curve_groups AS grp ON grp.id = place.group_id "
        "JOIN curve_chunks AS chunk ON chunk.group_id = grp.id WHERE place.run_id = ? ORDER BY chunk.id",
        [run],
    )
    curves: dict[str, dict[int, str]] = {}
    for chunk, metric, steps, points, num_runs, column in chunks:
        last = min((after for upto, after in cuts if chunk <= upto), default=None)
        values = array("f", points)[column::num_runs]
        for step, value in zip(array("q", steps), values, strict=True):
            if last is None or step <= last:
                curves.setdefault(metric, {})[step] = value.hex()
    return {metric: sorted(curve.items()) for metric, curve in curves.items()}
