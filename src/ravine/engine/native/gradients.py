"""The loss of one run and its gradients, as machine code.

Shapes: R run, P numbers of one run, B batch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from ravine.engine.native.cutting import cut
from ravine.engine.norms import fold_norms
from ravine.engine.setting import Setting
from ravine.engine.state import Constants, Data, copied
from ravine.native.compiler import Compiler, Known, rows_of
from ravine.native.function import Function
from ravine.native.panels import Panels

_TRUSTED = ("rows", "y")

_SOME = 2  # examples that stand for all: one alone would be the same in every row


def gradient(setting: Setting, compiler: Compiler, at: str) -> Function:
    """points -> grads, loss, accuracy; the buffers are brought up to date. Or above -> grads, and nothing else.

    It also reads "rows", the examples of the batch (unless it takes all of x and y), and "number", of the step.

    Args:
        setting: what a step is made of.
        compiler: of the program that it is a part of.
        at: "points" or "above", the input that says where the gradient is taken.

    Raises:
        Unsupported: no machine code is made for some operation of the model.
    """
    program, examples, outputs = _taken(setting, at, made=False)
    network = setting.network
    prepared = fold_norms if network.flushes else None  # other models keep the bits that they have had
    weighted = () if setting.data.weights is None else ("weights",)
    key = ("gradient", at, setting.objective.loss.key, setting.objective.made, setting.takes_all, *weighted)
    model = "" if setting.objective.loss.own else network.name  # a loss of the user's may call what changes
    known = Known(recordings=network.recordings, key=key, model=model)
    return compiler.function(program, examples, outputs, trusted=_TRUSTED, prepared=prepared, known=known)


def shared_gradient(setting: Setting, compiler: Compiler, at: str) -> tuple[Function, Panels] | None:
    """The same without the products of the batch, and these; None: the model does something else with its batch.

    It takes "product" and gives "slopes", where the products find theirs.
    """
    program, examples, outputs = _taken(setting, at, made=True)
    names, layout = list(examples), setting.network.layout
    found = cut(program, list(examples.values()), names.index("batch"), names.index(at), layout)
    if found is None or found.output is None:
        return None
    size, (num_rows, width) = setting.cohort.recipe.batch_size, layout.shapes[found.weights]
    del outputs[found.output]
    function = compiler.function(
        found.program,
        {**examples, "product": torch.zeros(num_rows, size)},
        [*outputs, ("slopes", (size, num_rows), 0)],
        trusted=_TRUSTED,
    )
    panels = Panels(
        examples=size,
        width=width,
        rows=num_rows,
        offset=layout.offsets[found.weights],
        x=compiler.number("x"),
        batch=compiler.number("rows"),
        block=compiler.number("block"),
        weights=compiler.number(at),
        product=compiler.number("product"),
        slopes=compiler.number("slopes"),
        grads=compiler.number("grads"),
        scaled=tuple((name, compiler.number(f"of_set/{name}")) for name in _groups(setting)["of_set"]),
    )
    return function, panels


def _taken(
    setting: Setting, at: str, *, made: bool
) -> tuple[Callable[..., tuple[Tensor, ...]], dict[str, Tensor], list[tuple[str, tuple[int, ...], int]]]:
    """A program, examples of its inputs by name, and where its results go; ``made``: the batch is in "batch"."""
    layout = setting.network.layout
    alone = replace(setting.objective, fused=False, made=setting.objective.made or made)
    names = {kind: list(tensors) for kind, tensors in _groups(setting).items()}

    def program(*given: Tensor) -> tuple[Tensor, ...]:
        by_name = dict(zip(examples, given, strict=True))
        groups = {kind: {n: by_name[f"{kind}/{n}"] for n in names[kind]} for kind in names}
        buffers = groups["buffers"] if at == "points" else copied(groups["buffers"])
        constants = Constants(
            hypers=(),
            seeds_R=by_name["seed"],
            batch_index_R=torch.zeros(1, dtype=torch.int64),
            radius=torch.empty(0),
            rates=groups["rates"],
            of_loss=groups["of_loss"],
            fixed=groups["fixed"],
            grads_RP=torch.empty(0),
            of_set={} if made else groups["of_set"],
        )
        data = Data(x=by_name["x"], y=by_name["y"], weights=by_name.get("weights"))
        rows_SB = None if setting.takes_all else by_name["rows"]
        if made:
            beside = [
                None if each is None else each.index_select(0, by_name["rows"][0])[None]
                for each in (data.y, data.weights)
            ]
            answers, weights = beside
            assert answers is not None, "every example has an answer"
            data, rows_SB = Data(x=by_name["batch"][None], y=answers, weights=weights), None
        grads, scores = alone.gradients(by_name[at], buffers, constants, data, rows_SB, by_name["number"])
        return (*(grads[name] for name in layout.names), *(scores if at == "points" else ()))

    # A step that takes some rows reads the same memory however many there are: parts of a ladder share its code.
    some = 1 if setting.augmenting else None if setting.takes_all else _SOME
    examples = {
        at: setting.state.params_RP[:1],
        "seed": setting.constants.seeds_R[:1],
        "x": setting.data.x[:some],
        "y": setting.data.y[:some],
        **({} if setting.data.weights is None else {"weights": setting.data.weights[:some]}),
        "rows": torch.zeros((1, setting.cohort.recipe.batch_size), dtype=torch.int64),
        "number": torch.zeros((), dtype=torch.int64),
        **{
            f"{kind}/{n}": t[:1].clone() for kind, group in _groups(setting).items() for n, t in group.items()
        },
    }
    if made:
        examples["batch"] = setting.data.x[: setting.cohort.recipe.batch_size].clone()
    outputs = [
        ("grads", (1, *shape), offset) for shape, offset in zip(layout.shapes, layout.offsets, strict=True)
    ]
    if at == "points":
        outputs += [("loss", (1,), 0), ("accuracy", (1,), 0)]
    return program, examples, outputs


def addresses(setting: Setting) -> dict[str, list[int]]:
    """Where the inputs of `gradient` at the parameters lie, run by run: those that stay where they are."""
    num_runs = len(setting.cohort.runs)
    data = {"x": setting.data.x, "y": setting.data.y}
    if setting.data.weights is not None:
        data["weights"] = setting.data.weights
    examples = {name: [tensor.data_ptr()] * num_runs for name, tensor in data.items()}
    if (starts_R := setting.constants.of_set.get("answers")) is not None:
        y = setting.data.y
        far = y.stride(0) * y.element_size()
        examples["y"] = [y.data_ptr() + start * far for start in starts_R.tolist()]
    if setting.augmenting is not None:
        groups = setting.augmenting.groups.of_run_R.tolist()
        examples = {name: [rows_of(t)[group] for group in groups] for name, t in data.items()}
    return {
        "points": rows_of(setting.state.params_RP),
        "seed": rows_of(setting.constants.seeds_R),
        **examples,
        **{f"{kind}/{n}": rows_of(t) for kind, group in _groups(setting).items() for n, t in group.items()},
    }


def _groups(setting: Setting) -> dict[str, dict[str, Tensor]]:
    constants = setting.constants
    return {
        "buffers": setting.state.buffers,
        "fixed": constants.fixed,
        "rates": constants.rates,
        "of_loss": constants.of_loss,
        # Where a run's answers begin is known by their address.
        "of_set": {name: tensor for name, tensor in constants.of_set.items() if name != "answers"},
    }
