"""The command line: a verb is a thin call of one public function."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from ravine.cli import verbs
from ravine.errors import InputError


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
