"""The curvature that a few past steps have shown: limited-memory BFGS.

Shapes: M pairs that are remembered, N = 2 M, P parameters.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(slots=True, kw_only=True)
class History:
    """The last M pairs, as a ring.

    The inverse Hessian is H = gamma I + [S Y] K [S Y]', with gamma = s'y / y'y of the newest pair. K is small, so that
    a direction is two products with the pairs, and some arithmetic on M numbers.

    Args:
        pairs_NP: M steps s, then M changes y of the gradient.
        sy_MM: s_i'y_j, in float64 and in a processor's memory.
        yy_MM: y_i'y_j, the same.
        count: pairs that have been seen.

    Source: Byrd, Nocedal and Schnabel, 1994, theorem 2.2.
    """

    pairs_NP: Tensor
    sy_MM: Tensor
    yy_MM: Tensor
    count: int = 0

    @classmethod
    def empty(cls, size: int, most: int, like: Tensor) -> History:
        """No pair yet.

        Args:
            size: P.
            most: M.
            like: a tensor of the dtype and on the device.
        """
        sy_MM, yy_MM = torch.zeros((2, most, most), dtype=torch.float64, device="cpu")
        return cls(pairs_NP=like.new_zeros((2 * most, size)), sy_MM=sy_MM, yy_MM=yy_MM)

    def push(self, s_P: Tensor, y_P: Tensor) -> None:
        """Remember one more pair, in place of the oldest.

        Args:
            s_P: a step, of positive curvature.
            y_P: what it changed in the gradient.
        """
        most = len(self.sy_MM)
        slot = self.count % most
        self.count += 1
        self.pairs_NP[slot], self.pairs_NP[most + slot] = s_P, y_P
        products_N = (self.pairs_NP @ y_P).to("cpu", torch.float64)
        self.sy_MM[:, slot] = products_N[:most]
        self.yy_MM[:, slot] = self.yy_MM[slot] = products_N[most:]

    def direction(self, grad_P: Tensor) -> Tensor:
        """-H g, (P,); -g if there is no pair.

        Args:
            grad_P: g.
        """
        if not self.count:
            return -grad_P
        most = len(self.sy_MM)
        order = np.arange(max(0, self.count - most), self.count) % most  # oldest first
        block = np.ix_(order, order)
        triangle, yy = np.triu(self.sy_MM.numpy()[block]), self.yy_MM.numpy()[block]
        products_N = (self.pairs_NP @ grad_P).to("cpu", torch.float64).numpy()
        gamma = triangle[-1, -1] / yy[-1, -1]
        along = np.linalg.solve(triangle, products_N[order])
        of_changes = triangle.diagonal() * along + gamma * (yy @ along - products_N[most + order])
        weights_N = np.zeros(2 * most)
        weights_N[order] = np.linalg.solve(triangle.T, of_changes)
        weights_N[most + order] = -gamma * along
        weights = torch.from_numpy(-weights_N).to(grad_P.device, grad_P.dtype)
        return torch.addmv(grad_P, self.pairs_NP.mT, weights, beta=-float(gamma))
