"""Stored runs as a network with the weights of each.

Shapes: R run, N example, P numbers of one run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ravine.data import Dataset
from ravine.engine.network import Network
from ravine.engine.objective import Objective
from ravine.engine.state import Data
from ravine.errors import StoreError
from ravine.launch.subject import Subject, stored_run
from ravine.store import RunRecord, Store
from ravine.study import Study
from ravine.study.naming import naming


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """What the runs of a study are made of, for looking at them after training.

    Args:
        store: where their weights are.
        data: what they were trained on.
        network: their model.
        device: where it is evaluated.
        train: the training examples that are looked at.
        unit: what a loss is multiplied by, so that it is in the target's own units.
    """

    store: Store
    data: Dataset
    network: Network
    device: torch.device
    train: Data
    unit: float

    @staticmethod
    def of(
        study: Study,
        store: Store,
        records: Sequence[RunRecord],
        *,
        search: Path | None = None,
        device: str = "auto",
        examples: int = 10_000,
    ) -> Trained:
        """The runs of a study.

        Args:
            study: whose data and model.
            store: where the runs are.
            records: finished runs, at least one.
            search: the study file's folder.
            device: "auto", "cpu", "cuda" or "mps".
            examples: how many training examples are looked at, at most: the first ones.

        Raises:
            InputError: data or model are others than when the runs were trained.
        """
        subject = Subject.of(study, search=search, device=device)
        with naming(study.origin):
            subject.check_same(records)
            network = subject.network([stored_run(record) for record in records])
        data, where = subject.data, subject.device
        whole = Data.of(data.train, where)
        return Trained(
            store=store,
            data=data,
            network=network,
            device=where,
            train=Data(x=whole.x[:examples], y=whole.y[:examples]),
            unit=data.loss_unit,
        )

    def weights(self, run_ids: Sequence[str]) -> tuple[Tensor, dict[str, Tensor]]:
        """Weights at the end of runs: parameters (R, P), and every other tensor of the model, (R, ...) by name.

        Raises:
            StoreError: a run has none, or a file is damaged.
        """
        stored = self.store.tensors_many("weights", run_ids)
        shapes = dict(zip(self.network.layout.names, self.network.layout.shapes, strict=True))
        for run in run_ids:
            for name in (*shapes, *self.others):
                found = stored[run].get(name)
                if found is None or found.shape != tuple(shapes.get(name, found.shape)):
                    raise StoreError(f"run {run}: its stored weights are not its model's: tensor {name!r}")
        tensors = {
            name: torch.stack([torch.from_numpy(stored[run][name]) for run in run_ids]).to(self.device)
            for name in (*self.network.layout.names, *self.others)
        }
        return self.network.layout.pack(tensors), {name: tensors[name] for name in self.others}

    def objective(self, *, fused: bool) -> Objective:
        """What the runs were trained to make small: of all at once, or of one."""
        return Objective(network=self.network, task=self.data.task, fused=fused)

    @property
    def others(self) -> tuple[str, ...]:
        """Names of the tensors that are not trained: buffers and fixed parameters."""
        return (*self.network.buffers, *self.network.fixed)
