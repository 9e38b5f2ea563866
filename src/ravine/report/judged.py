"""A verdict on results from elsewhere as a page: one HTML file that asks no network for anything."""

from __future__ import annotations

from pathlib import Path

from ravine.outcomes.datasets import Judgements
from ravine.outcomes.elsewhere import Judgement
from ravine.report.datasets_body import datasets_body
from ravine.report.draw_datasets import dataset_figures
from ravine.report.draw_judged import judged_figures
from ravine.report.judged_body import judged_body
from ravine.report.page import check_page, render, save


def judged_page(found: Judgement | Judgements, command: str = "") -> bytes:
    """The page, as HTML in UTF-8.

    Args:
        found: the verdict.
        command: what makes the page again; empty: not known.
    """
    if isinstance(found, Judgements):
        drawn = dataset_figures(found)
        return render(found.name, datasets_body(found, drawn, command), drawn)
    figures = judged_figures(found)
    return render(found.name, judged_body(found, figures, command), figures)


def write_judged(found: Judgement | Judgements, path: str | Path, command: str = "") -> Path:
    """Write the page to a file: complete, or not at all.

    Returns:
        The path.

    Raises:
        InputError: the name is none of a page's, or the file can't be written.
    """
    check_page(path)
    return save(judged_page(found, command), path)
