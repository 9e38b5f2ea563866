"""The verbs that make something of finished runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from ravine.backends import DeviceName
from ravine.cli.options import File, Metric, Shown, Store, StudyOrFile, Trust
from ravine.cli.output import prints_to_stderr, put, put_grids, put_json
from ravine.errors import InputError, short
from ravine.messages import count


def ensemble(
    study: StudyOrFile,
    /,
    store: Store = "runs",
    members: Annotated[str, Shown("seeds|configs|snapshots|all|RUN,RUN")] = "seeds",
    select: Literal["auto", "all", "top", "greedy"] = "auto",
    size: int = 5,
    combine: Literal["mean", "logits", "vote"] = "mean",
    soup: bool = False,
    rival: bool = False,
    metric: Metric = None,
    device: DeviceName = "auto",
    trust: Trust = (),
    json: bool = False,
    quiet: bool = False,
) -> None:
    """Pool finished runs into one predictor, and say how much better it is than the best run.

    Args:
        study: Name of a study in the store, or its file if the text in the store is not enough.
        store: Folder of the store.
        members: What may be a member: seeds of the best config, the best run of each config, weights kept along a run,
            all runs, or ids of runs (RUN@STEP for weights along a run, RUN#NAME for an average).
        select: Which of them are; auto is top for configs, greedy for all, else all.
        size: Number of members to choose, at most.
        combine: Average probabilities or logits, or vote.
        soup: Also average weights, where no barrier lies between runs, and compare.
        rival: Also train the best config for as long as all members together, once, and compare.
        metric: Compare configs by this metric, such as f1_macro or MODULE:FUNCTION (default: what the study says).
        device: Where to evaluate snapshots; auto uses CUDA if available.
        trust: An installed package whose functions may build the model. Can be repeated.
        json: Print one JSON object.
        quiet: Do not show progress.
    """
    from ravine.api.ensembles import ensemble as pooled

    with prints_to_stderr():
        found = pooled(
            study,
            store=store,
            members=members,
            select=select,
            size=size,
            combine=combine,
            soup=soup,
            rival=rival,
            metric=metric,
            device=device,
            trust=trust,
            quiet=quiet or json,
        )
    if json:
        put_json(found.json())
        return
    put_grids(found.grids())


def predict(
    where: Annotated[str, Shown("MODEL|STUDY")],
    new: Annotated[str, Shown("DATA")] = "",
    /,
    what: Annotated[str | None, Shown("winner|ensemble|greedy|average|soup|RUN")] = None,
    mode: Literal["mean", "mc"] = "mean",
    samples: int | None = None,
    views: Annotated[str | None, Shown("flips|crops")] = None,
    metric: Metric = None,
    out: File = None,
    probabilities: bool = False,
    members: bool = False,
    check: bool = False,
    model: Annotated[str | None, Shown("MODULE:NAME")] = None,
    store: Store = "runs",
    device: DeviceName = "auto",
    trust: Trust = (),
    json: bool = False,
) -> None:
    """Predict new data: a CSV, Parquet or npz file, or a folder of pictures.

    Args:
        where: Folder of an exported model; else the name of a study in the store, or its file.
        new: The new data.
        what: What of a study predicts; winner is the best seed of the best config, ensemble all of its seeds, greedy
            an ensemble out of all runs, average the best stored average of the weights, soup the mean of the weights
            of several runs. Default winner.
        mode: One deterministic pass, or the mean of many Monte Carlo passes, with entropy and mutual information.
        samples: Number of Monte Carlo passes of each row. Default 50.
        views: Also average over views of each picture: mirrored, or moved by a pixel towards each corner.
        metric: Compare configs by this metric, such as f1_macro or MODULE:FUNCTION (default: what the study says).
        out: Write the predictions to this CSV or Parquet file.
        probabilities: Add the probability of each class.
        members: Add the disagreement of the members; for a regression, their spread.
        check: Predict the model's test vectors instead, and say how far it is off.
        model: Class or function that builds the network, for a module of your own.
        store: Folder of the store.
        device: Where to evaluate; auto uses CUDA if available.
        trust: An installed package whose functions may build the model. Can be repeated.
        json: Print one JSON object.
    """
    from ravine.api.predict import check_model, check_onnx
    from ravine.api.predict import predict as predicted

    if check:
        if new:
            raise InputError(
                f"{new}: not expected beside --check, which predicts the model's own test vectors"
            )
        with prints_to_stderr():
            number, off, allowed = check_model(where, model=model, trust=trust)
            graph = check_onnx(where)
        checked = [(where, off, allowed), *([graph] if graph else [])]
        if json:
            onnx = {"onnx_off": graph[1], "onnx_allowed": graph[2]} if graph else {}
            put_json({"model": where, "vectors": number, "off": off, "allowed": allowed, **onnx})
            return
        for of, worst, most in checked:
            put(
                f"{of}: right on {count(number, 'test vector')}: off by {worst:.2g}, at most {most:.2g} is allowed"
            )
        return
    if not new:
        raise InputError("DATA is missing; see ravine predict --help")
    if out is not None:
        check_output(out, new)
    with prints_to_stderr():
        found = predicted(
            where,
            new,
            what=what,
            mode=mode,
            samples=samples,
            views=views,
            metric=metric,
            model=model,
            store=store,
            device=device,
            trust=trust,
        )
    if out is not None:
        found.save(out, probabilities=probabilities, members=members)
    if json:
        put_json(found.json())
        return
    if out is None:
        put_grids([found.grid(probabilities=probabilities, members=members)])
        return
    put(str(out), *found.sentences, *(f"note: {text}" for text in found.notes))


def export(
    study: StudyOrFile,
    /,
    out: Annotated[Path | None, Shown("FOLDER")] = None,
    what: Annotated[str, Shown("winner|ensemble|greedy|average|soup|RUN")] = "winner",
    metric: Metric = None,
    onnx: bool = False,
    refit: Annotated[str | None, Shown("all")] = None,
    force: bool = False,
    model: Annotated[str | None, Shown("MODULE:NAME")] = None,
    store: Store = "runs",
    device: DeviceName = "auto",
    trust: Trust = (),
    json: bool = False,
) -> None:
    """Write a model as a folder that predicts anywhere: weights, preprocessing, test vectors, a model card.

    Args:
        study: Name of a study in the store, or its file.
        out: The folder, which must not be there yet, or be empty.
        what: What is exported; winner is the best seed of the best config, ensemble all of its seeds, greedy an
            ensemble out of all runs, average the best stored average of the weights, soup the mean of the weights of
            several runs.
        metric: Compare configs by this metric, such as f1_macro or MODULE:FUNCTION (default: what the study says).
        onnx: Also write one ONNX graph, from raw values to probabilities.
        refit: Train again on training and validation examples together; no score is claimed then.
        force: Replace an exported model that is there.
        model: Class or function that builds the network, for a module of your own.
        store: Folder of the store.
        device: Where to train again; auto uses CUDA if available.
        trust: An installed package whose functions may build the model. Can be repeated.
        json: Print one JSON object.
    """
    from ravine.api.export import export as exported

    if out is None:
        raise InputError("--out FOLDER is missing; see ravine export --help")
    with prints_to_stderr():
        found = exported(
            study,
            out=out,
            what=what,
            metric=metric,
            model=model,
            onnx=onnx,
            refit=refit,
            force=force,
            device=device,
            store=store,
            trust=trust,
        )
    if json:
        put_json(found.json())
    else:
        put(str(found))


def check_output(out: Path, new: str) -> None:
    """See that a file can be written, before anything is computed, and that it is not the new data themselves.

    Raises:
        InputError: it cannot.
    """
    from ravine.predictors.rows import check_file

    try:
        if not out.parent.is_dir():
            raise InputError(f"--out {out}: there is no folder {out.parent}")
        check_file(out, f"--out {out}")
        same = out.exists() and Path(new).exists() and out.samefile(new)
    except OSError as error:
        raise InputError(f"--out {short(str(out), 80)}: cannot be used: {error.strerror}") from None
    if same:
        raise InputError(f"--out {out}: is the new data themselves; name another file")
