"""Results of studies of several kinds, each read from a real store."""

from __future__ import annotations

from typing import Any

import pytest
from report_studies import Make, fill

from ravine.outcomes.results import Results
from ravine.store import Store


@pytest.fixture(scope="session")
def make(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Fill a new store and load the study's results from it; the arguments are those of ``fill``."""

    def made(**arguments: Any) -> Results:
        store = Store(tmp_path_factory.mktemp("store") / "runs")
        fill(store, **arguments)
        return Results.load(store, arguments.get("name", "digits-rules"))

    return made


@pytest.fixture(scope="session")
def six(make: Make) -> Results:
    """Six rules, nine lrs, three seeds on a classification task; the highest lrs diverge."""
    return make()


@pytest.fixture(scope="session")
def regression(make: Make) -> Results:
    """Three rules on a regression task."""
    return make(
        rules=("sgd", "momentum", "adam"), task="regression", sizes=(309, 66, 67), name="diabetes-rules"
    )


@pytest.fixture(scope="session")
def lost(make: Make) -> Results:
    """A study of which every run diverged."""
    return make(rules=("sgd", "adam"), lrs=(10.0, 100.0), fate=lambda rule, lr, seed: True)
