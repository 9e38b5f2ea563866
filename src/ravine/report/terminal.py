"""Results for the terminal: the verdict, lists of studies, one study, one run, as rich renderables.

Nothing here depends on colour: what matters is in the words and the columns. Names from study files are
put in as `Text`, so that square brackets in them are not taken for markup.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, final

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, JustifyMethod, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ravine.messages import count as counted
from ravine.outcomes.averages import average_words
from ravine.outcomes.ladder import LadderResult
from ravine.outcomes.ladder_words import columns, ladder_trivial, rows
from ravine.outcomes.regularized import regularized_words
from ravine.outcomes.results import Results
from ravine.outcomes.stages import stage_words
from ravine.outcomes.words import below, column_titles, of_trivial, row_names, rule_columns
from ravine.report.facts import about_examples
from ravine.times import duration, moment

if TYPE_CHECKING:
    from ravine.launch.replay import Replayed
    from ravine.store import RunRecord, StudyRecord

RULE_WIDTH = 20  # cells of a rule's name in a line of the verdict; longer ones go on below
EXPENDABLE = (
    "MAE",
    "val",
    "diverged",
    "lr",
    "standing",
    "interval",
    "R²",
    "RMSE",
    "test",
)  # what a narrow terminal loses, in order


def verdict(results: Results) -> Group:
    """The answer: two sentences, a row per rule, the warnings, and what was done with the data."""
    parts: list[RenderableType] = [Text(sentence) for sentence in results.verdict.sentences]
    if results.verdict.rules:
        parts += ["", _rules(results)]
    if results.by_target is not None:
        parts += ["", Text(str(results.by_target.grid(results.noun)))]
    if results.ladder is not None:
        parts += ["", _rungs(results.ladder)]
    if results.trivial is not None:
        ladder = results.ladder
        said = of_trivial(results.trivial) if ladder is None else ladder_trivial(results.trivial, ladder)
        parts += ["", Text(said)]
    for sentences in (
        stage_words(results.stages, results.validated),
        regularized_words(results.regularized, results.verdict.measure),
        average_words(results.averages, results.validated),
    ):
        if sentences:
            parts += ["", *(Text(sentence) for sentence in sentences)]
    if results.warnings:
        parts += ["", *(_bullet(warning, "yellow") for warning in results.warnings)]
    if results.study.notes:
        parts += ["", *(Text(f"note: {note}", style="dim") for note in results.study.notes)]
    return Group(*parts)


def studies(records: Sequence[tuple[StudyRecord, Sequence[RunRecord]]]) -> RenderableType:
    """A row per study: its runs, how far they are, and when it was made.

    Args:
        records: the studies, each with its runs.
    """
    if not records:
        return Text("No studies yet. `ravine run STUDY.toml` trains the first.")
    table = plain_table()
    table.add_column("study", overflow="fold", ratio=1)
    for name in ("runs", "done", "diverged", "left", "time"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("made (UTC)", no_wrap=True)
    for study, runs in records:
        count = {status: sum(run.status == status for run in runs) for status in ("done", "diverged")}
        table.add_row(
            Text(study.name),
            f"{len(runs):,}",
            f"{count['done']:,}",
            f"{count['diverged']:,}",
            f"{len(runs) - count['done'] - count['diverged']:,}",
            duration(
                sum(spent) if (spent := [run.seconds for run in runs if run.seconds is not None]) else None
            ),
            moment(study.created_at).removesuffix(" UTC"),
        )
    return table


def study(results: Results, holder: str | None = None) -> Group:
    """One study: what it is, the verdict, and how it was trained.

    Args:
        results: its results.
        holder: who is training it now, None if nobody is.
    """
    labels = results.labels
    facts = [
        ("data", f"{labels.name}, {labels.task}; "
                 + "; ".join(f"{name}: {words}" for name, words in about_examples(results))),
        ("runs", _progress(results.runs)),
        *([("trained by", holder)] if holder else []),
        ("time", duration(results.seconds) + (f", {results.backend}" if results.backend else "")),
        ("made", moment(results.study.created_at)),
    ]  # fmt: skip
    if results.study.launches:
        last = results.study.launches[-1]
        facts += [*([("plan", last.plan)] if last.plan else []), ("command", last.command)]
    return Group(Text(results.name, style="bold"), _facts(facts), "", verdict(results))


def unfinished(record: StudyRecord, runs: Sequence[RunRecord], holder: str | None) -> Group:
    """A study none of whose runs has finished: how far it is, and what goes on with it.

    Args:
        record: the study.
        runs: its runs.
        holder: who is training it now, None if nobody is.
    """
    facts = [("runs", _progress(runs)), ("trained by", holder or "nobody at present")]
    if record.launches:
        last = record.launches[-1]
        facts += [*([("plan", last.plan)] if last.plan else []), ("command", last.command)]
    words = "Nothing has finished yet" + (
        "." if holder else ", so there is no verdict. Run the same command to continue."
    )
    return Group(Text(record.name, style="bold"), _facts(facts), "", Text(words))


def _progress(runs: Sequence[RunRecord]) -> str:
    """How many runs came how far."""
    count = {status: sum(run.status == status for run in runs) for status in ("done", "diverged")}
    begun = [run for run in runs if run.status == "running" and run.step > 0]
    waiting = len(runs) - sum(count.values()) - len(begun)
    early = sum(run.stopped for run in runs)
    done = f"{count['done']:,} done" + (f" ({early:,} stopped early)" if early else "")
    parts = [done, f"{count['diverged']:,} diverged"]
    if begun:
        steps = sum(run.step for run in begun) / sum(run.num_steps for run in begun)
        parts.append(f"{len(begun):,} in training ({steps:.0%} of their steps at the last checkpoint)")
    if waiting:
        parts.append(f"{waiting:,} not started")
    return f"{len(runs):,}: {', '.join(parts)}"


def run(record: RunRecord, study_names: Sequence[str] = ()) -> Group:
    """One run: its place in a study, its hypers and how it ended.

    Args:
        record: the run.
        study_names: the studies it belongs to, where that is known.
    """
    status: str = record.status
    if record.status == "diverged" and record.diverged_at is not None:
        status = f"diverged at step {record.diverged_at:,} of {record.num_steps:,}"
    elif record.status == "done":
        status = f"done, {counted(record.num_steps, 'step')}"
        if record.stopped:
            status = f"done, stopped early at step {record.step:,} of {record.num_steps:,}"
        if record.weights_of < record.step:
            status += f", with the weights of step {record.weights_of:,}"
    elif record.status == "running":
        status = f"stopped at step {record.step:,} of {record.num_steps:,}"
    facts = [
        *(("study", name) for name in study_names),
        ("rule", record.rule),
        *(
            (name, f"{value:.6g}" if isinstance(value, float) else str(value))
            for name, value in record.hypers.items()
        ),
        ("seed", str(record.seed)),
        ("status", status),
        ("time", duration(record.seconds) + (f", {record.backend}" if record.backend else "")),
        *(
            (name.replace("_", " "), _metric(name, value))
            for name, value in record.metrics.items()
            if name != "restored_step"  # it is in the status
        ),
    ]
    return Group(Text(f"run {record.id}", style="bold"), _facts(facts))


def _rules(results: Results) -> Group:
    # Other hypers would squeeze the numbers at 80 columns: they come below.
    more = below(results.verdict, results.runs)
    return Group(_RuleTable(results), "", _facts(more)) if more else Group(_RuleTable(results))


def _rungs(ladder: LadderResult) -> Table:
    """A row for each number of examples."""
    table = plain_table()
    for name in columns(ladder):
        table.add_column(Text(name), justify="left" if name == "better" else "right")
    for row in rows(ladder):
        table.add_row(*map(Text, row))
    return table


@final
class _RuleTable:
    """A row per rule. A narrow terminal gets fewer columns: a row without its rule would say nothing."""

    def __init__(self, results: Results) -> None:
        self._results = results

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        unbounded = options.update(max_width=10_000)
        for dropped in range(len(EXPENDABLE) + 1):
            table = _columns(self._results, EXPENDABLE[:dropped])
            if console.measure(table, options=unbounded).maximum <= options.max_width:
                break
        yield table


def _columns(results: Results, dropped: Sequence[str]) -> Table:
    names = row_names(results.verdict, results.trivial)
    cells = rule_columns(results.verdict, results.error_columns, results.trivial)
    titles = column_titles(results.verdict)
    kept = [name for name in cells if name not in dropped]
    table = plain_table()
    longest = max(map(cell_len, names), default=0)
    table.add_column(
        results.noun,
        overflow="fold",
        no_wrap=longest <= RULE_WIDTH,
        min_width=min(longest, RULE_WIDTH),
        max_width=RULE_WIDTH,
    )
    for name in kept:
        justify: JustifyMethod = "left" if name == "standing" else "right"
        table.add_column(titles.get(name, name), justify=justify, no_wrap=True)
    rules = len(results.verdict.rules)
    for row, label in enumerate(names):
        style = "dim" if row >= rules else "bold" if label == results.verdict.best else ""
        table.add_row(Text(label), *(cells[name][row] for name in kept), style=style)
    return table


def plain_table() -> Table:
    """An empty table without lines."""
    return Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")


def _facts(facts: Sequence[tuple[str, str]]) -> Padding:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts:
        table.add_row(Text(name), Text(value))
    return Padding(table, (0, 0, 0, 2))


def _bullet(words: str, style: str) -> Table:
    """A warning: the sign hangs in the margin, the lines under one another."""
    row = Table.grid(padding=(0, 1, 0, 0))
    row.add_row(Text("!", style=f"bold {style}"), Text(words))
    return row


def _metric(name: str, value: float) -> str:
    return f"{100 * value:.2f} %" if name.endswith("accuracy") else f"{value:.4g}"


def replayed(found: Replayed) -> Group:
    """How far a run that was trained alone is from the stored one."""
    facts = [("stored", found.stored_backend), ("now", found.backend)]
    if found.stored_diverged_at is not None or found.diverged_at is not None:
        steps = [
            f"step {at:,}" if at is not None else "never"
            for at in (found.stored_diverged_at, found.diverged_at)
        ]
        facts.append(("diverged", f"stored: {steps[0]}; now: {steps[1]}"))
    else:
        same = found.largest == 0.0
        facts.append(
            (
                "weights",
                "equal, bit for bit"
                if same
                else f"differ by at most {found.largest:.2g}, and by {found.relative:.2g} of their norm",
            )
        )
        if not same:
            facts.append(
                ("why", "another backend rounds differently in the last bit, and training amplifies that")
            )
        if found.agreement is not None:
            facts.append(("test", found.agreement))
    return Group(Text(f"run {found.run}, trained alone", style="bold"), _facts(facts))
