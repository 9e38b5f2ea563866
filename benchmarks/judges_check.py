"""What judges_peers.py computes itself, held against the packages: autorank, rliable and deepsig."""

from __future__ import annotations

import contextlib
import io
import itertools
import time
import warnings

import numpy as np
from judges_peers import aso, aso_of_bits, autorank_p, iqm


def run_check() -> None:
    """A table for each package that is installed."""
    rng = np.random.default_rng(0)
    for check in (_autorank, _rliable, _deepsig):
        check(rng)


def _autorank(rng: np.random.Generator) -> None:
    try:
        import autorank
        import pandas as pd
    except ImportError:
        print("autorank is missing")
        return
    apart, took = 0.0, 0.0
    for trial in range(42):
        size = (5, 10, 300)[trial % 3]
        a, b = rng.normal(0.9, 0.01, size), rng.normal(0.9, 0.01, size) ** (1 + trial % 2)
        if size == 300:
            a, b = rng.binomial(5, 0.9, size) / 5, rng.binomial(5, 0.88, size) / 5
        start = time.process_time()
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            theirs = autorank.autorank(pd.DataFrame({"a": a, "b": b}), alpha=0.05, verbose=False)
        took += time.process_time() - start
        apart = max(apart, abs(theirs.pvalue - autorank_p(a, b)[0]))
    print(
        f"autorank: 42 p-values, at most {apart:.1g} from those here; {1000 * took / 42:.0f} ms each\n",
        flush=True,
    )


def _rliable(rng: np.random.Generator) -> None:
    """Its mean alone: its bootstrap needs arch below 8, which cannot be imported beside pandas 3."""
    try:
        from rliable import metrics
    except ImportError:
        print("rliable is missing")
        return
    drawn = [rng.normal(0.9, 0.01, size) for size in (3, 5, 10, 60) for _ in range(50)]
    apart = max(abs(metrics.aggregate_iqm(each[:, None]) - float(iqm(each))) for each in drawn)
    print(f"rliable: 200 interquartile means, at most {apart:.1g} from those here\n", flush=True)


def _deepsig(rng: np.random.Generator) -> None:
    try:
        import deepsig
    except ImportError:
        print("deepsig is missing")
        return
    print("| scores | deepsig's eps_min, 200 resamples | here, 20,000 |\n|---|---|---|")
    for size, gap in itertools.product((3, 5, 10), (0.0, 0.01)):
        a, b = rng.normal(0.9 + gap, 0.01, size), rng.normal(0.9, 0.01, size)
        start = time.process_time()
        theirs = deepsig.aso(a, b, show_progress=False, num_bootstrap_iterations=200, seed=1)
        took, ours = time.process_time() - start, aso(a, b, rng, 20_000)[0]
        print(f"| {size} seeds | {theirs:.3f} ({took:.1f} s) | {ours:.3f} |", flush=True)
    for share in (0.80, 0.86, 0.92):
        x, y = rng.random(60) < share, rng.random(60) < 0.8
        start = time.process_time()
        theirs = deepsig.aso(
            x.astype(float), y.astype(float), show_progress=False, num_bootstrap_iterations=100, seed=1
        )
        took, ours = time.process_time() - start, float(aso_of_bits(x, y, rng, 20_000)[0])
        print(f"| 60 answers | {theirs:.3f} ({took:.1f} s, 100) | {ours:.3f} |", flush=True)
