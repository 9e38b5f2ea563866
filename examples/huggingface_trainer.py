"""`ravine.optim` in Hugging Face's Trainer: AdamW with a moving average of the weights, on handwritten digits.

    pip install "ravine[trainers]"
    python examples/huggingface_trainer.py

The Trainer takes the pair `optimizers=(optimizer, schedule)`. It clips gradients, steps both after each update, and
keeps both in its checkpoints. Any model of transformers stands where the small network does here.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import Dataset
from transformers import EvalPrediction, Trainer, TrainingArguments

import ravine

BATCH = 64


class Digits(Dataset[dict[str, Any]]):
    """Pictures of 8 x 8 in rows of 64 numbers; every fifth is for validation."""

    def __init__(self, *, validation: bool) -> None:
        x, y = load_digits(return_X_y=True)
        chosen = (torch.arange(len(x)) % 5 == 0) == validation
        self.x = torch.tensor(x, dtype=torch.float32)[chosen] / 16
        self.y = torch.tensor(y)[chosen]

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, place: int) -> dict[str, Any]:
        return {"x": self.x[place], "labels": self.y[place]}


class Network(nn.Module):
    """What the Trainer asks of a module: a loss and logits. Any of transformers' models has that."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(64, 64), nn.LayerNorm(64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)
        )

    def forward(self, x: Tensor, labels: Tensor) -> dict[str, Tensor]:
        logits = self.layers(x)
        return {"loss": cross_entropy(logits, labels), "logits": logits}


def accuracy(found: EvalPrediction) -> dict[str, float]:
    return {"accuracy": float((found.predictions.argmax(1) == found.label_ids).mean())}


def trainer_of(
    folder: Path,
    *,
    epochs: int,
    optimizer: Any = ravine.optim.AdamW,
    checkpoints: bool = False,
    **options: Any,
) -> Trainer:
    """A Trainer with an optimizer and a cosine schedule of ravine.

    Args:
        folder: where it writes.
        epochs: passes over the training set.
        optimizer: a class of `ravine.optim` or of torch.optim.
        checkpoints: whether to write one after each epoch.
        options: what else the optimizer takes.
    """
    torch.manual_seed(0)
    model, training = Network(), Digits(validation=False)
    made = optimizer(model.named_parameters(), lr=3e-3, weight_decay=0.01, **options)
    steps = epochs * -(-len(training) // BATCH)
    schedule = ravine.optim.Schedule(made, {"kind": "cosine", "warmup": 0.1}, num_steps=steps)
    arguments = TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=epochs,
        per_device_train_batch_size=BATCH,
        per_device_eval_batch_size=360,
        max_grad_norm=1.0,
        logging_strategy="epoch",
        save_strategy="epoch" if checkpoints else "no",
        report_to=[],
        disable_tqdm=True,
        use_cpu=True,
        dataloader_pin_memory=False,
        seed=0,
    )
    return Trainer(
        model,
        arguments,
        train_dataset=training,
        eval_dataset=Digits(validation=True),
        compute_metrics=accuracy,
        optimizers=(made, schedule),
    )


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        trainer = trainer_of(Path(folder), epochs=8, ema=0.95)
        trainer.train()
        last = trainer.evaluate()
        # The Trainer wraps what it was given; the optimizer itself keeps the average.
        with trainer.optimizer.optimizer.deployed():
            average = trainer.evaluate()
    print(
        f"validation accuracy: last weights {last['eval_accuracy']:.1%}, "
        f"their average {average['eval_accuracy']:.1%}"
    )


if __name__ == "__main__":
    main()
