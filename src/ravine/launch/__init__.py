"""Launching a study: plan, train what is missing, write it to the store, go on after an interruption."""

from __future__ import annotations

from ravine.launch.launch import launch
from ravine.launch.lr_range import LrRange, RangeStep, lr_range
from ravine.launch.progress import Event, Planned, Progress, Trained
from ravine.launch.replay import Replayed, replay
from ravine.launch.writer import Timing

__all__ = [
    "Event",
    "LrRange",
    "Planned",
    "Progress",
    "RangeStep",
    "Replayed",
    "Timing",
    "Trained",
    "launch",
    "lr_range",
    "replay",
]
