"""What a run stored along its way, as vectors out of which averages are made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ravine.averages.profiles import Profile
from ravine.rules.averages import chosen, ema, ema_name
from ravine.store import RunRecord, Store, kind_of
from ravine.study.bank import BANK, bank_averages

_MOST_KEPT = 400  # points that were kept along the way: evenly many of them


@dataclass(frozen=True, slots=True, kw_only=True)
class Vector:
    """Weights that a run stored.

    Args:
        part: "bank", "kept", or of the run's end: a kind of tensors such as "weights".
        average: of the bank its name; else "".
        profile: how the steps of the run count in them.
    """

    part: str
    average: str
    profile: Profile

    @property
    def name(self) -> str:
        """For people, such as "bank mean at step 400"."""
        if self.part in ("bank", "kept"):
            return f"{self.average or 'weights'} at step {self.profile.at}"
        return self.part.rpartition("/")[0] or "last weights"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """Everything that a run stored of its weights.

    Args:
        store: where it is.
        record: the run.
        vectors: what averages can be made of.
        kept: after which steps weights were kept, the beginning not among them.
        has_bank: whether a whole bank is among them.
    """

    store: Store
    record: RunRecord
    vectors: tuple[Vector, ...]
    kept: tuple[int, ...]
    has_bank: bool

    @staticmethod
    def of(store: Store, record: RunRecord) -> Stored:
        """That of a run that is done."""
        run, steps = record.id, record.num_steps
        bank = store.bank.steps([run])[run]
        bank = bank if steps in bank else []  # one without its end is not whole, and was not looked at yet
        kept = [step for step in store.kept.steps([run])[run] if step > 0]
        averages = bank_averages()
        vectors = [
            Vector(part="bank", average=average.name, profile=Profile(average=average, at=step))
            for average in averages
            for step in bank
        ]
        some = kept[:: -(-len(kept) // _MOST_KEPT) or 1]
        vectors += [
            Vector(part="kept", average="", profile=Profile(average=chosen([step]), at=step)) for step in some
        ]
        for name in store.averages.names([run])[run]:
            if name.startswith("ema "):  # of the others, the name does not say all
                average = ema(float(name.removeprefix("ema ")))
                assert ema_name(float(name.removeprefix("ema "))) == name, f"{name} is no name of an average"
                profile = Profile(average=average, at=steps)
                vectors.append(Vector(part=kind_of(name, "weights"), average="", profile=profile))
        end = Profile(average=chosen([steps]), at=steps)
        vectors.append(Vector(part="weights", average="", profile=end))
        return Stored(
            store=store, record=record, vectors=tuple(vectors), kept=tuple(kept), has_bank=bool(bank)
        )

    def weighted(self, coefficients: Sequence[float], names: Sequence[str]) -> dict[str, np.ndarray]:
        """The sum of the vectors by coefficients: float64 throughout, rounded once to the type of the weights.

        Args:
            coefficients: of the vectors.
            names: of the parameters.
        """
        run = self.record.id
        parts = {vector.part for vector, x in zip(self.vectors, coefficients, strict=True) if x != 0.0}
        nothing: tuple[np.ndarray, Mapping[str, np.ndarray]] = np.zeros(0, np.int64), {}
        bank_T, bank = self.store.bank.read(run) if "bank" in parts else nothing
        kept_T, kept = self.store.kept.path(run) if "kept" in parts else nothing
        ends = {part: self.store.tensors(part, run) for part in sorted(parts - {"bank", "kept"})}
        of_bank = {name: np.zeros(len(bank_T)) for name in BANK}
        of_kept = np.zeros(len(kept_T))
        of_end = dict.fromkeys(ends, 0.0)
        for vector, x in zip(self.vectors, coefficients, strict=True):
            if x == 0.0:
                continue
            if vector.part == "bank":
                of_bank[vector.average][np.flatnonzero(bank_T == vector.profile.at)] += x
            elif vector.part == "kept":
                of_kept[np.flatnonzero(kept_T == vector.profile.at)] += x
            else:
                of_end[vector.part] += x
        found = {}
        for name in names:
            parts_of_sum = [
                np.tensordot(x_T, bank[f"{each}/{name}"], 1) for each, x_T in of_bank.items() if bank
            ]
            parts_of_sum += [np.tensordot(of_kept, kept[name], 1)] if kept else []
            parts_of_sum += [x * ends[part][name].astype(np.float64) for part, x in of_end.items()]
            stored = [*([bank[f"{BANK[0]}/{name}"]] if bank else []), *([kept[name]] if kept else [])]
            stored += [ends[part][name] for part in ends]
            dtype = np.result_type(np.float32, *(each.dtype for each in stored))
            found[name] = np.asarray(sum(parts_of_sum), dtype=np.float64).astype(dtype)
        return found
