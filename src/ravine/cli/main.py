"""The command line: a verb is a thin call of one public function."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from ravine.cli import (
    augment,
    averages,
    features,
    judge,
    look,
    metrics,
    mistakes,
    output,
    reuse,
    soups,
    stored,
    surface,
    train,
)
from ravine.cli.usage import parse
from ravine.errors import InputError

VERBS: dict[str, Callable[..., None]] = {
    "run": train.run,
    "lr": train.lr,
    "augment": augment.augment,
    "features": features.features,
    "list": stored.list_studies,
    "show": stored.show,
    "metrics": metrics.metrics,
    "report": stored.report,
    "mistakes": mistakes.mistakes,
    "replay": train.replay,
    "check": train.check,
    "delete": stored.delete,
    "landscape": look.landscape,
    "sharpness": look.sharpness,
    "slowness": look.slowness,
    "surface": surface.surface,
    "average": averages.average,
    "ensemble": reuse.ensemble,
    "export": reuse.export,
    "predict": reuse.predict,
    "soup": soups.soup,
    "judge": judge.judge,
    "compare": judge.compare,
}


def entry() -> None:
    """The program `ravine`: the command line, and then out without tearing everything down.

    Python would spend a third of a second on taking PyTorch apart. The verbs have closed what they opened.
    """
    # Importing makes 150,000 objects, with PyTorch 360,000, and no garbage; by default Python would look for some
    # after every 700. One look among 250,000 takes a tenth of a second.
    gc.set_threshold(500_000, 50, 50)
    # The threads of NumPy's BLAS, once started, spin for 2^26 cycles each before they sleep; so they do for 2^4.
    os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")
    output.prepare()
    try:
        code = main()
    except SystemExit as stopped:  # after --help
        code = int(stopped.code or 0)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()
    os._exit(code)


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        0; 2 after an error of the user's, which is one line; 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP.
    """
    words = list(sys.argv[1:] if args is None else args)
    try:
        Path.cwd()
    except OSError as error:
        print(f"ravine: the working directory is gone, or cannot be read: {error.strerror}", file=sys.stderr)
        return 2
    try:
        if words in (["--version"], ["-V"]):
            from ravine.version import version

            print(f"ravine {version()}")
            return 0
        carry_out = parse(VERBS, words)  # after --help it exits
        try:
            carry_out()
        except SystemExit as stopped:  # in a user's module; 0 would say that all went well
            why = f": {stopped.code}" if isinstance(stopped.code, str) else f" with code {stopped.code or 0}"
            print(f"ravine: the study's own code ended the program{why}", file=sys.stderr)
            return stopped.code if isinstance(stopped.code, int) and stopped.code else 2
    except InputError as error:
        print(f"ravine: {error}", file=sys.stderr)
        return 2
    except MemoryError:
        print("ravine: out of memory: free some, or ask for less at once", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader of a pipe, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ImportError, OSError) as error:
        short = "shared object" in str(error)  # so say libraries that find no room for their code
        if not short and (isinstance(error, OSError) or (error.name or "").partition(".")[0] == "ravine"):
            raise
        name = getattr(error, "name", None) or "a library"
        hint = " (is memory short?)" if short else ""
        name = {"_C": "torch"}.get(name, name)
        print(f"ravine: {name} cannot be imported{hint}: {_line(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stopped:
        _ignore_signals()
        goes_on = "; the same command continues from here" if words[:1] == ["run"] else ""
        print(f"\nravine: interrupted{goes_on}", file=sys.stderr)
        return 128 + (stopped.args[0] if stopped.args else 2)
    return 0


def _ignore_signals() -> None:
    """Let no further signal disturb what closes as the program ends."""
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
