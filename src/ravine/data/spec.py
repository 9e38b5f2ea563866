"""Which data set, and how it is cut and scaled: the `data` part of a study."""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from typing import Annotated, Literal, TypeAlias

from ravine.data.split import Split
from ravine.errors import choices
from ravine.forms import Form, Limits, Refused, read
from ravine.messages import lacking, wrong

Fraction = Annotated[float, Limits(above=0.0, below=1.0)]
Text = Annotated[str, Limits(shortest=1)]
Texts = Annotated[tuple[str, ...], Limits(longest=10_000)]
Sign = Annotated[str, Limits(shortest=1, longest=1)]
Side = Annotated[int, Limits(least=1, most=4096)]
Task = Literal["classification", "regression", "multilabel"]


class Options(Form):
    """What every kind of data takes.

    Args:
        validation: fraction of the examples for validation; those of a given test split do not count.
        test: fraction of the examples for the test split; unused where a test split is given.
        split_seed: changes which examples go where, and nothing else.
        normalize: "standard" (per feature), "channel" (per channel of an image) or "none"; None: "channel"
            for images, "standard" for all else.
        limit: keep only so many training examples, classes in proportion.
        split: how examples are cut where it is not at random.
    """

    has_columns = False  # that a split may name
    validation: Fraction = 0.2
    test: Fraction = 0.2
    split_seed: Annotated[int, Limits(least=0, below=2**63)] = 0
    normalize: Literal["standard", "channel", "none"] | None = None
    limit: Annotated[int, Limits(least=1, below=2**63)] | None = None
    split: Split | None = None

    def check(self) -> None:
        """See that some examples are left to train on."""
        super().check()
        if self.split is not None:
            self._check_split(self.split)
        folds = self.split is not None and self.split.folds is not None
        if (
            self.validation + self.test >= 1 and not folds
        ):  # validation is a share of what a fold does not test
            raise ValueError(
                f"validation + test = {self.validation + self.test:g} leaves nothing to train on"
            )

    def _check_split(self, split: Split) -> None:
        if split.columns and not self.has_columns:
            raise ValueError(
                f"split names the column {split.columns[0]!r}, and this kind of data has none; allowed here: "
                "split = { folds = 5 }"
            )
        if split.decides_test and self.test != self.defaults["test"]:
            raise ValueError(f"test, split.{split.decides_test}: only one of them; it says what is tested")


def _always(task: Task) -> Mapping[str, str]:
    return {"task": f"the task of this data set is {task}"}


class DigitsSpec(Options):
    """scikit-learn's 1,797 handwritten digits: images (1, 8, 8), 10 classes."""

    about_unknown = _always("classification")
    kind: Literal["digits"] = "digits"


class WineSpec(Options):
    """scikit-learn's wine: 178 wines, 13 features, 3 classes."""

    about_unknown = _always("classification")
    kind: Literal["wine"] = "wine"


class BreastCancerSpec(Options):
    """scikit-learn's breast cancer: 569 tumours, 30 features, 2 classes."""

    about_unknown = _always("classification")
    kind: Literal["breast_cancer"] = "breast_cancer"


class IrisSpec(Options):
    """scikit-learn's iris: 150 flowers, 4 features, 3 classes."""

    about_unknown = _always("classification")
    kind: Literal["iris"] = "iris"


class DiabetesSpec(Options):
    """scikit-learn's diabetes: 442 patients, 10 features, regression."""

    about_unknown = _always("regression")
    kind: Literal["diabetes"] = "diabetes"


class FashionMnistSpec(Options):
    """Fashion-MNIST: 60,000 + 10,000 images (1, 28, 28), 10 classes, test split given.

    Args:
        path: folder with the four IDX files, compressed or not; None: Debian's package, else the user's
            cache, else a download that is checked.
    """

    about_unknown = _always("classification")
    kind: Literal["fashion-mnist"] = "fashion-mnist"
    path: Text | None = None

    def _check_split(self, split: Split) -> None:  # noqa: ARG002 (of any)
        raise ValueError(
            "split: the test split of Fashion-MNIST is given, and is what others test on; leave split out"
        )


class NpzSpec(Options):
    """Arrays in a NumPy archive.

    Args:
        path: the .npz file.
        x, y, x_test, y_test, x_validation, y_validation: names of arrays in it. By default "x" or "x_train",
            "y" or "y_train", and the other four where they are there.
        weight: name of an array that says how much each example of x counts in training; None: all count alike.
        weight_scores: it counts in scores on validation and test as well.
        task: "classification", "regression" or "multilabel"; None: by the target.
    """

    kind: Literal["npz"] = "npz"
    has_columns = True
    path: Text
    x: Text | None = None
    y: Text | None = None
    x_test: Text | None = None
    y_test: Text | None = None
    x_validation: Text | None = None
    y_validation: Text | None = None
    weight: Text | None = None
    weight_scores: bool = False
    task: Task | None = None

    def check(self) -> None:
        """See that scores have weights only where there are some."""
        super().check()
        needs_weights(self.weight_scores, self.weight is not None, "weight")


def _target(value: object) -> str | tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, list | tuple):
        name: str = read(Text, value)
        return name
    names: tuple[str, ...] = read(tuple[Text, ...], value)
    if not names:
        raise ValueError("must name a column, or several")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"names column {twice!r} twice")
    return names if len(names) > 1 else names[0]


class TableOptions(Options):
    """What the two kinds of table take.

    Args:
        path: the file.
        target: the column to predict, or several: numbers, or labels 0 and 1.
        separator: what is between the labels that the target names, such as ";"; None: a cell is one answer.
        test_path: a file of the same columns: the given test split.
        drop: columns not to use.
        categorical: columns to be read as names, even of numbers: codes, postcodes. NA is a name in them.
        missing: cells that are empty: "refuse", "drop" their rows, or "impute" them.
        weight: the column that says how much each row counts in training; no feature. None: all count alike.
        weight_scores: it counts in scores on validation and test as well.
        task: "classification", "regression" or "multilabel"; None: by the target.
    """

    has_columns = True
    path: Text
    target: Annotated[Text | tuple[Text, ...], _target]
    separator: Text | None = None
    test_path: Text | None = None
    weight: Text | None = None
    weight_scores: bool = False
    drop: Texts = ()
    categorical: Texts = ()
    missing: Literal["refuse", "drop", "impute"] = "refuse"
    task: Task | None = None

    @property
    def targets(self) -> tuple[str, ...]:
        """The columns to predict."""
        return (self.target,) if isinstance(self.target, str) else self.target

    def check(self) -> None:
        """See that the target can be read in one way only."""
        super().check()
        needs_weights(self.weight_scores, self.weight is not None, "weight")
        if self.separator is None:
            return
        if len(self.targets) > 1:
            raise ValueError(
                f'separator = "{self.separator}" is for one column that names labels, and target has '
                f"{len(self.targets)}; leave one out"
            )
        if self.task not in (None, "multilabel"):
            raise ValueError(
                f'separator = "{self.separator}" makes labels of a column, and task = "{self.task}" is none of '
                'labels; must be "multilabel"'
            )

    def _check_split(self, split: Split) -> None:
        super()._check_split(split)
        for key in ("folds", "time", "column"):
            if self.test_path is not None and getattr(split, key) is not None:
                raise ValueError(f"test_path, split.{key}: only one of them; each says what is tested")


def is_encoding(name: str) -> bool:
    """Whether a name is that of an encoding of text."""
    try:
        return bool(codecs.lookup(name)._is_text_encoding)
    except (LookupError, ValueError):
        return False


def _known_encoding(name: object) -> str:
    if not isinstance(name, str):
        raise ValueError("must be text")
    if not is_encoding(name):
        raise ValueError("unknown encoding; for example utf-8, latin-1, cp1252, utf-16")
    return name


class CsvSpec(TableOptions):
    """A CSV file with a header line.

    Args:
        delimiter: one character; None: comma, semicolon or tab, whichever the header has most of.
        decimal: what numbers are written with, a point or a comma.
        thousands: what is between the thousands of a number: ",", ".", a space or "'"; None: nothing.
        encoding: of the text: "latin-1", "cp1252", "utf-16"; None: UTF-8.
        comment: one character; lines that begin with it are passed over; None: there are none.
    """

    kind: Literal["csv"] = "csv"
    delimiter: Sign | None = None
    decimal: Literal[".", ","] = "."
    thousands: Literal[",", ".", " ", "'"] | None = None
    encoding: Annotated[str, _known_encoding] | None = None
    comment: Sign | None = None

    def check(self) -> None:
        """See that a number can be read in one way only."""
        super().check()
        if self.thousands == self.decimal:
            other = "," if self.decimal == "." else "."
            raise ValueError(
                f'thousands = "{self.thousands}" is the decimal sign too; say decimal = "{other}" as well'
            )


class ParquetSpec(TableOptions):
    """A Parquet file (extra `tables`)."""

    kind: Literal["parquet"] = "parquet"


def _size(value: object) -> int | tuple[int, int] | None:
    pair = isinstance(value, list | tuple) and len(value) == 2
    if not pair and (isinstance(value, bool) or not isinstance(value, int | None)):
        raise ValueError("must be one side, such as 32, or [height, width], such as [32, 48]")
    size: int | tuple[int, int] | None = read(tuple[Side, Side] if pair else Side | None, value)
    return size


class ImagesSpec(Options):
    """A folder of images (extra `images`).

    Args:
        path: a folder with one folder per class, or with `train`, perhaps `test` and `validation`, of such.
        size: side, or (height, width), to scale and crop to; None: as they are, all of one size.
        layout: what the folders in path are, "classes" or "splits"; None: by their names.
    """

    about_unknown = _always("classification")
    kind: Literal["images"] = "images"
    path: Text
    size: Annotated[Side | tuple[Side, Side] | None, _size] = None
    layout: Literal["classes", "splits"] | None = None


def needs_weights(weight_scores: bool, given: bool, key: str) -> None:
    """See that there are weights for scores to have.

    Args:
        weight_scores: they are to.
        given: there are weights.
        key: what gives them.

    Raises:
        ValueError: there are none.
    """
    if weight_scores and not given:
        raise ValueError(f"weight_scores = true needs {key}, which says how much each example counts")


DataSpec: TypeAlias = (
    DigitsSpec
    | WineSpec
    | BreastCancerSpec
    | IrisSpec
    | DiabetesSpec
    | FashionMnistSpec
    | NpzSpec
    | CsvSpec
    | ParquetSpec
    | ImagesSpec
)
KINDS: Mapping[str, type[DataSpec]] = {
    "digits": DigitsSpec,
    "wine": WineSpec,
    "breast_cancer": BreastCancerSpec,
    "iris": IrisSpec,
    "diabetes": DiabetesSpec,
    "fashion-mnist": FashionMnistSpec,
    "npz": NpzSpec,
    "csv": CsvSpec,
    "parquet": ParquetSpec,
    "images": ImagesSpec,
}


def parse_data(value: object, where: str = "data") -> DataSpec:
    """A data spec out of what a person wrote.

    Args:
        value: a name such as ``"digits"``, a table with ``kind``, or a spec, which is returned as it is.
        where: its key, for errors.

    Returns:
        One of the frozen specs.

    Raises:
        StudyError: one line with the key, the value, what is allowed and the nearest valid name.

    Example:
        >>> parse_data("digits").validation
        0.2
        >>> parse_data({"kind": "csv", "path": "x.csv", "target": "label"}).missing
        'refuse'
    """
    if isinstance(value, Options):
        return value  # type: ignore[return-value]
    if isinstance(value, str):
        value = {"kind": value}
    if not isinstance(value, Mapping):
        given = type(value).__name__
        raise lacking(where, f'must be the name of a data set or a table with kind = "...", not {given}')
    if "kind" not in value:
        raise lacking(f"{where}.kind")
    kind = value["kind"]
    if not isinstance(kind, str) or kind not in KINDS:
        raise wrong(f"{where}.kind", kind, choices(kind, KINDS))
    try:
        return KINDS[kind].of(value)
    except Refused as fault:
        raise fault.in_study(where) from None
