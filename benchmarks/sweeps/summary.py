"""Reads the measurements: collects numbers, then writes tables of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, median

from sweeps.execute import Measured
from sweeps.studies import CONTENDERS, Target
from sweeps.task import Score, Task

# Validation sets of some hundred examples and two or three seeds: two equal contenders may differ by as much.
BEST_TOLERANCE = 0.05  # of a rule's accuracy at its best lr
MEAN_TOLERANCE = 0.08  # of a rule's mean accuracy over all lrs
CHANCE = 0.1  # accuracy that a diverged run counts as, ten classes
QUANTITIES: Mapping[str, Callable[[Measured], float]] = {
    "whole": lambda m: m.whole,
    "make": lambda m: m.phases.get("make", 0.0),
    "train": lambda m: m.train,
    "made": lambda m: m.made,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """n values: their median, the least and the greatest."""

    n: int
    median: float
    low: float
    high: float

    @staticmethod
    def of(values: Iterable[float]) -> Spread:
        found = sorted(values)
        return Spread(n=len(found), median=median(found), low=found[0], high=found[-1])

    def text(self, digits: int = 3) -> str:
        def short(value: float) -> str:
            return f"{value:.0f}" if value >= 10**digits else f"{value:.{digits}g}"

        return short(self.median) + (f" ({short(self.low)} to {short(self.high)})" if self.n > 1 else "")


def chosen_threads(measured: Sequence[Measured], task: str, contender: str) -> int | None:
    """The number of threads that suits a contender better: with the least median of training time."""
    times: dict[int, list[float]] = {}
    for m in measured:
        if (m.task, m.contender) == (task, contender) and not m.error and m.repeat >= 0:
            times.setdefault(m.threads, []).append(m.train)
    return min(times, key=lambda threads: median(times[threads])) if times else None


def of_contender(measured: Sequence[Measured], task: str, contender: str) -> list[Measured]:
    """Its measurements with the number of threads that suits it, by repetition."""
    threads = chosen_threads(measured, task, contender)
    found = [m for m in measured if (m.task, m.contender, m.threads) == (task, contender, threads)]
    return sorted((m for m in found if not m.error and m.repeat >= 0), key=lambda m: m.repeat)


def ratio(ours: Sequence[float], theirs: Mapping[int, float], repeats: Sequence[int]) -> Spread | None:
    """Theirs over ours, repetition by repetition; where theirs lacks one, their median stands in."""
    if not ours or not theirs:
        return None
    usual = median(theirs.values())
    return Spread.of(theirs.get(repeat, usual) / own for own, repeat in zip(ours, repeats, strict=True))


def compare(
    measured: Sequence[Measured], target: Target, flops: float | None, rate: float | None
) -> Spread | None:
    """How many times better ours is than theirs, or our share of the machine's rate; None if one is missing."""
    ours = of_contender(measured, target.task, target.ours[0])
    if target.theirs[1] == "rate":
        if not ours or not rate or not flops:
            return None
        return Spread.of(flops * m.run_steps / m.phases["train"] / 1e9 / rate for m in ours)
    theirs = of_contender(measured, target.task, target.theirs[0])
    own, other = QUANTITIES[target.ours[1]], QUANTITIES[target.theirs[1]]
    return ratio([own(m) for m in ours], {m.repeat: other(m) for m in theirs}, [m.repeat for m in ours])


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table whose columns line up."""
    lines = [list(header), *(list(row) for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    text = [
        "| " + " | ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)) + " |"
        for line in lines
    ]
    return "\n".join([text[0], "|" + "|".join("-" * (w + 2) for w in widths) + "|", *text[1:]])


def times_table(measured: Sequence[Measured], task: Task, reference: str) -> str:
    """One row per contender: whole, make, train, time per run and step, times the reference, memory."""
    base = of_contender(measured, task.name, reference)
    base_train = {m.repeat: m.train for m in base}
    rows = []
    for name in dict.fromkeys(
        m.contender for m in measured if m.task == task.name and m.contender != "machine"
    ):
        found = of_contender(measured, task.name, name)
        if not found:
            failed = next(m.error for m in measured if (m.task, m.contender) == (task.name, name))
            rows.append([name, "-", "0", failed[:60], *[""] * 5])
            continue
        is_command = not CONTENDERS[name].where
        quantity = "whole" if is_command else "train"
        values = [QUANTITIES[quantity](m) for m in found]
        times = ratio(values, base_train, [m.repeat for m in found])
        per_step = Spread.of(m.train * 1e6 / (task.num_runs * task.steps) for m in found)
        extrapolated = "*" if found[0].scale != 1.0 else ""
        rows.append(
            [
                name + extrapolated,
                str(found[0].threads),
                str(len(found)),
                Spread.of(m.whole for m in found).text(),
                "" if is_command else Spread.of(m.phases.get("make", 0.0) for m in found).text(2),
                "" if is_command else Spread.of(m.train for m in found).text(),
                "" if is_command else per_step.text(),
                times.text() if times else "",
                Spread.of(m.peak_mib for m in found).text(4).split(" ")[0],
            ]
        )
    times_header = ("whole [s]", "make [s]", "train [s]", "us a run-step", f"{reference}'s train / ours")
    header = ("contender", "threads", "n", *times_header, "MiB")
    return table(header, rows)


def targets_table(
    measured: Sequence[Measured], targets: Sequence[Target], flops: float | None, rate: float | None
) -> str:
    """What is asked, what was found."""
    rows = []
    for target in targets:
        found = compare(measured, target, flops, rate)
        if found is not None:
            theirs = " ".join(target.theirs) if target.theirs[1] != "rate" else "matrix products' rate"
            met = "yes" if found.median >= target.factor else "no"
            rows.append([target.task, " ".join(target.ours), theirs, f"{target.factor:g}", found.text(), met])
    return table(("task", "ours", "against", "asked", "found", "met"), rows) if rows else ""


def accuracies(scores: Sequence[Score]) -> dict[str, tuple[float, float]]:
    """For each rule: mean over seeds at its best lr, and mean over all its runs."""
    by_rule: dict[str, dict[float, list[float]]] = {}
    for score in scores:
        value = CHANCE if score.accuracy is None else score.accuracy
        by_rule.setdefault(score.rule, {}).setdefault(score.lr, []).append(value)
    return {
        rule: (max(mean(seeds) for seeds in lrs.values()), mean(mean(seeds) for seeds in lrs.values()))
        for rule, lrs in by_rule.items()
    }


def check_accuracies(measured: Sequence[Measured], task: Task, reference: str) -> tuple[str, list[str]]:
    """A table of validation accuracies, and a line for each contender that is not like the reference."""
    first: dict[str, Measured] = {}
    for m in measured:
        if m.task == task.name and not m.error and m.scores and m.repeat >= 0:
            first.setdefault(m.contender, m)
    cut = {name for name, m in first.items() if m.fraction != 1.0}  # after fewer steps it is elsewhere
    whole = {name: accuracies(m.scores) for name, m in first.items() if name not in cut}
    if not whole:
        return "", []
    standard = whole[reference] if reference in whole else max(whole.values(), key=len)
    rows, wrong = [], []
    for name, found in whole.items():
        cells = []
        for rule, (best, average) in standard.items():
            if rule not in found:
                cells.append("")
                continue
            off = abs(found[rule][0] - best) > BEST_TOLERANCE
            if not CONTENDERS[name].own_start:
                off = off or abs(found[rule][1] - average) > MEAN_TOLERANCE
            cells.append(f"{found[rule][0]:.3f} / {found[rule][1]:.3f}" + (" !" if off else ""))
            if off:
                wrong.append(
                    f"{task.name}: {name}, {rule}: accuracy {found[rule][0]:.3f} at the best lr and "
                    f"{found[rule][1]:.3f} over all, against {best:.3f} and {average:.3f}"
                )
        lost = sum(score.accuracy is None for score in first[name].scores)
        rows.append([name, *cells, str(lost)])
    text = table(("contender", *standard, "diverged"), rows)
    if cut:
        text += f"\n\nNot compared, for they took a fraction of the steps: {', '.join(sorted(cut))}."
    return text, wrong
