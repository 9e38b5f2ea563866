"""The verb for the features of frozen bodies. Its docstring and signature are its help."""

from __future__ import annotations

from ravine.backends import DeviceName
from ravine.cli.options import Set, Store, StudyFile, Trust
from ravine.cli.output import prints_to_stderr, put, put_grids, put_json


def features(
    study: StudyFile,
    /,
    device: DeviceName = "auto",
    set: Set = (),
    trust: Trust = (),
    optimum: bool = False,
    store: Store = "runs",
    json: bool = False,
    quiet: bool = False,
) -> None:
    """Compute the features of a study's frozen network, or find them in the cache; nothing is trained.

    Args:
        study: A study file (TOML) whose model is a backbone.
        device: Where to compute; auto uses CUDA if available.
        set: Change a field of the study, such as `--set data.size=64`. Can be repeated.
        trust: An installed package whose functions may build the model. Can be repeated.
        optimum: Instead, measure how far the study's trained linear heads are from the best head; the report draws it.
        store: Folder of the store with these runs, for --optimum.
        json: Print one JSON object, or an array for --optimum.
        quiet: Do not show progress.
    """
    from ravine.api.features import features as computed
    from ravine.api.features import optimum as measured
    from ravine.report.features import content, gap_grid, lines

    if optimum:
        with prints_to_stderr():
            gaps = measured(
                study, store=store, device=device, overrides=set, trust=trust, quiet=quiet or json
            )
        if json:
            put_json([each.json() for each in gaps.gaps])
        else:
            put_grids([gap_grid(gaps)])
        return
    with prints_to_stderr():
        found = computed(study, device=device, overrides=set, trust=trust, quiet=quiet or json)
    if json:
        put_json({label: content(each) for label, each in found.items()})
        return
    for label, each in found.items():
        put(*lines(label, each))
