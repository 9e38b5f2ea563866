"""The command line: a verb is a thin call of one public function."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from collections.abc import Sequence

from ravine.cli import verbs
from ravine.errors import InputError


def entry() -> None:
    """The program `ravine`: the command line, and then out without tearing everything down.

    Python would spend a third of a second on taking PyTorch apart. The verbs have closed what they opened.
    """
    # Importing makes a million objects and no garbage; by default Python would look for some a thousand times.
    gc.set_threshold(100_000, 50, 50)
    try:
        code = main()
    except SystemExit as stopped:  # tyro's, for --help and wrong options
        code = stopped.code if isinstance(stopped.code, int) else 2
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        0; 2 for a user's mistake, told in one line; 130 after Ctrl-C.
    """
    import tyro

    try:
        tyro.extras.subcommand_cli_from_dict(
            {
                "run": verbs.run,
                "list": verbs.list_studies,
                "show": verbs.show,
                "report": verbs.report,
                "replay": verbs.replay,
                "check": verbs.check,
                "delete": verbs.delete,
            },
            prog="ravine",
            description="Declare a study, train every run of it at once, get an honest verdict.",
            args=list(args) if args is not None else None,
            config=(tyro.conf.FlagCreatePairsOff,),
        )
    except InputError as error:
        print(f"ravine: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nravine: interrupted; the same command goes on from here", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of a pipe, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return 0
