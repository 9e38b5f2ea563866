"""ravine: declare a study, train every run of it at once, get an honest verdict, and reuse the runs."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ravine import nn, optim
    from ravine.api.averages import average, average_lengths
    from ravine.api.compare import compare
    from ravine.api.ensembles import ensemble
    from ravine.api.estimators import Classifier, Regressor
    from ravine.api.export import export
    from ravine.api.judge import judge
    from ravine.api.look import landscape, sharpness
    from ravine.api.mistakes import mistakes, out_of_fold
    from ravine.api.predict import predict
    from ravine.api.run import lr_range, replay, results, run
    from ravine.api.slowness import slowness
    from ravine.api.soups import soup
    from ravine.augment.anywhere import augmented
    from ravine.data import Dataset, from_arrays, from_torch_dataset
    from ravine.errors import DataError, InputError, ModelError, RavineError, StoreError, StudyError
    from ravine.outcomes import Results
    from ravine.report.surface import surface
    from ravine.rules import Hyper, Rule
    from ravine.store import Store
    from ravine.study import Study

_HOMES = {
    "Classifier": "api.estimators",
    "DataError": "errors",
    "Dataset": "data",
    "Hyper": "rules",
    "InputError": "errors",
    "ModelError": "errors",
    "RavineError": "errors",
    "Regressor": "api.estimators",
    "Results": "outcomes",
    "Rule": "rules",
    "Store": "store",
    "StoreError": "errors",
    "Study": "study",
    "StudyError": "errors",
    "augmented": "augment.anywhere",
    "average": "api.averages",
    "average_lengths": "api.averages",
    "compare": "api.compare",
    "ensemble": "api.ensembles",
    "export": "api.export",
    "from_arrays": "data",
    "from_torch_dataset": "data",
    "judge": "api.judge",
    "landscape": "api.look",
    "lr_range": "api.run",
    "mistakes": "api.mistakes",
    "out_of_fold": "api.mistakes",
    "predict": "api.predict",
    "replay": "api.run",
    "results": "api.run",
    "run": "api.run",
    "sharpness": "api.look",
    "slowness": "api.slowness",
    "soup": "api.soups",
    "surface": "report.surface",
}

__all__ = [
    "Classifier",
    "DataError",
    "Dataset",
    "Hyper",
    "InputError",
    "ModelError",
    "RavineError",
    "Regressor",
    "Results",
    "Rule",
    "Store",
    "StoreError",
    "Study",
    "StudyError",
    "augmented",
    "average",
    "average_lengths",
    "compare",
    "ensemble",
    "export",
    "from_arrays",
    "from_torch_dataset",
    "judge",
    "landscape",
    "lr_range",
    "mistakes",
    "nn",
    "optim",
    "out_of_fold",
    "predict",
    "replay",
    "results",
    "run",
    "sharpness",
    "slowness",
    "soup",
    "surface",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: `import ravine` alone takes no second for PyTorch."""
    if name in ("nn", "optim"):
        return import_module(f"ravine.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'ravine' has no attribute {name!r}")
    return getattr(import_module(f"ravine.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
