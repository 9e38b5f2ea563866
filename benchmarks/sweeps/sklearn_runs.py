"""scikit-learn's MLPClassifier: NumPy and BLAS, no autograd; four of the six rules."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from sweeps.child import Clock
from sweeps.task import BETAS, EPS, MOMENTUM, Arrays, Job, Outcome, Score

RULES: dict[str, dict[str, Any]] = {
    "sgd": {"solver": "sgd", "momentum": 0.0, "nesterovs_momentum": False},
    "momentum": {"solver": "sgd", "momentum": MOMENTUM, "nesterovs_momentum": False},
    "nesterov": {"solver": "sgd", "momentum": MOMENTUM, "nesterovs_momentum": True},
    "adam": {"solver": "adam", "beta_1": BETAS[0], "beta_2": BETAS[1], "epsilon": EPS},
}


def mlp_classifier(job: Job, clock: Clock) -> Outcome:
    """Every run that it can do, by `fit`; the validation set is looked at once, at the end.

    `fit` takes the incomplete last batch of an epoch too, where the others leave it out: its time is scaled
    down by the share of complete batches, in its favour, and up by the runs it cannot do.
    """
    arrays, task = Arrays.load(job.arrays), job.task
    x, y = arrays.train[0].reshape(len(arrays.train[1]), -1), arrays.train[1]
    own, other = arrays.validation
    num_complete = len(y) // task.batch_size
    num_epochs, left = divmod(job.steps, num_complete)
    if left:
        raise SystemExit(f"steps = {job.steps}: MLPClassifier needs a multiple of {num_complete}, one epoch")
    runs = [run for run in task.runs() if run[0] in RULES]
    scores: list[Score] = []
    num_done = 0
    with clock.phase("train"), warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", RuntimeWarning)
        for rule, lr, seed in runs:
            model = MLPClassifier(
                hidden_layer_sizes=tuple(task.model["hidden"]),
                batch_size=task.batch_size,
                learning_rate_init=lr,
                max_iter=num_epochs,
                n_iter_no_change=num_epochs + 1,
                alpha=0.0,
                random_state=seed,
                **RULES[rule],
            )
            accuracy = None
            try:
                model.fit(x, y)
                accuracy = float((model.predict(own.reshape(len(other), -1)) == other).mean())
                model.predict_proba(arrays.test[0].reshape(len(arrays.test[1]), -1))
            except ValueError as error:  # how it says that its weights are not finite any more
                if "non-finite" not in str(error):
                    raise
            num_done += int(getattr(model, "n_iter_", num_epochs)) * num_complete
            scores.append(Score(rule=rule, lr=lr, seed=seed, accuracy=accuracy))
    num_batches = -(-len(y) // task.batch_size)
    return Outcome(
        run_steps=num_done,
        scores=tuple(scores),
        scale=num_complete / num_batches * task.num_runs / len(runs) * task.steps / job.steps,
        notes=(
            f"{len(runs)} of {task.num_runs} runs ({', '.join(RULES)}), scaled by runs; "
            f"time x {num_complete}/{num_batches} for the incomplete batches that only it takes",
        ),
    )
