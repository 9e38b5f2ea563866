"""Curvature as a whole matrix: the inverse Hessian of BFGS, directions of Newton.

Shapes: R run, P numbers of one run.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ravine.errors import ModelError
from ravine.free_memory import free_bytes

_MATRICES = 3  # that are there at once: the matrix, and what an update or a factorization needs beside it


def require_room(num_parameters: int, dtype: torch.dtype, device: torch.device, about: str) -> None:
    """Refuse a matrix of P x P numbers that does not fit into memory, before any of it is allocated.

    Args:
        num_parameters: P.
        dtype: of the numbers.
        device: where the matrix is to be.
        about: what the error names.

    Raises:
        ModelError: it does not fit.
    """
    one = float(dtype.itemsize) * num_parameters**2
    free = free_bytes(device)
    if _MATRICES * one > free:
        raise ModelError(
            f"{about}: a dense matrix of {num_parameters:,} x {num_parameters:,} numbers takes {_size(one)}, "
            f"{_MATRICES} of them are needed at once and {_size(free)} are free; use LBFGS"
        )


def bfgs_update(inverse_RPP: Tensor, s_RP: Tensor, y_RP: Tensor) -> None:
    """H <- (I - s y'/s'y) H (I - y s'/s'y) + s s'/s'y, in place.

    Args:
        inverse_RPP: H, symmetric.
        s_RP: steps, of positive curvature.
        y_RP: what they changed in the gradient.

    Source: Broyden, Fletcher, Goldfarb and Shanno, 1970.
    """
    s_RP1, y_RP1 = s_RP.unsqueeze(2), y_RP.unsqueeze(2)
    rho_R11 = 1.0 / (s_RP1.mT @ y_RP1)
    hy_RP1 = inverse_RPP @ y_RP1
    # H - rho (s (Hy)' + Hy s') + (rho^2 y'Hy + rho) s s', with the last two terms as one symmetric pair
    half_RP1 = 0.5 * (rho_R11 * rho_R11 * (y_RP1.mT @ hy_RP1) + rho_R11) * s_RP1 - rho_R11 * hy_RP1
    inverse_RPP.baddbmm_(s_RP1, half_RP1.mT).baddbmm_(half_RP1, s_RP1.mT)


def newton_direction(hessian_PP: Tensor, grad_P: Tensor, damping: float, saddle_free: bool) -> Tensor:
    """-(H + damping I)^-1 g, or -(abs(H) + damping I)^-1 g with the eigenvalues of H made positive.

    Eigenvalues below the rounding of the largest are no direction's curvature: there the step is left out.

    Args:
        hessian_PP: H, symmetric.
        grad_P: g.
        damping: at least 0.
        saddle_free: whether a negative curvature repels instead of attracting.

    Source: Dauphin and others, 2014, for the second.
    """
    values_P, vectors_PP = torch.linalg.eigh(hessian_PP)
    values_P = (values_P.abs() if saddle_free else values_P) + damping
    floor = torch.finfo(values_P.dtype).eps * len(values_P) * values_P.abs().max()
    scaled_P = torch.where(
        values_P.abs() > floor, (vectors_PP.mT @ grad_P) / values_P, torch.zeros_like(values_P)
    )
    direction_P: Tensor = -(vectors_PP @ scaled_P)
    return direction_P


def _size(num_bytes: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if num_bytes < 1000.0:
            return f"{num_bytes:.3g} {unit}"
        num_bytes /= 1000.0
    return f"{num_bytes:,.0f} TB"
