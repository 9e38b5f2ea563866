"""What the terminal shows: everything that matters, in 80 columns, without colour or markup."""

from __future__ import annotations

import io
import math
from dataclasses import replace

import pytest
from report_studies import Make
from rich.console import Console, RenderableType

from ravine.metrics import metric_named
from ravine.outcomes.results import Results
from ravine.outcomes.words import shown_hypers
from ravine.report import terminal, terminal_runs


def shown(renderable: RenderableType, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None, highlight=False)
    console.print(renderable)
    output = console.file.getvalue()  # type: ignore[attr-defined]
    assert max(len(line) for line in output.splitlines()) <= width
    return str(output)


def test_the_verdict_has_a_line_per_rule_best_first(six: Results) -> None:
    output = shown(terminal.verdict(six))
    flat = " ".join(output.split())
    for words in (*six.verdict.sentences, *six.warnings):
        assert words in flat
    rows = [
        line.split()[0] for line in output.splitlines() if line.split()[:1] and line.split()[0] in six.rules
    ]
    names = [result.rule for result in six.verdict.rules]
    assert [row for row in rows if row in names][-6:] == names
    best = six.json()["rules"][0]
    assert f"{100 * best['test_accuracy']:.1f}" in output
    assert "diverged" in output


@pytest.mark.parametrize("width", [80, 60, 45, 30, 12])
def test_a_narrow_terminal_keeps_whole_rule_names_and_whole_numbers(six: Results, width: int) -> None:
    lines = shown(terminal.verdict(six), width).splitlines()
    header = next(index for index, line in enumerate(lines) if line.startswith("rule "))
    rows = [line.split() for line in lines[header + 1 : header + 1 + len(six.verdict.rules)]]
    assert [row[0] for row in rows] == [result.rule for result in six.verdict.rules]
    for row, entry in zip(rows, six.json()["rules"], strict=True):
        assert width < 20 or row[1] == f"{100 * entry['test_accuracy']:.1f}"
        assert "…" not in "".join(row)


def test_a_long_label_goes_on_below_in_a_narrow_terminal(make: Make) -> None:
    label = "the second rule with a label much longer than a column"
    output = shown(terminal.verdict(make(rules=(label, "sgd"), lrs=(1e-3, 1e-2))), 60)
    lines = output[output.index("rule ") :].splitlines()
    names = "".join(line[:20] for line in lines)
    assert label.replace(" ", "") in names.replace(" ", "")


def test_other_hypers_come_below_the_table(make: Make) -> None:
    results = make(rules=("adam", "sgd"), lrs=(1e-3, 1e-1), others={"model.dropout": (0.0, 0.5)})
    output = shown(terminal.verdict(results))
    assert "model.dropout 0" in output
    for rule in results.verdict.rules:
        words = shown_hypers(rule)
        assert words.startswith("model.dropout")
        assert f"{rule.rule:<4}  {words}" in output
        assert f"\n{rule.rule:<4}  {words}\n" in str(results)
        assert f"<li>{rule.rule}: {words}</li>" in results._repr_html_()


def test_regressions_and_total_loss_are_shown(regression: Results, lost: Results) -> None:
    output = shown(terminal.verdict(regression))
    entry = regression.json()["rules"][0]
    assert f"{entry['test_loss']:.4g}" in output
    output = shown(terminal.verdict(lost))
    assert "6/6" in output
    assert "nan" not in output


def test_lists_of_studies_and_of_runs(six: Results) -> None:
    output = shown(terminal.studies([(six.study, six.runs)]))
    assert "digits-rules" in output
    assert "162" in output
    assert "No studies yet" in shown(terminal.studies([]))
    output = shown(terminal_runs.runs_of(six, limit=5))
    lines = output.splitlines()
    assert len(lines) == 8  # titles, five runs, the most frequent class, and how many are left
    assert "and 157 more" in lines[-1]
    best = max(run.metrics.get("validation_accuracy", 0.0) for run in six.runs)
    assert f"{100 * best:.2f} %" in lines[1]
    assert len(shown(terminal_runs.runs_of(six)).splitlines()) == 164


def test_the_list_of_runs_is_by_what_the_study_is_judged_by(six: Results, regression: Results) -> None:
    judged = Results.load(six.source, six.name, metric=metric_named("f1_macro"))
    lines = shown(terminal_runs.runs_of(judged, limit=3)).splitlines()
    assert "val macro F1" in lines[0]
    best = max(run.metrics.get("validation_f1_macro", 0.0) for run in judged.runs)
    assert f"{100 * best:.2f} %" in lines[1]
    lines = shown(terminal_runs.runs_of(regression, limit=3)).splitlines()
    assert "val MSE" in lines[0]
    least = min(run.metrics.get("validation_loss", math.inf) for run in regression.runs)
    assert f"{least:.4g}" in lines[1]


def test_a_study_without_a_finished_run_lists_its_accuracies_or_losses(six: Results) -> None:
    runs = six.runs[:2]
    assert "val loss" in shown(terminal_runs.runs(runs, {}))
    half = {"validation_accuracy": {runs[0].id: 0.5}}
    waiting = [replace(run, metrics={}) for run in runs]
    assert "50.00 %" in shown(terminal_runs.runs(waiting, half))


def test_a_study_and_its_runs_in_full(six: Results) -> None:
    output = shown(terminal.study(six))
    for words in ("digits-rules", "1,257, 270, 270", "fused compiled", "ravine run digits.toml"):
        assert words in output
    done = next(run for run in six.runs if run.status == "done")
    output = shown(terminal.run(done, ["digits-rules"]))
    for words in (done.id, "digits-rules", "done, 440 steps", "validation accuracy"):
        assert words in output
    gone = next(run for run in six.runs if run.status == "diverged")
    assert f"diverged at step {gone.diverged_at} of 440" in shown(terminal.run(gone))


def test_notes_on_the_data_are_a_line_each(make: Make) -> None:
    notes = (
        "3 of 30 rows, with an empty cell, were dropped",
        "column '[b]x': one column for each of its 2 levels",
    )
    results = make(rules=("sgd",), lrs=(1e-2,), notes=notes)
    for made in (terminal.verdict(results), terminal.study(results)):
        assert shown(made).splitlines()[-2:] == [f"note: {note}" for note in notes]


@pytest.mark.parametrize("name", ["[red]x[/red]", "[/nonsense]", "[link=file:///]y", ":smile:"])
def test_markup_in_names_is_shown_as_it_stands(make: Make, name: str) -> None:
    results = make(name=name, rules=(name,), lrs=(1e-3,), others={name: (name,)}, seeds=2)
    for renderable in (
        terminal.study(results),
        terminal.studies([(results.study, results.runs)]),
        terminal_runs.runs_of(results),
        terminal.run(results.runs[0], [name]),
    ):
        assert name in shown(renderable).replace("\n", "")
