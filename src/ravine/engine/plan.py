"""Which backend trains a cohort, and how many runs a cohort has."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

from ravine.backends import check_backend
from ravine.data import Dataset
from ravine.engine.capacity import batch_bytes, most_runs, room_to_search
from ravine.engine.cohort import Cohort, split
from ravine.engine.indices import check_indices
from ravine.engine.loss import OF_LOSS, Loss
from ravine.engine.network import Network
from ravine.engine.own_loss import check_own_loss
from ravine.engine.programs import TOGETHER
from ravine.engine.reasons import reason
from ravine.engine.step_times import StepTimes
from ravine.engine.training import Training
from ravine.errors import InputError, ModelError, in_a_line, raised_at
from ravine.free_memory import TooLarge, free_bytes, gib, run_bytes
from ravine.native.machine import machine
from ravine.native.tensors import Unsupported
from ravine.nn.build import check_single
from ravine.nn.dropconnect import DropConnectConv2d, DropConnectLinear
from ravine.nn.dropout import Dropout
from ravine.nn.replacing import would_be_keyed
from ravine.rules import rule
from ravine.rules.clip import CLIPS
from ravine.rules.registry import KINDS
from ravine.rules.regularize import REGULARIZERS
from ravine.study import Run
from ravine.study.loss import is_own
from ravine.study.stop import PATIENCE
from ravine.trace import Untraceable

# Parameters of a cohort: few enough for a CPU's caches, and enough that an operation takes long by the cost of calling
# it. Measured with 2 cores, see benchmarks/.
_CPU_NUMBERS = 1 << 22
_CPU_RUNS = (16, 192)
# Runs of machine code are trained one after another: only memory bounds their number.
_NATIVE_NUMBERS = 1 << 24
_NATIVE_RUNS = (16, 512)
_MANY_FLOPS = 1e8  # of a step, from which PyTorch's products on all threads are worth measuring
# Seconds of a run's step, and of all steps, from which another program is measured too.
_LONG_STEP, _LONG_STUDY = 1e-3, 5.0
_CLEARLY = 0.97  # of a time, below which another is no noise of the measurement
_GPU_NUMBERS = 1 << 28
_GPU_RUNS = (32, 4096)
_COMPILE_SECONDS = 25.0  # torch.compile of a step without a cache, 2 cores
_COMPILE_GAIN = 0.35  # of a traced step's time, where operations are small
_FLOPS = 2e11  # faster than any CPU that compiling would be considered on

# Modules that are known to work under vmap, so that nothing has to be tried.
_PLAIN_MODULES = (
    nn.Sequential, nn.Flatten, nn.Linear, nn.ReLU, nn.Tanh, nn.GELU, nn.SiLU, nn.BatchNorm1d, nn.LayerNorm, Dropout,
    DropConnectLinear,
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How the runs of one structure are trained.

    Args:
        backend: a word of `ravine.engine.programs.BACKENDS`.
        size: runs in a cohort, at most.
        why: the reason, for people; "" where there is nothing to say.
    """

    backend: str
    size: int
    why: str = ""


def plan(
    runs: list[Run],
    network: Network,
    data: Dataset,
    device: torch.device,
    choice: str = "auto",
    num_averages: int = 0,
) -> Plan:
    """Choose a backend and the size of cohorts, by trying where knowing is not enough.

    Args:
        runs: of one structure.
        network: their model.
        data: their data set.
        device: where they are trained.
        choice: a word of `ravine.backends.BackendName`.
        num_averages: how many averages of the weights are kept: they need memory, as do the best weights of runs that
            may stop early.

    Raises:
        InputError: an unknown choice, or a model that cannot be trained with that backend, or with none.
    """
    check_backend(choice)
    if choice == "compiled" and device.type == "cpu":
        # Measured: 12 to 20 s to compile, for steps that were then no faster than traced ones.
        raise InputError(
            "backend = 'compiled': only for accelerators, on a processor it gains nothing; "
            "allowed here: auto, native, fused, serial"
        )
    _check_precision(network, device)
    if runs[0].recipe.batch_size == 1:
        check_single(network.module, data.input_shape)
    if not network.built_in and not network.name:  # which look nothing up that data could lack
        check_indices(network, data)
    check_own_loss(Loss.of(runs[0].recipe.loss, data), data, runs[0].recipe.hypers)
    search, beside = rule(runs[0].recipe.rule).search, batch_bytes(runs, data)
    if any(run.recipe.hypers.get(PATIENCE) for run in runs):
        num_averages = 2 * num_averages + 1  # with the averages of those that have stopped
    if search is not None:
        _check_hessian(runs, network)
        try:
            num_slots, most = room_to_search(
                runs, network, data.input_shape, device, num_averages=num_averages, beside=beside
            )
        except TooLarge:
            if not search.hessian or choice not in ("auto", "serial"):
                raise
            room_to_search(runs, network, data.input_shape, device, traced=False)
            why = "traced, a step would keep all that the passes for a Hessian make at once"
            return Plan(backend="eager", size=1, why=why)
    else:
        num_slots = max(len(rule(kind).init(torch.zeros(1))) for kind in {run.recipe.rule for run in runs})
        num_slots += bool(runs[0].recipe.hypers.get("sam_radius"))  # where the second gradient is taken
        num_slots += num_averages
        width = network.dtype.itemsize
        most = most_runs(network.layout.size, num_slots, device, network.about, beside, width)
    chosen = _chosen(runs, network, data, device, choice, most)
    if search is not None or not (chosen.backend in TOGETHER and chosen.size == most < len(runs)):
        return chosen
    one = run_bytes(network.layout.size, num_slots, network.dtype.itemsize) + beside
    room = f"a run needs {gib(one)} of memory or more, all {gib(one * len(runs))}; {gib(free_bytes(device))} are free"
    return replace(chosen, why="; ".join(filter(None, (chosen.why, room))))


def _chosen(
    runs: list[Run], network: Network, data: Dataset, device: torch.device, choice: str, most: int
) -> Plan:
    """A plan whose cohorts have at most ``most`` runs; no more are tried at once either."""
    unable = None
    if choice == "native" and not network.native:
        raise InputError(
            f"backend = 'native': {network.precision} has no machine code, which computes in float32; "
            "allowed here: auto, fused, serial"
        )
    if choice == "auto" and not network.native:
        unable = network.precision
    elif choice in ("auto", "native"):
        few = runs[: min(torch.get_num_threads(), most)]
        # Where model and rules are ravine's, whoever has made machine code of some runs can make it of all.
        ours = network.name and all(run.recipe.rule in KINDS and not is_own(run.recipe.loss) for run in runs)
        made_before = ours and _times(network, data, device).at_most(few, "native") is not None
        unable = None if made_before else _no_native(runs, network, data, device, most)
        if unable is None:
            return _native(runs, network, data, device, choice, most)
        if choice == "native":
            raise InputError(
                f"backend = 'native': {type(network.module).__name__} cannot be compiled: {unable}; allowed here: "
                "auto, fused, serial"
            )
    chosen = _in_torch(runs, network, data, device, choice, most)
    if unable is None or device.type != "cpu" or "cannot be fused" in chosen.why:
        return chosen
    return replace(chosen, why="; ".join(filter(None, (f"no machine code for {unable}", chosen.why))))


def _no_native(
    runs: list[Run], network: Network, data: Dataset, device: torch.device, most: int
) -> str | None:
    """Why no machine code can be made for some runs; None if it can."""
    search = rule(runs[0].recipe.rule).search
    if search is not None and search.hessian:
        return f"{runs[0].recipe.rule}, which takes second derivatives"
    if device.type != "cpu":
        return f"it is made for processors, not for {device.type}"
    kinds = {}
    for run in runs:
        around = (*REGULARIZERS, *CLIPS, *OF_LOSS, "noise")
        active = tuple(sorted(name for name in around if run.recipe.hypers.get(name)))
        kinds[run.recipe.rule, run.recipe.exclude, active] = run
    some = split(kinds.values(), most)
    return next(filter(None, (_hindrance(part, network, data, device, "native") for part in some)), None)


def _native(
    runs: list[Run], network: Network, data: Dataset, device: torch.device, choice: str, most: int
) -> Plan:
    low, high = _NATIVE_RUNS
    native = Plan(backend="native", size=min(max(_NATIVE_NUMBERS // network.layout.size, low), high, most))
    flops = 6.0 * network.layout.size * runs[0].recipe.batch_size
    heavy = flops > _MANY_FLOPS or _has_convolutions(network.module)
    if choice == "native" or not heavy:
        return native
    times = _times(network, data, device)
    few = runs[: min(torch.get_num_threads(), most)]
    behind = len(runs) < torch.get_num_threads() or machine().lanes < 8  # likely
    most_seconds = None if behind else times.at_most(few, "native")
    if most_seconds is not None and not _long(most_seconds / len(few), runs):
        return native
    ours = times.of(few, "native") / len(few)
    if not behind and not _long(ours, runs):
        return native
    serial = times.of(runs[:1], "serial")
    if serial < _CLEARLY * ours:  # once more, since other programs may have slowed either
        ours, serial = times.of(few, "native") / len(few), times.of(runs[:1], "serial")
    why = f"a step of a run takes {_milliseconds(ours)} as machine code, {_milliseconds(serial)} in torch"
    clearly = serial < _CLEARLY * ours
    return Plan(backend="serial", size=1, why=why) if clearly else replace(native, why=why)


def _times(network: Network, data: Dataset, device: torch.device) -> StepTimes:
    def measure(runs: Sequence[Run], backend: str) -> float:
        return _step_seconds(list(runs), network, data, device, backend)

    return StepTimes(network=network, data=data, measure=measure, keeps=device.type == "cpu")


def _long(seconds: float, runs: list[Run]) -> bool:
    """Whether a run's step takes so many seconds that another program is worth trying."""
    return seconds > _LONG_STEP and seconds * runs[0].recipe.steps * len(runs) > _LONG_STUDY


def _in_torch(
    runs: list[Run], network: Network, data: Dataset, device: torch.device, choice: str, most: int
) -> Plan:
    """A plan without machine code of our own."""
    few = _few(runs, most)
    plain = all(_is_plain(module) for module in network.module.modules())
    plain = plain and not is_own(runs[0].recipe.loss)
    unable = None if choice == "serial" or plain else _hindrance(few, network, data, device)
    if unable is not None and choice in ("fused", "compiled"):
        raise InputError(
            f"backend = {choice!r}: {type(network.module).__name__} cannot be fused: {unable}; "
            "allowed here: auto, serial"
        )
    if unable is not None or choice == "serial":
        traced = _hindrance(runs[:1], network, data, device, "serial")
        if traced is not None:
            _see_it_trains(runs[:1], network, data, device)
        why = "" if unable is None else f"{type(network.module).__name__} cannot be fused: {unable}"
        own = would_be_keyed(network.module)
        if unable is not None and own:
            why += f"; {own[0]} does so, unless the study gives rates"
        return Plan(backend="serial" if traced is None else "eager", size=1, why=why)
    size = min(_cohort_size(network, device), most)
    if choice == "compiled":
        return Plan(backend="compiled", size=size)
    if choice == "fused":
        return Plan(backend="fused", size=size)
    convolutions = _has_convolutions(network.module)
    if len(runs) == 1:
        # Measured: alone, one took 0.54 to 0.66 of the time that it took under vmap, which knows no channels last.
        alone = convolutions and device.type == "cpu"
        alone = alone and _hindrance(runs, network, data, device, "serial") is None
        return Plan(backend="serial", size=1) if alone else Plan(backend="fused", size=size)
    if convolutions:
        return _faster(few, network, data, device, size)
    if device.type == "cpu":
        if plain or not _long(_step_seconds(few, network, data, device, "fused") / len(few), runs):
            return Plan(backend="fused", size=size)
        return _faster(few, network, data, device, size)
    return _compiled_if_worth(runs, network, data, device, size)


def _is_plain(module: nn.Module) -> bool:
    # Without a momentum, BatchNorm divides by a count that it reads as a Python number.
    return type(module) in _PLAIN_MODULES and getattr(module, "momentum", 0.1) is not None


def _few(runs: list[Run], most: int) -> list[Run]:
    """Up to eight runs to try; two or more if there are two and memory for them, so that vmap has something to do."""
    return split(runs, min(max(2, min(8, len(runs))), most))[0]


def _hindrance(
    runs: list[Run], network: Network, data: Dataset, device: torch.device, backend: str = "fused"
) -> str | None:
    """Why the model cannot be trained in that way; None if it can."""
    try:
        Training(Cohort.of(runs), network, data, backend, device).rehearse()
    except torch.OutOfMemoryError:
        raise
    except (Untraceable, Unsupported) as error:
        return reason(error)
    except InputError:
        raise
    except Exception as error:  # noqa: BLE001 (whatever a user's module raises under vmap is the answer)
        return reason(error)
    return None


def _see_it_trains(runs: list[Run], network: Network, data: Dataset, device: torch.device) -> None:
    """Rehearse with the backend that takes any module: an exception there is an error in the user's model."""
    try:
        Training(Cohort.of(runs), network, data, "eager", device).rehearse()
    except (torch.OutOfMemoryError, InputError):
        raise
    except Exception as error:
        name = type(network.module).__name__
        raise ModelError(f"model: {name} cannot be trained: {in_a_line(error)}{raised_at(error)}") from error


def _milliseconds(seconds: float) -> str:
    """Two digits of a short time: `0.32 ms`, `260 ms`."""
    return f"{float(f'{1e3 * seconds:.2g}'):g} ms"


def _faster(runs: list[Run], network: Network, data: Dataset, device: torch.device, size: int) -> Plan:
    """Fused or serial, whichever takes less time for a run's step."""
    times = _times(network, data, device)
    fused = times.of(runs, "fused") / len(runs)
    serial = times.of(runs[:1], "serial")
    why = f"a step of a run takes {_milliseconds(fused)} fused, {_milliseconds(serial)} serially"
    return (
        Plan(backend="fused", size=size, why=why)
        if fused < serial
        else Plan(backend="serial", size=1, why=why)
    )


def _compiled_if_worth(
    runs: list[Run], network: Network, data: Dataset, device: torch.device, size: int
) -> Plan:
    """Compiled where that pays off; only in a long study is a traced step even measured."""
    recipe = runs[0].recipe
    least = 6.0 * network.layout.size * recipe.batch_size * recipe.steps * len(runs) / _FLOPS
    if not _repays(max(least, 1e-9) * 10.0):
        return Plan(backend="fused", size=size)
    groups = split(runs, size)
    traced = _step_seconds(groups[0], network, data, device, "fused")
    if not _repays(traced * recipe.steps * len(groups)):
        return Plan(backend="fused", size=size)
    try:
        compiled = _step_seconds(groups[0], network, data, device, "compiled")
    except Exception as error:  # noqa: BLE001 (no C++ compiler, no Python.h, a bug of torch's: go on without)
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        return Plan(backend="fused", size=size, why=f"torch.compile failed: {reason[:120]}")
    why = f"a step takes {traced * 1e3:.3g} ms traced, {compiled * 1e3:.3g} ms compiled"
    return Plan(backend="compiled" if compiled < traced else "fused", size=size, why=why)


def _repays(seconds: float) -> bool:
    """Whether compiling pays off for a traced program that would run for so many seconds."""
    return seconds * _COMPILE_GAIN > 2.0 * _COMPILE_SECONDS


def _step_seconds(
    runs: list[Run], network: Network, data: Dataset, device: torch.device, backend: str
) -> float:
    training = Training(Cohort.of(runs), network, data, backend, device)
    times = []
    for _ in range(min(3, runs[0].recipe.steps)):
        began = time.perf_counter()
        training.advance()
        synchronize(device)
        times.append(time.perf_counter() - began)
    return min(times)


def synchronize(device: torch.device) -> None:
    """Wait until an accelerator has finished its work."""
    if device.type != "cpu":
        torch.accelerator.synchronize()


def _cohort_size(network: Network, device: torch.device) -> int:
    numbers, (low, high) = (_CPU_NUMBERS, _CPU_RUNS) if device.type == "cpu" else (_GPU_NUMBERS, _GPU_RUNS)
    return min(max(numbers // network.layout.size, low), high)


def _check_precision(network: Network, device: torch.device) -> None:
    """Refuse what a device is no good for."""
    if network.precision == "bfloat16" and device.type == "cpu":
        # The code behind it runs on a processor, and is tested there.
        raise InputError(
            "precision = 'bfloat16': only for accelerators, on a processor it gains nothing; "
            "allowed here: float32, float64"
        )


def _check_hessian(runs: list[Run], network: Network) -> None:
    """Under vmap PyTorch's second derivatives of convolutions take gigabytes even for a small network."""
    kind = runs[0].recipe.rule
    search = rule(kind).search
    if search is not None and search.hessian and _has_convolutions(network.module):
        raise ModelError(
            f'rules: kind = "{kind}": no Hessian is made of a model with convolutions; use lbfgs'
        )


def _has_convolutions(module: nn.Module) -> bool:
    return any(isinstance(m, nn.modules.conv._ConvNd | DropConnectConv2d) for m in module.modules())
