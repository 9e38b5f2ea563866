"""The studies that are compared: every rule, model, regularizer, schedule and way of training, small."""

from __future__ import annotations

from dataclasses import dataclass

ALL = ("native", "fused", "serial")

_ELEMENTWISE = """
name = "elementwise"
data = "wine"
model = { kind = "mlp", hidden = [16] }
steps = 60
batch_size = [16, "full"]
seeds = 2
evaluations = 3
rules = [
  { kind = "sgd", lr = [0.01, 0.1] }, { kind = "momentum", lr = 0.03 }, { kind = "nesterov", lr = 0.03 },
  { kind = "adagrad", lr = 0.03 }, { kind = "rmsprop", lr = 0.01 }, { kind = "adam", lr = 0.01 },
  { kind = "adamw", lr = 0.01 }, { kind = "nadam", lr = 0.01 }, { kind = "lion", lr = 0.003 },
  { kind = "muon", lr = 0.02 }, { kind = "schedule_free_adamw", lr = 0.01 },
  { kind = "adam", label = "torch", preset = "torch", lr = 0.01 },
]
"""
_PENALTIES = """
name = "penalties"
data = "breast_cancer"
model = { kind = "mlp", hidden = [12, 12], norm = "batch", activation = "gelu", dropout = [0.0, 0.4] }
steps = 50
batch_size = 25
seeds = 2
evaluations = 5
schedule = ["constant", { kind = "cosine", warmup = 0.1 }, "one_cycle", { kind = "step", every = 0.3, factor = 0.1 }]
rules = [
  { kind = "momentum", lr = 0.05, weight_decay = [0.0, 0.01] },
  { kind = "adam", lr = 0.01, decoupled_weight_decay = 0.1, l1 = 1e-4, exclude = "" },
  { kind = "nesterov", lr = 0.02, max_norm = 2.0 },
  { kind = "sgd", lr = 0.05, sam_radius = [0.02, 0.05], noise = 0.01 },
]
"""
_SEARCHING = """
name = "searching"
data = "iris"
model = { kind = "mlp", hidden = [5], activation = "tanh" }
steps = 25
batch_size = ["full", 30]
seeds = 2
evaluations = 2
rules = [
  { kind = "lbfgs", lr = [0.5, 1.0] }, { kind = "bfgs" },
  { kind = "lbfgs", label = "noisy", noise = 1e-3 },
]
"""
_NEWTON = _SEARCHING[: _SEARCHING.index("rules")].replace("searching", "newton") + 'rules = ["newton"]'
_REGRESSION = """
name = "regression"
data = "diabetes"
model = { kind = "mlp", hidden = [8], norm = "layer", activation = "silu" }
epochs = 3
seeds = [3, 11]
keep = { every = 5 }
rules = [{ kind = "adam", lr = { log = [1e-3, 1e-1], num = 3 } }, { kind = "momentum", lr = [0.01, 1e20] }]
"""
_PICTURES = """
name = "pictures"
data = "digits"
model = { kind = "convnet", channels = [8, 8], hidden = 16, norm = "group", dropout = 0.2 }
steps = 12
batch_size = 20
seeds = 2
evaluations = 2
rules = [{ kind = "adam", lr = 0.003 }, { kind = "momentum", lr = 0.03 }]
"""
_RESNET = """
name = "resnet"
data = "digits"
model = { kind = "resnet", depth = 8, width = 4 }
steps = 6
batch_size = 16
seeds = 1
evaluations = 1
rules = [{ kind = "nesterov", lr = 0.05 }]
"""
_ATTENTION = """
name = "attention"
data = "wine"
model = "nets:Attention"
steps = 20
batch_size = 16
seeds = 2
evaluations = 2
rules = [{ kind = "adam", lr = [0.003, 0.03] }]
"""
_NOISY = """
name = "noisy"
data = "wine"
model = "nets:Noisy"
steps = 20
batch_size = 16
seeds = 2
evaluations = 2
rules = [{ kind = "adam", lr = [0.003, 0.03] }, { kind = "lion", lr = 0.001 }]
"""
_BRANCHING = _NOISY.replace("noisy", "branching").replace("Noisy", "Branching")
_STAGED = """
name = "staged"
data = "wine"
model = "mlp"
steps = 40
batch_size = 32
tune = "staged"
evaluations = 2
schedule = ["cosine", "linear", "exponential"]
rules = [{ kind = "momentum", lr = [0.01, 0.1] }, { kind = "adam", lr = [0.001, 0.01] }]
"""
_RANDOM = """
name = "random"
data = { kind = "csv", path = "mixed.csv", target = "kind", missing = "impute" }
model = { kind = "mlp", hidden = [16], dropout = [0.0, 0.3] }
steps = 30
batch_size = [8, 16]
search = { kind = "random", trials = 6 }
evaluations = 2
rules = [
  { kind = "momentum", lr = { log = [1e-3, 1.0] }, rho = { linear = [0.5, 0.99] } },
  { kind = "adam", lr = { log = [1e-4, 1e-1] } },
]
"""
_RESUMED = """
name = "resumed"
data = "digits"
model = { kind = "mlp", hidden = [32], norm = "batch", dropout = 0.1 }
steps = 30000
batch_size = 32
seeds = 2
evaluations = 300
schedule = "cosine"
rules = [{ kind = "adam", lr = [0.001, 0.01] }, { kind = "momentum", lr = [0.05, 1e20] }]
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A study file and the backends that it is trained with.

    Args:
        interrupted: stopped once on its way, and resumed.
    """

    text: str
    backends: tuple[str, ...] = ("auto",)
    interrupted: bool = False


CASES = {
    "elementwise": Case(text=_ELEMENTWISE, backends=ALL),
    "penalties": Case(text=_PENALTIES, backends=ALL),
    "searching": Case(text=_SEARCHING, backends=ALL),
    "newton": Case(text=_NEWTON, backends=("fused", "serial")),
    "regression": Case(text=_REGRESSION, backends=ALL),
    "pictures": Case(text=_PICTURES, backends=ALL),
    "resnet": Case(text=_RESNET, backends=("native", "serial")),
    "attention": Case(text=_ATTENTION, backends=("auto", "fused", "serial")),
    "noisy": Case(text=_NOISY),
    "branching": Case(text=_BRANCHING),
    "staged": Case(text=_STAGED),
    "random": Case(text=_RANDOM),
    "resumed": Case(text=_RESUMED, backends=("native", "fused"), interrupted=True),
}


def mixed_csv() -> str:
    """A table with numbers, levels and missing cells."""
    lines = ["size,colour,weight,kind"]
    for i in range(120):
        size = "" if i % 11 == 0 else f"{(i * 37 % 101) / 10}"
        lines.append(f"{size},{('red', 'green', 'blue')[i % 3]},{i * i % 53},{('a', 'b')[i * 7 % 5 > 2]}")
    return "\n".join(lines) + "\n"
