"""The metric that a stored study is judged by: its own, or another one that is asked for."""

from __future__ import annotations

from pathlib import Path

from ravine.api.studies import file_of
from ravine.errors import InputError
from ravine.metrics import Metric
from ravine.outcomes.metric import judged_by
from ravine.store import Store
from ravine.study.load import read_content
from ravine.study.metric import MetricLike, parse_metric


def metric_for(store: Store, name: str, asked: MetricLike | None = None) -> Metric | None:
    """What a study's runs are judged by; None: what its text says, or what is usual for its task.

    Args:
        store: where it is.
        name: of the study.
        asked: another metric; a function of the user's is looked for in the working directory. None: the study's own;
            a function is used only where the study's file is found here and names it too, since a store is data.

    Raises:
        InputError: there is no such metric or study.
    """
    if asked is not None:
        judged = parse_metric(asked)
        assert judged is not None, "one is asked for"
        return judged.metric(Path.cwd())
    record = store.study(name)
    judged = judged_by(record.definition)
    file = file_of(record)
    if judged is None or not judged.is_code or file is None:
        return None
    try:
        again = parse_metric(read_content(file)[0].get("metric"))
    except InputError:
        return None
    return judged.metric(file.parent) if again == judged else None
