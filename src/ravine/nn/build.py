"""From a model spec to an `nn.Module`, and the check that it fits the data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from ravine.errors import ModelError, in_a_line, raised_at
from ravine.nn.example import example_pass
from ravine.nn.models import convnet, mlp, resnet
from ravine.nn.rates import Rates
from ravine.nn.replacing import keyed
from ravine.nn.spec import MATCH, MLP, RATES, ConvNet, Module, ResNet
from ravine.nn.stochastic import kinds_of, stochastic_modules
from ravine.nn.target import call_factory, find_factory

_OUTPUTS = (torch.float32, torch.float64, torch.float16)  # not bfloat16, which NumPy does not have


def build(
    model: MLP | ConvNet | ResNet | Module | Callable[[], nn.Module],
    input_shape: tuple[int, ...],
    num_outputs: int,
    *,
    search: Path | None = None,
    rates: Collection[str] | None = None,
) -> nn.Module:
    """The module of a spec, with initial weights from torch's generator (use it inside `rng.keyed_init`).

    The dropout layers of a user's module are replaced by ravine's, which do the same but can be keyed (`keyed`).

    Args:
        model: a spec, or a user's class or function without arguments.
        input_shape: of one example, without the batch.
        num_outputs: classes, or 1.
        search: the study's folder, where a `module`'s target is looked for first.
        rates: the rates whose stochastic layers a built-in model is to have, such as "dropout", at 0 too: runs that
            train together may differ in their rates. None: those above 0. Neither the names nor the initial values of
            parameters depend on it. Of a user's module those that are given.

    Returns:
        A module (B, *input_shape) -> (B, num_outputs), in training mode; not yet checked for a user's module.

    Raises:
        ModelError: the model needs pictures, or the user's module cannot be found or built.

    Example:
        >>> import torch
        >>> from ravine import rng
        >>> with rng.keyed_init(seed=0):
        ...     module = build(MLP(hidden=(8,)), (4,), 3)
        >>> module(torch.zeros(2, 4)).shape
        torch.Size([2, 3])
    """
    if isinstance(model, MLP | ConvNet | ResNet):
        if rates is None:
            rates = [name for name in RATES if getattr(model, name, 0.0) > 0]
        if isinstance(model, MLP):
            return mlp(model, input_shape, num_outputs, rates)
        if isinstance(model, ConvNet):
            return convnet(model, input_shape, num_outputs, rates)
        return resnet(model, input_shape, num_outputs, rates)
    if isinstance(model, Module):
        factory = find_factory(model.target, search, model.trust)
        return _prepared(call_factory(factory, model.args, search), bool(rates))
    return _prepared(call_factory(model, {}, search), bool(rates))


def layer_kinds(
    model: object, input_shape: tuple[int, ...], num_outputs: int, rates: Collection[str]
) -> tuple[str, ...]:
    """The kinds of stochastic layers that a built-in model is to have, so that each rate has its layers; else rates.

    Args:
        model: a specification; of anything else the layers are as they are.
        input_shape: of one example.
        num_outputs: classes, or 1.
        rates: their names, of kinds and patterns.

    Raises:
        ModelError: a pattern is found in no name.

    Example:
        >>> layer_kinds(MLP(), (4,), 3, ["match:dropout1"])
        ('dropout',)
    """
    if not isinstance(model, MLP | ConvNet | ResNet):
        return tuple(rates)
    given = Rates.of(rates)
    found = set(given.kinds)
    if given.patterns:
        with torch.device("meta"):
            whole = build(model, input_shape, num_outputs, rates=tuple(RATES))
        Rates.of([name for name in rates if name.startswith(MATCH)]).check(whole, f"kind = {model.kind!r}")
        found |= {kind for name, kind in kinds_of(whole).items() if given.matching(name)}
    return tuple(sorted(found))


def _contains_itself(module: nn.Module) -> bool:
    """Whether some module is among the modules below it."""
    above, done = [module], set[nn.Module]()
    waiting = [iter(module.children())]
    while waiting:
        below = next(waiting[-1], None)
        if below is None:
            waiting.pop()
            done.add(above.pop())
        elif any(below is each for each in above):
            return True
        elif below not in done:
            above.append(below)
            waiting.append(iter(below.children()))
    return False


def _prepared(module: nn.Module, rates: bool) -> nn.Module:
    if _contains_itself(module):  # found before torch descends without end
        raise ModelError(f"model: {type(module).__name__} contains itself: no pass comes to its end")
    try:
        return keyed(module, rates=rates).train()
    except RecursionError:
        name = type(module).__name__
        raise ModelError(f"model: {name} is nested too deeply") from None


def own_dtype(module: nn.Module) -> torch.dtype:
    """Float64 where some parameter of a module is, as after `.double()`; else float32.

    Example:
        >>> own_dtype(nn.Linear(4, 3)), own_dtype(nn.Linear(4, 3).double())
        (torch.float32, torch.float64)
    """
    double = any(param.dtype == torch.float64 for param in module.parameters())
    return torch.float64 if double else torch.float32


def check_dtypes(module: nn.Module, dtype: torch.dtype) -> None:
    """See that parameters and buffers are of a type that training in another one starts from.

    Args:
        module: as it was built.
        dtype: that it is trained in: float64 takes float32 too.

    Raises:
        ModelError: the first tensor that is of another type, unless it has whole numbers.
    """
    named: list[tuple[str, str, Tensor]] = [("parameter", *pair) for pair in module.named_parameters()]
    named += [("buffer", *pair) for pair in module.named_buffers()]
    allowed = (torch.float32, dtype)
    for what, tensor_name, tensor in named:
        if (tensor.dtype.is_floating_point or tensor.dtype.is_complex) and tensor.dtype not in allowed:
            found, wanted = (str(each).removeprefix("torch.") for each in (tensor.dtype, dtype))
            raise ModelError(
                f"model: {what} {tensor_name!r} of {type(module).__name__} is {found}; models are trained in {wanted}: "
                "leave out .double(), .half() or the dtype"
            )


def check_output(module: nn.Module, input_shape: tuple[int, ...], num_outputs: int) -> Tensor:
    """Check the outputs of a module for two examples, in training and in eval mode.

    Args:
        module: left as it was, buffers and modes included.
        input_shape: of one example.
        num_outputs: classes, or 1.

    Returns:
        The outputs for two examples in eval mode, (2, num_outputs).

    Raises:
        ModelError: the module raises an exception, returns anything but a floating tensor of shape
            (2, num_outputs), has floating parameters or buffers of another type, or has no parameter to train.

    Example:
        >>> check_output(nn.Linear(4, 3), (4,), 3).shape
        torch.Size([2, 3])
    """
    name = type(module).__name__
    if not any(p.requires_grad for p in module.parameters()):
        raise ModelError(
            f"model: {name} has no parameter that requires a gradient, so nothing can be trained"
        )
    check_dtypes(module, own_dtype(module))
    needed = f"(2, {num_outputs})"
    for training in (True, False):
        how = "training" if training else "eval"
        try:
            output = example_pass(module, input_shape, training)
        except Exception as error:
            shape = (2, *input_shape)
            raise ModelError(
                f"model: {name} fails in {how} mode on an input of shape {shape}: {in_a_line(error)}{raised_at(error)}"
            ) from error
        if not isinstance(output, Tensor):
            kind = type(output).__name__
            raise ModelError(
                f"model: {name} returns a {kind} in {how} mode; needed is a tensor of shape {needed}"
            )
        if tuple(output.shape) != (2, num_outputs):
            got = tuple(output.shape)
            raise ModelError(
                f"model: {name} returns shape {got} in {how} mode for two examples; needed is {needed}: "
                f"one number per {'class' if num_outputs > 1 else 'target'}"
            )
        if output.dtype not in _OUTPUTS:
            raise ModelError(f"model: {name} returns {output.dtype} in {how} mode; float32 is needed")
    assert isinstance(output, Tensor), "checked in both modes"
    return output


def remark_on(output: Tensor, name: str) -> str:
    """What a reader should know about a classifier's outputs (B, K): that they are probabilities; else an empty text.

    Example:
        >>> remark_on(torch.randn(2, 3), "Net"), remark_on(torch.randn(2, 3).softmax(1), "Net")[:31]
        ('', 'the outputs of Net look like pr')
    """
    sums = output.double().sum(1)
    if output.shape[1] < 2 or not bool((output >= 0).all() and ((sums - 1).abs() < 1e-4).all()):
        return ""
    return (
        f"the outputs of {name} look like probabilities (each row is non-negative and sums to 1), but the loss is the "
        "cross-entropy of logits: leave the softmax out"
    )


@contextmanager
def counting_calls(module: nn.Module) -> Iterator[Counter[str]]:
    """Within it, calls of each stochastic layer in training mode are counted, by its name."""
    calls: Counter[str] = Counter()
    hooks = []
    for name, layer in stochastic_modules(module):

        def count(layer: nn.Module, _: object, name: str = name) -> None:
            calls[name] += layer.training

        hooks.append(layer.register_forward_pre_hook(count))
    try:
        yield calls
    finally:
        for hook in hooks:
            hook.remove()


def remark_on_calls(calls: Mapping[str, int]) -> str:
    """What a reader should know about layers that are called several times in a pass; else an empty text.

    Example:
        >>> remark_on_calls({"drop": 2, "late": 1})[:66]
        "layer 'drop' is called 2 times in a pass, and draws the same each "
    """
    again = {name: num for name, num in calls.items() if num > 1}
    if not again:
        return ""
    name, num = next(iter(again.items()))
    more = f" (and so are {len(again) - 1} more)" if len(again) > 1 else ""
    return (
        f"layer {name!r} is called {num} times in a pass, and draws the same each time, unlike PyTorch's{more}: give "
        "each place a layer of its own"
    )


def check_single(module: nn.Module, input_shape: tuple[int, ...]) -> None:
    """Check that a module can be trained with batches of one example, which a norm over the batch cannot.

    Args:
        module: left as it was, buffers and modes included.
        input_shape: of one example.

    Raises:
        ModelError: the module cannot be trained with batches of one example.

    Example:
        >>> check_single(nn.Linear(4, 3), (4,))
    """
    try:
        output = example_pass(module, input_shape, training=True, num_examples=1)
    except Exception as error:
        said = in_a_line(error)
        if "more than 1 value per channel" in said:
            said = (
                "one example gives a normalized channel a single value, which becomes 0; take batches of two "
                'or more, or norm = "layer"'
            )
        raise ModelError(f"batch_size = 1: {type(module).__name__} cannot be trained: {said}") from error
    if isinstance(output, Tensor) and output.shape[:1] != (1,):
        raise ModelError(
            f"batch_size = 1: {type(module).__name__} returns shape {tuple(output.shape)} for one example; "
            "the first side must be 1"
        )
