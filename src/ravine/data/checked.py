"""Whether a preparation that somebody else may have written is one: its parts fit together and are of sane sizes."""

from __future__ import annotations

import math

import numpy as np

from ravine.data.answers import ClassTarget, NumberTarget
from ravine.data.inputs import ArrayInputs, ImageInputs, NumberInput, TableInputs
from ravine.data.preparation import Preparation
from ravine.data.reading import CHANNELS, SheetReading
from ravine.data.several import LabelsTarget, NumbersTarget
from ravine.data.sheet import Sheet
from ravine.data.spec import is_encoding
from ravine.errors import DataError

_LONGEST_SIDE = 1_000_000
_MOST_NUMBERS = 1 << 28  # of one example
_MOST_CLASSES = 1_000_000


def check_preparation(preparation: Preparation, where: str) -> None:
    """See that a preparation can be carried out.

    Raises:
        DataError: its parts do not fit together, or it is too large.
    """
    fault = _inputs_fault(preparation) or _target_fault(preparation)
    if fault:
        raise DataError(f"{where}: {fault}")


def _inputs_fault(preparation: Preparation) -> str:
    inputs = preparation.inputs
    if (
        isinstance(inputs, ImageInputs)
        and isinstance(inputs.reading, SheetReading)
        and not _fine(inputs.reading.sheet)
    ):
        return "inputs.reading: the sheet is none"
    shape = inputs.shape
    if not shape or not all(0 < side <= _LONGEST_SIDE for side in shape) or math.prod(shape) > _MOST_NUMBERS:
        return f"inputs: an example of shape {shape[:8]} cannot be"
    scaling = inputs.scaling
    numbers = len(scaling.mean)
    if len(scaling.deviation) != numbers or math.prod(scaling.shape) != (numbers or math.prod(scaling.shape)):
        return "inputs.scaling: mean, deviation and shape differ in length"
    if not all(each != 0.0 for each in scaling.deviation):
        return "inputs.scaling: a deviation is 0"
    if scaling.table and (scaling.values != "bytes" or len(shape) != 3 or numbers != shape[0]):
        return "inputs.scaling: a table needs bytes, and a mean for each channel"
    if numbers and not scaling.table:
        try:
            fits = np.broadcast_shapes(scaling.shape, shape) == shape
        except ValueError:
            fits = False
        if not fits:
            return f"inputs.scaling: shape {scaling.shape} does not go with examples of shape {shape}"
    if isinstance(inputs, TableInputs):
        text = inputs.text
        if any(sign is not None and len(sign) != 1 for sign in (text.delimiter, text.comment)):
            return "inputs.text: delimiter and comment must be one character"
        if text.encoding is not None and not is_encoding(text.encoding):
            return "inputs.text: encoding is none"
        if inputs.numerals.decimal not in (".", ","):
            return "inputs.numerals: decimal must be a point or a comma"
        names = [of.name for of in inputs.columns]
        if len(set(names)) < len(names):
            return "inputs.columns: two have the same name"
        for of in inputs.columns:
            if not isinstance(of, NumberInput) and len(set(of.levels)) < len(of.levels):
                return f"inputs.columns: {of.name!r} has a level twice"
    if isinstance(inputs, ArrayInputs):
        for each in (inputs.features, inputs.low, inputs.high):
            if each and (len(shape) != 1 or len(each) != shape[0]):
                return "inputs: features, low and high must have one entry for each feature"
        if len(set(inputs.features)) < len(inputs.features):
            return "inputs.features: two have the same name"
    if isinstance(inputs, ImageInputs) and (len(shape) != 3 or shape[0] not in (1, 3)):
        return f"inputs: pictures of shape {shape} cannot be"
    return ""


def _fine(sheet: Sheet) -> bool:
    """Whether pictures can be brought to what a sheet says."""
    sizes = (*(sheet.size or (0,)), *((sheet.scaled or (0,)) if 0.0 < sheet.crop <= 1.0 else (0,)))
    return (
        all(0 < side <= _LONGEST_SIDE for side in sizes)
        and len(sheet.mean) == len(sheet.std) in (1, CHANNELS)
        and all(each != 0.0 for each in sheet.std)
        and sheet.low < sheet.high
    )


def _target_fault(preparation: Preparation) -> str:
    target = preparation.target
    if isinstance(target, NumberTarget):
        return "" if target.scale > 0.0 else "target.scale: must be above 0"
    if isinstance(target, NumbersTarget):
        if not 2 <= len(target.targets) <= _MOST_CLASSES or len(set(target.names)) < len(target.names):
            return "target: must have at least two targets, each with a name of its own"
        return "" if all(each.scale > 0.0 for each in target.targets) else "target.scale: must be above 0"
    if isinstance(target, LabelsTarget):
        if bool(target.column) != bool(target.separator):
            return "target: column and separator go together"
        if not 2 <= len(target.names) <= _MOST_CLASSES or len(set(target.names)) < len(target.names):
            return "target: must have at least two labels, each with a name of its own"
        return ""
    assert isinstance(target, ClassTarget), "there are four kinds of target"
    if not 2 <= len(target.names) <= _MOST_CLASSES or len(target.labels) != len(target.names):
        return "target: labels and names must be at least two, and equally many"
    if len(set(target.names)) < len(target.names) or len(set(target.labels)) < len(target.labels):
        return "target: two classes have the same name"
    return ""
