"""What was taken out of the cache by path, size and time of a file: whether it is still that of the file."""

from __future__ import annotations

import threading
from collections.abc import Callable

from ravine.errors import RavineError


class Verification:
    """A look at files beside other work: `start` it, and `finish` it before results are written.

    Args:
        look: reads the files, and returns what is wrong; None: nothing is.
    """

    def __init__(self, look: Callable[[], RavineError | None]) -> None:
        self._look = look
        self._thread: threading.Thread | None = None
        self._fault: RavineError | None = None

    def start(self) -> None:
        """Begin in a thread of its own."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, daemon=True)
            self._thread.start()

    def finish(self) -> None:
        """Wait until it is known.

        Raises:
            RavineError: something is wrong.
        """
        self.start()
        assert self._thread is not None, "started above"
        self._thread.join()
        if self._fault is not None:
            raise self._fault

    def _run(self) -> None:
        try:
            self._fault = self._look()
        except RavineError as error:
            self._fault = error
