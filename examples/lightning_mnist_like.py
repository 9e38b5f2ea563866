"""`ravine.optim` in Lightning: AdamW with a moving average of the weights and a cosine schedule, on handwritten digits.

    pip install "ravine[trainers]"
    python examples/lightning_mnist_like.py

Lightning steps an optimizer with a closure, clips gradients before it, steps the schedule after each update and keeps
both in its checkpoints: nothing has to be adapted.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

import ravine


def digits() -> tuple[TensorDataset, TensorDataset]:
    """1,437 pictures to train on and 360 to validate with, in a fixed order that mixes the writers."""
    x, y = load_digits(return_X_y=True)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    data = torch.tensor(x, dtype=torch.float32)[order] / 16, torch.tensor(y)[order]
    return TensorDataset(*(part[360:] for part in data)), TensorDataset(*(part[:360] for part in data))


class Digits(lightning.LightningModule):
    """A small network.

    Args:
        lr: highest learning rate of the schedule.
        optimizer: a class of `ravine.optim` or of torch.optim.
        options: what else it takes.
    """

    def __init__(self, lr: float, optimizer: Any = ravine.optim.AdamW, **options: Any) -> None:
        super().__init__()
        self.lr, self.optimizer, self.options = lr, optimizer, options
        self.layers = nn.Sequential(
            nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)
        )
        self.losses: list[float] = []

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)

    def training_step(self, batch: list[Tensor], _: int) -> Tensor:
        x, y = batch
        loss = cross_entropy(self(x), y)
        self.losses.append(loss.item())
        return loss

    def validation_step(self, batch: list[Tensor], _: int) -> None:
        x, y = batch
        self.log("accuracy", (self(x).argmax(1) == y).float().mean())

    def configure_optimizers(self) -> Any:
        optimizer = self.optimizer(self.named_parameters(), lr=self.lr, **self.options)
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = ravine.optim.Schedule(optimizer, {"kind": "cosine", "warmup": 0.05}, num_steps=steps)
        # "step": a schedule of ravine is stepped after each update, not after each epoch.
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def train(
    model: Digits, *, epochs: int, folder: Path | None = None, resume: Path | None = None
) -> lightning.Trainer:
    """Train, with gradients clipped to norm 1.

    Args:
        model: what.
        epochs: passes over the training set.
        folder: where a checkpoint is written at the end; None: no checkpoint.
        resume: a checkpoint to go on from.
    """
    training, validation = digits()
    trainer = lightning.Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        gradient_clip_val=1.0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    order = torch.Generator().manual_seed(1)
    loaders = DataLoader(training, 64, shuffle=True, generator=order), DataLoader(validation, 360)
    trainer.fit(model, *loaders, ckpt_path=resume)
    if folder is not None:
        trainer.save_checkpoint(folder / "last.ckpt")
    return trainer


def main() -> None:
    torch.manual_seed(0)
    model = Digits(lr=3e-3, weight_decay=0.01, ema=0.99)
    trainer = train(model, epochs=15)
    (_, validation) = digits()
    loader = DataLoader(validation, 360)
    (last,) = trainer.validate(model, loader, verbose=False)
    with trainer.optimizers[0].deployed():  # the moving average in the weights' place
        (average,) = trainer.validate(model, loader, verbose=False)
    print(
        f"validation accuracy: last weights {last['accuracy']:.1%}, their average {average['accuracy']:.1%}"
    )


if __name__ == "__main__":
    main()
