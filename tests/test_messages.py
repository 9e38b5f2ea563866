"""One line for each kind of fault that a person can write."""

from typing import Annotated, Literal

import pytest
from pydantic import Field, TypeAdapter, ValidationError, model_validator

from ravine.errors import StudyError
from ravine.messages import Strict, one_line
from ravine.rules import rule


class Bounds(Strict):
    num: Annotated[int, Field(le=9)] = 0
    word: Literal["left", "right"] = "left"


class Log(Strict):
    log: Annotated[tuple[float, float], Field(strict=False)]
    num: int


class Linear(Strict):
    linear: Annotated[tuple[float, float], Field(strict=False)]


class Cat(Strict):
    kind: Literal["cat"] = "cat"
    lives: Annotated[int, Field(ge=1, le=9)] = 9
    name: Annotated[str, Field(min_length=1)] = "x"
    awake: bool = True


class Dog(Strict):
    kind: Literal["dog"] = "dog"
    path: str
    mood: Literal["good", "better"] = "good"

    @model_validator(mode="after")
    def _check(self):
        if self.path == self.mood:
            raise ValueError("path and mood\nmust differ")
        return self


class Zoo(Strict):
    animals: Annotated[
        tuple[Annotated[Cat | Dog, Field(discriminator="kind")], ...], Field(strict=False)
    ] = ()
    lr: float | Annotated[tuple[float, ...], Field(strict=False)] | Log | Linear = 0.1
    share: Annotated[float, Field(gt=0, lt=1)] = 0.5


TABLE = [
    ({"shar": 0.1}, "shar: unknown key; did you mean 'share'? Allowed: animals, lr, share"),
    ({"share": 2.0}, "share = 2.0: must be less than 1.0"),
    ({"share": 0}, "share = 0: must be greater than 0.0"),
    ({"share": "much"}, "share = 'much': must be a number"),
    ({"share": True}, "share = True: must be a number"),
    ({"share": float("nan")}, "share = nan: must be a finite number"),
    ({"share": [0.1, 0.2]}, "share = [0.1, 0.2]: must be a number"),
    ({"animals": [{"kind": "cot"}]}, "animals.0.kind = 'cot': did you mean 'cat'? Allowed: cat, dog"),
    ({"animals": [{"lives": 1}]}, "animals.0.kind: missing, it must be given"),
    ({"animals": [{"kind": "dog"}]}, "animals.0.path: missing, it must be given"),
    (
        {"animals": [{"kind": "dog", "pth": "x"}]},
        "animals.0.pth: unknown key; did you mean 'path'? Allowed: kind, mood, path",
    ),
    (
        {"animals": [{"kind": "cat"}, {"kind": "cat", "cat": 1}]},
        "animals.1.cat: unknown key; Allowed: awake, kind, lives, name",
    ),
    (
        {"animals": [{"kind": "dog", "path": "x", "mood": "beter"}]},
        "animals.0.mood = 'beter': did you mean 'better'? Allowed: better, good",
    ),
    ({"animals": [{"kind": "dog", "path": "good"}]}, "animals.0: path and mood must differ"),
    ({"animals": [{"kind": "cat", "lives": 10}]}, "animals.0.lives = 10: must be at most 9"),
    ({"animals": [{"kind": "cat", "lives": 0}]}, "animals.0.lives = 0: must be at least 1"),
    ({"animals": [{"kind": "cat", "lives": 1.5}]}, "animals.0.lives = 1.5: must be a whole number"),
    ({"animals": [{"kind": "cat", "name": ""}]}, "animals.0.name = '': must not be empty"),
    ({"animals": [{"kind": "cat", "awake": "yes"}]}, "animals.0.awake = 'yes': must be true or false"),
    ({"animals": "cat"}, "animals = 'cat': must be a list"),
    ({"lr": "fast"}, "lr = 'fast': must be a number or a list or a table"),
    ({"lr": [0.1, "x"]}, "lr.1 = 'x': must be a number"),
    ({"lr": {"log": [1, 2]}}, "lr.num: missing, it must be given"),
    ({"lr": {"log": [1, 2], "nmu": 3}}, "lr.nmu: unknown key; did you mean 'num'? Allowed: log, num"),
    ("zoo", "must be a table"),
]


@pytest.mark.parametrize(("value", "message"), TABLE)
def test_each_fault(value, message):
    with pytest.raises(ValidationError) as error:
        TypeAdapter(Zoo).validate_python(value)
    assert one_line(error.value, "zoo.toml", value=value).startswith("zoo.toml: ")
    assert one_line(error.value, "zoo.toml", value=value).removeprefix("zoo.toml: ") in (
        message,
        f"'zoo': {message}",
    )


def test_where_and_inside():
    with pytest.raises(ValidationError) as error:
        Zoo.model_validate({"share": 2.0})
    assert one_line(error.value) == "share = 2.0: must be less than 1.0"
    assert one_line(error.value, inside="data.zoo") == "data.zoo.share = 2.0: must be less than 1.0"
    assert one_line(error.value, "f.toml", inside="data") == "f.toml: data.share = 2.0: must be less than 1.0"


def test_without_the_value_branches_of_a_plain_union_are_still_no_keys():
    with pytest.raises(ValidationError) as error:
        Zoo.model_validate({"lr": "fast"})
    assert one_line(error.value) == "lr = 'fast': must be a number or a list or a table"


def test_long_and_strange_values_stay_on_one_short_line():
    with pytest.raises(ValidationError) as error:
        Zoo.model_validate({"share": "line\n" * 100})
    line = one_line(error.value)
    assert "\n" not in line
    assert len(line) < 120


def test_a_number_with_more_digits_than_python_writes_is_refused_too():
    for key, words in {"num": "must be at most 9", "word": "Allowed: left, right"}.items():
        with pytest.raises(ValidationError) as error:
            Bounds.model_validate({key: 10**5000})
        assert one_line(error.value) == f"{key} = an int too large to show: {words}"
    with pytest.raises(StudyError, match=r"^sgd: lr = an int too large to show: must be "):
        rule("sgd").hypers["lr"].check("lr", 10**5000, "sgd")
