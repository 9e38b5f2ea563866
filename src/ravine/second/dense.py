"""Curvature as a whole matrix: whether it fits into memory, and Newton's directions.

Shapes: R runs, P parameters of one run.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ravine.errors import ModelError
from ravine.free_memory import free_bytes

_MATRICES = 3  # in memory at once: the matrix itself, and what an update or a factorization needs beside it


def require_room(
    num_parameters: int, dtype: torch.dtype, device: torch.device, about: str, num_matrices: int = _MATRICES
) -> None:
    """Refuse matrices of P x P numbers that do not fit into memory, before anything is allocated.

    Args:
        num_parameters: P.
        dtype: of the matrices.
        device: where they are to be.
        about: what the error names: a rule or a class.
        num_matrices: how many are in memory at once.

    Raises:
        ModelError: they do not fit.
    """
    one = float(dtype.itemsize) * num_parameters**2
    free = free_bytes(device)
    if num_matrices * one > free:
        raise ModelError(
            f"{about}: a dense matrix of {num_parameters:,} x {num_parameters:,} numbers takes {_size(one)}, "
            f"{num_matrices} of them are needed at once and {_size(free)} are free; use L-BFGS"
        )


def newton_direction(
    hessian_RPP: Tensor,
    grad_RP: Tensor,
    damping: float | Tensor,
    saddle_free: bool | Tensor,
    eps: float | None = None,
) -> Tensor:
    """Newton's direction: ``-(H + damping I)^-1 g``, or ``-(abs(H) + damping I)^-1 g`` where saddle-free.

    ``abs(H)`` is H with its eigenvalues made positive. An eigenvalue that is smaller than the rounding error of the
    largest one says nothing about curvature, so the direction has no component along its eigenvector.

    Args:
        hessian_RPP: H, symmetric.
        grad_RP: g.
        damping: at least 0; one number for all runs, or (R, 1).
        saddle_free: whether a negative curvature repels instead of attracting; for all runs, or (R, 1).
        eps: relative rounding error of H; None: that of its dtype.

    Returns:
        (R, P); NaN in the runs whose H is not finite.

    References:
        Nocedal and Wright, Numerical Optimization, 2006, chapter 3; Dauphin et al., 2014, for the saddle-free form.
    """
    finite_R1 = torch.isfinite(hessian_RPP).all(2).all(1)[:, None]
    values_RP, vectors_RPP = torch.linalg.eigh(
        torch.where(finite_R1[:, :, None], hessian_RPP, torch.zeros_like(hessian_RPP))
    )
    repelling = torch.as_tensor(saddle_free, device=values_RP.device)
    values_RP = torch.where(repelling, values_RP.abs(), values_RP) + damping
    size_RP = values_RP.abs()
    eps = torch.finfo(values_RP.dtype).eps if eps is None else eps
    floor_R1 = eps * values_RP.shape[1] * size_RP.amax(1, keepdim=True)
    along_RP = (vectors_RPP.mT @ grad_RP[:, :, None])[:, :, 0]
    scaled_RP = torch.where(size_RP > floor_R1, along_RP / values_RP, torch.zeros_like(values_RP))
    direction_RP = -(vectors_RPP @ scaled_RP[:, :, None])[:, :, 0]
    return torch.where(finite_R1, direction_RP, torch.full_like(direction_RP, torch.nan))


def _size(num_bytes: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if num_bytes < 1000.0:
            return f"{num_bytes:.3g} {unit}"
        num_bytes /= 1000.0
    return f"{num_bytes:,.0f} TB"
