"""A graph pools its members as `ensembles.pooling` does, to rounding in float64."""

import numpy as np
import pytest

from ravine.data.answers import ClassTarget, NumberTarget
from ravine.ensembles.pooling import log_softmax, pool_classes, pool_values
from ravine.ensembles.scoring import heated

pytest.importorskip("onnxscript")
onnxruntime = pytest.importorskip("onnxruntime")

from onnx import helper  # noqa: E402

from ravine.predictors.graph.answers import Names, answer_classes, answer_numbers  # noqa: E402
from ravine.predictors.graph.nodes import Nodes, tensor  # noqa: E402

TARGET = ClassTarget(labels=("0", "1", "2", "3"), names=("a", "b", "ç", "d d"))
LOGITS = np.random.default_rng(0).normal(0, 6, (3, 50, 4)).astype(np.float32)
LOGITS[0, 0] = [0, -np.inf, -np.inf, 3]  # probabilities of 0
LOGITS[1, 1] = [2000, 0, 0, -2000]
LOGITS[:, 2] = 0
LOGITS[0, 3] *= 20


def run(nodes, inputs, outputs, given):
    model = helper.make_model(
        nodes.graph(inputs, outputs), opset_imports=[helper.make_opsetid("", 20)], ir_version=9
    )
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return dict(zip([each.name for each in outputs], session.run(None, given), strict=True))


def answers(target, each_NK, shares, usable=None, **options):
    names = Names.of(target, ["z0"], members=True)
    nodes = Nodes()
    given = {f"z{at}": outputs for at, outputs in enumerate(each_NK)}
    inputs = [tensor(name, np.float32, outputs.shape[1]) for name, outputs in given.items()]
    if usable is not None:
        given["usable"] = np.array(usable)[:, None]
        inputs.append(tensor("usable", np.bool_, 1))
    answer = answer_numbers if isinstance(target, NumberTarget) else answer_classes
    outputs = answer(
        nodes, list(given)[: len(shares)], shares, target, names, usable="usable" if usable else "", **options
    )
    return run(nodes, inputs, outputs, given)


@pytest.mark.parametrize("combine", ["mean", "logits", "vote"])
@pytest.mark.parametrize(
    "shares", [(1.0,), (1 / 3, 1 / 3, 1 / 3), (0.5, 0.3, 0.2), (0.25, 0.25, 0.5)], ids=str
)
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_classes(combine, shares, temperature):
    members = LOGITS[: len(shares)]
    found = answers(TARGET, members, shares, combine=combine, temperature=temperature)
    pooled = pool_classes(list(members), np.array(shares), combine)
    with np.errstate(invalid="ignore"):
        p = np.exp(heated(pooled.log_p, temperature))
    fine = ~np.isnan(p).any(axis=1)
    assert fine.sum() >= 49
    assert found["probabilities"].dtype == np.float32
    assert np.abs(found["probabilities"][fine] - p[fine]).max() < 1e-7
    assert np.isnan(found["probabilities"][~fine]).all()
    names = [TARGET.names[index] if well else "" for index, well in zip(pooled.predicted, fine, strict=True)]
    assert found["label"].tolist() == names
    assert found["members"].shape == members.shape
    assert np.abs(found["members"] - np.exp(log_softmax(members)))[:, fine].max() < 1e-7


@pytest.mark.parametrize("shares", [(1.0,), (1 / 3, 1 / 3, 1 / 3), (0.5, 0.3, 0.2)], ids=str)
def test_numbers(shares):
    z = LOGITS[: len(shares), 4:, :1]
    target = NumberTarget(mean=1.7e9, scale=250.0)
    found = answers(target, z, shares)
    values = z[:, :, 0].astype(np.float64) * 250.0 + 1.7e9
    wanted = pool_values(list(values), np.array(shares)).predicted
    np.testing.assert_allclose(found["prediction"][:, 0], wanted, rtol=1e-14)
    np.testing.assert_allclose(found["members"], values, rtol=1e-14)


def test_examples_that_are_not_usable_have_no_answer():
    found = answers(TARGET, LOGITS, (0.5, 0.3, 0.2), [True] * 49 + [False], combine="mean", temperature=1.0)
    assert np.isnan(found["probabilities"][49]).all()
    assert np.isnan(found["members"][:, 49]).all()
    assert found["label"][49] == ""
    assert found["label"][48] in TARGET.names
    z = np.array([[[1.0], [2.0], [np.inf], [np.nan]]], dtype=np.float32)
    found = answers(NumberTarget(mean=0.0, scale=1.0), z, (1.0,), [True, False, True, True])
    assert found["prediction"][:, 0].tolist()[0] == 1.0
    assert np.isnan(found["prediction"][:, 0]).tolist() == [False, True, False, True]


def test_outputs_make_room_for_columns_of_their_names():
    names = Names.of(TARGET, ["label", "label_", "members"], members=True)
    assert (names.probabilities, names.label, names.members) == ("probabilities", "label__", "members_")
