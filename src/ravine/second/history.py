"""Limited-memory BFGS: curvature from the last few steps.

Shapes: M pairs that are remembered, N = 2 M, P parameters.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(slots=True, kw_only=True)
class History:
    """The last M pairs (s, y): a step, and how the gradient changed over it. They are kept as a ring.

    The inverse Hessian is ``H = gamma I + [S Y] K [S Y]'``, with ``gamma = s'y / y'y`` of the newest pair. K is a
    2M x 2M matrix, so a direction costs two products with the pairs and some arithmetic on M numbers.

    Args:
        pairs_NP: M steps s, then M changes y.
        sy_MM: the products s_i'y_j, float64, in the processor's memory.
        yy_MM: the products y_i'y_j, likewise.
        count: pairs seen so far, those that are no longer remembered included.

    References:
        Byrd, Nocedal and Schnabel, 1994, theorem 2.2.
    """

    pairs_NP: Tensor
    sy_MM: Tensor
    yy_MM: Tensor
    count: int = 0

    @classmethod
    def empty(cls, size: int, most: int, like: Tensor) -> History:
        """A history without pairs.

        Args:
            size: P.
            most: M.
            like: a tensor with the dtype and device that the pairs are to have.
        """
        sy_MM, yy_MM = torch.zeros((2, most, most), dtype=torch.float64, device="cpu")
        return cls(pairs_NP=like.new_zeros((2 * most, size)), sy_MM=sy_MM, yy_MM=yy_MM)

    def push(self, s_P: Tensor, y_P: Tensor) -> None:
        """Remember a pair; it takes the place of the oldest one once there are M.

        Args:
            s_P: a step, (P,).
            y_P: the change of the gradient over it, (P,), with s'y > 0.
        """
        most = len(self.sy_MM)
        slot = self.count % most
        self.count += 1
        self.pairs_NP[slot], self.pairs_NP[most + slot] = s_P, y_P
        products_N = (self.pairs_NP @ y_P).to("cpu", torch.float64)
        self.sy_MM[:, slot] = products_N[:most]
        self.yy_MM[:, slot] = self.yy_MM[slot] = products_N[most:]

    def direction(self, grad_P: Tensor) -> Tensor:
        """``-H g``, (P,); ``-g`` while there is no pair.

        Args:
            grad_P: g, (P,).
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
