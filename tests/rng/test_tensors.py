from __future__ import annotations

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ravine.tensors import Layout

shapes = st.dictionaries(
    st.text("abc.", min_size=1, max_size=4),
    st.lists(st.integers(1, 7), max_size=3).map(tuple),
    min_size=1,
    max_size=6,
)


@settings(suppress_health_check=[HealthCheck.too_slow])  # on a busy machine
@given(shapes, st.integers(1, 4))
def test_pack_undoes_views(named: dict[str, tuple[int, ...]], num_runs: int) -> None:
    layout = Layout.of(named)
    tensors = {
        n: torch.randn(num_runs, *s, generator=torch.Generator().manual_seed(0)) for n, s in named.items()
    }
    flat = layout.pack(tensors)
    assert flat.shape == (num_runs, layout.size)
    views = layout.views(flat)
    assert list(views) == list(named)
    for name in named:
        assert torch.equal(views[name], tensors[name])
        assert views[name].untyped_storage().data_ptr() == flat.untyped_storage().data_ptr()
    one = layout.view_one(flat[0])
    assert all(torch.equal(one[n], tensors[n][0]) for n in named)
    assert torch.equal(layout.pack(one), flat[0])


@given(shapes)
def test_tensors_start_on_cache_lines_and_do_not_overlap(named: dict[str, tuple[int, ...]]) -> None:
    layout = Layout.of(named)
    assert all(offset % 16 == 0 for offset in layout.offsets)
    assert layout.size % 16 == 0
    flat = torch.zeros(1, layout.size)
    for view in layout.views(flat).values():
        view += 1
    assert flat.max() == 1
    assert flat.sum() == sum(v.numel() for v in layout.views(flat).values())


def test_a_missing_tensor_is_named() -> None:
    with pytest.raises(KeyError, match="bias"):
        Layout.of({"bias": (2,)}).pack({"weight": torch.zeros(2)})


def test_views_work_under_vmap() -> None:
    layout = Layout.of({"w": (2, 3), "b": (2,)})
    flat = torch.arange(3 * layout.size, dtype=torch.float32).reshape(3, layout.size)
    x = torch.ones(3)
    got = torch.func.vmap(lambda p: (v := layout.view_one(p))["w"] @ x + v["b"])(flat)
    views = layout.views(flat)
    assert torch.equal(got, views["w"].sum(-1) + views["b"])
