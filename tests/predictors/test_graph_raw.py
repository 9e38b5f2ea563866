"""A graph prepares raw values to the last bit as the data set did; and says which rows a predictor would refuse."""

import numpy as np
import pytest

from graphs import feeds, mixed, raw_columns, rows
from ravine.data import from_arrays
from ravine.data.inputs import ImageInputs
from ravine.data.preparation import Preparation
from ravine.data.reading import ImageReading
from ravine.data.scale import fit_scaling
from ravine.errors import DataError

pytest.importorskip("onnxscript")
onnxruntime = pytest.importorskip("onnxruntime")

from onnx import helper  # noqa: E402

from ravine.predictors import vectors  # noqa: E402
from ravine.predictors.graph.nodes import ML, Nodes, tensor  # noqa: E402
from ravine.predictors.graph.raw import prepare  # noqa: E402
from ravine.predictors.shapes import empty_text, input_names  # noqa: E402

NUMBERS = np.random.default_rng(0).normal(3, 5, (60, 4))


def run(graph, given):
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid(ML, 3)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    return onnxruntime.InferenceSession(model.SerializeToString()).run(None, given)


def prepared(inputs, given):
    """What the nodes make of raw values, and which examples are usable."""
    nodes = Nodes(input_names(inputs))
    made = prepare(nodes, inputs)
    outputs = [tensor(made.x, np.float32, *inputs.shape)]
    if made.usable:
        outputs.append(tensor(made.usable, np.bool_, 1))
    x, *usable = run(nodes.graph(made.inputs, outputs), given)
    return x, usable[0][:, 0] if usable else np.ones(len(x), dtype=bool)


def unseen(inputs, given):
    """How many names of each row are new."""
    nodes = Nodes(input_names(inputs))
    made = prepare(nodes, inputs)
    return run(nodes.graph(made.inputs, [tensor(made.unseen, np.int64)]), given)[0].tolist()


def bytes_(shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("normalize", [None, "standard", "none"])
@pytest.mark.parametrize(
    "x",
    [
        NUMBERS,
        NUMBERS.reshape(60, 2, 2),
        bytes_((60, 5, 4)),
        bytes_((60, 5, 4, 3)),
        bytes_((60, 3, 5, 4)),
        NUMBERS.reshape(60, 1, 2, 2).astype(np.float32),
        np.full((60, 2), 0.1),
    ],
    ids=lambda x: f"{x.dtype}{x.shape}",
)
def test_arrays(x, normalize):
    inputs = from_arrays(x, np.arange(60) % 3, normalize=normalize).preparation.inputs
    for some in (x, x[:1]):
        found, usable = prepared(inputs, {"x": some})
        assert found.tobytes() == inputs.apply(some).tobytes()
        assert usable.all()


def test_pictures():
    pixels = bytes_((20, 6, 5, 3))
    scaling = fit_scaling(pixels.transpose(0, 3, 1, 2), None, "t")
    inputs = ImageInputs(reading=ImageReading(shape=(3, 6, 5)), scaling=scaling)
    found, _ = prepared(inputs, {"x": pixels})
    assert found.tobytes() == scaling(pixels.transpose(0, 3, 1, 2)).tobytes()


@pytest.mark.parametrize("normalize", [None, "none"])
def test_a_table_with_names_gaps_and_time_stamps(tmp_path, normalize):
    inputs = Preparation.of(mixed(tmp_path, normalize=normalize).preparation.content()).inputs
    new = [*rows(50, seed=1)]
    new += [
        ["1700000000.25", "2031-01-01", "mauve", "TRUE", "1.0", ""],  # nothing of it was seen
        ["", "", "Null", "nan", "?", "1e-3"],
        ["-5", "#N/A", "na", "N/A", "2", "3e30"],
    ]
    raw = raw_columns(new, inputs)
    found, usable = prepared(inputs, feeds(raw, inputs))
    assert found.tobytes() == inputs.apply(raw).tobytes()
    assert usable.all()
    assert unseen(inputs, feeds(raw, inputs)) == [0] * 50 + [4, 0, 0]
    seconds = {of.name: at for at, of in enumerate(inputs.columns)}["when"]
    assert len(np.unique(found[:50, seconds])) > 45 or normalize == "none"  # more than float32 tells apart


def test_levels_with_other_names_for_missing(tmp_path):
    """NA is a level where a column was said to be one of names."""
    inputs = mixed(tmp_path, categorical=["code", "colour"]).preparation.inputs
    cells = ["NA", "na", "", "?", "red", "NULL"]
    raw = raw_columns([[*next(iter(rows(1)))[:2], cell, "True", "1", "70"] for cell in cells], inputs)
    found, _ = prepared(inputs, feeds(raw, inputs))
    assert found.tobytes() == inputs.apply(raw).tobytes()
    assert not np.array_equal(found[0], found[1])


def test_rows_that_a_predictor_refuses_are_not_usable(tmp_path):
    inputs = mixed(tmp_path, missing="drop").preparation.inputs
    gapless = next(row for row in rows(50) if not {"", "NA"} & set(row))
    new = [list(gapless) for _ in range(6)]
    new[1][5], new[2][5], new[3][5], new[4][2] = "", "inf", "-1e39", "nan"
    raw = raw_columns(new, inputs)
    _, usable = prepared(inputs, feeds(raw, inputs))
    assert usable.tolist() == [True, False, False, False, False, True]
    for row, fine in enumerate(usable):
        one = {name: cells[row : row + 1] for name, cells in raw.items()}
        if fine:
            inputs.apply(one)
        else:
            with pytest.raises(DataError):
                inputs.apply(one)


def test_levels_that_would_be_empty_cells_in_a_file():
    """Data with types have such names; a graph's test vectors have them too."""
    pandas = pytest.importorskip("pandas")
    cells = ["", " a", "?", "a", None, "NA"] * 10
    inputs = from_arrays(
        pandas.DataFrame({"c": cells}), np.arange(60) % 2, missing="impute"
    ).preparation.inputs
    (column,) = inputs.columns
    assert empty_text(column) == "#n/a"
    given = np.array(["#n/a" if cell is None else cell for cell in cells])[:, None]
    found, _ = prepared(inputs, {"c": given})
    assert found.tobytes() == inputs.apply(pandas.DataFrame({"c": cells})).tobytes()
    made = vectors.of_json(vectors.as_json(vectors.raw_vectors(inputs)))
    assert prepared(inputs, made)[0].tobytes() == vectors.prepared(inputs, made).tobytes()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -1e39])
def test_arrays_that_a_predictor_refuses_are_not_usable(bad):
    for x in (NUMBERS, NUMBERS.reshape(60, 1, 2, 2).astype(np.float32)):
        inputs = from_arrays(x, np.arange(60) % 3).preparation.inputs
        with np.errstate(over="ignore"):
            new = x.copy()
            new[(1, *(0,) * (x.ndim - 1))] = bad
        _, usable = prepared(inputs, {"x": new[:3]})
        assert usable.tolist() == [True, False, True]


def test_columns_named_like_tensors_of_the_graph():
    x = {"ravine/prepared": np.arange(40.0), "_ravine/": np.arange(40.0) % 7}
    pandas = pytest.importorskip("pandas")
    inputs = from_arrays(pandas.DataFrame(x), np.arange(40) % 2).preparation.inputs
    found, _ = prepared(inputs, {name: cells[:, None] for name, cells in x.items()})
    assert found.tobytes() == inputs.apply(x).tobytes()
