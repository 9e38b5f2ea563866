"""A model as the engine sees it: a module whose own numbers are not used, and the numbers of every run.

Shapes: R run, B batch, P numbers of one run.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from ravine import rng
from ravine.backbones.architecture import Undrawn
from ravine.backbones.assembled import Assembled, HeadAlone, assembled, facts_of, head_layers
from ravine.backbones.blocks import hold
from ravine.engine.device import moved
from ravine.engine.sections import Sections
from ravine.engine.trainable import blocks_of, depths, rest, trained_names
from ravine.errors import ModelError
from ravine.free_memory import built
from ravine.native.compiler import Recording
from ravine.nn.build import (
    build,
    check_dtypes,
    check_output,
    counting_calls,
    layer_kinds,
    own_dtype,
    remark_on,
    remark_on_calls,
)
from ravine.nn.functional import Pure, as_function
from ravine.nn.rates import Rates
from ravine.nn.spec import MLP, Backbone, ConvNet, ResNet
from ravine.nn.stochastic import (
    buffer_name,
    kinds_of,
    layer_keys,
    rates_at_test,
    set_keyed,
    stochastic_modules,
)
from ravine.tensors import Layout


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A module as a pure function of its tensors.

    Args:
        module: the template; the numbers in it are never used.
        pure: it as a function of its tensors, in the mode (train or eval) that the template is in.
        num_outputs: K, how many numbers it returns for an example.
        sections: where the trained parameters lie in a run's row.
        fixed: names of the parameters that are not trained, and of the rates that evaluation depends on: they are
            stored with a run's weights.
        buffers: names of the buffers that training may change, such as BatchNorm's statistics.
        layers: the kinds of the stochastic layers, by name.
        given: which rates the runs give; layers that none of them is for keep their own.
        built_in: whether the model is one of ravine's, and no module of the user's.
        make: builds a module with fresh initial weights.
        about: what errors about its size name.
        remark: what a reader should know about its outputs and its random layers; may be empty.
        name: what its functions depend on, where all of its code is ravine's; else "".
        precision: what training computes in. In float64 all of its tensors are, rates excepted, and examples become so
            as they enter it. With bfloat16 they are float32, and the passes of training are rounded.

    Attributes:
        recordings: of its functions, for whoever makes a further program of the same model.
    """

    module: nn.Module
    pure: Pure
    num_outputs: int
    sections: Sections
    fixed: tuple[str, ...]
    buffers: tuple[str, ...]
    layers: Mapping[str, str]
    given: Rates
    built_in: bool
    make: Callable[[], nn.Module]
    about: str
    remark: str = ""
    name: str = ""
    precision: str = "float32"
    recordings: dict[Hashable, Recording] = field(default_factory=dict, init=False, repr=False, compare=False)

    @staticmethod
    def of(
        model: object,
        input_shape: tuple[int, ...],
        num_outputs: int,
        *,
        device: torch.device,
        rates: Collection[str] = (),
        search: Path | None = None,
        precision: str = "float32",
    ) -> Network:
        """The network of a model's specification, or of a user's factory.

        Args:
            model: a specification, or a class or function without arguments.
            input_shape: of one example.
            num_outputs: K.
            device: where it is evaluated.
            rates: names of those that the runs give; a built-in model has their layers.
            search: the study's folder, where a user's module is looked for.
            precision: "float32", "float64" or "bfloat16"; a module whose own parameters are float64 is trained so.

        Raises:
            ModelError: the model cannot be built, does not fit the data, or has no layer that a rate is for.
        """
        given = Rates.of(rates)
        if isinstance(model, Backbone):
            kinds = head_layers(model.head, rates)
        else:
            kinds = layer_kinds(model, input_shape, num_outputs, rates)

        def made() -> nn.Module:
            if isinstance(model, Backbone):
                return assembled(model, input_shape, num_outputs, search=search, rates=kinds)
            module = build(model, input_shape, num_outputs, search=search, rates=kinds)  # type: ignore[arg-type]
            if not isinstance(module, nn.Module):
                raise ModelError(
                    f"model: the factory returned a {type(module).__name__}; needed is an nn.Module"
                )
            return module

        about, remarks = _about(model), list[str]()
        # Whether examples have passed it before it got its head; its head cannot fail.
        known = isinstance(model, Backbone) and model.is_built_in
        with Undrawn() if known else rng.keyed_init(0):
            module = built(made, about)
        dtype = torch.float64 if precision == "float64" else own_dtype(module)
        if dtype == torch.float64 and precision != "float64":
            insists = f"the parameters of {type(module).__name__} are float64"
            if precision == "bfloat16":
                raise ModelError(f"precision = 'bfloat16': {insists}; allowed here: float64")
            remarks.append(f"{insists}, so it is trained in float64")
            precision = "float64"
        check_dtypes(module, dtype)
        module = module.to(dtype)

        def make() -> nn.Module:
            return made().to(dtype)

        if not known:
            with counting_calls(module) as calls:
                output = check_output(module, input_shape, num_outputs)
            remarks += [remark_on(output, type(module).__name__), remark_on_calls(calls)]
        if isinstance(model, Backbone):
            remarks += facts_of(model, input_shape, search).notes
        remark = "; ".join(filter(None, remarks))
        built_in = isinstance(model, MLP | ConvNet | ResNet)
        named = built_in or isinstance(model, Backbone)
        given.check(module, f"kind = {model.kind!r}" if named else type(module).__name__)  # type: ignore[attr-defined]
        layers = kinds_of(module)
        supplied = {buffer_name(name, each) for name in layers for each in ("rate", "key")}
        trained = {name: tuple(p.shape) for name, p in module.named_parameters() if p.requires_grad}
        module = set_keyed(moved(module, device))
        return Network(
            module=module,
            pure=_widening(as_function(module), dtype),
            num_outputs=num_outputs,
            sections=Sections.of(trained, depths(blocks_of(module))),
            fixed=(
                *(name for name, p in module.named_parameters() if not p.requires_grad),
                *rates_at_test(module),
            ),
            buffers=tuple(name for name, _ in module.named_buffers() if name not in supplied),
            layers=layers,
            given=given,
            built_in=built_in,
            make=make,
            about=about,
            remark=remark,
            precision=precision,
        )

    @property
    def flushes(self) -> bool:
        """Whether denormal numbers are taken for 0: in backbones and heads they are many, and slow on processors."""
        return isinstance(self.module, Assembled | HeadAlone)

    @property
    def dtype(self) -> torch.dtype:
        """Of its parameters and buffers."""
        return torch.float64 if self.precision == "float64" else torch.float32

    @property
    def row_bytes(self) -> int:
        """Bytes of a run's row of numbers."""
        return self.dtype.itemsize * self.layout.size

    @property
    def native(self) -> bool:
        """Whether machine code may train it, which computes in float32."""
        return self.precision == "float32"

    def passing(self, device: torch.device) -> AbstractContextManager[None]:
        """Within it, a pass of training is rounded where that is wanted: PyTorch's autocast, weights as they are."""
        if self.precision != "bfloat16":
            return nullcontext()
        # Its cache holds on to tensors of a trace.
        return torch.autocast(device.type, dtype=torch.bfloat16, cache_enabled=False)

    @property
    def layout(self) -> Layout:
        """Where each trained parameter lies in a run's row."""
        return self.sections.layout

    def in_phase(self, phases: Sequence[tuple[str, int]], *, layered: bool = False) -> Network:
        """The network while only a part of it is trained; this one is not used any more.

        Args:
            phases: of a run so far, the present one last: what each trains (`ravine.study.phases.Phase`), and its
                steps.
            layered: whether blocks have learning rates of their own.

        Raises:
            StudyError: there is no such part.
        """
        if not layered and [train for train, _ in phases] == ["all"]:
            return self
        blocks = blocks_of(self.module)
        shapes = dict(zip(self.layout.names, self.layout.shapes, strict=True))
        *before, now = [(trained_names(self.module, train, blocks), steps) for train, steps in phases]
        if phases[-1][0] != "all":
            hold(self.module, now[0]) if isinstance(self.module, Assembled) else rest(self.module, now[0])
        untrained = (name for name in shapes if name not in now[0])
        return replace(
            self,
            sections=Sections.of(shapes, depths(blocks), now[0], before, layered=layered),
            fixed=(*untrained, *self.fixed),
        )

    def initial(self, seed: int) -> dict[str, Tensor]:
        """Initial parameters and buffers of one seed: a pure function of it, drawn on the CPU."""
        with rng.keyed_init(seed):
            module = self.make()
        found = {name: p.detach() for name, p in module.named_parameters()}
        found.update(module.named_buffers())
        for name, shape in zip(self.layout.names, self.layout.shapes, strict=True):
            if name not in found or tuple(found[name].shape) != shape:
                raise ModelError(
                    f"model: its parameters differ from one seed to another ({name}); they must not"
                )
        return found

    def keys(self, seed: Tensor, step: Tensor) -> dict[str, Tensor]:
        """The keys of the stochastic layers at one step."""
        return layer_keys(self.layers, seed, step)

    def rates(self, hypers: Sequence[Mapping[str, float]], device: torch.device) -> dict[str, Tensor]:
        """The rate of each stochastic layer in each run, (R,).

        Args:
            hypers: of the runs, ``model.dropout`` among them.
            device: where they are used.
        """
        found = {}
        for name, layer in stochastic_modules(self.module):
            rate_R = [self.given.of_layer(name, layer, each) for each in hypers]
            found[buffer_name(name, "rate")] = torch.tensor(rate_R, dtype=torch.float32, device=device)
        return found


def _widening(pure: Pure, dtype: torch.dtype) -> Pure:
    """A module as a function that takes examples in float32, whatever its own type is."""
    if dtype == torch.float32:
        return pure

    def f(
        params: Mapping[str, Tensor], buffers: Mapping[str, Tensor], x: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        return pure(params, buffers, x.to(dtype) if x.is_floating_point() else x)

    return f


def _about(model: object) -> str:
    """The key that makes a model large, with its value; of a module of the user's its name."""
    if isinstance(model, MLP):
        return f"model.hidden = {list(model.hidden)}"
    if isinstance(model, ConvNet):
        return f"model.channels, hidden = {list(model.channels)}, {model.hidden}"
    if isinstance(model, ResNet):
        return f"model.width = {model.width}"
    if isinstance(model, Backbone):
        return f"model: {model.weights or model.target}"
    return f"model: {getattr(model, 'target', None) or getattr(model, '__qualname__', type(model).__name__)}"
