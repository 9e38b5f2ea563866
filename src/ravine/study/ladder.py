"""A ladder: a study's arms with n pictures of each class, for several n, on several draws of pictures.

Each rung has every arm of the study (its variants, models, rules, or whatever else it compares), tuned by itself on the
validation pictures of its part (`ravine.data.parts`). Below five pictures a part has none: there a rule has one config,
which nothing has chosen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from ravine.data import Dataset
from ravine.data.deal_folds import FoldOf
from ravine.data.parts import PartOf, part_of
from ravine.data.weights import check_part
from ravine.errors import StudyError
from ravine.messages import count, lacking, unknown, wrong
from ravine.rules import Hyper, hypers, preset
from ravine.study.arms import ARM, parse_arms
from ravine.study.block import RuleBlock
from ravine.study.compare import RULE, VARIANT
from ravine.study.fields import MOST_STEPS, whole
from ravine.study.recipe import Run
from ravine.study.search import MOST_RUNS, Search
from ravine.study.values import Range, check_distinct, parse_number

KEYS = ("per_class", "draws", "arms", "trials", "default", "least_steps")
PER_CLASS, DRAW = "per_class", "draw"  # what a run of a ladder has among its chosen values
MOST_RUNGS = 100
LEAST_STEPS = 100
_EXAMPLE = "must be a table such as { per_class = [5, 10, 20, 50], draws = 5 }"
_ANY = Hyper(about="value of a hyper", low=float("-inf"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ladder:
    """Which parts of the training set a study's arms are trained on, and how.

    Args:
        per_class: pictures of each class, ascending; a fifth of them is for validation.
        draws: numbers of the draws.
        arms: names of `ravine.study.arms`, each a part of the study; (): its variants, or whatever it compares.
        trials: configs of each rule and arm, drawn at random; None: as the study searches.
        default: hypers of the one config below five pictures; of others the middle of the values that are tried.
        least_steps: how many updates a run, or a phase of it, has at least where its length is in epochs.
    """

    per_class: tuple[int, ...]
    draws: tuple[int, ...]
    arms: tuple[str, ...] = ()
    trials: int | None = None
    default: Mapping[str, float] = field(default_factory=dict)
    least_steps: int = LEAST_STEPS

    def content(self) -> dict[str, Any]:
        """The table that `parse_ladder` reads; defaults are left out."""
        counted = self.draws == tuple(range(len(self.draws)))
        found: dict[str, Any] = {
            "per_class": list(self.per_class),
            "draws": len(self.draws) if counted else list(self.draws),
        }
        if self.arms:
            found["arms"] = list(self.arms)
        if self.trials is not None:
            found["trials"] = self.trials
        if self.default:
            found["default"] = dict(self.default)
        if self.least_steps != LEAST_STEPS:
            found["least_steps"] = self.least_steps
        return found

    @property
    def parts(self) -> tuple[PartOf, ...]:
        """The parts of the training set, the smallest first."""
        return tuple(PartOf(per_class=n, draw=draw) for n in self.per_class for draw in self.draws)

    @property
    def num_untuned(self) -> int:
        """How many of the parts have nothing to choose by."""
        return sum(not part.tuned for part in self.parts)

    def num_configs(self, num: int, num_parts: int) -> int:
        """How many configs a rule has on all parts, of which it has ``num`` on one of them.

        Args:
            num: over all arms.
            num_parts: parts of the study, such as variants, each of which has one config where nothing is tuned.
        """
        return num * (len(self.parts) - self.num_untuned) + num_parts * self.num_untuned

    def one_config(self, axes: Mapping[str, Any]) -> dict[str, Any]:
        """The config of a rule where nothing can be chosen: the defaults, or the middle of what is tried.

        Example:
            >>> ladder = Ladder(per_class=(2,), draws=(0,), default={"lr": 0.1})
            >>> ladder.one_config({"lr": (1.0, 2.0), "rho": (0.8, 0.9, 0.99), "batch_size": ("auto",)})
            {'lr': 0.1, 'rho': 0.9, 'batch_size': 'auto'}
        """
        return {name: self.default.get(name, _middle(axis)) for name, axis in axes.items()}

    def check_default(self, rules: Sequence[RuleBlock]) -> None:
        """See that each default is a hyper of some rule, and a value that it may have.

        Raises:
            StudyError: it is none.
        """
        known: dict[str, Hyper] = {}
        for block in rules:
            known = {**hypers(preset(block.kind, block.preset)[0]), **known}
        for name, value in self.default.items():
            if name not in known:
                raise unknown("ladder.default", name, list(known))
            parse_number(value, f"ladder.default.{name}", known[name])


@dataclass(frozen=True, slots=True, kw_only=True)
class Taught:
    """What some runs of a study are trained on, as far as their recipes need it.

    Args:
        fingerprint: of the whole data set.
        num_train: examples to learn from.
        ladder: of the study.
        part: of the training set, or the fold that is the test split; None: all of the training split.
        task, classes: of the data set.
    """

    fingerprint: str
    num_train: int
    ladder: Ladder | None
    part: PartOf | FoldOf | None
    task: str
    classes: tuple[str, ...]

    @property
    def content(self) -> dict[str, int] | None:
        """The part as a recipe has it."""
        return None if self.part is None else self.part.content()

    @property
    def chosen(self) -> dict[str, float]:
        """What tells the runs from those on other parts, for people."""
        found = self.content or {}
        return {name: float(value) for name, value in found.items()}

    @property
    def least_steps(self) -> int:
        """How many updates a length in epochs has at least."""
        return 1 if self.ladder is None else self.ladder.least_steps

    @property
    def words(self) -> str:
        """What it is called in errors."""
        if isinstance(self.part, PartOf):
            return f"the part of {self.part.per_class} per class"
        return "the training set" if self.part is None else f"the training part of {self.part.words}"

    def only_config(self, axes: Mapping[str, Any]) -> dict[str, Any] | None:
        """The one config where nothing can be chosen; None where a rule has all of its own."""
        untuned = self.ladder is not None and isinstance(self.part, PartOf) and not self.part.tuned
        return self.ladder.one_config(axes) if untuned and self.ladder is not None else None


def parts_in(data: Dataset, ladder: Ladder | None) -> Iterator[tuple[str, Dataset]]:
    """The data sets that runs are judged on, by what their fold or part is called: one, by no name, in other studies.

    Answers of a ladder's parts are all alike but for their weights, so without these it has one too.

    Args:
        data: the whole data set.
        ladder: of the study.
    """
    if data.folds is not None:
        for fold in data.folds.sizes:
            yield fold.words, data.folds.of(fold)
    elif ladder is not None and data.score_weights is not None:
        for part in ladder.parts:
            yield part.words, part_of(data, part)
    else:
        yield "", data


def check_weighed(data: Dataset, ladder: Ladder) -> None:
    """See that each part of a ladder is scored by something.

    Raises:
        DataError: all examples that a part is validated by have weight 0, where weights count in scores.
    """
    if data.score_weights is None:
        return
    for words, part in parts_in(data, ladder):
        weights = part.validation.weights
        assert weights is not None, "they count in scores"
        check_part(weights, "validation", f"ladder: {words} of {data.name}")


def taught_of(ladder: Ladder | None, data: Dataset) -> tuple[Taught, ...]:
    """What the runs of a study are trained on: all training examples, or one part, or fold, after another.

    Args:
        ladder: of the study.
        data: the whole data set.
    """
    if data.folds is not None:
        return tuple(
            Taught(
                fingerprint=data.fingerprint,
                num_train=num_train,
                ladder=None,
                part=part,
                task=data.task,
                classes=data.classes,
            )
            for part, (num_train, *_) in data.folds.sizes.items()
        )
    if ladder is None:
        return (
            Taught(
                fingerprint=data.fingerprint,
                num_train=len(data.train),
                ladder=None,
                part=None,
                task=data.task,
                classes=data.classes,
            ),
        )
    return tuple(
        Taught(
            fingerprint=data.fingerprint,
            num_train=part.num_train * len(data.classes),
            ladder=ladder,
            part=part,
            task=data.task,
            classes=data.classes,
        )
        for part in ladder.parts
    )


LadderLike: TypeAlias = Mapping[str, Any] | Ladder


def parse_ladder(value: object) -> Ladder | None:
    """The ladder of a study; None where there is none.

    Args:
        value: a table.

    Raises:
        StudyError: one line with the key, the value and what is allowed.

    Example:
        >>> ladder = parse_ladder({"per_class": [2, 10], "draws": 3})
        >>> [(part.per_class, part.draw) for part in ladder.parts][:4], ladder.num_untuned
        ([(2, 0), (2, 1), (2, 2), (10, 0)], 3)
    """
    if value is None or isinstance(value, Ladder):
        return value
    if not isinstance(value, Mapping):
        raise wrong("ladder", value, _EXAMPLE)
    for key in value:
        if key not in KEYS:
            raise unknown("ladder", key, KEYS)
    for key in ("per_class", "draws"):
        if key not in value:
            raise lacking(f"ladder.{key}", f"missing; ladder {_EXAMPLE}")
    default = value.get("default", {})
    if not isinstance(default, Mapping):
        raise wrong("ladder.default", default, "must be a table of hypers such as { lr = 1e-3 }")
    trials = value.get("trials")
    return Ladder(
        per_class=_numbers(value["per_class"], "ladder.per_class", 1),
        draws=_draws(value["draws"]),
        arms=parse_arms(value.get("arms", ())),
        trials=None if trials is None else whole(trials, "ladder.trials", 1, MOST_RUNS),
        default={
            str(key): parse_number(item, f"ladder.default.{key}", _ANY) for key, item in default.items()
        },
        least_steps=whole(value.get("least_steps", LEAST_STEPS), "ladder.least_steps", 1, MOST_STEPS),
    )


def _draws(value: object) -> tuple[int, ...]:
    if isinstance(value, list | tuple):
        return _numbers(value, "ladder.draws", 0)
    return tuple(range(whole(value, "ladder.draws", 1, MOST_RUNGS, ", or a list of draws")))


def _numbers(value: object, where: str, least: int) -> tuple[int, ...]:
    """Different whole numbers, ascending."""
    if not isinstance(value, list | tuple) or not 0 < len(value) <= MOST_RUNGS:
        raise wrong(where, value, f"must be a list of 1 to {MOST_RUNGS} whole numbers")
    found = tuple(whole(item, f"{where}.{i}", least, 10**9) for i, item in enumerate(value))
    check_distinct(found, where)
    return tuple(sorted(found))


def search_of(ladder: Ladder | None, search: Search) -> Search:
    """How a study searches: a ladder with trials draws them at random.

    Raises:
        StudyError: the study says something else.
    """
    if ladder is None or ladder.trials is None:
        return search
    wanted = Search(kind="random", trials=ladder.trials, seed=search.seed)
    if search not in (Search(), wanted):
        raise StudyError(
            "ladder.trials, search: only one of them; trials are drawn at random",
            at=[("ladder", "trials"), ("search",)],
        )
    return wanted


def compared(ladder: Ladder | None, variants: Sequence[object]) -> str:
    """What a study compares that does not say it.

    Example:
        >>> compared(None, ()), compared(Ladder(per_class=(5,), draws=(0,), arms=("head", "all")), ())
        ('rule', 'arm')
    """
    if ladder is not None and ladder.arms:
        return ARM
    return VARIANT if variants else RULE


def check_alone(ladder: Ladder | None, beside: Mapping[str, object]) -> None:
    """See that a ladder is not given beside what its runs cannot have.

    Args:
        ladder: of a study.
        beside: values of other keys, None or empty where they are not given.

    Raises:
        StudyError: one line that names the key.
    """
    for key, value in beside.items():
        if ladder is not None and value:
            raise StudyError(f"ladder, {key}: only one of them", at=[("ladder",), (key,)])


def in_words(ladder: Ladder) -> str:
    """The parts of a ladder, for people.

    Example:
        >>> in_words(Ladder(per_class=(2, 5), draws=(0, 1, 2)))
        'ladder: 2, 5 per class, 3 draws each; not tuned below 5'
    """
    rungs = ", ".join(map(str, ladder.per_class))
    below = "; not tuned below 5" if ladder.num_untuned else ""
    return f"ladder: {rungs} per class, {count(len(ladder.draws), 'draw')} each{below}"


def first_draw(runs: Sequence[Run]) -> list[Run]:
    """Of the runs of a ladder those of one draw, of folds those of one: others are like them but for their examples."""
    key = (
        {name: value for name, value in (runs[0].recipe.part or {}).items() if name != PER_CLASS}
        if runs
        else {}
    )
    return [run for run in runs if not key or key.items() <= (run.recipe.part or {}).items()]


def _middle(axis: Any) -> Any:
    if isinstance(axis, Range):
        return axis.at(0.5)
    return axis[(len(axis) - 1) // 2]
