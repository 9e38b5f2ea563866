"""The page of a verdict over data sets, as HTML."""

from __future__ import annotations

from collections.abc import Sequence

from ravine.outcomes import words
from ravine.outcomes.datasets import Judgements, outcome_of
from ravine.report import elements
from ravine.report.html import Html, tag
from ravine.report.judged_body import runs_texts, whole_page
from ravine.report.palette import looks
from ravine.report.verdict_body import verdict_section
from ravine.report.verdict_texts import Beside, Column, verdict_texts
from ravine.report.views import Figure

_READING = (
    "The dot marks the mean over data sets, the bar its interval for other data sets like these. Two methods can be"
    " separable although their bars overlap: they are compared on the same data sets, one by one."
)
_LOSSES = (
    " The losses of different data sets have different units, so they are compared by their ratio: the numbers are how"
    " many times the loss of the best method a method has, in the geometric mean."
)


def datasets_body(found: Judgements, figures: Sequence[Figure], command: str) -> Html:
    """The whole page.

    Args:
        found: the verdict.
        figures: in the order in which they are read.
        command: what makes the page again; empty: not known.
    """
    return whole_page(
        found,
        "Verdict over data sets",
        _facts(found),
        verdict_section(verdict_texts(found.verdict, _beside(found))),
        _each(found),
        figures=figures,
        runs=runs_texts(found.table(), found.methods),
        command=command,
    )


def _facts(found: Judgements) -> list[tuple[str, str]]:
    num_runs = sum(len(each.runs) for each in found.datasets.values())
    return [
        ("data sets", f"{len(found.datasets):,}"),
        ("methods", f"{len(found.methods):,}"),
        ("runs", f"{num_runs:,}"),
        ("chance of any false “separable”", f"{100 * found.verdict.alpha:g} %"),
    ]


def _beside(found: Judgements) -> Beside:
    across, verdict = found.across, found.verdict
    after = []
    if across.ranks is not None:
        ranks = [f"{rank:.2f}" for rank in across.ranks.mean]
        after.append(Column(title="average rank", cells=ranks, about="1 is the best"))
    if any(rule.num_diverged for rule in verdict.rules):
        after.append(Column(title="diverged", cells=words.rule_columns(verdict)["diverged"]))
    titles = {"seeds": "data sets"}
    if across.ratio:
        titles["difference"] = "first lower by, share"
    else:
        titles |= {
            "test": f"mean {words.column_titles(verdict)['test']}",
            "difference": "mean: first − second",
        }
    return Beside(
        looks=looks(found.methods), after=after, reading=_READING + _LOSSES * across.ratio, titles=titles
    )


def _each(found: Judgements) -> Html:
    """A row for each data set, and its own verdict and cautions below."""
    order = [rule.rule for rule in found.verdict.rules]
    look = looks(found.methods)
    head = tag(
        "tr",
        elements.column("data set", numeric=False),
        *(elements.column(method) for method in order),
        elements.column("verdict", numeric=False),
    )
    rows = []
    for name, each in found.datasets.items():
        tests = {rule.rule: rule.test for rule in each.verdict.rules}
        cells = (
            elements.cell(
                words.score(each.verdict.measure, tests.get(method)),
                class_="n strong" if method == each.verdict.best else "n",
            )
            for method in order
        )
        best = each.verdict.best
        swatch = look[best].swatch() if best is not None and outcome_of(each).endswith("best") else ""
        rows.append(
            tag("tr", tag("th", name, scope="row"), *cells, tag("td", Html(swatch), outcome_of(each)))
        )
    return tag(
        "section",
        tag("h2", "Each data set", id="each"),
        elements.scroll(
            tag("table", tag("thead", head), tag("tbody", *rows)), "Test scores, one row per data set"
        ),
        tag("p", found.of_each, class_="reading"),
        *(
            tag(
                "details",
                tag("summary", name),
                *(tag("p", sentence) for sentence in each.verdict.sentences),
                tag("ul", *(tag("li", text) for text in each.warnings)) if each.warnings else None,
            )
            for name, each in found.datasets.items()
        ),
        aria_labelledby="each",
    )
