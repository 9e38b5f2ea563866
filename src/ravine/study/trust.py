"""Which installed packages a study's target may call functions of: said by whoever runs it, never by the study."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from ravine.errors import InputError
from ravine.messages import shown
from ravine.nn.provenance import is_standard
from ravine.nn.spec import Backbone, Module
from ravine.study.model import Model
from ravine.study.spec import Study

_PACKAGE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")


def packages_of(trust: Sequence[str]) -> tuple[str, ...]:
    """The packages that somebody trusts.

    Args:
        trust: names such as ``"torchvision"``.

    Raises:
        InputError: one of them is no name of a package, or one of the standard library.

    Example:
        >>> packages_of(["torchvision", "timm"])
        ('torchvision', 'timm')
    """
    named = (trust,) if isinstance(trust, str) else tuple(trust)
    for package in named:
        if not isinstance(package, str) or not _PACKAGE.fullmatch(package):
            raise InputError(f"trust = {shown(package)}: must be the name of a package, such as torchvision")
        if is_standard(package):
            raise InputError(
                f"trust = {shown(package)}: the standard library is never a model; name a package"
            )
    return named


def trusting(study: Study, packages: Sequence[str]) -> Study:
    """The study, with packages all of whose functions its target may be.

    Args:
        study: any study; one whose model is not a target stays as it is.
        packages: see `packages_of`.

    Example:
        >>> study = Study(name="s", data="iris", model="torchvision.models:resnet18", steps=9, rules=["adam"])
        >>> trusting(study, ["torchvision"]).model.trust
        ('torchvision',)
    """
    named = packages_of(packages)
    return _each(study, named) if named else study


def distrusted(study: Study) -> Study:
    """The study, with a target that may not run: nobody but a store names it."""
    return _each(study, None)


def _each(study: Study, packages: tuple[str, ...] | None) -> Study:
    """The study, with targets that may be functions of these packages."""
    if not any(isinstance(model, Module | Backbone) for model in study.models):
        return study
    if isinstance(study.model, tuple):
        models = tuple(replace(each, model=_of(each.model, packages)) for each in study.model)
        return replace(study, model=models)
    return replace(study, model=_of(study.model, packages))


def _of(model: Model, packages: tuple[str, ...] | None) -> Model:
    return model.trusting(packages) if isinstance(model, Module | Backbone) else model
