"""The best that a linear head can do: the minimum of its convex loss, found by L-BFGS in float64.

    F(W, b) = mean cross-entropy of (x W^T + b) + weight_decay / 2 |W|^2

Without a penalty the classes may be separable; then the loss has an infimum that no weights reach. `RIDGE` takes the
penalty's place there.

Shapes: N example, D feature, K class.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

RIDGE = 1e-7
"""The penalty where there is none: weights of norm 100 add 0.0005 to the loss."""
_MOST_STEPS = 20_000
_GRADIENT = 1e-8  # of the loss by any weight, at the optimum

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Convex:
    """The loss of a linear head on its training examples.

    Args:
        x_ND: features.
        y_N: classes.
        num_classes: K.
        weight_decay: of ``weight_decay / 2 |W|^2``.
        smoothing: share of the answer that all classes get equal parts of.
        decays_bias: whether the bias is penalized too.
    """

    x_ND: Doubles
    y_N: npt.NDArray[np.int64]
    num_classes: int
    weight_decay: float = 0.0
    smoothing: float = 0.0
    decays_bias: bool = False

    def value(self, weight_KD: npt.NDArray[np.floating], bias_K: npt.NDArray[np.floating]) -> float:
        """The loss of a head, penalty included."""
        return self._value_and_gradient(np.column_stack([weight_KD, bias_K]).astype(np.float64))[0]

    def least(self) -> Optimum:
        """Its minimum.

        Example:
            >>> x, y = np.array([[-1.0], [1.0], [0.5]]), np.array([0, 1, 1])
            >>> round(Convex(x_ND=x, y_N=y, num_classes=2, weight_decay=0.1).least().loss, 4)
            0.2567
        """
        from scipy.optimize import minimize  # SciPy takes long to import

        shape = self.num_classes, self.x_ND.shape[1] + 1

        def flat(table: Doubles) -> tuple[float, Doubles]:
            value, gradient = self._value_and_gradient(table.reshape(shape))
            return value, gradient.ravel()

        found = minimize(
            flat,
            np.zeros(shape).ravel(),
            jac=True,
            method="L-BFGS-B",
            options={
                "maxiter": _MOST_STEPS,
                "maxfun": _MOST_STEPS,
                "maxcor": 20,
                "gtol": _GRADIENT,
                "ftol": 0.0,
            },
        )
        table = found.x.reshape(shape)
        value, gradient = self._value_and_gradient(table)
        return Optimum(
            loss=value,
            weight_KD=table[:, :-1],
            bias_K=table[:, -1],
            steps=int(found.nit),
            gradient=float(np.abs(gradient).max()),
        )

    def _value_and_gradient(self, table: Doubles) -> tuple[float, Doubles]:
        """Of weights (K, D) with the bias as a last column."""
        penalty = self.weight_decay or RIDGE
        penalized = table if self.decays_bias else table * (np.arange(table.shape[1]) < table.shape[1] - 1)
        weight_KD, bias_K = table[:, :-1], table[:, -1]
        logits_NK = self.x_ND @ weight_KD.T + bias_K
        logits_NK -= logits_NK.max(1, keepdims=True)
        exps_NK = np.exp(logits_NK)
        sums_N = exps_NK.sum(1)
        rows = np.arange(len(self.y_N))
        right = logits_NK[rows, self.y_N] * (1.0 - self.smoothing) + logits_NK.mean(1) * self.smoothing
        value = float((np.log(sums_N) - right).mean() + 0.5 * penalty * np.square(penalized).sum())
        slope_NK = exps_NK / sums_N[:, None] - self.smoothing / self.num_classes
        slope_NK[rows, self.y_N] -= 1.0 - self.smoothing
        slope_NK /= len(rows)
        gradient = np.column_stack([slope_NK.T @ self.x_ND, slope_NK.sum(0)]) + penalty * penalized
        return value, gradient


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Optimum:
    """The minimum of a convex loss.

    Args:
        loss: its value, penalty included.
        weight_KD, bias_K: where it is.
        steps: of L-BFGS.
        gradient: the largest derivative by a weight that is left.
    """

    loss: float
    weight_KD: Doubles
    bias_K: Doubles
    steps: int
    gradient: float
