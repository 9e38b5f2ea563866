"""The verdict between kinds as a table: what each costs, and how far the ensemble is from it on test."""

from __future__ import annotations

from collections.abc import Sequence

from ravine.ensembles.cells import Cells
from ravine.ensembles.judged import Compared, Judged
from ravine.ensembles.rival import Rival
from ravine.ensembles.words import number, title_of
from ravine.grid import Grid
from ravine.messages import count
from ravine.outcomes.words import NOTHING, signed


def verdict_grid(
    judged: Sequence[Judged],
    rival: Rival | None,
    compared: Sequence[Compared],
    num_scored: int,
    cells: Cells,
) -> Grid:
    """A row for each predictor that was scored on test; the ensemble last.

    Args:
        judged: all kinds, the ensemble last.
        rival: one run as long as all members together.
        compared: the ensemble against the others.
        num_scored: recipes that were ever scored on these test data.
        cells: how examples are seen.
    """
    scores = ("mse",) if cells.regression else ("nll", "accuracy")
    found = {(each.second, each.score): each for each in compared}
    costs = [(each.name, each.epochs, len(each.pool.weights)) for each in judged]
    if rival is not None:
        costs.insert(-1, (rival.name, rival.epochs, 1))
    rows = []
    for name, epochs, passes in costs:
        against = [found.get((name, score)) for score in scores]
        first = next((each for each in against if each is not None), None)
        rows.append(
            (
                name,
                epochs_in_words(epochs),
                str(passes),
                *(NOTHING if each is None else between(each) for each in against),
                NOTHING if first is None else first.outcome,
            )
        )
    judge = title_of(scores[0], cells)
    return Grid(
        before=(f"Costs, and the ensemble's test score minus that of each (less {judge} is better):",),
        columns=(
            "",
            "epochs",
            "passes",
            *(title_of(score, cells) for score in scores),
            f"by {judge}",
        ),
        rows=tuple(rows),
        left=("", f"by {judge}"),
        after=(*_notes(compared, rival, cells), scored_so_far(num_scored)),
    )


def _notes(compared: Sequence[Compared], rival: Rival | None, cells: Cells) -> list[str]:
    notes = []
    if compared:
        notes.append(
            f"note: the {count(len(compared), 'interval')} are of 95 % together; they cover the choice of test "
            "examples, not that of seeds"
        )
    if rival is not None:
        score = "mse" if cells.regression else "accuracy"
        low, high = (
            f"{each:.4g}" if cells.regression else f"{100 * each:.2f} %" for each in rival.range(score)
        )
        notes.append(
            f"note: {rival.name} is the winner's config, {rival.times} times as long; its scores are means over "
            f"{count(len(rival.seeds), 'seed')} (test {title_of(score, cells)} {low} to {high}), its interval covers"
            " examples"
        )
    return notes


def scored_so_far(number: int) -> str:
    """How often somebody looked at a test part."""
    are = "recipe has" if number == 1 else "recipes have"
    return f"note: {number:,} {are} been scored on the test part of these data so far, in all studies of this store"


def epochs_in_words(value: float) -> str:
    """Passes over the training set."""
    return f"{value:,.4g}"


def between(each: Compared) -> str:
    """Two digits, so that a row fits into 80 columns; the sentences and ``--json`` have more."""
    if each.score == "accuracy":
        ends = [f"{100 * end:.2f}" for end in each.interval]
    else:
        ends = [number(float(f"{end:.2g}")) for end in each.interval]
    return " to ".join(map(signed, ends))
