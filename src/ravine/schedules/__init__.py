"""How the learning rate changes over a run: kinds in `spec`, numbers and names in `table`."""

from __future__ import annotations

from ravine.schedules.spec import CosineRestarts, ScheduleSpec
from ravine.schedules.table import KINDS, cycle_ends, label, parse_schedule, table

__all__ = ["KINDS", "CosineRestarts", "ScheduleSpec", "cycle_ends", "label", "parse_schedule", "table"]
