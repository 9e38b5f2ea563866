"""Groups of examples dealt out whole, with sizes and classes as even as whole groups allow.

Each group goes where it is missed most. For parts p that are to have shares w_p of the n_c examples of each class c,
and have m_pc so far, the misfit is the chi-square

    sum over p and c of (m_pc - w_p n_c)^2 / (w_p n_c),

and a group goes to the part where that grows least: the largest first, and of equal ones in a random order. Where as
few groups are left as there are parts without one, those parts come first, so no part is empty.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]


def deal_groups(counts: Indices, shares: Sequence[float], seed: np.random.SeedSequence) -> Indices:
    """Which part each group goes to.

    Args:
        counts: (G, C) examples of each class in each group; at least as many groups as parts.
        shares: of the parts, all above 0.
        seed: decides between equals.

    Returns:
        (G,) number of the part.

    Example:
        >>> counts = np.array([[4, 0], [0, 4], [4, 0], [0, 4]])
        >>> parts = deal_groups(counts, [0.5, 0.5], np.random.SeedSequence(0))
        >>> [counts[parts == part].sum(axis=0).tolist() for part in (0, 1)]
        [[4, 4], [4, 4]]
    """
    num_groups, num_parts = len(counts), len(shares)
    assert num_groups >= num_parts, "there are fewer groups than parts"
    wanted = np.outer(np.asarray(shares) / sum(shares), counts.sum(axis=0))  # (P, C)
    have = np.zeros_like(wanted)
    num_in = np.zeros(num_parts, dtype=np.int64)
    parts = np.zeros(num_groups, dtype=np.int64)
    by_chance = np.argsort(np.random.PCG64(seed).random_raw(num_groups), kind="stable")
    order = by_chance[np.argsort(-counts[by_chance].sum(axis=1), kind="stable")]
    known = wanted > 0.0
    for left, group in zip(range(num_groups, 0, -1), order, strict=True):
        own = counts[group]
        more = np.where(known, (2.0 * (have - wanted) + own) * own / np.where(known, wanted, 1.0), 0.0)
        growth = more.sum(axis=1)
        if left <= int((num_in == 0).sum()):
            growth = np.where(num_in == 0, growth, np.inf)
        best = np.flatnonzero(growth <= growth.min() + 1e-9 * max(1.0, abs(float(growth.min()))))
        part = int(best[np.argmin(num_in[best])])
        parts[group] = part
        have[part] += own
        num_in[part] += 1
    return parts


def counts_of(groups: Indices, labels: Indices, num_classes: int) -> tuple[Indices, Indices]:
    """Which groups there are among some examples, and how many of each class each of them has, (G, C).

    Of labels, (N, K) 0 or 1, it is how many examples each group has, and how many with each label, (G, 1 + K).
    """
    known, place = np.unique(groups, return_inverse=True)
    if labels.ndim == 2:
        found = np.zeros((len(known), 1 + labels.shape[1]), dtype=np.int64)
        np.add.at(found, place.reshape(-1), np.insert(labels, 0, 1, axis=1))
        return known, found
    counts = np.zeros((len(known), num_classes), dtype=np.int64)
    np.add.at(counts, (place.reshape(-1), labels), 1)
    return known, counts
