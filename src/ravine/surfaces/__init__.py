"""Surfaces over a plane, the paths of rules over them, and both as JavaScript: one definition for all."""

from __future__ import annotations

from ravine.surfaces.base import Point, Surface
from ravine.surfaces.builtin import SURFACES, own_surface, surface
from ravine.surfaces.paths import Path, path
from ravine.surfaces.scene import Scene, scene

__all__ = ["SURFACES", "Path", "Point", "Scene", "Surface", "own_surface", "path", "scene", "surface"]
