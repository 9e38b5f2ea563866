"""A landscape of a real study: its numbers against torch modules and NumPy, its page, its pictures, its refusals."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from engine_runs import dataset, random_dataset, study
from torch import nn
from torch.nn import functional

import ravine
from ravine.errors import InputError
from ravine.landscapes.scenes import Landscape
from ravine.store import Store
from ravine.study import Study

SINGLE = {"rtol": 2e-4, "atol": 2e-6}
RULES = [{"kind": "adam", "lr": [0.01, 0.05]}, {"kind": "momentum", "lr": 0.1}]


@pytest.fixture(scope="module")
def made() -> Study:
    return study(rules=RULES, keep={"every": 4}, model={"kind": "mlp", "hidden": [6]})


@pytest.fixture(scope="module")
def store(made: Study, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    folder = tmp_path_factory.mktemp("landscape")
    ravine.run(made, store=folder, quiet=True)
    with Store(folder) as opened:
        yield opened


@pytest.fixture(scope="module")
def found(made: Study, store: Store) -> Landscape:
    return ravine.landscape(made, store=store.folder, points=7, quiet=True)


def flat(weights: dict[str, np.ndarray]) -> np.ndarray:
    return np.concatenate([weights[name].astype(float).ravel() for name in sorted(weights)])


def loss_at(vector: np.ndarray) -> float:
    """Of a network with these numbers, by torch alone."""
    net = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)).double()
    names = {
        "linear1.bias": "0.bias",
        "linear1.weight": "0.weight",
        "output.bias": "2.bias",
        "output.weight": "2.weight",
    }
    shapes = {name: p.shape for name, p in net.named_parameters()}
    pieces = torch.from_numpy(vector).split([shapes[names[name]].numel() for name in sorted(names)])
    net.load_state_dict(
        {names[n]: p.view(shapes[names[n]]) for n, p in zip(sorted(names), pieces, strict=True)}
    )
    data = dataset().train
    return functional.cross_entropy(net(torch.from_numpy(data.x).double()), torch.from_numpy(data.y)).item()


def paths(store: Store, found: Landscape) -> list[np.ndarray]:
    """Weights of each run along training, (T, P), in float64."""
    assert found.plane is not None
    whole = []
    for route in found.plane.routes:
        _, kept = store.kept.path(route.run)
        ends = store.tensors("weights", route.run)
        num = len(kept["output.bias"])
        rows = [flat({name: array[i] for name, array in kept.items()}) for i in range(num)]
        whole.append(np.stack([*rows, flat(ends)]))
    return whole


def test_the_plane_is_numpys_and_its_grid_a_loop_over_modules(store: Store, found: Landscape) -> None:
    plane = found.plane
    assert plane is not None
    whole = paths(store, found)
    points = np.concatenate(whole)
    middle = points.mean(0)
    _, sizes, axes = np.linalg.svd(points - middle, full_matrices=False)
    shares = sizes**2 / (sizes**2).sum()
    np.testing.assert_allclose(plane.shares, shares[:2], rtol=1e-4)
    assert plane.outside == pytest.approx(shares[2:].sum(), rel=1e-3)
    signs = [np.sign((points[-1] - points[0]) @ axis) for axis in axes[:2]]
    basis = np.stack([sign * axis for sign, axis in zip(signs, axes, strict=False)])
    for route, path in zip(plane.routes, whole, strict=True):
        assert route.steps.tolist() == [0, 4, 8, 12, 16, 20]
        places = (path - middle) @ basis.T
        np.testing.assert_allclose(route.points, places, atol=1e-4)
        rest = path - middle - places @ basis
        np.testing.assert_allclose(route.off, np.linalg.norm(rest, axis=1), rtol=1e-3, atol=1e-4)
        expected = (rest**2).sum() / ((path - middle) ** 2).sum()
        assert route.outside == pytest.approx(expected, rel=1e-3)
        assert route.end_outside == pytest.approx(
            (rest[-1] ** 2).sum() / ((path[-1] - middle) ** 2).sum(), rel=1e-2
        )
        np.testing.assert_allclose(route.losses, [loss_at(point) for point in path], **SINGLE)
        np.testing.assert_allclose(route.shadows, [loss_at(middle + p @ basis) for p in places], **SINGLE)
    assert plane.losses.shape == (7, 7)
    for row, y in enumerate(plane.y):
        expected_row = [loss_at(middle + np.array([x, y]) @ basis) for x in plane.x]
        np.testing.assert_allclose(plane.losses[row], expected_row, **SINGLE)
    everywhere = np.concatenate([route.points for route in plane.routes])
    assert plane.x[0] < everywhere[:, 0].min() < everywhere[:, 0].max() < plane.x[-1]
    assert plane.y[0] < everywhere[:, 1].min() < everywhere[:, 1].max() < plane.y[-1]
    assert plane.x[-1] - plane.x[0] == pytest.approx(plane.y[-1] - plane.y[0])
    assert plane.buffers_of is None


def test_by_default_the_chosen_config_of_each_rule_and_further_seeds_of_the_best(
    store: Store, found: Landscape
) -> None:
    results = ravine.results("small", store=store.folder)
    assert found.plane is not None
    shown = [store.run(route.run) for route in found.plane.routes]
    assert [run.config for run in shown[:2]] == [rule.config for rule in results.verdict.rules]
    assert [run.seed for run in shown] == [0, 0, 1]
    assert shown[2].config == shown[0].config
    assert [each.run for each in found.around] == [shown[0].id]
    assert [(line.first, line.second) for line in found.lines] == [(shown[0].id, run.id) for run in shown[1:]]
    label = found.plane.routes[0].label
    assert label.startswith(f"{shown[0].rule}, lr {shown[0].hypers['lr']:g}")
    assert label.endswith("seed 0")


def test_the_map_about_a_run_has_it_in_its_middle(store: Store, found: Landscape) -> None:
    (around,) = found.around
    assert around.x.tolist() == pytest.approx(np.linspace(-1, 1, 7).tolist())
    assert around.losses[3, 3] == pytest.approx(around.loss, rel=1e-6)
    assert around.loss == pytest.approx(loss_at(flat(store.tensors("weights", around.run))), rel=2e-4)
    matrices = [array for array in store.tensors("weights", around.run).values() if array.ndim == 2]
    length = np.sqrt(sum((array**2).sum() for array in matrices))
    assert around.lengths == pytest.approx((length, length), rel=1e-4)
    assert around.losses.max() > 1.5 * around.loss


def test_a_line_is_a_loop_over_modules(store: Store, found: Landscape) -> None:
    for line in found.lines:
        first, second = (flat(store.tensors("weights", run)) for run in (line.first, line.second))
        expected = np.array([loss_at((1 - share) * first + share * second) for share in line.x])
        np.testing.assert_allclose(line.losses, expected, **SINGLE)
        above = expected - ((1 - line.x) * expected[0] + line.x * expected[-1])
        assert line.barrier == pytest.approx(max(above.max(), 0.0), abs=1e-4)
        assert line.distance == pytest.approx(np.linalg.norm(second - first), rel=1e-4)


def test_two_copies_of_one_run_have_no_barrier(tmp_path: Path) -> None:
    """The same training twice: a weight decay of next to nothing makes it another run with nearly the same weights."""
    rules = [
        {"kind": "sgd", "lr": 0.05, "weight_decay": decay, "label": f"w{i}"}
        for i, decay in enumerate((0.0, 1e-12))
    ]
    ravine.run(study(rules=rules, seeds=1), store=tmp_path, quiet=True)
    with Store(tmp_path) as store:
        one, other = store.runs("small")
        for name, array in store.tensors("weights", one.id).items():
            np.testing.assert_allclose(array, store.tensors("weights", other.id)[name], atol=1e-6)
    made = study(rules=rules, seeds=1)
    (line,) = ravine.landscape(made, store=tmp_path, points=11, quiet=True).lines
    assert line.barrier == pytest.approx(0.0, abs=1e-6)
    assert line.distance < 1e-5


def test_buffers_are_the_runs_own(tmp_path: Path) -> None:
    made = study(
        model={"kind": "mlp", "hidden": [5], "norm": "batch"}, rules=RULES[:1], keep={"every": "epoch"}
    )
    ravine.run(made, store=tmp_path, quiet=True)
    found = ravine.landscape(made, store=tmp_path, points=5, quiet=True)
    assert found.plane is not None
    assert found.plane.buffers_of == found.plane.routes[0].label
    with Store(tmp_path) as store:
        ends = {run.id: run.metrics["train_loss"] for run in store.runs("small")}
    for route in (
        found.plane.routes
    ):  # the loss at each run's end, with its own statistics, is the one that training told
        assert route.losses[-1] == pytest.approx(ends[route.run], rel=1e-4)
        assert route.losses[0] > route.losses[-1]
    for line in found.lines:
        assert line.losses[0] == pytest.approx(ends[line.first], rel=1e-4)
        assert line.losses[-1] == pytest.approx(ends[line.second], rel=1e-4)
    assert found.around[0].loss == pytest.approx(ends[found.around[0].run], rel=1e-4)


def test_pictures_go_through_a_convnet(tmp_path: Path) -> None:
    made = study(
        data=random_dataset((1, 6, 6)), model={"kind": "convnet", "channels": [3], "hidden": 0},
        rules=[{"kind": "adam", "lr": 0.01}], keep={"every": 10},
    )  # fmt: skip
    ravine.run(made, store=tmp_path, quiet=True)
    found = ravine.landscape(made, store=tmp_path, points=5, quiet=True)
    with Store(tmp_path) as store:
        ends = {run.id: run.metrics["train_loss"] for run in store.runs("small")}
    assert found.plane is not None
    for route in found.plane.routes:
        assert route.losses[-1] == pytest.approx(ends[route.run], rel=1e-4)


@pytest.mark.slow
def test_without_kept_weights_there_are_maps_and_lines_and_a_word(tmp_path: Path) -> None:
    made = study(rules=RULES[:1])
    ravine.run(made, store=tmp_path, quiet=True)
    page = tmp_path / "page.html"
    found = ravine.landscape(made, store=tmp_path, points=5, out=page, quiet=True)
    assert found.plane is None
    assert len(found.lines) == 1
    text = page.read_text(encoding="utf-8")
    assert "have no weights along training" in text
    assert 'id="figure-around"' in text
    assert 'id="figure-paths"' not in text
    with pytest.raises(InputError, match="a picture shows the paths"):
        ravine.landscape(made, store=tmp_path, points=5, out=tmp_path / "x.svg", quiet=True)


def test_the_page_and_its_pictures(made: Study, store: Store, tmp_path: Path) -> None:
    ids = [run.id for run in store.runs("small")]
    options = {
        "store": store.folder,
        "runs": ids[:2],
        "around": ids[2:4],
        "between": [ids[0], ids[3]],
        "points": 5,
    }
    for name in ("a.html", "a.svg", "a.png"):
        found = ravine.landscape(made, out=tmp_path / name, quiet=True, **options)  # type: ignore[arg-type]
    assert [each.run for each in found.around] == ids[2:4]
    assert [(line.first, line.second) for line in found.lines] == [(ids[0], ids[3])]
    text = (tmp_path / "a.html").read_text(encoding="utf-8")
    figures = {each["name"]: each for each in json.loads(re.findall(r'id="figures">(.*?)</script>', text)[0])}
    assert list(figures) == ["paths", "around", "lines"]
    assert found.plane is not None
    ground, *traces = figures["paths"]["views"][0]["panels"][0]["data"]
    assert ground["type"] == "contour"
    np.testing.assert_allclose(10.0 ** np.array(ground["z"]), found.plane.losses, rtol=1e-3)
    ends = [trace for trace in traces if trace["mode"] == "lines+markers"]
    for trace, route in zip(ends, found.plane.routes, strict=True):
        np.testing.assert_allclose(trace["x"], route.points[:, 0], rtol=1e-3, atol=1e-4)
        assert trace["legendgroup"] == route.run
    assert len(figures["around"]["views"]) == 2
    assert (
        f"{100 * found.plane.outside:.2f} % of the variance of all points"
        in figures["paths"]["views"][0]["note"]
    )
    svg = (tmp_path / "a.svg").read_text(encoding="utf-8")
    assert svg.startswith("<svg")
    assert all(route.label in svg for route in found.plane.routes)
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_the_numbers_are_plain_json(found: Landscape) -> None:
    told = json.loads(json.dumps(found.json(), allow_nan=False))
    assert told["plane"]["routes"][0]["steps"] == [0, 4, 8, 12, 16, 20]
    spoilt = replace(found, around=(replace(found.around[0], losses=np.array([[np.inf, np.nan]])),))
    assert spoilt.json()["around"][0]["losses"] == [[None, None]]


def test_long_paths_are_thinned(made: Study, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ravine.landscapes.landscape.MOST_STEPS", 4)
    found = ravine.landscape(made, store=store.folder, points=3, quiet=True)
    assert found.plane is not None
    assert found.plane.routes[0].steps.tolist() == [0, 8, 16, 20]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"points": 2}, "points = 2: must be a whole number from 3 to 501"),
        ({"points": 10**5000}, "points = an int too large to show: must be a whole number"),
        ({"reach": 0.0}, r"reach = 0\.0: must be a number above 0, at most 1,000,000"),
        ({"reach": 10**5000}, "reach = an int too large to show: must be a number above 0"),
        ({"examples": 0}, "examples = 0: must be a whole number of at least 1"),
        ({"seed": -1}, "seed = -1: must be a whole number from 0"),
        ({"out": "page.pdf"}, r"out = 'page\.pdf': must end in \.html, \.svg, \.png"),
        ({"runs": ["zz"]}, "run 'zz': in study 'small' no id begins with it"),
        ({"between": ["a"]}, "between = a: must be the ids of two runs, separated by a comma"),
    ],
)
def test_what_cannot_be_looked_at_is_told(
    made: Study, store: Store, options: dict[str, object], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        ravine.landscape(made, store=store.folder, quiet=True, **options)  # type: ignore[arg-type]
