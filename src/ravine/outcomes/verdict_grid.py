"""A study's verdict as a small table for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ravine.grid import Grid
from ravine.outcomes import ladder_words, words
from ravine.outcomes.ladder import LadderResult
from ravine.outcomes.regression import Errors
from ravine.outcomes.trivial import Trivial
from ravine.verdict import Verdict

if TYPE_CHECKING:
    from ravine.store import RunRecord


def verdict_grid(
    title: str,
    verdict: Verdict,
    runs: Sequence[RunRecord],
    ladder: LadderResult | None,
    *,
    errors: Mapping[str, Errors] | None,
    trivial: Trivial | None,
    after: Sequence[str],
) -> Grid:
    """Its sentences, a row for each rule, and what to read before relying on it.

    Args:
        title: the study's name.
        verdict: on it.
        runs: of it.
        ladder: of a study with one, whose rows are numbers of examples.
        errors: by rule, where there is one target.
        trivial: what a predictor that looks at no input reaches, which is the last row.
        after: lines below, behind those about that predictor.
    """
    columns = words.rule_columns(verdict, errors, trivial)
    titles = words.column_titles(verdict)
    names = words.row_names(verdict, trivial)
    shown = (verdict.noun, *(titles.get(name, name) for name in columns)) if names else ()
    rows = tuple(zip(names, *columns.values(), strict=True))
    if ladder is not None:
        shown, rows = ladder_words.columns(ladder), ladder_words.rows(ladder)
    return Grid(
        title=title,
        before=verdict.sentences,
        columns=shown,
        rows=rows,
        left=(verdict.noun, "", "better"),
        below=words.below(verdict, runs),
        after=(*_of_trivial(trivial, ladder), *after),
    )


def _of_trivial(trivial: Trivial | None, ladder: LadderResult | None) -> tuple[str, ...]:
    if trivial is None:
        return ()
    if ladder is not None:
        return (ladder_words.ladder_trivial(trivial, ladder),)
    return (words.of_trivial(trivial),)
