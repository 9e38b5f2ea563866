"""A value that a form does not take."""

from __future__ import annotations

from ravine.errors import StudyError, short
from ravine.messages import printable, shown


class Refused(ValueError):
    """A value that a form does not take. Whoever reads the form makes one line of it for a person.

    Args:
        words: what it must be.
        value: what was given.
        keys: those that lead to it, from the outermost in.
        what: "unknown" or "missing" for a key; else "wrong".
        meant: the key that an unknown one most likely misspells.
        by_type: the value has another type than the field, as opposed to a value that is not allowed.
    """

    def __init__(
        self,
        words: str,
        value: object,
        keys: tuple[str, ...] = (),
        *,
        what: str = "wrong",
        meant: str | None = None,
        by_type: bool = False,
    ) -> None:
        self.words, self.value, self.keys = words, value, keys
        self.what, self.meant, self.by_type = what, meant, by_type
        super().__init__(self.line())

    def under(self, key: str) -> Refused:
        """The same of a value that has this one under a key."""
        return Refused(
            self.words,
            self.value,
            (key, *self.keys),
            what=self.what,
            meant=self.meant,
            by_type=self.by_type,
        )

    def line(self, where: str = "", *, inside: str = "") -> str:
        """One line for a person.

        Args:
            where: the file or function to name first, followed by a colon.
            inside: dotted key of the form.
        """
        key = ".".join(short(part) for part in (inside, *map(printable, self.keys)) if part)
        value = _shown(self.value) if self.what == "wrong" else ""
        subject = f"{key} = {value}" if key and value else key or value
        return ": ".join(part for part in (where, subject, self.words) if part)

    def in_study(self, inside: str) -> StudyError:
        """The error for a study.

        Args:
            inside: dotted key of the form in it.
        """
        at = [(*inside.split("."), *self.keys)]
        return StudyError(self.line(inside=inside), at=at, meant=self.meant, what=self.what)


def _shown(value: object) -> str:
    """The faulty value, where it is short enough to help; else an empty text."""
    if not isinstance(value, str | int | float | list | tuple):
        return ""
    text = shown(value)
    return "" if isinstance(value, list | tuple) and text.endswith("...") else text
