"""The page on the store: its example runs, without ravine, and finds what ravine finds."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ravine.store import RunResult, Store
from ravine.store.schema import metadata

PAGE = (Path(__file__).parents[2] / "docs" / "store.md").read_text()


def test_the_example_reads_a_store(
    store: Store,
    run_ids: list[str],
    result: Callable[..., RunResult],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store.open_cohort("c", run_ids, {})
    for step in range(3):
        store.append_curves(run_ids, np.array([step]), {"train_loss": np.arange(4.0)[None] + step})
    ended = [result(run, metrics={"validation_accuracy": n / 4}) for n, run in enumerate(run_ids)]
    weights = {"0.weight": np.random.default_rng(0).normal(size=(4, 3, 2))}
    store.finish_cohort("c", ended, weights, {})
    monkeypatch.chdir(tmp_path)
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict[str, object] = {}
    exec(compile(example, "docs/store.md", "exec"), names)
    assert names["run"] == run_ids[3]
    assert names["curve"] == {0: 3.0, 1: 4.0, 2: 5.0}
    found = names["weights"]
    assert isinstance(found, dict)
    np.testing.assert_array_equal(found["0.weight"], weights["0.weight"][3])


def test_every_table_is_explained() -> None:
    for table in metadata.tables:
        assert f"`{table}`" in PAGE
