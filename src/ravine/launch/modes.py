"""Which finished runs lack evaluations that their study asks for. Nothing here imports PyTorch."""

from __future__ import annotations

from ravine.store import RunRecord, Store
from ravine.study import Study
from ravine.study.modes import Mode


def lacking_modes(study: Study, store: Store) -> dict[Mode, list[RunRecord]]:
    """The finished runs that lack an evaluation, by mode; only modes that some run lacks.

    Args:
        study: what it asks for.
        store: where its runs are.
    """
    if study.test_time is None:
        return {}
    done = [run for run in store.runs(study.name) if run.status == "done"]
    found = {}
    for mode in study.test_time.asked:
        having = store.evaluated.having(mode.id, [run.id for run in done])
        found[mode] = [run for run in done if run.id not in having]
    return {mode: runs for mode, runs in found.items() if runs}
