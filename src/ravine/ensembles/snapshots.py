"""Members along one run: the weights that a study kept on the way, and what they predict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ravine.engine.objective import Objective
from ravine.engine.state import Data
from ravine.errors import InputError
from ravine.launch.subject import Subject, stored_run
from ravine.outcomes.member import Member
from ravine.outcomes.trials import Split
from ravine.schedules import cycle_ends, parse_schedule
from ravine.store import RunRecord, Store
from ravine.study import Study
from ravine.study.naming import naming


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshots:
    """The kept weights of a run as members.

    Args:
        store: where they are.
        subject: the study's data and models.
        record: the run.
        steps: after which its weights are members.
        cyclic: the schedule restarts, and these are the ends of its cycles.
    """

    store: Store
    subject: Subject
    record: RunRecord
    steps: tuple[int, ...]
    cyclic: bool

    @staticmethod
    def of(
        study: Study,
        store: Store,
        records: Sequence[RunRecord],
        *,
        search: Path | None = None,
        device: str = "auto",
    ) -> Snapshots:
        """Those of the first run that has some.

        Args:
            study: the study.
            store: where it is.
            records: runs that are done, the best first.
            search: the study file's folder.
            device: "auto", "cpu", "cuda" or "mps".

        Raises:
            InputError: no run has any, or data or model are others than when it was trained.
        """
        kept = store.kept.steps([record.id for record in records])
        record = next((each for each in records if any(step > 0 for step in kept[each.id])), None)
        if record is None:
            raise InputError(
                f"members = 'snapshots': study {study.name!r} kept no weights along the winner's runs; keep = "
                '{ every = "epoch" } does, or "cycle" where the schedule restarts'
            )
        subject = Subject.of(study, search=search, device=device)
        with naming(study.origin):
            subject.check_same([record])
        # The end of the last cycle is the run's own.
        ends = cycle_ends(parse_schedule(record.recipe["schedule"]), record.num_steps)[:-1]
        return Snapshots(
            store=store,
            subject=subject,
            record=record,
            steps=tuple(_chosen(kept[record.id], ends)),
            cyclic=bool(ends),
        )

    @property
    def members(self) -> list[Member]:
        """The snapshots, without the run's end."""
        run = self.record
        return [
            Member(run=run.id, step=step, rule=run.rule, config=run.config, hypers=run.hypers, seed=run.seed)
            for step in self.steps
        ]

    def outputs(self, split: Split, names: Sequence[str]) -> dict[str, np.ndarray]:
        """By name of the member: logits (N, K), or values (N,) in the target's own units."""
        data = self.subject.data
        network = self.subject.network([stored_run(self.record)])
        objective = Objective(network=network, task=data.task, fused=False)
        examples = Data.of(data.validation if split == "validation" else data.test, self.subject.device)
        steps, along = self.store.kept.path(self.record.id)
        ending = self.store.tensors("weights", self.record.id)
        found = {}
        for member in self.members:
            if member.name not in names:
                continue
            place = int(np.flatnonzero(steps == member.step)[0])
            now = {
                name: torch.from_numpy(np.array(along[name][place] if name in along else tensor))[None]
                for name, tensor in ending.items()
            }
            tensors = {name: tensor.to(self.subject.device) for name, tensor in now.items()}
            others = {name: tensors[name] for name in (*network.buffers, *network.fixed)}
            outputs_1NK = objective.scores(network.layout.pack(tensors), others, examples)[0]
            outputs = outputs_1NK[0].cpu().numpy()
            found[member.name] = (
                outputs if data.task == "classification" else data.in_own_units(outputs[:, 0])
            )
        return found


def _chosen(kept: Sequence[int], ends: Sequence[int]) -> list[int]:
    """Of each cycle the last kept step; without cycles all but step 0, at which nothing was learned."""
    if not ends:
        return [step for step in kept if step > 0]
    found = []
    for start, end in zip((0, *ends), ends, strict=False):
        inside = [step for step in kept if start < step <= end]
        if inside:
            found.append(max(inside))
    return found
