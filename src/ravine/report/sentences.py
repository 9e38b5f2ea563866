"""Sections of the report that are sentences: what decay gained, and what averaging did."""

from __future__ import annotations

from collections.abc import Sequence

from ravine.ensembles.modes import mode_rows, mode_words_of
from ravine.outcomes.averages import average_words
from ravine.outcomes.regularized import regularized_words
from ravine.outcomes.results import Results
from ravine.outcomes.stages import stage_words
from ravine.report.html import Html, join, tag

_STAGES = (
    "Every config was first trained at a constant lr; only each rule's best on validation was then trained with "
    "every schedule."
)
_REGULARIZED = (
    "Every config was first trained without dropout. The other rates were tried only for rules whose best config "
    "overfits, and one is kept only if it gains. Both intervals cover seeds and validation examples."
)
_AVERAGES = "Of each {}'s chosen config, means over its seeds. The verdict above is about the last weights."


def sentence_sections(results: Results) -> Html:
    """What there is to say of a staged study, of averages, and of modes at test; nothing for other studies."""
    return join(
        _section("What decay gained", "stages", stage_words(results.stages, results.validated), _STAGES),
        _section(
            "Whether dropout was needed",
            "regularize",
            regularized_words(results.regularized, results.verdict.measure),
            _REGULARIZED,
        ),
        _section(
            "What averaging gained",
            "gains",
            average_words(results.averages, results.validated),
            _AVERAGES.format(results.noun),
        ),
        _section("What test time gained", "modes", mode_words_of(mode_rows(results)), _modes(results)),
    )


def _modes(results: Results) -> str:
    about = "the mean pass" if results.mode is None else results.mode.words
    return (
        f"Of each {results.noun}'s chosen config on test data: the same weights, once by the mean pass and once by "
        f"another mode, with intervals of 95 % over seeds and examples. The verdict above is about {about}."
    )


def _section(title: str, name: str, sentences: Sequence[str], reading: str) -> Html:
    if not sentences:
        return join()
    listed = tag("ul", *(tag("li", sentence) for sentence in sentences))
    return tag(
        "section",
        tag("h2", title, id=name),
        listed,
        tag("p", reading, class_="reading"),
        aria_labelledby=name,
    )
