"""Stored runs as a network with the weights of each.

Shapes: R run, N example, P numbers of one run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ravine.data import Dataset
from ravine.engine.loss import Loss
from ravine.engine.network import Network
from ravine.engine.objective import Objective
from ravine.engine.state import Data
from ravine.errors import StoreError
from ravine.launch.subject import Subject, stored_run
from ravine.nn.stochastic import rates_at_test
from ravine.outcomes.member import Member
from ravine.outcomes.trials import Split
from ravine.store import RunRecord, Store, kind_of
from ravine.store.bodies import beside
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
            runs = [stored_run(record) for record in records]
            network, data = subject.network(runs), subject.data_of(runs)
        where = subject.device
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
        stored = self._with_bodies(self.store.tensors_many("weights", run_ids))
        shapes = dict(zip(self.network.layout.names, self.network.layout.shapes, strict=True))
        for run in run_ids:
            for name in rates_at_test(
                self.network.module
            ):  # a network without the layer is one with a rate of 0
                stored[run].setdefault(name, np.zeros((), dtype=np.float32))
            for name in (*shapes, *self.others):
                found = stored[run].get(name)
                if found is None or found.shape != tuple(shapes.get(name, found.shape)):
                    raise StoreError(f"run {run}: its stored weights are not its model's: tensor {name!r}")
        tensors = {
            name: torch.stack([torch.from_numpy(stored[run][name]) for run in run_ids]).to(self.device)
            for name in (*self.network.layout.names, *self.others)
        }
        return self.network.layout.pack(tensors), {name: tensors[name] for name in self.others}

    def points(self, members: Sequence[Member]) -> tuple[Tensor, dict[str, Tensor]]:
        """Weights of members, wherever along their runs they are; as `weights`.

        Raises:
            StoreError: a run has none there, or a file is damaged.
        """
        ends = list(dict.fromkeys(member.run for member in members))
        params_EP, ending = self.weights(ends)
        params, others = [], []
        for member in members:
            row = ends.index(member.run)
            own = {name: tensor[row] for name, tensor in ending.items()}
            if not member.average and member.step is None:
                params.append(params_EP[row])
                others.append(own)
                continue
            found = {name: torch.from_numpy(array) for name, array in self._stored(member).items()}
            moved = {name: tensor.to(self.device) for name, tensor in found.items()}
            missing = [name for name in self.network.layout.names if name not in moved]
            if missing:
                raise StoreError(f"{member.short}: its stored weights have no tensor {missing[0]!r}")
            params.append(self.network.layout.pack({name: moved[name][None] for name in moved})[0])
            others.append({name: moved.get(name, tensor) for name, tensor in own.items()})
        joined = {name: torch.stack([each[name] for each in others]) for name in self.others}
        return torch.stack(params), joined

    def predictions(self, split: Split, members: Sequence[Member]) -> dict[str, np.ndarray]:
        """What members predict, evaluated, by their names: as `outputs`."""
        params_RP, others = self.points(members)
        return {
            member.name: self.outputs(
                params_RP[row : row + 1], {name: t[row : row + 1] for name, t in others.items()}, split
            )
            for row, member in enumerate(members)
        }

    def _with_bodies(self, stored: dict[str, dict[str, np.ndarray]]) -> dict[str, dict[str, np.ndarray]]:
        """Weights of runs; of a network with a frozen part that they do not store, with those of their body."""
        names = {*self.network.layout.names, *self.others} - set(rates_at_test(self.network.module))
        wanted = [name for name in names if name.startswith("body.")]
        for run, own in stored.items():
            if any(name not in own for name in wanted):
                body = self.store.bodies.get(self.store.run(run).recipe["model"])
                stored[run] = beside(body, own)
        return stored

    def _stored(self, member: Member) -> dict[str, np.ndarray]:
        """The tensors of an average, or of weights along a run."""
        if member.average:
            return self.store.tensors(kind_of(member.average, "weights"), member.run)
        steps, along = self.store.kept.path(member.run)
        places = np.flatnonzero(steps == member.step)
        if not len(places):
            raise StoreError(f"run {member.run}: no weights were kept after step {member.step}")
        return {name: np.array(array[places[0]]) for name, array in along.items()}

    @property
    def loss(self) -> Loss:
        """What their outputs are judged by."""
        return Loss(task=self.data.task, kind="poisson" if self.data.counts else "")

    def objective(self, *, fused: bool) -> Objective:
        """What the runs were trained to make small: of all at once, or of one."""
        return Objective(network=self.network, loss=self.loss, fused=fused)

    def outputs(self, params_1P: Tensor, others: Mapping[str, Tensor], split: Split) -> np.ndarray:
        """What one point predicts: logits (N, K), or values (N,) in the target's own units.

        Args:
            params_1P: its parameters.
            others: its other tensors, (1, ...) by name.
            split: "validation" or "test".
        """
        data = Data.of(self.data.validation if split == "validation" else self.data.test, self.device)
        outputs = self.objective(fused=False).scores(params_1P, others, data)[0][0].cpu().numpy()
        return self.data.predictions(outputs)

    @property
    def others(self) -> tuple[str, ...]:
        """Names of the tensors that are not trained: buffers, fixed parameters, rates that evaluation depends on."""
        return (*self.network.buffers, *self.network.fixed)
