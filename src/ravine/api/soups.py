"""What a Python program calls to average the weights of finished runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ravine.api.metric import metric_for
from ravine.api.studies import stored_study
from ravine.host_memory import check_address_space
from ravine.outcomes import Results
from ravine.study import Study
from ravine.study.metric import MetricLike

if TYPE_CHECKING:
    from ravine.soups.findings import Soup


def soup(
    study: Results | Study | Path | str,
    *,
    store: Path | str = "runs",
    runs: Sequence[str] | None = None,
    how: str = "auto",
    metric: MetricLike | None = None,
    device: str = "auto",
    trust: Sequence[str] = (),
) -> Soup:
    """Average the weights of finished runs into one network, if no barrier lies between them.

    Two runs lie in one basin if the validation loss on the straight line between their weights is not above the line
    between its values at the ends (Entezari et al., 2022), which must be sure at 95 %. BatchNorm's statistics are
    estimated again at every point. Only then are weights averaged (Wortsman et al., 2022). Nothing is trained, nothing
    is stored, and test is not read.

    Args:
        study: the results of a study, its name in the store, its file, or the `Study` itself.
        store: where it is, unless results are given.
        runs: ids of runs, or their beginnings; ``"8e79@120"`` are the weights after 120 steps, ``"8e79#ema 0.999"`` are
            an average. None: runs beside the best one in learning rate, and points along it.
        how: "uniform", the mean of all, or none; "greedy", one after another as long as validation gets better;
            "auto": uniform where runs are named, else greedy.
        metric: what configs are compared by: "f1_macro", or a function, as in a study. None: what the study says;
            a function of a module is used where its file is found here, or given.
        device: "auto", "cpu", "cuda" or "mps".
        trust: as in `run`.

    Returns:
        ``accepted``, ``weights`` (all tensors, or None), ``ways`` with barriers, ``sentences``. It prints as tables.

    Raises:
        InputError: one line that says what is wrong.

    Example:
        >>> import tempfile, ravine
        >>> study = ravine.Study(name="two", data="iris", epochs=5, seeds=1,
        ...     model={"kind": "mlp", "hidden": []},
        ...     rules=[{"kind": "sgd", "lr": [0.1, 0.2]}])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = ravine.run(study, store=folder, quiet=True)
        ...     found = soup(study, store=folder, how="uniform")
        >>> found.accepted, sorted(found.weights)
        (True, ['output.bias', 'output.weight'])
    """
    check_address_space()
    from ravine.soups.soup import soup as averaged

    opened, name, find = stored_study(study, store, trust)
    read, search = find()
    by = metric_for(opened, name, metric, study) if runs is None else None
    return averaged(read, opened, name, runs=runs, how=how, search=search, device=device, metric=by)
