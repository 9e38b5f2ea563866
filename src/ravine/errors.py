"""What can go wrong, as one tree.

RavineError
└── InputError         the user's input is wrong: one line, exit code 2
    ├── StudyError     a study file or its Python twin
    ├── DataError      a data set, a file or a column of it; a ValueError too, as scikit-learn's tools expect
    ├── ModelError     a model or a module that cannot be trained as asked
    └── StoreError     a store that cannot be opened, read or written
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

MOST_NAMES = 40  # that a line lists: nobody reads all of a table's 500 columns
_LONGEST_NAME = 60
_LONGEST_LINE = 200
# Names that look like some of ours but mean something else: no hint is better than a wrong one.
_OTHER_OPTIMIZERS = (
    "adabelief adadelta adafactor adamax adamod adamp adan apollo asgd galore lamb laprop lars madgrad novograd "
    "prodigy qhadam radam ranger rprop shampoo signsgd soap sophia sparse_adam sparseadam yogi"
)
_OTHER_ACTIVATIONS = "celu elu glu hardtanh leaky_relu mish prelu relu6 rrelu selu softmax swish"
_OTHER_THINGS = frozenset(f"{_OTHER_OPTIMIZERS} {_OTHER_ACTIVATIONS}".split())


class RavineError(Exception):
    """Anything ravine raises on purpose; its text is one line for a person."""


Place: TypeAlias = tuple[str, ...]
"""Keys of a study from the outermost in, such as ``("rules", "0", "lr")``."""


class InputError(RavineError):
    """The user's input is wrong: names the file, key or argument, the value, and what is allowed.

    Args:
        text: one line for a person.
        at: for a study: the places in it where the fault lies.
        meant: for an unknown key: the key that it most likely misspells.
        what: for a study: "unknown", "missing" or "wrong". Faults with the same place and word count as one.
        each: where several faults were found at once: one error for each of them.
    """

    def __init__(
        self,
        text: str,
        *,
        at: Sequence[Place] = (),
        meant: str | None = None,
        what: str = "",
        each: Sequence[InputError] = (),
    ) -> None:
        super().__init__(text)
        self.at, self.meant, self.what, self.each = tuple(at), meant, what, tuple(each)


class StudyError(InputError):
    """A study cannot be read as written."""


class DataError(InputError, ValueError):
    """A data set cannot be used as it is. It is a `ValueError` too: scikit-learn's tools expect one."""


class ModelError(InputError):
    """A model cannot be built or trained as asked."""


class StoreError(InputError):
    """A store cannot be opened, read or written."""


def together(faults: Sequence[DataError]) -> DataError:
    """Several faults of one data set as one error, whose text is the first and how many more there are.

    Example:
        >>> str(together([DataError("column 'a' is empty"), DataError("column 'b' is empty")]))
        "column 'a' is empty (and 1 more problem)"
    """
    each = [one for fault in faults for one in fault.each or (fault,)]
    if len(each) == 1:
        return faults[0]
    more = len(each) - 1
    return DataError(f"{each[0]} (and {more:,} more problem{'s' * (more > 1)})", each=each)


def choices(value: object, allowed: Iterable[str], word: str = "allowed") -> str:
    """The allowed names in words, or the first 40 of them, after the nearest one where a typo is likely.

    It continues a line: it begins with a small letter.

    Args:
        value: what the user wrote.
        allowed: the valid names.
        word: what is said of them.

    Returns:
        For example ``"did you mean 'adam'? Allowed: adam, momentum, sgd"``.

    Example:
        >>> choices("adma", ["sgd", "adam"])
        "did you mean 'adam'? Allowed: adam, sgd"
    """
    names = sorted(allowed)
    near = nearest(value, names)
    head = f"did you mean '{short(near)}'? {word.capitalize()}" if near else word
    more = f", ... ({len(names) - MOST_NAMES:,} more)" if len(names) > MOST_NAMES else ""
    return f"{head}: {', '.join(map(short, names[:MOST_NAMES]))}{more}"


def nearest(value: object, allowed: Iterable[str]) -> str | None:
    """The valid name that is misspelt here, whatever its capitals; None if none is.

    A letter in three may be wrong, missing, extra or swapped with its neighbour. A name that is farther off, has other
    digits, or is known to mean something else is no misspelling.

    Example:
        >>> nearest("ReLu", ["ReLU", "PReLU"]), nearest("max_grad_norm", ["max_norm"]), nearest("adan", ["adam"])
        ('ReLU', None, None)
        >>> nearest("F1", ["f1", "f1_macro"])
        'f1'
    """
    if not isinstance(value, str):
        return None
    typed = value[: _LONGEST_NAME + 1].casefold()
    allowed = list(allowed)
    if same := [name for name in allowed if name.casefold() == typed]:  # however short
        return same[0]
    if not 3 <= len(typed) <= _LONGEST_NAME or typed in _OTHER_THINGS:
        return None
    allowance = min(3, len(typed) // 3)
    best, found = allowance + 1, None
    for name in allowed:
        folded = name.casefold()
        if abs(len(folded) - len(typed)) < best + 1 and _same_digits(typed, folded):
            far = min(_distance(typed, folded), _left_out(typed, folded))
            if far < best:
                best, found = far, name
    return found


def in_a_line(error: BaseException) -> str:
    """The kind of an exception and the first line of its text, of which at most 200 letters.

    Example:
        >>> in_a_line(ValueError("no\\nmore"))
        'ValueError: no'
    """
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:_LONGEST_LINE]}" if lines else type(error).__name__


def raised_at(error: BaseException) -> str:
    """Where the user's own code raised an exception, `` (net.py:12)``; empty where only libraries are on the way.

    Args:
        error: caught from code of the user's, perhaps inside PyTorch.
    """
    found, step = "", error.__traceback__
    while step is not None:
        name, file = str(step.tb_frame.f_globals.get("__name__")), step.tb_frame.f_code.co_filename
        if name.partition(".")[0] not in ("torch", "ravine") and not file.startswith("<"):
            found = f" ({file}:{step.tb_lineno})"
        step = step.tb_next
    return found


def with_article(noun: str) -> str:
    """A noun with "a" or "an" before it.

    Example:
        >>> with_article("int"), with_article("list")
        ('an int', 'a list')
    """
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"


def _same_digits(one: str, other: str) -> bool:
    """Whether two names have the same digits, or one of them has none: beta3 is not beta1."""
    digits = ["".join(filter(str.isdigit, name)) for name in (one, other)]
    return digits[0] == digits[1] or "" in digits


def _left_out(typed: str, name: str) -> int:
    """1 where two letters of a name were left out, colr for colour; else too many."""
    rest = iter(name)
    skips = len(typed) > 3 and len(name) - len(typed) == 2 and typed[0] == name[0]
    return 1 if skips and all(letter in rest for letter in typed) else _LONGEST_NAME


def _distance(one: str, other: str) -> int:
    """How many letters must be changed, added, left out or swapped with a neighbour (Damerau, 1964)."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one):
        last, before, row = before, row, [i + 1]
        for j, wanted in enumerate(other):
            steps = min(before[j + 1] + 1, row[j] + 1, before[j] + (letter != wanted))
            if i and j and letter == other[j - 1] and one[i - 1] == wanted:
                steps = min(steps, last[j - 1] + 1)
            row.append(steps)
    return row[-1]


def short(text: str, longest: int = _LONGEST_NAME) -> str:
    """A text, or the beginning of one that nobody would read to its end.

    Args:
        text: a name, a path, a line.
        longest: letters that the result may have.

    Example:
        >>> short("a name"), len(short("k" * 5000)), short("hyperparameter", 8)
        ('a name', 60, 'hyper...')
    """
    return text if len(text) <= longest else f"{text[: longest - 3]}..."
