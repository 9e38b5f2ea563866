"""What a Python program calls to take a model away."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ravine.api.metric import metric_for
from ravine.api.studies import stored_study
from ravine.errors import InputError
from ravine.host_memory import check_address_space
from ravine.messages import count, shown
from ravine.outcomes import Results
from ravine.outcomes.folds import has_folds
from ravine.study import FindStudy, Study
from ravine.study.metric import MetricLike

if TYPE_CHECKING:
    from torch import nn

    from ravine.predictors.choice import Choice
    from ravine.predictors.exporting import Exported
    from ravine.predictors.refit import Refitted


def export(
    study: Results | Study | Path | str,
    *,
    out: Path | str,
    what: str = "winner",
    metric: MetricLike | None = None,
    model: str | Callable[..., nn.Module] | None = None,
    onnx: bool = False,
    refit: str | None = None,
    force: bool = False,
    device: str = "auto",
    store: Path | str = "runs",
    trust: Sequence[str] = (),
) -> Exported:
    """Write a model of a study as a folder that predicts anywhere: weights, preprocessing, test vectors, a model card.

    Args:
        study: the results of a study, its name in the store, its file, or the `Study` itself.
        out: the folder. It is written all at once, and must not be there yet, or be empty.
        what: as in `predict`.
        metric: as in `predict`.
        model: builds the network, where it is a module of yours: a class or function, or its name, "net:Net". None:
            the study says it.
        onnx: also write one ONNX graph, from raw values to probabilities; needs the extra ``onnx``.
        refit: "all" trains the members again, on training and validation examples together, for as many epochs; no
            score is claimed then.
        force: replace an exported model that is there.
        device: where members are trained again: "auto", "cpu", "cuda" or "mps".
        store: where the study is, unless results are given.
        trust: as in `run`.

    Returns:
        What was written: ``folder``, ``files``, ``num_bytes``. It prints as a line.

    Raises:
        InputError: one line that says what is wrong.

    Example:
        >>> import tempfile, ravine
        >>> study = ravine.Study(name="flowers", data="iris", model="mlp", epochs=20, seeds=3, rules=["adam"])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     results = ravine.run(study, store=f"{folder}/runs", quiet=True)
        ...     written = export(results, out=f"{folder}/model", what="ensemble")
        ...     found = ravine.predict(f"{folder}/model", [[5.1, 3.5, 1.4, 0.2]])
        >>> written.num_members, found.predicted[0]
        (3, 'setosa')
    """
    check_address_space()
    from ravine.predictors.choice import chosen
    from ravine.predictors.exporting import check_out, export_folder
    from ravine.predictors.fold_choice import fold_winners
    from ravine.predictors.fold_scores import fold_scores
    from ravine.predictors.folds import predictor_of_folds
    from ravine.predictors.graph.door import require_onnx
    from ravine.predictors.scores import logged_scores, plain_scores, validation_scores
    from ravine.predictors.stored import predictor_of

    if not isinstance(out, str | Path) or not str(out):
        raise InputError(f"out = {shown(out)}: must be the path of a folder")
    if refit is not None and not (isinstance(refit, str) and refit == "all"):
        raise InputError(f"refit = {shown(refit)}: must be 'all', or left out")
    folder = Path(out)
    check_out(folder, force=force)
    if onnx:
        require_onnx("--onnx")
    opened, name, find = stored_study(study, store, trust)
    by = metric_for(opened, name, metric, study)
    if has_folds(opened.runs(name)):
        if refit is not None:
            raise InputError(
                f"refit: study {name!r} has folds, whose winners have learned from all examples between them; leave it "
                "out"
            )
        data = study.data if isinstance(study, Results) else None
        found = fold_winners(opened, name, what, find=find, data=data, metric=by)
        predictor = predictor_of_folds(found, opened, find=find, model=model, trust=trust, device="cpu")
        results = (
            study if isinstance(study, Results) and metric is None else Results.load(opened, name, metric=by)
        )
        scores = fold_scores(found, results, opened)
        return export_folder(predictor, found.choice(opened), folder, scores=scores, onnx=onnx, force=force)
    choice = chosen(opened, name, what, find=find, device="cpu", metric=by)
    facts = None
    if refit is not None:
        again = _refitted(choice, find, model, device)
        choice = replace(choice, weights=again.weights)
        facts = {
            "on": "training and validation",
            "examples": again.examples,
            "fingerprint": again.fingerprint,
            "steps": dict(again.steps),
        }
    predictor = predictor_of(choice, opened, find=find, model=model, trust=trust, device="cpu")
    results = (
        study if isinstance(study, Results) and metric is None else Results.load(opened, name, metric=by)
    )
    logged, note = logged_scores(choice, opened) if refit is None else ({}, "")
    test = (
        {"test": {"scores": plain_scores(logged), "note": note}} if logged else _test_scores(choice, results)
    )
    scores = {
        "validation": {
            "scores": plain_scores(validation_scores(choice)),
            "note": "On validation: the model was chosen on these examples, so that their scores flatter it a little.",
        },
        **test,
    }
    return export_folder(predictor, choice, folder, scores=scores, onnx=onnx, refit=facts, force=force)


def _refitted(
    choice: Choice,
    find: FindStudy,
    model: str | Callable[..., nn.Module] | None,
    device: str,
) -> Refitted:
    """The members, trained again, with a bar of progress."""
    from rich.console import Console
    from rich.progress import Progress

    from ravine.predictors.refit import Refitted, refit

    study, search = find()
    if callable(model):
        study = replace(study, model=model, compare="rule", variants=())
    console = Console(file=sys.stderr)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("training on all examples", total=None)
        for event in refit(choice, study, search=search, device=device):
            if isinstance(event, Refitted):
                return event
            bar.update(task, completed=event[0], total=event[1])
    raise AssertionError("training ends with what came of it")


def _test_scores(choice: Choice, results: Results) -> dict[str, Any]:
    """What the verdict read on test of the config that all members are of: the mean over its seeds.

    Of several members that is not the score of what they say together, so it has another name.
    """
    if any(each.average for each in choice.members) or len({each.config for each in choice.members}) != 1:
        return {}
    rule = next((each for each in results.verdict.rules if each.config == choice.members[0].config), None)
    if rule is None or rule.test is None:
        return {}
    low, high = sorted(results.readable(bound) for bound in rule.ci or (rule.test, rule.test))
    score = {"value": results.readable(rule.test), "low": low, "high": high}
    usual = "mse" if results.is_regression else "accuracy"
    name = usual if results.is_usual else results.metric.column
    seeds = count(len(rule.runs), "seed")
    note = f"On test: the mean over {seeds} of this config, as the verdict of the study read it."
    if len(choice.members) == 1:
        return {"test": {"scores": {name: score}, "note": note}}
    note += " These are scores of single networks; nobody has scored what they say together (`ravine ensemble` does)."
    return {"test_of_single_networks": {"scores": {name: score}, "note": note}}
