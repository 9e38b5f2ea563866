"""The verb for the features of frozen bodies. Its docstring and signature are its help."""

from __future__ import annotations

from ravine.backends import DeviceName
from ravine.cli.options import Set, StudyFile, Trust
from ravine.cli.output import prints_to_stderr, put, put_json


def features(
    study: StudyFile,
    /,
    device: DeviceName = "auto",
    set: Set = (),
    trust: Trust = (),
    json: bool = False,
    quiet: bool = False,
) -> None:
    """Compute the features of a study's frozen network, or find them in the cache; nothing is trained.

    Args:
        study: A study file (TOML) whose model is a backbone.
        device: Where to compute; auto uses CUDA if available.
        set: Change a field of the study, such as `--set data.size=64`. Can be repeated.
        trust: An installed package whose functions may build the model. Can be repeated.
        json: Print one JSON object: hit, examples a second, bytes, and all that the features depend on.
        quiet: Do not show progress.
    """
    from ravine.api.features import features as computed
    from ravine.report.features import content, lines

    with prints_to_stderr():
        found = computed(study, device=device, overrides=set, trust=trust, quiet=quiet or json)
    if json:
        put_json({label: content(each) for label, each in found.items()})
        return
    for label, each in found.items():
        put(*lines(label, each))
