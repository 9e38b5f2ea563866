"""Eigenvalues at both ends of the spectrum of symmetric matrices that are known by their products with vectors.

Shapes: R matrix, P its side, M step, K eigenvalue.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

_CHECK_EVERY = 4  # steps between two looks at how exact it is
_LOOSER = 20  # times less exact may the smallest eigenvalue be: it converges last, and is of less interest
_NOTHING = 1e-6  # of the largest entry so far: an off-diagonal entry below it ends an invariant subspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Spectrum:
    """The ends of a spectrum.

    Args:
        top: the largest eigenvalues, falling, (K,): fewer where the matrix has fewer that differ by more than rounding.
        top_error: no farther is an eigenvalue from each of them, (K,).
        lowest: the smallest eigenvalue.
        lowest_error: likewise.
        num_steps: products that were taken.
    """

    top: np.ndarray
    top_error: np.ndarray
    lowest: float
    lowest_error: float
    num_steps: int


def lanczos(
    product: Callable[[Tensor], Tensor],
    start_RP: Tensor,
    *,
    num_top: int = 1,
    tolerance: float = 1e-3,
    most_steps: int = 80,
) -> list[Spectrum]:
    """The ends of the spectra of several matrices, by Lanczos' method with full reorthogonalization.

    T = V' H V is tridiagonal for an orthonormal V of the start vector and its products with H. An eigenvalue theta of T
    with eigenvector s is no farther from an eigenvalue of H than ``|beta_M s_M|``, beta_M being the entry of the next
    step: this is the error that is returned. It ends when that of the largest eigenvalue is small, and that of the
    smallest within 20 times as much.

    Args:
        product: vectors (R, P) to the products of each matrix with its own.
        start_RP: where it begins: random vectors, not zero.
        num_top: K, how many of the largest eigenvalues are wanted.
        tolerance: error of the largest eigenvalue that is small enough, as a share of the largest absolute one.
        most_steps: products that are taken at most.

    Returns:
        For each matrix its spectrum.

    Example:
        >>> diagonal = torch.tensor([[5.0, 2.0, -1.0, 0.5]])
        >>> spectrum = lanczos(lambda v: diagonal * v, torch.ones(1, 4), num_top=2)[0]
        >>> [round(float(value), 3) for value in (*spectrum.top, spectrum.lowest)]
        [5.0, 2.0, -1.0]

    Source:
        C. Lanczos, 1950; the bound: B. Parlett, The Symmetric Eigenvalue Problem, 1980.
    """
    num, eps = len(start_RP), float(torch.finfo(start_RP.dtype).eps)
    vector_RP = start_RP / start_RP.norm(dim=1, keepdim=True)
    basis_RMP = start_RP.new_zeros((num, most_steps, start_RP.shape[1]))
    alpha_MR: list[np.ndarray] = []
    beta_MR: list[np.ndarray] = []
    done = np.zeros(num, dtype=np.int64)  # steps after which a matrix's vectors spanned an invariant subspace
    found: list[Spectrum] = []
    for step in range(1, most_steps + 1):
        basis_RMP[:, step - 1] = vector_RP
        next_RP = product(vector_RP)
        alpha_R = (next_RP * vector_RP).sum(1)
        before_RMP = basis_RMP[:, :step]
        for _ in range(2):  # once leaves errors of rounding behind, twice is enough
            along_RM1 = before_RMP @ next_RP[:, :, None]
            next_RP = next_RP - (before_RMP.mT @ along_RM1)[:, :, 0]
        beta_R = next_RP.norm(dim=1)
        alpha_MR.append(alpha_R.double().cpu().numpy())
        beta_MR.append(beta_R.double().cpu().numpy())
        scale_R = np.abs([*alpha_MR, *beta_MR[:-1]]).max(0)
        ended = (beta_MR[-1] <= _NOTHING * scale_R) & (done == 0)
        done[ended] = step
        if step % _CHECK_EVERY == 0 or step == most_steps or (done > 0).all():
            found = [
                _spectrum(np.array(alpha_MR)[:, r], np.array(beta_MR)[:, r], int(done[r]), num_top, eps)
                for r in range(num)
            ]
            if (done > 0).all() or all(_exact(each, tolerance) for each in found):
                break
        going_R1 = torch.from_numpy(done == 0).to(beta_R.device)[:, None]
        vector_RP = torch.where(
            going_R1, next_RP / beta_R[:, None].clamp_min(1e-30), torch.zeros_like(next_RP)
        )
    return found


def _spectrum(alpha_M: np.ndarray, beta_M: np.ndarray, ended: int, num_top: int, eps: float) -> Spectrum:
    steps = ended or len(alpha_M)
    off = beta_M[: steps - 1]
    matrix = np.diag(alpha_M[:steps]) + np.diag(off, 1) + np.diag(off, -1)
    values, vectors = np.linalg.eigh(matrix)
    rounding = eps * float(np.abs(values).max())
    errors = np.abs(beta_M[steps - 1] * vectors[-1]) + rounding
    top = slice(None, -num_top - 1, -1)
    return Spectrum(
        top=values[top],
        top_error=errors[top],
        lowest=float(values[0]),
        lowest_error=float(errors[0]),
        num_steps=len(alpha_M),
    )


def _exact(spectrum: Spectrum, tolerance: float) -> bool:
    most = tolerance * max(abs(float(spectrum.top[0])), abs(spectrum.lowest))
    return float(spectrum.top_error[0]) <= most and spectrum.lowest_error <= _LOOSER * most
