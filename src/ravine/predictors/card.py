"""The model card of an exported model: what it is, how good it is, how to use it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ravine.data.answers import NumberTarget
from ravine.data.inputs import ArrayInputs, ImageInputs, NumberInput, TableInputs
from ravine.data.preparation import AnyTarget, Preparation
from ravine.data.reading import Reading, SheetReading
from ravine.data.several import LabelsTarget, NumbersTarget
from ravine.data.sheet import Sheet
from ravine.ensembles.cells import Cells
from ravine.errors import InputError
from ravine.messages import count
from ravine.metrics import Metric, metric_named
from ravine.predictors.bodies import KIND, backbone_of, source_of
from ravine.predictors.card_network import network_words

if TYPE_CHECKING:
    from ravine.predictors.graph.check import Checked
    from ravine.predictors.manifest import Manifest

_MOST = 40  # columns or classes that are listed
_NAMES = {"nll": "NLL", "mse": "MSE", "rmse": "RMSE", "mae": "mean absolute error"}


def card(manifest: Manifest, preparation: Preparation, *, plain: bool, onnx: Checked | None) -> str:
    """The text of the card, as Markdown.

    Args:
        manifest: of the model.
        preparation: of its data.
        plain: `model.py` is beside it.
        onnx: what came out of the check of `model.onnx`, where that is beside it.
    """
    parts = [
        f"# {_text(manifest.study)}: {_text(manifest.what)}",
        _what(manifest),
        "## What goes in",
        *_inputs(preparation),
        "## How good it is",
        *_scores(manifest, Cells.of_target(preparation.target)),
        "## How to use it",
        *_use(manifest, preparation, plain, onnx),
        "## Where it comes from",
        _origin(manifest),
    ]
    return "\n\n".join(parts) + "\n"


def _what(manifest: Manifest) -> str:
    number = count(len(manifest.members), "network")
    pooled = "" if len(manifest.members) == 1 else ", pooled into one predictor"
    kind = manifest.model.get("kind")
    named = manifest.model.get("target") if kind == "module" else kind
    if kind == KIND:
        about = manifest.model.get("architecture")
        named = str(about) if isinstance(about, str) else source_of(manifest.model).partition("@")[0] or kind
    again = ""
    if manifest.refit is not None:
        again = (
            f" The networks were trained again on {manifest.refit.get('examples')} examples, training and validation "
            "together."
        )
        if manifest.temperature != 1.0:
            again += " The temperature is that of the networks before."
    return (
        f"{_text(manifest.text)[:1].upper()}{_text(manifest.text)[1:]}. {number} of kind {_text(str(named))}{pooled}."
        f"{again}"
    )


def _inputs(preparation: Preparation) -> list[str]:
    inputs, predicts = preparation.inputs, _predicts(preparation.target)
    if isinstance(inputs, TableInputs):
        rows = ["| column | values | empty cells |", "|---|---|---|"]
        for of in inputs.columns[:_MOST]:
            if isinstance(of, NumberInput):
                values = (
                    "numbers" if of.low is None else f"numbers, {of.low:.6g} to {of.high:.6g} in training"
                )
            else:
                levels = ", ".join(map(_text, of.levels[:6])) + (", ..." if len(of.levels) > 6 else "")
                values = f"names: {levels}"
            rows.append(
                f"| {_text(of.name)} | {values} | {'filled in' if of.fill is not None else 'not allowed'} |"
            )
        if len(inputs.columns) > _MOST:
            rows.append(f"| ... {len(inputs.columns) - _MOST:,} more | | |")
        return [predicts, "\n".join(rows)]
    if isinstance(inputs, ImageInputs):
        channels, height, width = inputs.shape
        kind = "Grey" if channels == 1 else "Coloured"
        how = _brought(inputs.reading)
        return [
            predicts,
            f"{kind} pictures, {height} x {width} pixels: {how}. In Python, with Pillow:",
            _pillow(inputs),
        ]
    return [predicts, _arrays(inputs)]


def _predicts(target: AnyTarget) -> str:
    if isinstance(target, NumberTarget):
        return f"It predicts a number, {_text(target.column or 'y')}."
    names = ", ".join(map(_text, target.names[:_MOST])) + (", ..." if len(target.names) > _MOST else "")
    if isinstance(target, NumbersTarget):
        return f"It predicts {len(target.names)} numbers, each in its own unit: {names}."
    if isinstance(target, LabelsTarget):
        return f"It predicts which of {len(target.names)} labels an example has, any number of them: {names}."
    return f"It predicts one of {len(target.names)} classes: {names}."


def _arrays(inputs: ArrayInputs) -> str:
    kind = "bytes (uint8)" if inputs.scaling.values == "bytes" else "numbers"
    named = f", named {', '.join(map(_text, inputs.features[:_MOST]))}" if inputs.features else ""
    return f"Arrays of {kind}, an example of shape {inputs.shape} as training had them{named}."


def _pillow(inputs: ImageInputs) -> str:
    channels, height, width = inputs.shape
    mode = "L" if channels == 1 else "RGB"
    last = "x = np.asarray(image, dtype=np.uint8)[None]"
    if isinstance(inputs.reading, SheetReading):
        fit = _resized(inputs.reading.sheet, height, width)
        last += "[..., ::-1]" if inputs.reading.sheet.channels == "bgr" else ""
    elif inputs.reading.fit:
        fit = [f"image = ImageOps.fit(image, ({width}, {height}), method=Image.Resampling.BICUBIC)"]
    else:
        fit = []
    lines = [
        "import numpy as np",
        "from PIL import Image, ImageOps",
        "",
        f'image = ImageOps.exif_transpose(Image.open("picture.jpg")).convert("{mode}")',
        *fit,
        f"{last}{'[..., None]' if channels == 1 else ''}  # (1, {height}, {width}, {channels})",
    ]
    return "```python\n" + "\n".join(lines) + "\n```"


def _brought(reading: Reading) -> str:
    """How pictures of other sizes are brought to the model's, in words."""
    if isinstance(reading, SheetReading):
        assert reading.sheet.scaled is not None, "it names a size"
        tall, wide = reading.sheet.scaled
        scaled = "to cover" if reading.sheet.resize == "cover" else "to"
        return (
            f"scaled {scaled} {tall} x {wide} ({reading.sheet.interpolation}) and cropped around their centre"
        )
    return "scaled to cover that size and cropped around their centre" if reading.fit else "of that size"


def _resized(sheet: Sheet, height: int, width: int) -> list[str]:
    """The lines that scale and crop a picture as `SheetReading.resized` does."""
    assert sheet.scaled is not None, "it names a size"
    tall, wide = sheet.scaled
    cover = [
        f"if {tall} * image.width >= {wide} * image.height:",
        f"    size = ({tall} * image.width // image.height, {tall})",
        "else:",
        f"    size = ({wide}, {wide} * image.height // image.width)",
    ]
    return [
        *(cover if sheet.resize == "cover" else [f"size = ({wide}, {tall})"]),
        "if image.size != size:",
        f"    image = image.resize(size, Image.Resampling.{sheet.interpolation.upper()})",
        f"left, top = round((size[0] - {width}) / 2), round((size[1] - {height}) / 2)",
        f"image = image.crop((left, top, left + {width}, top + {height}))",
    ]


def _scores(manifest: Manifest, cells: Cells) -> list[str]:
    if manifest.refit is not None:
        return [
            "**No score is claimed.** The networks were trained on all examples by which they could be judged. Trained "
            "on the training part alone, the same recipe reached:",
            *_table(manifest.scores, cells),
        ]
    return _table(manifest.scores, cells)


def _table(scores: dict[str, Any], cells: Cells) -> list[str]:
    rows = ["| examples | score | value | 95 % interval |", "|---|---|---|---|"]
    for split, found in scores.items():
        for name, each in found.get("scores", {}).items():
            metric = _metric(name)
            percent = metric is not None and metric.percent
            value, low, high = (_number(each.get(key), percent) for key in ("value", "low", "high"))
            rows.append(
                f"| {split.replace('_', ' ')} | {_score_name(name, cells)} | {value} | {low} to {high} |"
            )
    notes = [str(found["note"]) for found in scores.values() if found.get("note")]
    return ["\n".join(rows), *notes]


def _score_name(name: str, cells: Cells) -> str:
    """Of a score, which of several targets has the target's name behind it."""
    if name == "mse" and cells.error_unit:
        return "MSE in units of variance, mean over targets"
    if name == "accuracy":
        return cells.right
    score, _, target = name.partition(" ")
    metric = _metric(score)
    title = score if metric is None else metric.title
    return _NAMES.get(score, title) + (f" of {_text(target)}" if target else "")


def _metric(name: str) -> Metric | None:
    """A metric of ravine's; a function of the user's is known by its name alone."""
    try:
        return metric_named(name)
    except InputError:
        return None


def _number(value: float | None, percent: bool) -> str:
    if value is None:
        return "–"
    return f"{100 * value:.2f} %" if percent else f"{value:.4g}"


def _use(manifest: Manifest, preparation: Preparation, plain: bool, onnx: Checked | None) -> list[str]:
    new = "pictures/" if isinstance(preparation.inputs, ImageInputs) else "new.csv"
    if isinstance(preparation.inputs, ArrayInputs) and preparation.inputs.table is None:
        new = "new.npz"
    own = manifest.model.get("kind") not in ("mlp", "convnet", "resnet")
    if manifest.model.get("kind") == KIND:
        own = backbone_of(manifest.model) is None
    target = manifest.model.get("target") or source_of(manifest.model).partition("@")[0] or "net:Net"
    option = f" --model {target}" if own and onnx is None else ""
    parts = [
        f"With ravine installed:\n\n```sh\nravine predict THIS_FOLDER {new} --out predictions.csv{option}\n```",
        "`ravine predict THIS_FOLDER --check` predicts the test vectors in `ravine.json` again and says by how much "
        "the answers differ. ravine runs no code of this folder.",
    ]
    if plain:
        state = "each `.safetensors` file a state dict for it"
        if manifest.shared is not None:
            state = f"`{manifest.shared.file}` with one of the other `.safetensors` files its state dict"
        parts.append(
            f"`model.py` is the network in plain PyTorch, and {state}. It takes inputs that were scaled as "
            "`ravine.json` says, under `preparation`."
        )
    if manifest.scaled:
        parts.append(
            "Each network was trained in a fold, on values that this fold scaled. `ravine.json` says how the first fold"
            " scales, under `preparation`. Each `.safetensors` file has the network's tensors under `network.`, and"
            " what leads to the fold's own scales: `network(x * factor + shift) * out_factor + out_shift`."
        )
    if manifest.shared is not None:
        parts.append(
            f"`{manifest.shared.file}` is the network that had learned elsewhere, once for all members; the other "
            "`.safetensors` files are the heads on it, with the preprocessing and the names of the classes as metadata."
        )
    if manifest.model.get("kind") == KIND:
        classes = preparation.task != "regression"
        parts += network_words(manifest, classes=classes, plain=plain, onnx=onnx is not None)
    if onnx is not None:
        parts.append(
            "`model.onnx` goes from raw values to the answer in one graph, scaling and pooling included; it needs "
            f"onnxruntime and nothing else. On its test vectors it is off by {onnx.worst:.1g}."
        )
    return parts


def _origin(manifest: Manifest) -> str:
    sizes = manifest.data.get("sizes", {})
    counted = f"{', '.join(f'{number:,} {name}' for name, number in sizes.items())} examples"
    if "folds" in manifest.data:
        counted = _text(str(manifest.data["folds"]))
    members = "\n".join(
        f"| {_text(each.run)} | {_text(str(each.about.get('rule')))} | {_hypers(each.about.get('hypers'))} | "
        f"{each.about.get('seed')} | {each.share:.3f} |"
        for each in manifest.members
    )
    versions = ", ".join(f"{name} {version}" for name, version in manifest.versions.items())
    temperature = f" Temperature {manifest.temperature:.4g}." if manifest.temperature != 1.0 else ""
    return (
        f"Study {_text(manifest.study)}, data {_text(str(manifest.data.get('name')))} ({counted}), "
        f"fingerprint `{str(manifest.data.get('fingerprint'))[:16]}`. Pool `{manifest.pool}`.{temperature} Exported "
        f"{manifest.created_at} with {versions}.\n\n"
        f"| run | rule | hypers | seed | share |\n|---|---|---|---|---|\n{members}"
    )


def _hypers(hypers: Any) -> str:
    if not isinstance(hypers, dict):
        return ""
    parts = (
        f"{name} {value:.6g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in hypers.items()
    )
    return _text(", ".join(parts))


def _text(text: str) -> str:
    """A name of the data's or the user's, on one line of a table, without markup."""
    line = " ".join(text.split())
    return "".join(f"\\{letter}" if letter in "\\`*_[]<>|#" else letter for letter in line)
