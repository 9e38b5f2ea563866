"""The public face: its names."""

from __future__ import annotations

import subprocess
import sys

import ravine


def test_the_public_names_are_these() -> None:
    assert ravine.__all__ == [
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
    for name in ravine.__all__:
        assert getattr(ravine, name).__doc__


def test_importing_ravine_is_cheap() -> None:
    code = "import sys, ravine; assert not {'torch', 'numpy', 'sqlalchemy', 'sklearn'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
