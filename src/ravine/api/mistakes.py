"""What a Python program calls to see what the runs of a study get wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ravine.api.metric import metric_for
from ravine.api.studies import stored_study
from ravine.backbones.kinds import architecture_of
from ravine.data.fashion import is_here
from ravine.data.spec import FashionMnistSpec
from ravine.errors import InputError
from ravine.nn.spec import Backbone
from ravine.outcomes import Results
from ravine.outcomes.mistakes import Mistakes
from ravine.outcomes.out_of_fold import OutOfFold
from ravine.study import FindStudy, Study
from ravine.study.reading import read_data


def mistakes(
    study: Results | Study | Path | str,
    *,
    store: Path | str = "runs",
    rule: str | None = None,
    split: str | None = None,
    num: int = 20,
    compare: str | None = None,
    trust: Sequence[str] = (),
) -> Mistakes:
    """See what the runs of a study get wrong: which classes they confuse, and which examples are hard for most runs.

    On validation that is looked at for all runs. On test it is for the runs of a config that validation has chosen;
    what you change after you have seen these mistakes was chosen on test.

    Args:
        study: the results of a study, its name in the store, its file, or the `Study` itself.
        store: where it is, unless results are given.
        rule: the rule, or level, whose chosen config is looked at; the hardest examples on validation are those of its
            runs. None: the best rule, and the runs of all rules.
        split: "validation" or "test". None: validation; of a study with folds test, where each example is looked at by
            the networks that have not learned from it, of the configs that their folds' validation chose.
        num: of the hardest examples.
        compare: as in `results`.
        trust: as in `run`.

    Returns:
        ``confusion`` with the matrix and ``by_class``; where an example may have several labels, ``labels``; of a
        regression ``deviations`` by tenths of the target, of several targets ``targets`` with those of each. And
        ``examples``, the hardest first, with their places and values where the data are at hand. It prints as tables.

    Raises:
        InputError: no such rule or split, or the study has a ladder; or folds, and validation is asked for.

    Example:
        >>> import tempfile, ravine
        >>> study = ravine.Study(name="wrong", data="iris", model="mlp", epochs=5, seeds=2, rules=["adam"])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     found = mistakes(ravine.run(study, store=folder, quiet=True), num=3)
        >>> found.confusion.counts.shape, found.confusion.num_runs, len(found.examples) <= 3
        ((3, 3), 2, True)
    """
    source, name, find = stored_study(study, store, trust)
    if isinstance(study, Results):
        results = study
    else:
        results = Results.load(source, name, compare=compare, metric=metric_for(source, name, None, study))
    return with_data(results, find).mistakes(rule=rule, split=split, num=num)


def out_of_fold(
    study: Results | Study | Path | str,
    *,
    store: Path | str = "runs",
    rule: str | None = None,
    compare: str | None = None,
    trust: Sequence[str] = (),
) -> OutOfFold:
    """Predictions of every example of a study with folds, by networks that have not learned from it.

    They are what scikit-learn's `cross_val_predict` gives: in each fold the config that its validation part chose
    predicts the fold's test part. Probabilities are means over its seeds, and over repeats.

    Args:
        study: the results of a study, its name in the store, its file, or the `Study` itself.
        store: where it is, unless results are given.
        rule: whose networks; None: those of the best rule.
        compare: as in `results`.
        trust: as in `run`.

    Returns:
        ``answers``, ``predicted`` and ``probabilities`` in the order of the data; ``frame("pandas")`` has a row per
        example.

    Raises:
        InputError: the study has no folds, no such rule, or its data cannot be read any more.

    Example:
        >>> import tempfile, ravine
        >>> study = ravine.Study(name="f", data={"kind": "iris", "split": {"folds": 3}}, model="mlp", epochs=5, seeds=2,
        ...     rules=["adam"])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     found = out_of_fold(ravine.run(study, store=folder, quiet=True))
        >>> found.probabilities.shape, found.num_networks
        ((150, 3), 2)
    """
    source, name, find = stored_study(study, store, trust)
    if isinstance(study, Results):
        results = study
    else:
        results = Results.load(source, name, compare=compare, metric=metric_for(source, name, None, study))
    found = with_data(results, find)
    if found.data is None and found.folds is not None:
        read_data(*find())  # says why they cannot be read
        raise InputError(
            f"study {name!r}: its data are not those of its runs any more, so which examples a fold tests is not known"
        )
    return found.out_of_fold(rule=rule)


def with_data(results: Results, find: FindStudy) -> Results:
    """Results with the study's data, where they can be read here and now and are still those of the runs.

    No network is asked for anything. What is read is known by its fingerprint, so a store cannot make other files part
    of a page.

    Args:
        results: of a stored study.
        find: the study itself, and the folder of its file.
    """
    if results.data is not None:
        return results
    try:
        study, search = find()
        if not _is_here(study):
            return results
        data = read_data(study, search)
    except InputError:
        return results
    same = data.fingerprint == results.study.data_fingerprint
    return replace(results, data=data) if same else results


def _is_here(study: Study) -> bool:
    """Whether nothing has to be fetched to read the data."""
    hubs = (architecture_of(each)[0] for each in study.models if isinstance(each, Backbone))
    if any(source in ("hf", "timm") for source in hubs):
        return False
    spec = study.data
    return not (isinstance(spec, FashionMnistSpec) and spec.path is None) or is_here()
