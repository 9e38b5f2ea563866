"""What is measured: the tasks of each study, who takes part, and what issue 2 asks of the result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from sweeps.task import SPANS, Task, lr_grid

SCALES = (1, 4, 16, 64, 256, 1024)
DIGITS = {"kind": "digits", "validation": 0.1, "test": 0.1}  # leaves 1,437 examples to train on
FASHION = {"kind": "fashion-mnist", "validation": 0.05}


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A way to train a task.

    Args:
        about: for people.
        where: module and function of `sweeps`; "" for the command `ravine run`.
        needs: what must be importable.
        options: told to the function.
        slow: may take a fraction of the steps.
        any_threads: is tried with one thread too, and measured with what suits it better.
        cache: of compiled code: none of its own, a fresh one each time, or one that was filled before.
        cuda: can use a GPU.
        own_start: draws other initial weights than PyTorch's: at lrs that are too low it ends elsewhere.
    """

    about: str
    where: str
    needs: tuple[str, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)
    slow: bool = False
    any_threads: bool = False
    cache: Literal["cold", "warm"] = "cold"
    cuda: bool = False
    own_start: bool = False


def _jax(rules: str, layout: str, cache: Literal["cold", "warm"] = "cold") -> Contender:
    which = "Adam for all runs" if rules == "adam" else "all rules, in segments"
    how = "one vmap over runs" if layout == "flat" else "configs of a seed share its batch"
    return Contender(
        about=f"hand-written JAX, vmap + scan: {which}; {how}; {cache} cache",
        where="jax_runs:study",
        needs=("jax",),
        options={"rules": rules, "layout": layout, "affinity": "yes"},
        cache=cache,
    )


def _engine(backend: str, cache: Literal["cold", "warm"] = "cold") -> Contender:
    return Contender(
        about=f"ravine's engine in process, backend {backend}, {cache} compile cache",
        where="ravine_runs:engine",
        options={"backend": backend},
        cache=cache,
        cuda=True,
    )


def _loop(about: str, function: str, needs: tuple[str, ...] = ()) -> Contender:
    return Contender(about=about, where=function, needs=needs, slow=True, any_threads=True, cuda=True)


CONTENDERS: Mapping[str, Contender] = {
    "plain": _loop("PyTorch loop, DataLoader(TensorDataset), torch.optim", "loops:plain"),
    "indexed": _loop("PyTorch loop, tensors indexed directly", "loops:indexed"),
    "optuna": _loop("Optuna's GridSampler around the plain loop", "loops:optuna", ("optuna",)),
    "sklearn": Contender(
        about="scikit-learn's MLPClassifier",
        where="sklearn_runs:mlp_classifier",
        slow=True,
        any_threads=True,
        own_start=True,
    ),
    "lightning": _loop("Lightning's Trainer", "trainers:lightning", ("lightning",)),
    "skorch": _loop("skorch's NeuralNetClassifier", "trainers:skorch", ("skorch",)),
    "jax-adam": _jax("adam", "flat"),
    "jax-adam-warm": _jax("adam", "flat", "warm"),
    "jax-adam-shared": _jax("adam", "shared"),
    "jax-all": _jax("all", "flat"),
    "engine": _engine("auto"),
    "engine-traced": _engine("fused"),
    "engine-compiled-cold": _engine("compiled"),
    "engine-compiled-warm": _engine("compiled", "warm"),
    "run-cold": Contender(
        about="`ravine run`: process start to report, fresh store and compile cache", where="", cuda=True
    ),
    "run-warm": Contender(
        about="`ravine run`: process start to report, fresh store, warm compile cache",
        where="",
        cache="warm",
        cuda=True,
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is asked: `theirs` of the others is at least `factor` times `ours`, if all goes well.

    Args:
        task: its name.
        ours, theirs: contender and quantity: "whole", "train" or "made" (make + train); for `theirs` also
            "rate", the machine's matrix products, against our "flops".
        factor: at least.
    """

    task: str
    ours: tuple[str, str]
    theirs: tuple[str, str]
    factor: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A study of the benchmark."""

    tasks: tuple[Task, ...]
    contenders: tuple[str, ...]
    targets: tuple[Target, ...] = ()
    fraction: float = 1.0


def _six_rules(name: str, hidden: list[int], steps: int, num_lrs: int, seeds: int) -> Task:
    return Task(
        name=name,
        data=DIGITS,
        model={"kind": "mlp", "hidden": hidden},
        rules={rule: lr_grid(rule, num_lrs) for rule in SPANS},
        seeds=seeds,
        steps=steps,
    )


def small(num_lrs: int = 9, seeds: int = 3) -> Plan:
    """Six rules on digits, MLP 32-32, 20 epochs."""
    engines = ("engine", "engine-traced")
    jax = ("jax-adam", "jax-adam-shared")
    targets = [
        Target(task="small", ours=(ours, "whole"), theirs=(theirs, "train"), factor=factor)
        for ours in ("run-cold", "run-warm")
        for theirs, factor in (("plain", 8.0), ("sklearn", 2.0))
    ]
    targets += [
        Target(task="small", ours=(e, "train"), theirs=("plain", "train"), factor=40.0) for e in engines
    ]
    targets += [
        Target(task="small", ours=(e, "made"), theirs=(peer, "made"), factor=1.0)
        for e in engines
        for peer in jax
    ]
    return Plan(
        tasks=(_six_rules("small", [32, 32], 440, num_lrs, seeds),),
        contenders=(
            *(
                "plain",
                "indexed",
                "optuna",
                "sklearn",
                "jax-adam",
                "jax-adam-warm",
                "jax-adam-shared",
                "jax-all",
            ),
            *engines,
            *("run-cold", "run-warm"),
        ),
        targets=tuple(targets),
    )


def wide(num_lrs: int = 9, seeds: int = 3) -> Plan:
    """Six rules on digits, MLP 128-128, 100 epochs."""
    engines = ("engine", "engine-traced")
    targets = [
        Target(task="wide", ours=(run, "whole"), theirs=("plain", "train"), factor=6.0)
        for run in ("run-cold", "run-warm")
    ]
    for engine in engines:
        for peer in ("jax-adam", "jax-adam-shared", "jax-all"):
            targets.append(Target(task="wide", ours=(engine, "train"), theirs=(peer, "train"), factor=1.0))
        targets.append(Target(task="wide", ours=(engine, "flops"), theirs=("machine", "rate"), factor=0.7))
    return Plan(
        tasks=(_six_rules("wide", [128, 128], 2200, num_lrs, seeds),),
        contenders=(
            *("plain", "jax-adam", "jax-adam-shared", "jax-all"),
            *engines,
            *("run-cold", "run-warm"),
        ),
        targets=tuple(targets),
        fraction=0.2,
    )


def fashion(num_lrs: int = 3, seeds: int = 2) -> Plan:
    """Two rules on Fashion-MNIST: MLP 256-256 and a convnet."""
    rules = {
        "momentum": lr_grid("momentum", num_lrs, (0.005, 0.05)),
        "adam": lr_grid("adam", num_lrs, (3e-4, 3e-3)),
    }

    def task(name: str, model: Mapping[str, object], steps: int) -> Task:
        return Task(
            name=name, data=FASHION, model=model, rules=rules, seeds=seeds, steps=steps, evaluations=5
        )

    tasks = (
        task("mlp", {"kind": "mlp", "hidden": [256, 256]}, 1500),
        task("convnet", {"kind": "convnet"}, 400),
    )
    ours = (("engine", "train"), ("run-cold", "whole"))
    factors = (
        ("mlp", "plain", 2.5),
        ("mlp", "indexed", 1.0),
        ("convnet", "plain", 1.3),
        ("convnet", "indexed", 1.0),
    )
    return Plan(
        tasks=tasks,
        contenders=("plain", "indexed", "engine", "run-cold"),
        targets=tuple(
            Target(task=name, ours=own, theirs=(peer, "train"), factor=factor)
            for name, peer, factor in factors
            for own in ours
        ),
    )


def scaling(num_lrs: int = 9, seeds: int = 4) -> Plan:
    """1 to 1,024 runs of the MLP 32-32 by Adam: as many lrs as it takes."""

    def task(num_runs: int) -> Task:
        own = min(num_runs, seeds)
        lrs = lr_grid("adam", num_runs // own, (1e-4, 1e-2))
        return Task(
            name=f"{num_runs}-runs",
            data=DIGITS,
            model={"kind": "mlp", "hidden": [32, 32]},
            rules={"adam": lrs},
            seeds=own,
            steps=440,
        )

    return Plan(tasks=tuple(task(num_runs) for num_runs in SCALES), contenders=("engine",))


STUDIES = {"small": small, "wide": wide, "fashion": fashion, "scaling": scaling}
