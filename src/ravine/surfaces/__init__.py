"""Surfaces over a plane, the paths of rules over them, and both as JavaScript: one definition for all."""

from __future__ import annotations

from ravine.surfaces.base import Point, Surface
from ravine.surfaces.builtin import SURFACES, own_surface, surface
from ravine.surfaces.paths import Path, path

__all__ = ["SURFACES", "Path", "Point", "Surface", "own_surface", "path", "surface"]
