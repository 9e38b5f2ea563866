"""Which runs of a study with folds are to predict together: of each fold those that its validation part chose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ravine.data import Dataset
from ravine.data.deal_folds import FoldOf
from ravine.ensembles.members import winner_of
from ravine.ensembles.naming import member_of
from ravine.ensembles.pool import Pool
from ravine.errors import InputError, StoreError, choices
from ravine.messages import count
from ravine.metrics import Metric
from ravine.outcomes.metric import by_metric, known_metric
from ravine.outcomes.runs import final as final_value
from ravine.predictors.choice import Choice
from ravine.study import FindStudy
from ravine.study.loss import is_poisson
from ravine.study.naming import naming
from ravine.study.reading import read_data

if TYPE_CHECKING:
    from ravine.store import RunRecord, Store, StudyRecord

_WHATS = ("winner", "ensemble")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FoldWinners:
    """Runs of all folds that predict together, each with the same share.

    Args:
        study: the study.
        what: "winner" or "ensemble".
        data: its data, as they are now.
        winners: of each fold, the best seed first.
        counts: they predict logarithms of rates.
        metric: what the study is judged by, without weights; None: a function that is not at hand.
    """

    study: StudyRecord
    what: str
    data: Dataset
    winners: Mapping[FoldOf, list[RunRecord]]
    counts: bool
    metric: Metric | None

    @property
    def text(self) -> str:
        """What they are, for people."""
        num = sum(map(len, self.winners.values()))
        of = "best seed" if self.what == "winner" else "all seeds"
        return f"the winners of {count(len(self.winners), 'fold')}, {of} of each: {count(num, 'network')}"

    def choice(self, store: Store) -> Choice:
        """The same as the choice of a study with one split, for what is made of one; without outputs on validation."""
        runs = {run.id: run for seeds in self.winners.values() for run in seeds}
        members = sorted((member_of(run) for run in runs.values()), key=lambda each: each.name)
        return Choice(
            study=self.study,
            labels=store.labels.of(self.study.data_fingerprint),
            what=self.what,
            text=self.text,
            members=tuple(members),
            runs=runs,
            pool=Pool.of(members, [1.0] * len(members), "mean"),
            temperature=1.0,
            outputs={},
            folds=self.dealt,
            metric=self.metric,
        )

    @property
    def dealt(self) -> str:
        """How the data were dealt, for people."""
        folds = self.data.folds
        assert folds is not None, "they are winners of folds"
        sizes = next(iter(folds.sizes.values()))
        again = f", dealt {folds.repeats} times" if folds.repeats > 1 else ""
        return f"{sum(sizes):,} examples in {folds.num} folds{again}"


def fold_winners(
    store: Store,
    study_name: str,
    what: str = "winner",
    *,
    find: FindStudy,
    data: Dataset | None = None,
    metric: Metric | None = None,
) -> FoldWinners:
    """What predicts for a study with folds.

    Args:
        store: where the study is.
        study_name: its name.
        what: "winner", of each fold the best seed of the config that is best on its validation examples; "ensemble",
            all seeds of that config.
        find: gives the study, whose data say how each fold was scaled.
        data: these, where they are at hand.
        metric: what configs are compared by; None: what the study's text names.

    Raises:
        InputError: there is no such thing, not all runs have finished, or the data are others now.
    """
    if what not in _WHATS:
        raise InputError(f"what = {what!r}: of a study with folds; {choices(what, _WHATS)}")
    record, runs = store.study(study_name), store.runs(study_name)
    left = sum(run.status not in ("done", "diverged") for run in runs)
    if left:
        raise InputError(
            f"study {study_name!r}: {left:,} of {len(runs):,} runs have not finished, so the winners of its folds "
            "are not known yet; `ravine run` with its file continues"
        )
    if data is None:
        study, search = find()
        with naming(study.origin):
            data = read_data(study, search)
    if data.fingerprint != record.data_fingerprint or data.folds is None:
        raise StoreError(
            f"study {study_name!r} was trained on other data than its {data.name} is now (fingerprint "
            f"{record.data_fingerprint[:8]}, now {data.fingerprint[:8]})"
        )
    winners: dict[FoldOf, list[RunRecord]] = {}
    for part in data.folds.sizes:
        labels = store.labels.of(part.key(record.data_fingerprint))
        of_fold = [run for run in runs if run.recipe.get("part") == part.content()]
        own, column = by_metric(store, record, labels, of_fold, metric)
        seeds = [run for run in winner_of(own, column, study_name) if final_value(run, column) is not None]
        winners[part] = seeds if what == "ensemble" else seeds[:1]
    rates = {is_poisson(run.recipe.get("loss")) for seeds in winners.values() for run in seeds}
    if len(rates) > 1:
        raise StoreError(
            f"study {study_name!r}: some of the folds' winners predict the logarithm of a rate (loss poisson), others "
            "numbers, so they have no mean; predict with a study that has one of these losses"
        )
    return FoldWinners(
        study=record,
        what=what,
        data=data,
        winners=winners,
        counts=rates == {True},
        metric=known_metric(record.definition, data.task, metric),
    )
