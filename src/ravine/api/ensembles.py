"""What a Python program calls to make one predictor of finished runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ravine.api.studies import name_of, study_named
from ravine.ensembles.ensemble import Along
from ravine.ensembles.ensemble import ensemble as pooled
from ravine.ensembles.findings import Ensemble
from ravine.ensembles.members import KINDS
from ravine.host_memory import check_address_space
from ravine.outcomes import Results
from ravine.store import RunRecord, Store
from ravine.study import Study


def ensemble(
    study: Results | Study | Path | str,
    *,
    store: Path | str = "runs",
    members: str | Sequence[str] = "seeds",
    select: str = "auto",
    size: int = 5,
    combine: str = "mean",
    device: str = "auto",
    trust: Sequence[str] = (),
) -> Ensemble:
    """Pool finished runs of a study into one predictor, and say how much better it is than the best run.

    A pool predicts the mean of its members' probabilities (Lakshminarayanan et al., 2017), of a regression the mean of
    their values. Members, weights and temperature are chosen on validation; test is read once, at the end, for the best
    run, the seeds of its config and the ensemble. Nothing is trained and nothing is stored.

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
        device: where snapshots are evaluated: "auto", "cpu", "cuda" or "mps".
        trust: as in `run`; only snapshots need it.

    Returns:
        The ensemble: ``weights``, ``curve``, ``disagreement``, ``sentences``, ``id``. It prints as tables.

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
    if isinstance(study, Results):
        opened, name = study.source, study.name
    else:
        opened, name = Store(store, create=False), name_of(study)
    chosen = members
    if (
        isinstance(members, str)
        and members not in KINDS
        and ("," in members or set(members) <= set("0123456789abcdef"))
    ):
        chosen = [run.strip() for run in members.split(",")]

    def along(records: Sequence[RunRecord]) -> Along:
        check_address_space()
        from ravine.ensembles.snapshots import Snapshots

        read, search = study_named(opened, name if isinstance(study, Results) else study, trust)
        return Snapshots.of(read, opened, records, search=search, device=device)

    return pooled(opened, name, members=chosen, select=select, size=size, combine=combine, along=along)
