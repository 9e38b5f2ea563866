"""`python -m ravine` is `ravine`."""

from __future__ import annotations

import sys

from ravine.cli import main

if __name__ == "__main__":
    sys.exit(main())
