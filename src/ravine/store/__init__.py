"""What studies leave behind: a database for what is small, safetensors files for what is large."""

from ravine.store.averaged import average_of, kind_of
from ravine.store.bodies import body_id
from ravine.store.records import (
    FINISHED,
    RESTORED,
    AveragedTensors,
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
    "RESTORED",
    "AveragedTensors",
    "CohortRecord",
    "Labels",
    "Launch",
    "NewRun",
    "RunRecord",
    "RunResult",
    "Store",
    "StudyRecord",
    "average_of",
    "body_id",
    "kind_of",
]
