"""The pages of verdicts on results from elsewhere, of one data set and of several."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ravine
from browsing import PHONE, watched
from ravine.cli.main import main
from ravine.errors import InputError
from ravine.outcomes.datasets import Judgements
from ravine.outcomes.elsewhere import Judgement
from ravine.report.draw_datasets import dataset_figures, draw_pairs, draw_profile, draw_ranks
from ravine.report.draw_judged import draw_configs, draw_differences, draw_scores, judged_figures
from ravine.report.judged import judged_page

HOSTILE = "<img src=x onerror=alert(1)></script>"


@pytest.fixture(scope="module")
def tuned() -> tuple[Judgement, dict[str, Any], dict[str, Any]]:
    """Three methods with two configs each, judged, and the scores that went in."""
    rng = np.random.default_rng(0)
    shares = {("a", "x"): 0.95, ("a", "y"): 0.9, ("b", "x"): 0.8, ("b", "y"): 0.85, (HOSTILE, "x"): 0.6}
    test, validation = (
        {
            method: {c: (rng.random((4, n)) < s).astype(float) for (m, c), s in shares.items() if m == method}
            for method in ("a", "b", HOSTILE)
        }
        for n in (300, 200)
    )
    return ravine.judge(test, validation=validation), test, validation


def rows(panel: dict[str, Any], symbol: str) -> list[dict[str, Any]]:
    """The marks of a panel, from top to bottom."""
    return [trace for trace in panel["data"] if trace.get("marker", {}).get("symbol") == symbol]


def test_scores_are_means_with_a_dot_for_each_seed(tuned: Any) -> None:
    found, test, validation = tuned
    panel = draw_scores(found).views[0].panels[0]
    chosen = {m: max(v, key=lambda c: v[c].mean()) for m, v in validation.items()}
    order = [rule.rule for rule in found.verdict.rules]
    assert [trace["x"] for trace in rows(panel, "circle")] == [
        pytest.approx(100 * test[m][chosen[m]].mean(axis=1)) for m in order
    ]
    assert [trace["x"][0] for trace in rows(panel, "diamond")] == pytest.approx(
        [100 * test[m][chosen[m]].mean() for m in order]
    )
    bars = [trace["x"] for trace in panel["data"] if trace["mode"] == "lines"]
    assert bars == [pytest.approx([100 * end for end in rule.ci]) for rule in found.verdict.rules]


def test_differences_are_those_of_the_pairs_and_their_seeds(tuned: Any) -> None:
    found, test, _ = tuned
    drawn = draw_differences(found)
    assert [view.label for view in drawn.views] == ["With the best", "All pairs"]
    panel = drawn.views[1].panels[0]
    seeds = rows(panel, "circle")
    for pair, trace, middle in zip(found.verdict.pairs, seeds, rows(panel, "diamond"), strict=True):
        configs = {rule.rule: rule.hypers["config"] for rule in found.verdict.rules}
        both = (test[m][configs[m]].mean(axis=1) for m in (pair.first, pair.second))
        assert trace["x"] == pytest.approx(100 * np.subtract(*both))
        assert middle["x"][0] == pytest.approx(np.mean(trace["x"]))
    assert drawn.table is not None
    assert len(drawn.table.rows) == 3


def test_a_loss_is_shown_as_it_is_and_a_smaller_one_is_better() -> None:
    rng = np.random.default_rng(1)
    losses = {"low": rng.random((3, 50)) + 0.5, "high": rng.random((3, 50)) + 3.0}
    found = ravine.judge(losses, metric="loss", lower_is_better=True)
    assert [
        trace["x"][0] for trace in rows(draw_scores(found).views[0].panels[0], "diamond")
    ] == pytest.approx([losses["low"].mean(), losses["high"].mean()])
    panel = draw_differences(found).views[0].panels[0]
    assert rows(panel, "circle")[0]["x"] == pytest.approx((losses["high"] - losses["low"]).mean(axis=1))


def test_configs_have_their_validation_scores_and_the_chosen_one_is_filled(tuned: Any) -> None:
    found, _, validation = tuned
    drawn = draw_configs(found)
    assert [view.label for view in drawn.views] == ["a", "b"]  # the third method had no choice
    for view in drawn.views:
        means = [trace["x"][0] for trace in rows(view.panels[0], "diamond")]
        assert means == pytest.approx(
            sorted((100 * table.mean() for table in validation[view.label].values()), reverse=True)
        )
        filled = [trace["marker"]["color"] != "#fff" for trace in rows(view.panels[0], "diamond")]
        assert filled == [True, False]


def test_the_page_has_what_there_is_and_runs_no_name(tuned: Any) -> None:
    found, *_ = tuned
    assert [each.name for each in judged_figures(found)] == ["scores", "differences", "configs", "budget"]
    json.dumps([each.json() for each in judged_figures(found)], allow_nan=False)
    page = judged_page(found, "ravine judge r.csv").decode()
    assert "<img src=x" not in page
    assert "How to make this page again" in page
    plain = ravine.judge({"a": [0.1, 0.2]})
    assert [each.name for each in judged_figures(plain)] == ["scores"]
    nothing = ravine.judge({"a": [np.nan, np.nan]})
    assert not judged_figures(nothing)
    assert b"nothing to compare" in judged_page(nothing)


def test_report_writes_a_page_and_refuses_other_names(tuned: Any, tmp_path: Path) -> None:
    found, *_ = tuned
    assert found.report(tmp_path / "page.html") == tmp_path / "page.html"
    assert (tmp_path / "page.html").read_bytes() == judged_page(found)
    with pytest.raises(InputError, match=r"must end in \.html"):
        found.report(tmp_path / "page.pdf")


def test_the_verb_writes_the_page(tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    file, page = tmp_path / "r.csv", tmp_path / "page.html"
    file.write_text("method,seed,score\na,0,0.90\na,1,0.91\nb,0,0.5\nb,1,0.51\n")
    assert main(["judge", str(file), "--metric", "F1", "--out", str(page)]) == 0
    assert capsysbinary.readouterr().out.decode().splitlines()[-1] == f"page: {page}"
    assert '<span class="word">F1</span> <span class="word">--out</span>' in page.read_text()
    assert main(["judge", str(file), "--metric", "F1", "--out", "-"]) == 0
    assert capsysbinary.readouterr().out.startswith(b"<!doctype html>")
    assert main(["judge", str(file), "--out", "page.txt"]) == 2
    assert b"--out page.txt: a page must end in .html" in capsysbinary.readouterr().err


@pytest.mark.browser
def test_a_browser_draws_it_and_a_phone_has_room(tab: Any, page_path: Path, tuned: Any) -> None:
    found, *_ = tuned
    with watched(tab, found.report(page_path), PHONE) as page:
        assert page.locator("#figure-differences .scatterlayer .trace").count() == 6
        page.locator("#figure-differences [data-view='1']").click()
        assert page.locator("#figure-differences .scatterlayer .trace").count() == 9
        assert page.locator("#runs tbody tr").count() == 20
        wider = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert page.evaluate(wider) == 0


@pytest.fixture(scope="module")
def sets() -> Judgements:
    """Three methods on seven data sets, one of which lacks a method."""
    rng = np.random.default_rng(2)
    scores = {
        name: {m: 0.8 + up + rng.normal(0.0, 0.01, 3) for m, up in (("a", 0.05), ("b", 0.0), (HOSTILE, -0.1))}
        for name in (*(f"d{k}" for k in range(6)), f"{HOSTILE}2")
    }
    del scores["d5"]["b"]
    found = ravine.judge(scores, datasets=True, metric="accuracy")
    assert isinstance(found, Judgements)
    return found


def test_pairs_over_data_sets_have_a_dot_for_each(sets: Judgements) -> None:
    panel = draw_pairs(sets).views[-1].panels[0]
    assert [len(trace["x"]) for trace in rows(panel, "circle")] == [6, 6, 6]
    for each, pair, trace in zip(
        sets.across.contrasts, sets.verdict.pairs, rows(panel, "circle"), strict=True
    ):
        scores = sets.across.scores
        expected = [scores[d][each.first] - scores[d][each.second] for d in sets.across.datasets]
        assert trace["x"] == pytest.approx([100 * value for value in expected])
        assert pair.difference == pytest.approx(np.mean(expected))


def test_ranks_and_profiles_are_drawn_as_they_are(sets: Judgements) -> None:
    assert sets.across.ranks is not None
    assert sets.across.profile is not None
    panel = draw_ranks(sets).views[0].panels[0]
    assert [trace["x"][0] for trace in rows(panel, "diamond")] == pytest.approx(
        sorted(sets.across.ranks.mean)
    )
    bars = [trace["x"] for trace in panel["data"] if trace["mode"] == "lines"]
    assert [high - low for low, high in bars] == pytest.approx([sets.across.ranks.critical_distance] * 3)
    lines = draw_profile(sets).views[0].panels[0]["data"]
    for trace in lines:
        share = sets.across.profile.share[trace["legendgroup"]]
        assert trace["y"] == pytest.approx([100 * each for each in share], rel=1e-4)
        assert trace["line"]["shape"] == "hv"


def test_the_page_over_data_sets_is_whole_and_runs_no_name(sets: Judgements, tmp_path: Path) -> None:
    found = dataset_figures(sets)
    assert [each.name for each in found] == ["pairs", "ranks", "profile", "scores"]
    assert [view.label for view in found[-1].views] == list(sets.datasets)
    payload = json.dumps([each.json() for each in found], allow_nan=False)
    assert "<img" not in payload.replace(json.dumps(HOSTILE)[1:-1], "")  # a chip's label is text
    page = judged_page(sets).decode()
    assert "<img src=x" not in page
    assert "d5 lacks b" in page
    assert sets.report(tmp_path / "page.html").read_text() == page
    alone = sets.datasets["d0"].report(tmp_path / "one.html").read_text()
    assert "What each method reached" in alone
    one = ravine.judge({"only": {"a": [0.1, 0.2], "b": [0.3, 0.2]}}, datasets=True)
    assert isinstance(one, Judgements)
    assert [each.name for each in dataset_figures(one)] == ["scores"]
    assert b"Nothing is compared over data sets" in judged_page(one)


@pytest.mark.browser
def test_a_browser_draws_a_page_over_data_sets(tab: Any, page_path: Path, sets: Judgements) -> None:
    with watched(tab, sets.report(page_path), PHONE) as page:
        assert page.locator("#figure-profile .scatterlayer .trace").count() == 3
        page.locator("#figure-scores select").select_option(label="d5")
        assert page.locator("#figure-scores .ytick").count() == 2
        wider = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert page.evaluate(wider) == 0
