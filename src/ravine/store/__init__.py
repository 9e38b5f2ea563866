"""What studies leave behind: a database for what is small, safetensors files for what is large."""

from ravine.store.records import (
    FINISHED,
    CohortRecord,
    Labels,
    Launch,
    NewRun,
    RunRecord,
    RunResult,
    StudyRecord,
)
from ravine.store.store import Store

__all__ = [
    "FINISHED",
    "CohortRecord",
    "Labels",
    "Launch",
    "NewRun",
    "RunRecord",
    "RunResult",
    "Store",
    "StudyRecord",
]
