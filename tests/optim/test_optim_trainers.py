"""`ravine.optim` in Lightning and in Hugging Face's Trainer, by the two examples, where these are installed."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

import ravine

EXAMPLES = Path(__file__).parents[2] / "examples"
# Both warn of deprecations inside of themselves and of each other's versions.
pytestmark = pytest.mark.filterwarnings("ignore")
ROUNDING = 1e-5  # of a loss near 1 in float32, after tens of steps


def example(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def lightning(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    pytest.importorskip("lightning")
    return example("lightning_mnist_like", monkeypatch)


@pytest.fixture
def huggingface(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    return example("huggingface_trainer", monkeypatch)


def test_lightning_trains_as_with_torchs_own(lightning: ModuleType) -> None:
    losses = []
    for kind, options in ((ravine.optim.AdamW, {"preset": "torch"}), (torch.optim.AdamW, {})):
        torch.manual_seed(0)
        model = lightning.Digits(3e-3, kind, weight_decay=0.01, **options)
        trainer = lightning.train(model, epochs=2)
        assert trainer.global_step == len(model.losses) == 46
        losses.append(model.losses)
    assert losses[0] == pytest.approx(losses[1], abs=ROUNDING)
    assert losses[0][-1] < 0.7 * losses[0][0]


def test_lightning_keeps_state_average_and_schedule_in_its_checkpoints(
    lightning: ModuleType, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    model = lightning.Digits(3e-3, ema=0.9)
    first = lightning.train(model, epochs=2, folder=tmp_path)
    again = lightning.Digits(3e-3, ema=0.9)
    # Nothing is left to train: what the optimizer holds is what was loaded.
    second = lightning.train(again, epochs=2, resume=tmp_path / "last.ckpt")
    assert second.global_step == 46
    assert not again.losses
    schedules = [trainer.lr_scheduler_configs[0].scheduler for trainer in (first, second)]
    assert schedules[0].state_dict() == schedules[1].state_dict()
    before, after = (trainer.optimizers[0].state_dict()["state"] for trainer in (first, second))
    assert len(before) == 6
    for place, state in before.items():
        assert len(state) == 4  # step, two moments, average
        assert state.keys() == after[place].keys()
        assert all(torch.equal(value, after[place][name]) for name, value in state.items())
    with second.optimizers[0].deployed():
        averages = [param.detach().clone() for param in again.parameters()]
    with first.optimizers[0].deployed():
        for param, average in zip(model.parameters(), averages, strict=True):
            assert torch.equal(param, average)


def test_lightnings_example_prints_what_it_reached(
    lightning: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    lightning.main()
    words = capsys.readouterr().out.split("validation accuracy: last weights ")[1]
    last, average = (float(word.rstrip("%\n")) for word in words.split(", their average "))
    assert last > 93
    assert average > 93


def test_huggingface_trains_as_with_torchs_own(huggingface: ModuleType, tmp_path: Path) -> None:
    losses = []
    for kind, options in ((ravine.optim.AdamW, {"preset": "torch"}), (torch.optim.AdamW, {})):
        trainer = huggingface.trainer_of(tmp_path, epochs=1, optimizer=kind, **options)
        losses.append(trainer.train().training_loss)
    assert losses[0] == pytest.approx(losses[1], abs=ROUNDING)
    assert losses[0] < 2.0  # the mean over an epoch; log 10 is 2.30


def test_huggingface_goes_on_from_its_checkpoint_with_the_same_bits(
    huggingface: ModuleType, tmp_path: Path
) -> None:
    options = {"epochs": 2, "checkpoints": True, "ema": 0.9}
    whole = huggingface.trainer_of(tmp_path / "whole", **options)
    whole.train()
    resumed = huggingface.trainer_of(tmp_path / "whole", **options)
    resumed.train(resume_from_checkpoint=str(tmp_path / "whole" / "checkpoint-23"))
    assert resumed.state.global_step == whole.state.global_step == 46
    ends = [trainer.model.state_dict() for trainer in (whole, resumed)]
    assert all(torch.equal(value, ends[1][name]) for name, value in ends[0].items())
    with whole.optimizer.optimizer.deployed():
        averages = {name: value.clone() for name, value in whole.model.state_dict().items()}
    with resumed.optimizer.optimizer.deployed():
        assert all(torch.equal(value, averages[name]) for name, value in resumed.model.state_dict().items())


def test_they_are_an_extra_that_the_tests_do_not_need() -> None:
    import tomllib

    extras = tomllib.loads((EXAMPLES.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = {text.split(">=")[0] for text in extras["optional-dependencies"]["trainers"]}
    assert names == {"lightning", "transformers", "accelerate"}
    others = [*extras["dependencies"], *extras["optional-dependencies"]["dev"]]
    assert not any("trainers" in text or text.split(">=")[0] in names for text in others)
