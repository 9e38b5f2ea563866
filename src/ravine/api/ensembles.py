"""What a Python program calls to make one predictor of finished runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ravine.api.metric import metric_for
from ravine.api.rival import training
from ravine.api.studies import stored_study
from ravine.ensembles.ensemble import ensemble as pooled
from ravine.ensembles.findings import Ensemble
from ravine.ensembles.fold_findings import FoldEnsemble
from ravine.ensembles.kinds import Souped
from ravine.ensembles.members import KINDS
from ravine.ensembles.naming import is_named
from ravine.ensembles.over_folds import ensemble_over_folds
from ravine.ensembles.reading import Evaluate
from ravine.errors import InputError
from ravine.host_memory import check_address_space
from ravine.metrics import Metric
from ravine.outcomes import Results
from ravine.outcomes.folds import has_folds
from ravine.outcomes.member import Member
from ravine.outcomes.trials import Split
from ravine.store import Store
from ravine.study import FindStudy, Study, content_id
from ravine.study.metric import MetricLike

if TYPE_CHECKING:
    from ravine.launch.trained import Trained


def ensemble(
    study: Results | Study | Path | str,
    *,
    store: Path | str = "runs",
    members: str | Sequence[str] = "seeds",
    select: str = "auto",
    size: int = 5,
    combine: str = "mean",
    soup: bool = False,
    rival: bool = False,
    metric: MetricLike | None = None,
    device: str = "auto",
    trust: Sequence[str] = (),
    quiet: bool = False,
) -> Ensemble | FoldEnsemble:
    """Pool finished runs of a study into one predictor, and say how much better it is than the best run.

    A pool predicts the mean of its members' probabilities (Lakshminarayanan et al., 2017), of a regression the mean of
    their values. Members, weights and temperature are chosen on validation; test is read once, at the end, for the
    ensemble and for one predictor of each other kind: the best run, the winner's seeds, the best configs, a greedy
    ensemble, and where there are any, snapshots and the best average of the weights. The store logs what was scored.
    Only `rival` trains anything.

    Args:
        study: the results of a study, its name in the store, its file, or the `Study` itself.
        store: where it is, unless results are given.
        members: what may be a member: "seeds" of the winner, the config with the best mean validation score;
            "configs", of each the seed that is best on validation; "snapshots" along the winner's best run, where the
            study kept weights; "all" runs; or ids of runs, or their beginnings.
        select: which of them are: "all"; the "top" ones, by their validation NLL or squared error; or "greedy"
            (Caruana et al., 2004), with weights. "auto" is "top" of configs, "greedy" of all runs and of snapshots
            without cycles, and "all" otherwise.
        size: how many the choice has at most.
        combine: "mean" of probabilities, "logits" or "vote".
        soup: also average weights, where no barrier lies between runs (`ravine.soup`), and compare.
        rival: also train the winner's config for as long as all members together, all seeds, and compare. It is a study
            of its own in the same store, which is trained once.
        metric: what configs are compared by: "f1_macro", or a function, as in a study. None: what the study says;
            a function of a module is used where its file is found here, or given.
        device: where snapshots are evaluated: "auto", "cpu", "cuda" or "mps".
        trust: as in `run`; only snapshots, soups and the rival need it.
        quiet: show no progress.

    With folds there is an ensemble in each of them, chosen on its validation part and scored on its test part; the gain
    is a mean over folds, with the interval of a verdict over folds.

    Returns:
        The ensemble: ``weights``, ``curve``, ``disagreement``, ``sentences``, ``id``; with folds ``kinds``,
        ``compared``, ``chosen`` and ``sentences``. It prints as tables.

    Raises:
        InputError: one line that says what is wrong.

    Example:
        >>> import tempfile, ravine
        >>> study = ravine.Study(name="three", data="iris", model="mlp", epochs=5, seeds=3, rules=["adam"])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = ravine.run(study, store=folder, quiet=True)
        ...     found = ensemble(study, store=folder)
        >>> sorted(round(weight, 3) for weight in found.weights.values())
        [0.333, 0.333, 0.333]
    """
    opened, name, find = stored_study(study, store, trust)
    by = metric_for(opened, name, metric, study)
    if has_folds(opened.runs(name)):
        for key, asked, why in (
            ("soup", soup, "soups average weights"),
            ("rival", rival, "its runs are compared"),
        ):
            if asked:
                raise InputError(
                    f"{key}: study {name!r} has folds, and {why} on one validation split; run a study like it without "
                    "split.folds"
                )
        return ensemble_over_folds(
            opened, name, members=members, select=select, size=size, combine=combine, metric=by
        )
    chosen = members
    if isinstance(members, str) and members not in KINDS and is_named(members):
        chosen = [text.strip() for text in members.split(",")]
    return pooled(
        opened,
        name,
        members=chosen,
        select=select,
        size=size,
        combine=combine,
        evaluate=evaluation(opened, find, device),
        soup=_souping(opened, name, find, device, by) if soup else None,
        rival=training(opened, name, find, device, quiet=quiet) if rival else None,
        metric=by,
    )


def _souping(
    store: Store, name: str, find: FindStudy, device: str, metric: Metric | None
) -> Callable[[], Souped | None]:
    """What makes the soup of a study; it makes None where validation refuses it."""

    def make() -> Souped | None:
        check_address_space()
        from ravine.soups.soup import soup

        read, search = find()
        found = soup(read, store, name, search=search, device=device, metric=metric)
        if not found.accepted:
            return None
        return Souped(id=found.id, members=found.members, outputs=found.chosen.outputs)

    return make


def evaluation(store: Store, find: FindStudy, device: str) -> Evaluate:
    """What evaluates weights along runs of a study.

    Args:
        store: where it is.
        find: gives the study.
        device: "auto", "cpu", "cuda" or "mps".
    """
    opened: dict[str, Trained] = {}

    def evaluate(split: Split, members: Sequence[Member]) -> dict[str, np.ndarray]:
        check_address_space()
        from ravine.launch.trained import Trained

        records = {member.run: store.run(member.run) for member in members}
        model = {run: content_id(record.recipe["model"]) for run, record in records.items()}
        found: dict[str, np.ndarray] = {}
        for each in dict.fromkeys(model.values()):
            own = [member for member in members if model[member.run] == each]
            if each not in opened:  # once, and only where something has to be evaluated
                read, search = find()
                runs = [records[member.run] for member in own]
                opened[each] = Trained.of(read, store, runs, search=search, device=device)
            found |= opened[each].predictions(split, own)
        return found

    return evaluate
