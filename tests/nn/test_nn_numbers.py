"""Models that cannot be trained because of their numbers, or of batches of one example: refused in one line."""

import pytest
import torch
from torch import nn

from ravine.errors import ModelError
from ravine.nn.build import check_output, check_single


class Casting(nn.Module):
    """Casts what comes in, as a module in another type does that works alone."""

    def __init__(self, dtype):
        super().__init__()
        self.linear = nn.Linear(4, 3, dtype=dtype)

    def forward(self, x):
        return self.linear(x.to(self.linear.weight.dtype)).float()


class WithBuffer(nn.Module):
    def __init__(self, dtype):
        super().__init__()
        self.linear = nn.Linear(4, 3)
        self.register_buffer("scale", torch.ones(4, dtype=dtype))

    def forward(self, x):
        return self.linear(x * self.scale.real.float())


def refused(check, *args):
    with pytest.raises(ModelError) as error:
        check(*args)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16, torch.complex64])
def test_numbers_of_another_type(dtype):
    name = str(dtype).removeprefix("torch.")
    why = f"is {name}; models are trained in float32: leave out .double(), .half() or the dtype"
    assert refused(check_output, WithBuffer(dtype), (4,), 3) == f"model: buffer 'scale' of WithBuffer {why}"
    if not dtype.is_complex and dtype != torch.float64:
        said = refused(check_output, Casting(dtype), (4,), 3)
        assert said == f"model: parameter 'linear.weight' of Casting {why}"
        frozen = nn.Sequential(nn.Linear(4, 4), Casting(dtype).requires_grad_(False))
        assert "parameter '1.linear.weight'" in refused(check_output, frozen, (4,), 3)


def test_a_module_whose_parameters_are_float64_is_checked_in_float64():
    assert check_output(Casting(torch.float64), (4,), 3).dtype == torch.float32
    assert check_output(nn.Linear(4, 3).double(), (4,), 3).dtype == torch.float64


def test_whole_numbers_may_be_in_buffers():
    check_output(nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)), (4,), 3)


NORMS = [
    nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 3)),
    nn.Sequential(nn.Linear(4, 8), nn.GroupNorm(8, 8), nn.Linear(8, 3)),
    nn.Sequential(nn.Unflatten(1, (4, 1)), nn.BatchNorm1d(4), nn.Flatten(), nn.Linear(4, 3)),
]


@pytest.mark.parametrize("module", NORMS)
def test_a_norm_of_one_value_per_channel(module):
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    check_output(module, (4,), 3)
    assert refused(check_single, module, (4,)) == (
        "batch_size = 1: Sequential cannot be trained: one example gives a normalized channel a single value, "
        'which becomes 0; take batches of two or more, or norm = "layer"'
    )
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())


def test_a_module_that_drops_a_side_of_one():
    class Squeezing(nn.Linear):
        def forward(self, x):
            return super().forward(x).squeeze()

    assert refused(check_single, Squeezing(4, 3), (4,)) == (
        "batch_size = 1: Squeezing returns shape (3,) for one example; the first side must be 1"
    )


@pytest.mark.parametrize(
    "module",
    [
        nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.Linear(8, 3)),
        nn.Sequential(nn.Linear(4, 8), nn.GroupNorm(2, 8), nn.Linear(8, 3)),
        nn.Sequential(nn.Unflatten(1, (1, 4)), nn.BatchNorm1d(1), nn.Flatten(), nn.Linear(4, 3)),
        nn.Linear(4, 3),
    ],
)
def test_one_example_may_be_enough(module):
    check_single(module, (4,))
