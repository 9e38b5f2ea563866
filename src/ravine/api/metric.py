"""The metric that a stored study is judged by: its own, or another one that is asked for."""

from __future__ import annotations

from pathlib import Path

from ravine.api.studies import file_of, is_file
from ravine.errors import InputError
from ravine.metrics import Metric
from ravine.outcomes import Results
from ravine.outcomes.metric import judged_by
from ravine.store import Store, StudyRecord
from ravine.study import Study
from ravine.study.definition import objects_of
from ravine.study.load import read_content
from ravine.study.metric import Judged, MetricLike, described, parse_metric


def metric_for(
    store: Store,
    name: str,
    asked: MetricLike | None = None,
    given: Results | Study | Path | str | None = None,
) -> Metric | None:
    """What a study's runs are judged by; None: what its text says, or what is usual for its task.

    Args:
        store: where it is.
        name: of the study.
        asked: another metric; a function of the user's is looked for in the working directory. None: the study's own;
            a function is used only where the study's file is found here and names it too, since a store is data.
        given: the study as it was asked for: its results, whose metric it is; the `Study` itself or its file, which
            may name the function.

    Raises:
        InputError: there is no such metric or study, or its metric is a function of a Python program that is not here.
    """
    if asked is not None:
        judged = parse_metric(asked)
        assert judged is not None, "one is asked for"
        return judged.metric(Path.cwd())
    if isinstance(given, Results):
        return given.metric
    record = store.study(name)
    own = given.metric if isinstance(given, Study) else None
    if own is not None and own.is_object and objects_of(record.definition).get("metric") == described(own):
        return own.metric()
    judged = judged_by(record.definition)
    if judged is None or not judged.is_code:
        return None
    if own is not None:
        return own.metric(Path.cwd()) if own == judged else None
    return _of_file(record, judged, given)


def _of_file(record: StudyRecord, judged: Judged, given: Study | Path | str | None) -> Metric | None:
    """A function that the study's file names too; None where there is no such file."""
    file = Path(given).resolve() if isinstance(given, str | Path) and is_file(given) else file_of(record)
    if file is None:
        return None
    try:
        again = parse_metric(read_content(file)[0].get("metric"))
    except InputError:
        return None
    return judged.metric(file.parent) if again == judged else None
