"""How the learning rate changes over a run: kinds in `spec`, numbers and names in `table`."""

from __future__ import annotations

from ravine.schedules.spec import ScheduleSpec
from ravine.schedules.table import KINDS, label, parse_schedule, table

__all__ = ["KINDS", "ScheduleSpec", "label", "parse_schedule", "table"]
