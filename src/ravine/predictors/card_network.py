"""What a model card says of a backbone and its heads, for those who use them without ravine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ravine.nn.spec import LITE0

if TYPE_CHECKING:
    from ravine.predictors.manifest import Manifest


def network_words(manifest: Manifest, *, classes: bool, plain: bool, onnx: bool) -> list[str]:
    """From a picture's features to the answer, where the body is known from, and what to do without ravine.

    Args:
        manifest: of the model.
        classes: whether it predicts classes.
        plain: `model.py` is in the folder.
        onnx: `model.onnx` is in the folder.
    """
    parts = [_head(manifest, classes)]
    about = manifest.model.get("architecture")
    if isinstance(about, str) and about.removeprefix("builtin:") == LITE0:
        parts.append(
            "timm's `tf_efficientnet_lite0` has the same tensors as `body.` under other names; `own_name` in ravine's "
            "`backbones/lite0_names.py` says which is which."
        )
    elif isinstance(about, dict) and isinstance(about.get("timm"), str):
        parts.append(f"The network is `{about['timm']}` of timm; `body.` comes before its names of tensors.")
    if not plain and not onnx:
        parts.append(
            "To use it without ravine, export with `--onnx`: one graph from pixels to the answer, which needs "
            "onnxruntime alone."
        )
    return parts


def _head(manifest: Manifest, classes: bool) -> str:
    head = manifest.model.get("head")
    hidden = isinstance(head, dict) and bool(head.get("hidden"))
    what = "goes through `head.linear1` and so on, each with a ReLU, to" if hidden else "goes through"
    words = (
        "The features of a picture are what the network has where its last layers were cut off; of a map or of tokens, "
        "the mean over their places. A head computes z = (features - `head.standard.mean`) / "
        f"`head.standard.deviation`; then z {what} the linear layer `head.output`."
    )
    temperature = f"{manifest.temperature:.6g}"
    if not classes:
        return words
    if len(manifest.members) == 1:
        return f"{words} With its outputs y, the probabilities are softmax(y / {temperature})."
    if manifest.combine != "mean":
        return words
    return (
        f"{words} Each head has probabilities, the softmax of its outputs; p is their mean, weighted by `share`. The "
        f"probabilities are p^(1/T), divided by their sum, at the temperature T = {temperature}."
    )
