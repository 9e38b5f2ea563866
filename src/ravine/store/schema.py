"""The tables of a store, in portable SQL (SQLite, PostgreSQL). docs/store.md explains them to a reader.

Objects with a variable shape (hypers, recipe, plan) are JSON text: they are read whole, never searched.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)

# Raise it when the tables change; a store says which version wrote it.
VERSION = 8

metadata = MetaData()


def _digest() -> Column[str]:
    """A column that says whether the others are what was written; see `digests`. It is never empty."""
    return Column("digest", Text)


def _ref(name: str, target: str, *, primary: bool = False) -> Column[str]:
    """A column that refers to another table and disappears with the row it refers to."""
    return Column(name, ForeignKey(target, ondelete="CASCADE"), primary_key=primary, nullable=False)


meta = Table(
    "meta",
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

studies = Table(
    "studies",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("definition", Text, nullable=False),
    Column("base", Text, nullable=False),
    Column("data_fingerprint", Text, nullable=False),
    Column("created_at", Text, nullable=False),
    Column("notes", Text, nullable=False, server_default="[]"),
    _digest(),
)

launches = Table(
    "launches",
    metadata,
    Column("id", Integer, primary_key=True),
    _ref("study_id", "studies.id"),
    Column("started_at", Text, nullable=False),
    Column("seconds", Double),
    Column("command", Text, nullable=False),
    Column("file", Text),
    Column("versions", Text, nullable=False),
    Column("hardware", Text, nullable=False),
    Column("plan", Text, nullable=False),
    _digest(),
    Index("launches_by_study", "study_id"),
)

# The digest of a run is of what it is, and once it has finished also of how it ended, metrics included.
runs = Table(
    "runs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("config", Text, nullable=False),
    Column("seed", BigInteger, nullable=False),
    Column("recipe", Text, nullable=False),
    Column("num_steps", BigInteger, nullable=False),
    Column("status", Text, nullable=False),
    Column("step", BigInteger, nullable=False),
    Column("diverged_at", BigInteger),
    Column("seconds", Double),
    Column("backend", Text),
    _digest(),
)

# listed: part of the study's present definition. One that no longer is keeps its row, and its results.
# rule and hypers are what this study calls the rule and what it varies: another may do otherwise.
study_runs = Table(
    "study_runs",
    metadata,
    _ref("study_id", "studies.id", primary=True),
    _ref("run_id", "runs.id", primary=True),
    Column("position", Integer, nullable=False),
    Column("listed", Boolean, nullable=False),
    Column("rule", Text, nullable=False),
    Column("hypers", Text, nullable=False),
    _digest(),
    Index("study_runs_by_run", "run_id"),
)

metrics = Table(
    "metrics",
    metadata,
    _ref("run_id", "runs.id", primary=True),
    Column("name", Text, primary_key=True),
    Column("value", Double, nullable=False),
)

blocks = Table(
    "blocks",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("file", Text, nullable=False, unique=True),
    Column("kind", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    _digest(),
)

# The block and the index on its leading axis at which a run's tensors lie.
rows = Table(
    "rows",
    metadata,
    Column("kind", Text, primary_key=True),
    _ref("run_id", "runs.id", primary=True),
    _ref("block_id", "blocks.id"),
    Column("row", Integer, nullable=False),
    _digest(),
    Index("rows_by_block", "block_id"),
)

# Weights along training: the block and the index on its leading axis at which a run's tensors after `step` steps lie.
kept = Table(
    "kept",
    metadata,
    _ref("run_id", "runs.id", primary=True),
    Column("step", BigInteger, primary_key=True),
    _ref("block_id", "blocks.id"),
    Column("row", Integer, nullable=False),
    _digest(),
    Index("kept_by_block", "block_id"),
)

# What finished runs predict at test by another mode than the mean pass: `mode` is the id of its settings (JSON), the
# block and the index on its leading axis say where the predictions lie.
evaluated = Table(
    "evaluated",
    metadata,
    _ref("run_id", "runs.id", primary=True),
    Column("mode", Text, primary_key=True),
    Column("settings", Text, nullable=False),
    _ref("block_id", "blocks.id"),
    Column("row", Integer, nullable=False),
    _digest(),
    Index("evaluated_by_block", "block_id"),
)

# How the runs of a study are to be evaluated at test (JSON).
test_times = Table(
    "test_times",
    metadata,
    _ref("study_id", "studies.id", primary=True),
    Column("content", Text, nullable=False),
    _digest(),
)

# How sharp the minimum is that a run ended in, as it was last measured. Both are JSON: what was asked, what came out.
sharpness = Table(
    "sharpness",
    metadata,
    _ref("run_id", "runs.id", primary=True),
    Column("settings", Text, nullable=False),
    Column("found", Text, nullable=False),
    _digest(),
)

# Only cohorts that have not finished. The digest is also of the cohort's runs, in their order.
cohorts = Table(
    "cohorts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("plan", Text, nullable=False),
    Column("step", BigInteger, nullable=False),
    Column("block_id", ForeignKey("blocks.id")),
    _digest(),
)

cohort_runs = Table(
    "cohort_runs",
    metadata,
    _ref("cohort_id", "cohorts.id", primary=True),
    Column("position", Integer, primary_key=True),
    Column("run_id", ForeignKey("runs.id", ondelete="CASCADE"), nullable=False, unique=True),
)

# A curve group is an ordered list of runs whose points are stored side by side.
curve_groups = Table(
    "curve_groups",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("key", Text, nullable=False, unique=True),
    Column("num_runs", Integer, nullable=False),
)

curve_columns = Table(
    "curve_columns",
    metadata,
    _ref("run_id", "runs.id", primary=True),
    _ref("group_id", "curve_groups.id", primary=True),
    Column("column", Integer, nullable=False),
    _digest(),
    Index("curve_columns_by_group", "group_id"),
)

# steps: int64 (T,); points: float32 (T, num_runs); both little-endian, row-major.
# A later chunk (greater id) replaces an earlier one; ids are never given twice.
curve_chunks = Table(
    "curve_chunks",
    metadata,
    Column("id", Integer, primary_key=True),
    _ref("group_id", "curve_groups.id"),
    Column("metric", Text, nullable=False),
    Column("first_step", BigInteger, nullable=False),
    Column("steps", LargeBinary, nullable=False),
    Column("points", LargeBinary, nullable=False),
    _digest(),
    UniqueConstraint("group_id", "metric", "first_step"),
    sqlite_autoincrement=True,
)

# What a run's chunks up to `chunk_id` say about steps after `after_step` no longer counts.
curve_cuts = Table(
    "curve_cuts",
    metadata,
    Column("id", Integer, primary_key=True),
    _ref("run_id", "runs.id"),
    Column("chunk_id", Integer, nullable=False),
    Column("after_step", BigInteger, nullable=False),
    _digest(),
    Index("curve_cuts_by_run", "run_id"),
)

labels = Table(
    "labels",
    metadata,
    Column("data_fingerprint", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("task", Text, nullable=False),
    Column("classes", Text, nullable=False),
    Column("sizes", Text, nullable=False),
    Column("block_id", ForeignKey("blocks.id"), nullable=False),
    _digest(),
)

# What the data set of a study did to raw values (JSON).
preparations = Table(
    "preparations",
    metadata,
    _ref("study_id", "studies.id", primary=True),
    Column("content", Text, nullable=False),
    _digest(),
)

# Every recipe (a config, a pool, a soup) that was ever scored on the test part of some data. Nothing deletes a row.
scored = Table(
    "scored",
    metadata,
    Column("data_fingerprint", Text, primary_key=True),
    Column("recipe", Text, primary_key=True),
    Column("words", Text, nullable=False),
    Column("at", Text, nullable=False),
    _digest(),
)
