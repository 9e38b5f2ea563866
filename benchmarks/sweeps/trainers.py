"""Heavier peers, measured where they are installed: Lightning and skorch."""

from __future__ import annotations

import logging
import math
import warnings
from importlib import import_module
from typing import Any

import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from sweeps.child import Clock
from sweeps.loops import make_model, optimizer_of
from sweeps.task import Arrays, Job, Outcome, Score


def lightning(job: Job, clock: Clock) -> Outcome:
    """A LightningModule and a Trainer for each run, with everything switched off that can be."""
    with clock.phase("import"):
        pl: Any = import_module("lightning")
    torch.set_num_threads(job.threads)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    arrays, task = Arrays.load(job.arrays), job.task

    class Classifier(pl.LightningModule):  # type: ignore[misc]
        def __init__(self, rule: str, lr: float) -> None:
            super().__init__()
            self.model, self.rule, self.lr = make_model(job, arrays), rule, lr

        def training_step(self, batch: tuple[torch.Tensor, torch.Tensor], index: int) -> torch.Tensor:
            x, y = batch
            return F.cross_entropy(self.model(x), y)

        def validation_step(self, batch: tuple[torch.Tensor, torch.Tensor], index: int) -> None:
            x, y = batch
            outputs = self.model(x)
            self.log("loss", F.cross_entropy(outputs, y))
            self.log("accuracy", (outputs.argmax(1) == y).float().mean())

        def configure_optimizers(self) -> torch.optim.Optimizer:
            make, hypers = optimizer_of(self.rule)
            return make(self.parameters(), lr=self.lr, **hypers)

    splits = (arrays.train, arrays.validation)
    train_set, validation_set = (
        TensorDataset(*(torch.from_numpy(part) for part in split)) for split in splits
    )
    train = DataLoader(train_set, batch_size=task.batch_size, shuffle=True, drop_last=True)
    validation = DataLoader(validation_set, batch_size=1024)
    scores = []
    with clock.phase("train"):
        for rule, lr, seed in task.runs():
            torch.manual_seed(seed)
            trainer = pl.Trainer(
                max_steps=job.steps,
                max_epochs=-1,
                accelerator="gpu" if job.device == "cuda" else "cpu",
                devices=1,
                val_check_interval=task.every,
                check_val_every_n_epoch=None,
                num_sanity_val_steps=0,
                logger=False,
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
            )
            trainer.fit(Classifier(rule, lr), train, validation)
            found = {name: float(value) for name, value in trainer.callback_metrics.items()}
            accuracy = found["accuracy"] if math.isfinite(found["loss"]) else None
            scores.append(Score(rule=rule, lr=lr, seed=seed, accuracy=accuracy))
    return Outcome(run_steps=task.num_runs * job.steps, scores=tuple(scores), scale=task.steps / job.steps)


def skorch(job: Job, clock: Clock) -> Outcome:
    """A NeuralNetClassifier for each run; it looks at the validation set once an epoch."""
    with clock.phase("import"):
        net_class: Any = import_module("skorch").NeuralNetClassifier
        predefined_split: Any = import_module("skorch.helper").predefined_split
        dataset: Any = import_module("skorch.dataset").Dataset
    torch.set_num_threads(job.threads)
    arrays, task = Arrays.load(job.arrays), job.task
    num_epochs, left = divmod(job.steps, len(arrays.train[1]) // task.batch_size)
    if left:
        raise SystemExit(f"steps = {job.steps}: skorch needs a whole number of epochs")
    scores = []
    with clock.phase("train"):
        for rule, lr, seed in task.runs():
            torch.manual_seed(seed)
            make, hypers = optimizer_of(rule)
            net = net_class(
                make_model(job, arrays),
                criterion=torch.nn.CrossEntropyLoss,
                optimizer=make,
                lr=lr,
                batch_size=task.batch_size,
                max_epochs=num_epochs,
                iterator_train__shuffle=True,
                iterator_train__drop_last=True,
                train_split=predefined_split(dataset(*arrays.validation)),
                device=job.device,
                verbose=0,
                **{f"optimizer__{name}": value for name, value in hypers.items()},
            )
            net.fit(*arrays.train)
            last = net.history[-1]
            accuracy = float(last["valid_acc"]) if math.isfinite(last["valid_loss"]) else None
            scores.append(Score(rule=rule, lr=lr, seed=seed, accuracy=accuracy))
    return Outcome(run_steps=task.num_runs * job.steps, scores=tuple(scores), scale=task.steps / job.steps)
