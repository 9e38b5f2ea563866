"""One line for each kind of fault that a person can write."""

import copy
import json
import pickle
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import Annotated, Any, Literal

import numpy as np
import pytest

from ravine.errors import StudyError
from ravine.forms import REQUIRED, Form, Limits, Refused, plain, read
from ravine.rules import rule


class Bounds(Form):
    num: Annotated[int, Limits(most=9)] = 0
    word: Literal["left", "right"] = "left"


class Lives(Form):
    lives: Literal[1] = 1


class Log(Form):
    log: tuple[float, float]
    num: int


class Linear(Form):
    linear: tuple[float, float]


class Cat(Form):
    kind: Literal["cat"] = "cat"
    lives: Annotated[int, Limits(least=1, most=9)] = 9
    name: Annotated[str, Limits(shortest=1)] = "x"
    awake: bool = True


class Dog(Form):
    kind: Literal["dog"] = "dog"
    path: str
    mood: Literal["good", "better"] = "good"

    def check(self):
        if self.path == self.mood:
            raise ValueError("path and mood\nmust differ")


class Zoo(Form):
    animals: tuple[Cat | Dog, ...] = ()
    lr: float | tuple[float, ...] | Log | Linear = 0.1
    share: Annotated[float, Limits(above=0.0, below=1.0)] = 0.5


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
        "animals.1.cat: unknown key; allowed: awake, kind, lives, name",
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
    ({"share": 10**400}, f"share = 1{'0' * 56}...: must be a finite number"),
    ({"share": "0.5"}, "share = '0.5': must be a number"),
    ({"share": None}, "share: must be a number"),
    ({"animals": 3}, "animals = 3: must be a list: write [3]"),
    ({"animals": [None]}, "animals.0: must be a table"),
    ({"animals": [{"kind": 5}]}, "animals.0.kind = 5: allowed: cat, dog"),
    (
        {"animals": [{"kind": "cat", "name": "\ud800"}]},
        "animals.0.name = '\\ud800': must be text: half of a character is in it",
    ),
    ({"lr": {"log": [1]}}, "lr.log.1: missing, it must be given"),
    ({"lr": {"log": [1, 2, 3], "num": 1}}, "lr.log = [1, 2, 3]: must have at most 2 in it"),
    ({5: 1}, "5: unknown key; allowed: animals, lr, share"),
    ({"a\nb": 1}, "a\\nb: unknown key; allowed: animals, lr, share"),
    ("zoo", "'zoo': must be a table"),
]


@pytest.mark.parametrize(("value", "message"), TABLE)
def test_each_fault(value, message):
    with pytest.raises(Refused) as error:
        Zoo.of(value)
    assert error.value.line("zoo.toml") == f"zoo.toml: {message}"
    assert str(error.value) == message


def test_where_and_inside():
    with pytest.raises(Refused) as error:
        Zoo(share=2.0)
    assert error.value.line(inside="data.zoo") == "data.zoo.share = 2.0: must be less than 1.0"
    assert error.value.line("f.toml", inside="data") == "f.toml: data.share = 2.0: must be less than 1.0"
    fault = error.value.in_study("data.zoo")
    assert (fault.at, fault.what, fault.meant) == ((("data", "zoo", "share"),), "wrong", None)
    with pytest.raises(Refused) as error:
        Zoo.of({"animals": [{"kind": "dog", "pth": "x"}]})
    fault = error.value.in_study("zoo")
    assert (fault.at, fault.what, fault.meant) == ((("zoo", "animals", "0", "pth"),), "unknown", "path")


def test_long_and_strange_values_stay_on_one_short_line():
    with pytest.raises(Refused) as error:
        Zoo(share="line\n" * 100)
    line = error.value.line()
    assert "\n" not in line
    assert len(line) < 120


def test_a_number_with_more_digits_than_python_writes_is_refused_too():
    for key, words in {"num": "must be at most 9", "word": "allowed: left, right"}.items():
        with pytest.raises(Refused) as error:
            Bounds.of({key: 10**5000})
        assert error.value.line() == f"{key} = an int too large to show: {words}"
    with pytest.raises(StudyError, match=r"^sgd: lr = an int too large to show: must be "):
        rule("sgd").hypers["lr"].check("lr", 10**5000, "sgd")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cage:
    inside: Cat | Dog
    size: tuple[float, float]
    of: dict[str, Any]
    kind: Literal["cage"] = "cage"


def test_a_form_is_data():
    cat = Cat(lives=np.int64(3))
    assert repr(cat) == "Cat(kind='cat', lives=3, name='x', awake=True)"
    assert type(cat.lives) is int
    assert cat == Cat.of({"lives": 3}) == copy.deepcopy(cat) == pickle.loads(pickle.dumps(cat))
    assert cat != Cat()
    assert cat != Dog(path="x")
    assert len({cat, Cat(lives=3), Cat()}) == 2
    assert cat.changed() == {"lives": 3}
    assert cat.but(name="y").values() == {"kind": "cat", "lives": 3, "name": "y", "awake": True}
    assert Cat.of(cat) is cat
    with pytest.raises(AttributeError, match="frozen"):
        cat.lives = 4
    with pytest.raises(Refused, match="lives = 0: must be at least 1"):
        cat.but(lives=0)


def test_a_text_of_a_subclass_is_the_text():
    class Name(str):
        __slots__ = ()

    for name in (np.str_("right"), np.array(["right"])[0], Name("right")):
        assert type(Bounds(word=name).word) is str
        assert Bounds(word=name) == Bounds(word="right")
    with pytest.raises(Refused, match=r"^lives = True: allowed: 1$"):
        read(Lives, {"lives": True})
    assert Log(log=np.array([1, 2]), num=np.int64(3)) == Log(log=(1, 2), num=3)


class Box(Form):
    inside: dict[str, Any] = {}  # noqa: RUF012 (frozen, like all of a form)


def test_a_table_by_default_is_each_forms_own():
    Box().inside["a"] = 1
    assert Box().inside == {}


def test_no_key_is_taken_for_an_argument_of_pythons():
    for make in (Cat, Cat().but):
        with pytest.raises(Refused, match=r"^self: unknown key; "):
            make(**{"self": 1})


def test_dates_are_texts_in_json():
    hours = timezone(timedelta(hours=2))
    times = [
        date(2020, 1, 2),
        time(3, 4, 5, 6),
        *(datetime(2020, 1, 2, 3, tzinfo=z) for z in (None, UTC, hours)),
    ]
    texts = ["2020-01-02", "03:04:05.000006", *(f"2020-01-02T03:00:00{z}" for z in ("", "Z", "+02:00"))]
    assert plain({"at": times}) == {"at": texts}  # as RFC 3339 and TOML write them


def test_a_form_and_a_dataclass_survive_being_written_and_read():
    zoo = Zoo(animals=[Cat(lives=2), Dog(path="p")], lr=Log(log=(1, 2), num=3), share=np.float32(0.25))
    assert type(zoo.share) is float
    assert Zoo.of(json.loads(json.dumps(zoo.plain()))) == zoo
    cage = Cage(inside=Dog(path="p"), size=(0.1, 1 / 3), of={"a": [1, {"b": None}]})
    assert read(Cage, json.loads(json.dumps(plain(cage)))) == cage
    with pytest.raises(Refused, match=r"^inside.path: missing, it must be given$"):
        read(Cage, {"inside": {"kind": "dog"}, "size": [1, 2], "of": {}})


def test_fields_of_a_base_come_first():
    class Puppy(Dog):
        weeks: int = 8

    assert list(Puppy.defaults) == ["kind", "path", "mood", "weeks"]
    assert Puppy.defaults["path"] is REQUIRED
    with pytest.raises(Refused, match="path and mood must differ"):
        Puppy(path="good")
