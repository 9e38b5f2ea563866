"""What a study is made of, in few words: its runs, and the examples that they learn from."""

from __future__ import annotations

from ravine.data.parts import PartOf
from ravine.messages import count
from ravine.outcomes.results import Results


def about_runs(results: Results) -> str:
    """How many runs there are, and what they are made of."""
    num, seeds = len(results.runs), count(len({run.seed for run in results.runs}), "seed")
    if results.ladder is not None:
        draws = count(len({part.draw for part in _parts(results)}), "draw")
        arms = count(len(results.ladder.arms), "arm")
        return f"{num:,}: {arms}, {count(len(results.ladder.per_class), 'size')} with {draws} each, {seeds}"
    if results.folds is not None:
        return f"{num:,}: {_folds(results)}, {seeds}"
    configs = len({run.config for run in results.runs})
    whole = configs * len({run.seed for run in results.runs}) == num
    return f"{num:,} = {count(configs, 'config')} × {seeds}" if whole else f"{num:,}"


def about_examples(results: Results) -> list[tuple[str, str]]:
    """How many examples there are; of a ladder, how many of each class, and what they are drawn from."""
    train, validation, test = results.labels.sizes
    if results.folds is not None:
        each = f"{train:,}, {validation:,}, {test:,}"
        return [
            ("examples", f"{results.folds.num_examples:,}"),
            ("training, validation, test of the first fold", each),
        ]
    if results.ladder is None:
        return [("training, validation, test", f"{train:,}, {validation:,}, {test:,}")]
    tuned = {part.per_class for part in _parts(results) if part.tuned}
    aside = ", a fifth of them for validation" if tuned else ""
    if tuned and len(tuned) < len(results.ladder.per_class):
        aside += f" from {min(tuned)} on"
    return [
        ("examples of each class", ", ".join(f"{n:,}" for n in results.ladder.per_class) + aside),
        ("drawn from", count(train, "training example")),
        ("test", count(test, "example")),
    ]


def _folds(results: Results) -> str:
    assert results.folds is not None, "it has folds"
    again = f" x {results.folds.repeats} repeats" if results.folds.repeats > 1 else ""
    return f"{results.folds.folds} folds{again}"


def _parts(results: Results) -> list[PartOf]:
    return [each.part for each in results.ladder.chosen] if results.ladder is not None else []
