"""What runs get wrong, as HTML: the confusion matrix, each class, the hardest examples with their pictures."""

from __future__ import annotations

import base64
from collections.abc import Sequence

import numpy as np

from ravine.data import Dataset
from ravine.grid import Grid
from ravine.messages import count
from ravine.outcomes.confusion import CLASS_TITLES, WIDEST, Confusion, OfClass, class_cells, percents
from ravine.outcomes.looking import located
from ravine.outcomes.mistakes import FOLDS_NOT_AT_HAND, NOT_AT_HAND, Mistake, Mistakes
from ravine.outcomes.off_targets import OffTargets
from ravine.outcomes.results import Results
from ravine.outcomes.trials import Split
from ravine.report import elements
from ravine.report.html import Html, Part, join, tag
from ravine.report.pixels import pixels
from ravine.report.png import png

_HARDEST = 24
_OPEN = 1  # targets that are not folded away
_COLUMNS = 8  # of a row of a table
_RULES = 12  # whose matrices on validation are on a page
_SHARES = 12  # classes, up to which a cell has room for its share
_LONG = 5  # letters of a class over a column that need not be turned
_SIDE = 96  # CSS pixels of a thumbnail's longer side
_READING = (
    "Rows are the right classes, columns what the runs take them for; counts are over all runs of {chosen}, and "
    "shares are of a row. Precision, recall and F1 are of all these answers together."
)
_READING_LABELS = (
    "Precision, recall and F1 of a label are of all answers of the runs of {chosen} together; its error is the share "
    "of these that have it wrong, whether it is there or not."
)
_READING_TARGETS = (
    "Each target is in its own unit. An example is as hard as the mean of its targets' squared errors, each in units of"
    " that target's variance; its row has the target that is furthest off."
)
_READING_NUMBERS = (
    "A residual is the right value less the predicted one: above 0, predictions are too low. Where they are too high "
    "for small targets and too low for large ones, the model keeps to the middle."
)


def mistakes_section(results: Results) -> Html:
    """What the best config gets wrong on test, each rule's on validation, and the hardest examples of both."""
    if not results.has_mistakes:
        return join()
    test = results.mistakes(split="test", num=_HARDEST)
    validation = None if results.folds is not None else results.mistakes(num=_HARDEST)
    numbers = test.of_numbers
    return tag(
        "section",
        tag("h2", "Where it is off" if numbers else "What it gets wrong", id="mistakes"),
        tag("p", test.sentences[0], class_="seen"),
        *_of_config(test),
        tag("p", _reading(test), class_="reading"),
        _by_rule(results),
        *(
            _hardest(
                results,
                validation,
                f"The hardest validation examples for {count(validation.num_runs, 'run')}",
            )
            if validation is not None
            else []
        ),
        *_hardest(
            results, test, f"The hardest test examples for {count(test.num_runs, 'run')} of {test.rule}"
        ),
        tag("pre", tag("code", elements.words(f"ravine mistakes {results.name}")), class_="command"),
        aria_labelledby="mistakes",
    )


def _reading(found: Mistakes) -> str:
    if found.targets is not None:
        return f"{_READING_NUMBERS} {_READING_TARGETS}"
    if found.deviations is not None:
        return _READING_NUMBERS
    reading = _READING if found.confusion is not None else _READING_LABELS
    return reading.format(chosen="the configs that the folds chose" if found.about else "the config")


def _of_config(found: Mistakes) -> list[Html]:
    """What one config gets wrong."""
    if found.deviations is not None:
        return [
            tag("h3", f"By tenths of the target: {found.split}"),
            elements.grid(found.deviations.grid(), "tenths"),
        ]
    if found.targets is not None:
        return _of_targets(found, found.targets)
    if found.labels is not None:
        return [tag("h3", f"By label: {found.split}"), _classes(found.labels.worst(), "label")]
    assert found.confusion is not None, "a task has one of them"
    many = len(found.confusion.classes) > WIDEST
    shown = _pairs(found.confusion) if many else _matrix(found.confusion)
    return [
        tag("h3", f"{'What is confused most' if many else 'Confusion matrix'}: {found.split}"),
        shown,
        tag("h3", f"By class: {found.split}"),
        _classes(found.confusion.worst(), "class"),
    ]


def _of_targets(found: Mistakes, off: OffTargets) -> list[Html]:
    """Each target by itself, those after the first few folded away."""
    parts = []
    for place, (name, each) in enumerate(off.targets.items()):
        title, table = f"{name} by tenths: {found.split}", elements.grid(each.grid(name), f"tenths of {name}")
        more = []
        if off.largest.get(name):
            more = [
                tag("h3", f"{name}, largest errors: {found.split}"),
                elements.grid(off.largest_grid(name), f"largest errors of {name}"),
            ]
        folded = tag("details", tag("summary", title), table, *more)
        parts += [folded] if place >= _OPEN else [tag("h3", title), table, *more]
    return parts


def _by_rule(results: Results) -> Html:
    """The same of each rule's chosen config on validation, folded away; with folds of the other rules on test."""
    rules = [each.rule for each in results.verdict.rules if each.config is not None][:_RULES]
    if results.folds is not None:
        rules = rules[1:]
    found = [results.mistakes(rule=rule, num=0) for rule in rules]
    return join(
        *(
            tag(
                "details",
                tag("summary", each.rule if each.about else f"On validation: {each.rule}"),
                tag("p", each.sentences[0], class_="reading"),
                *_of_config(each),
            )
            for each in found
        )
    )


def _matrix(found: Confusion) -> Html:
    turned = "turned" if max(map(len, found.classes)) > _LONG else None
    shares = found.shares
    head = tag(
        "tr",
        tag("th", "class", scope="col"),
        *(tag("th", tag("span", name), scope="col", class_=turned or "n") for name in found.classes),
        elements.column("wrong"),
    )
    rows = (
        tag(
            "tr",
            tag("th", name, scope="row"),
            *(_cell(found, shares, row, column) for column, _ in enumerate(found.classes)),
            elements.cell(percents(found.by_class[row].error)),
        )
        for row, name in enumerate(found.classes)
    )
    table = tag("table", tag("thead", head), tag("tbody", *rows), class_="confusion")
    return elements.scroll(table, "Confusion matrix")


def _cell(found: Confusion, shares: np.ndarray, row: int, column: int) -> Html:
    number, share = int(found.counts[row, column]), float(shares[row, column])
    if not number:
        return tag("td", "·", class_="n none")
    right = row == column
    heat = 0.45 * share if right else 0.12 + 0.5 * share**0.5
    colour = "0,114,178" if right else "213,94,0"
    said = percents(share)
    beside = tag("span", said, class_="share") if len(found.classes) <= _SHARES else None
    what = f"{found.classes[row]} taken for {found.classes[column]}: {number:,}, {said}"
    return tag(
        "td", f"{number:,}", beside, class_="n", title=what, style=f"background:rgba({colour},{heat:.2f})"
    )


def _pairs(found: Confusion) -> Html:
    rows = [(each.right, each.said, f"{each.num:,}", percents(each.share)) for each in found.pairs()[:WIDEST]]
    grid = Grid(
        columns=("class", "taken for", "times", "of its answers"),
        rows=tuple(rows),
        left=("class", "taken for"),
    )
    return elements.grid(grid, "The classes that are confused most")


def _classes(rows: Sequence[OfClass], noun: str) -> Html:
    columns = (noun, *CLASS_TITLES, "95 % interval of the error")
    grid = Grid(columns=columns, rows=tuple(map(class_cells, rows)), left=(noun,))
    return elements.grid(
        grid, f"How well each {noun} is known", "scroll tall" if len(rows) > WIDEST else "scroll"
    )


def _hardest(results: Results, found: Mistakes, title: str) -> list[Html]:
    if found.about and not found.whole:
        return [tag("p", FOLDS_NOT_AT_HAND, class_="reading")]
    if not found.examples:
        return [tag("h3", title), tag("p", "No run gets any wrong.")]
    data = results.data
    pictures = data is not None and len(data.input_shape) == 3
    return [
        tag("h3", title),
        *([tag("p", found.suspicion)] if found.suspicion else []),
        _cards(results, found) if pictures else _rows(found),
        *([] if found.whole else [tag("p", NOT_AT_HAND, class_="reading")]),
    ]


def _rows(found: Mistakes) -> Html:
    columns, rows = found.example_table(_COLUMNS, mark="perhaps mislabelled")
    left = found.words(_COLUMNS)
    return elements.grid(Grid(columns=columns, rows=rows, left=left), "The hardest examples")


def _cards(results: Results, found: Mistakes) -> Html:
    data = results.data
    assert data is not None, "pictures are of data at hand"
    shown = (_card(found, each, _image(data, found.split, each.number)) for each in found.examples)
    return tag("div", *shown, class_="cards")


def _card(found: Mistakes, each: Mistake, image: Html) -> Html:
    wrong = "" if each.wrong is None else f"{percents(each.wrong)} wrong, "
    lines: Sequence[Part] = (
        tag("span", each.answer, class_="answer"),
        tag("span", f"{'predicted' if found.of_numbers else 'taken for'} {each.said}"),
        tag("span", f"{wrong}loss {each.loss:.3g}", class_="mixture"),
        tag("span", each.short_place or f"example {each.number}", class_="mixture"),
        tag("span", "perhaps mislabelled", class_="doubt") if each.suspect else None,
    )
    return tag(
        "figure",
        image,
        tag("figcaption", *lines),
        class_="card suspect" if each.suspect else "card",
    )


def _image(data: Dataset, split: Split, number: int) -> Html:
    own, row = located(data, number)
    bytes_HWC = _small(pixels(own, getattr(own, split).some([row])[0]))
    height, width, _ = bytes_HWC.shape
    larger = _SIDE / max(height, width)
    source = base64.b64encode(png(bytes_HWC)).decode()
    size: dict[str, Part] = {"width": round(width * larger), "height": round(height * larger)}
    return tag("img", src=f"data:image/png;base64,{source}", alt="", **size)


def _small(bytes_HWC: np.ndarray) -> np.ndarray:
    """A picture that is no larger than it is shown on a fine screen: blocks of pixels become their mean."""
    by = max(bytes_HWC.shape[:2]) // (2 * _SIDE)
    if by < 2:
        return bytes_HWC
    height, width = (side // by for side in bytes_HWC.shape[:2])
    blocks = bytes_HWC[: height * by, : width * by].reshape(height, by, width, by, -1)
    small: np.ndarray = np.rint(blocks.mean(axis=(1, 3))).astype(np.uint8)
    return small
