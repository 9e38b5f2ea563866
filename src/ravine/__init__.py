"""ravine."""
