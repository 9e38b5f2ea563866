"""The study: a named set of runs, as a person declares it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ravine.data import Dataset, DataSpec
from ravine.grid import Grid
from ravine.messages import count, lacking
from ravine.schedules import ScheduleSpec
from ravine.schedules.spec import Constant
from ravine.study.arms import check_arms
from ravine.study.augment import Augmentation, AugmentLike, parse_augment
from ravine.study.averages import Averages, AveragesLike, check_schedules, parse_averages
from ravine.study.block import RuleBlock, RuleLike, block_of
from ravine.study.compare import check_compare, parse_compare
from ravine.study.configs import axes_of, check_size, num_configs
from ravine.study.fields import (
    MOST_STEPS,
    BatchSize,
    ScheduleLike,
    batch_sizes,
    label_smoothings,
    num_epochs,
    rules_of,
    schedules_of,
    seeds_of,
    study_name,
    tuning,
    whole,
)
from ravine.study.folds import check_folds, folds_in
from ravine.study.folds import in_words as folds_in_words
from ravine.study.keep import Keep, KeepLike, check_restarts, parse_keep
from ravine.study.ladder import Ladder, LadderLike, check_alone, compared, parse_ladder, search_of
from ravine.study.ladder import in_words as ladder_in_words
from ravine.study.loss import LossLike, LossSpec, check_smoothing, parse_loss
from ravine.study.metric import Judged, MetricLike, parse_metric
from ravine.study.model import Model
from ravine.study.modes import AtTest, AtTestLike, check_tuning, parse_test_time
from ravine.study.naming import known_keywords, naming
from ravine.study.parts import ModelsLike, NamedModel, Part, backbones_in, parse_models, rates_of
from ravine.study.phases import Phase, PhaseLike, check_lengths, check_phases, parse_phases
from ravine.study.precision import check_precision, parse_precision
from ravine.study.search import Search, parse_search
from ravine.study.shown import in_words, length, named, shared
from ravine.study.source import DataLike, parse_source
from ravine.study.stages import Regularize, check_stages, parse_regularize, positive_rates
from ravine.study.stop import PATIENCE, Stop, StopLike, check_bank, parse_stop
from ravine.study.values import Values, ValuesLike
from ravine.study.variants import Variant, VariantLike, parse_variants, parts_of


@dataclass(frozen=True, slots=True, kw_only=True, init=False, repr=False)
class Study:
    """A study: data, a model, and every value of every hyper that is to be tried.

    Args:
        name: names the study in its store; letters, digits, ".", "_" and "-".
        data: a name, a table with ``kind``, or in Python arrays ``(x, y)`` or ``(x, y, x_test, y_test)``, a
            `Dataset`, or a torch dataset that has a length.
        model: a kind, a table with ``kind``, ``"package.module:Name"``, or in Python a module class or a
            function without arguments; a list of these are models to compare or to tune over.
        rules: the update rules to compare, each with the values of its hypers.
        epochs: passes over the training set, above 0, at most 1,000,000; or
        steps: number of updates; or
        phases: tables ``{"train": "head", "epochs": 5, "lr": 3e-3}`` of what is trained one after another.
        batch_size: examples in a minibatch, "full", or "auto": 64, or all where the training set is smaller; a
            list is part of the grid.
        seeds: how many seeds (0, 1, ...), or a list of them.
        schedule: how the learning rate changes; a list is part of the grid.
        dropout: the rate of dropout layers, as in the table of a built-in model: a number, a list or a range.
        rates: those of stochastic layers by kind, or by ``"match:REGEX"`` for layers whose names match; of a user's
            module, too, whose layers otherwise keep their own rates.
        loss: what is made small: a kind such as ``"huber"``; a table with its numbers, of which a list or a range is
            part of the grid, such as ``{"kind": "focal", "gamma": [0, 2]}``, or with weights of classes,
            ``{"kind": "cross_entropy", "class_weights": "balanced"}``; ``"package.module:name"``, or in Python a
            function ``(outputs, answers) -> (B,)``. None: cross-entropy of classes, the squared error of numbers.
            Validation and test are scored by these in any case.
        label_smoothing: how much of an answer's weight is on all classes alike, in [0, 1); a list or a range are part
            of the grid. 0: none. Not for regression.
        precision: what training computes in: "float32", "float64", or on accelerators "bfloat16", whose passes are
            rounded while weights are float32. None: float32, or float64 where a module's own parameters are.
        augment: how the examples of a batch are changed at random in training: ``{"flip": 0.5, "cutout": [0.0, 0.5]}``;
            a list or a range are part of the grid. None: not at all.
        tune: "joint", every schedule with every config; "staged", first all configs at a constant lr, then the
            schedules for each rule's best; or "regularize", first all configs without dropout, then the other rates
            for each rule's best if it overfits.
        regularize: for the last: ``{"tolerance": 0.01}``, how far the accuracy on training data may be above that on
            validation data.
        search: "grid", all combinations, or ``{"kind": "random", "trials": 30}``.
        variants: tables of these keys, each of which takes the place of what the study says: techniques one at a time
            instead of every combination; the verdict then compares the variants.
        ladder: parts of the training set that everything is trained on: ``{"per_class": [5, 10, 20], "draws": 5}``, so
            many examples of each class on several draws; the verdict then says which arm is better for how many.
        compare: what the verdict compares: "rule", or another factor that varies, such as "dropout" or "batch_size":
            then it speaks of the levels of that factor, each tuned over the rest. No part of a run's id.
        metric: what configs are chosen by on validation, and what the verdict is about: a name such as "f1_macro" or
            "roc_auc", or a function of predictions and answers; None: accuracy, or the squared error of a regression.
            No part of a run's id.
        evaluations: how many times along a run, or along each of its phases, the validation set is looked at.
        stop: when runs end before their planned end: ``{"patience": 5}``, after so many evaluations in a row without a
            gain, with the weights of the best one; None: never. Of phases it concerns the last one, as do the next two.
        keep: which weights along a run are stored beside those at its end: ``{"every": "epoch"}``, a number of steps,
            or "cycle"; None: none.
        averages: which averages of the weights are kept along each run: ``{"ema": [0.99, 0.999]}``, and others; None:
            none.
        test_time: how runs are evaluated once they have finished, beside the mean pass:
            ``{"modes": ["mean", "mc"], "samples": 50, "views": "flips"}``; None: not at all.
        origin: the file it was read from: errors begin with it.
        weights: of data that are arrays, (N,) how much each example counts in the loss of training; None: all alike.
        weight_scores: these weights count in scores on validation and test as well: in the choice of hypers, the
            verdict and the tables.

    Raises:
        StudyError: one line with the key, the value and what is allowed.
        DataError: the arrays cannot be used as they are.

    Example:
        >>> study = Study(name="two-rules", data="iris", model="mlp", epochs=5,
        ...     rules=[{"kind": "sgd", "lr": [0.01, 0.1]}, "adam"])
        >>> [rule.label for rule in study.rules], study.num_runs
        (['sgd', 'adam'], 9)
    """

    name: str
    data: DataSpec | Dataset
    model: Model | tuple[NamedModel, ...]
    rules: tuple[RuleBlock, ...]
    epochs: float | None
    steps: int | None
    phases: tuple[Phase, ...]
    batch_size: tuple[BatchSize, ...]
    seeds: tuple[int, ...]
    schedule: tuple[ScheduleSpec, ...]
    rates: Mapping[str, Values]
    loss: LossSpec | None
    label_smoothing: Values
    precision: str | None
    augment: Augmentation | None
    search: Search
    tune: str
    regularize: Regularize
    variants: tuple[Variant, ...]
    ladder: Ladder | None
    compare: str
    metric: Judged | None
    evaluations: int
    stop: Stop | None
    keep: Keep | None
    averages: Averages | None
    test_time: AtTest | None
    origin: str
    # Which length a study was made with. `dataclasses.replace` hands it on beside the old length and a new one of the
    # other kind: so the new one is known.
    _length: tuple[float | None, int | None] = field(repr=False, compare=False)
    _parts: tuple[Part[Study], ...] = field(init=False, repr=False, compare=False)

    @known_keywords
    def __init__(
        self,
        *,
        name: str,
        data: DataLike,
        model: ModelsLike,
        rules: Sequence[RuleLike],
        epochs: float | None = None,
        steps: int | None = None,
        phases: Sequence[PhaseLike] = (),
        batch_size: int | str | Sequence[int | str] = "auto",
        seeds: int | Sequence[int] = 3,
        schedule: ScheduleLike | Sequence[ScheduleLike] = "constant",
        dropout: ValuesLike | None = None,
        rates: Mapping[str, ValuesLike] | None = None,
        loss: LossLike | None = None,
        label_smoothing: ValuesLike = 0.0,
        precision: str | None = None,
        augment: AugmentLike | None = None,
        search: str | Mapping[str, Any] | Search = "grid",
        tune: str = "joint",
        regularize: Mapping[str, Any] | Regularize | None = None,
        variants: Sequence[VariantLike] = (),
        ladder: LadderLike | None = None,
        compare: str | None = None,
        metric: MetricLike | None = None,
        evaluations: int = 20,
        stop: StopLike | None = None,
        keep: KeepLike | None = None,
        averages: AveragesLike | None = None,
        test_time: AtTestLike | None = None,
        origin: str = "",
        weights: Any = None,
        weight_scores: bool = False,
        _length: tuple[float | None, int | None] = (None, None),
    ) -> None:
        def put(field: str, value: object) -> None:
            object.__setattr__(self, field, value)  # frozen for everyone else

        put("origin", origin)
        with naming(origin):
            put("name", study_name(name))
            if epochs is not None and steps is not None:
                if _same(epochs, _length[0]):
                    epochs = None
                elif _same(steps, _length[1]):
                    steps = None
            put("phases", parse_phases(phases))
            named_models = parse_models(model)
            check_lengths(epochs, steps, self.phases, backbones_in(named_models))
            put("epochs", None if epochs is None else num_epochs(epochs))
            put("steps", None if steps is None else whole(steps, "steps", 1, MOST_STEPS))
            put("_length", (self.epochs, self.steps))
            put("batch_size", batch_sizes(batch_size))
            put("seeds", seeds_of(seeds))
            put("schedule", schedules_of(schedule))
            put("ladder", parse_ladder(ladder))
            put("search", search_of(self.ladder, parse_search(search)))
            put("tune", tuning(tune))
            put("regularize", parse_regularize(regularize))
            if self.regularize.changed() and self.tune != "regularize":
                raise lacking("regularize", 'only with tune = "regularize", which reads it')
            put("evaluations", whole(evaluations, "evaluations", 1, 10_000))
            put("stop", parse_stop(stop))
            put("keep", parse_keep(keep))
            if self.keep is not None:
                check_restarts(self.keep, self.schedule)
            put("averages", parse_averages(averages))
            if self.averages is not None:
                check_schedules(self.averages, self.schedule)
                check_bank(self.stop, self.averages)
            put("test_time", parse_test_time(test_time))
            if self.test_time is not None:
                check_tuning(self.test_time, self.tune)
            put("rules", rules_of(rules))
            check_phases(self.phases, self.rules, self.tune)
            put("model", named_models if isinstance(named_models, tuple) else named_models.model)
            put("rates", rates_of(named_models, dropout, rates))
            put("loss", parse_loss(loss))
            put("label_smoothing", label_smoothings(label_smoothing))
            check_smoothing(self.loss, self.label_smoothing)
            put("precision", parse_precision(precision))
            check_precision(self.precision, self.rules)
            put("augment", parse_augment(augment))
            if self.ladder is not None:
                self.ladder.check_default(self.rules)
                check_alone(
                    self.ladder,
                    {"tune": self.staged, "keep": keep, "averages": averages, "test_time": test_time},
                )
            put("variants", parse_variants(variants))
            put("compare", parse_compare(compare or compared(self.ladder, self.variants)))
            put("metric", parse_metric(metric))
            if self.ladder is not None:
                several = isinstance(self.model, tuple)
                beside = {"variants": self.variants, "model": several}
                check_arms(self.ladder.arms, self.model, self.phases, beside)
            put("data", parse_source(data, weights, weight_scores))
            put("_parts", parts_of(self))
            check_folds(
                self.data,
                self.models,
                {
                    "ladder": self.ladder,
                    "tune": self.staged,
                    "keep": self.keep,
                    "averages": self.averages,
                    "test_time": self.test_time,
                },
            )
            check_size(self)
            if self.staged:
                nums = {block.label: num_configs(self, block) for block in self.rules}
                check_stages(self.tune, nums, self.later, len(self.seeds))
            axes = {
                block.label: [
                    {**axes_of(part.study, block_of(part.study.rules, block.label)), **part.axes}
                    for part in self.parts
                ]
                for block in self.rules
            }
            check_compare(self.compare, axes, staged=self.staged)

    def grid(self) -> Grid:
        """The study as a small table: what all runs share, and a row per rule."""
        configs = [num_configs(self, block) for block in self.rules]
        return Grid(
            title=f"study {self.name}",
            before=(
                f"{named(self.data)}, {' or '.join(map(named, self.models))}, {self.length}: "
                f"{count(self.num_runs, 'run')} with {count(len(self.seeds), 'seed')}",
                *([ladder_in_words(self.ladder)] if self.ladder is not None else []),
                *([folds_in_words(self.data)] if folds_in(self.data) else []),
                *([] if self.loss is None else [f"loss {self.loss.name}"]),
                *shared(
                    self.schedule,
                    self.batch_size,
                    self.factors,
                    self.search.trials,
                    self.tune,
                    self.compare,
                    self.precision,
                    None if self.metric is None else self.metric.title,
                ),
            ),
            columns=("rule", "lr", "other hypers", "configs"),
            rows=tuple(
                (
                    block.label,
                    in_words(block.complete()[1].get("lr")),
                    ", ".join(f"{name} {in_words(v)}" for name, v in block.hypers.items() if name != "lr"),
                    f"{num:,}",
                )
                for block, num in zip(self.rules, configs, strict=True)
            ),
            left=("rule", "other hypers"),
        )

    def __str__(self) -> str:
        return str(self.grid())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.grid().html()

    @property
    def length(self) -> str:
        """How long its runs are, in words."""
        return length(self.epochs, self.steps, self.phases)

    @property
    def dropout(self) -> Values:
        """The values of ``dropout``."""
        return self.rates.get("dropout", 0.0)

    @property
    def parts(self) -> tuple[Part[Study], ...]:
        """What of the study has one model each: the study itself, if it has one."""
        return self._parts or (Part(study=self, model=self.models[0], chosen={}),)

    @property
    def models(self) -> tuple[Model, ...]:
        """Its models, in its order, those of its variants last; most studies have one."""
        own = [each.model for each in self.model] if isinstance(self.model, tuple) else [self.model]
        for part in self._parts:
            own += [part.model] if part.model not in own else []
        return tuple(own)

    @property
    def factors(self) -> dict[str, Values]:
        """The values of each hyper beside the rules' own, by the name that it has in a recipe; 0 is off.

        Of a study of several models those of the first that has it: what its runs are made of is in its parts.
        """
        if self._parts:
            return {name: v for part in reversed(self._parts) for name, v in part.study.factors.items()}
        rates = {f"model.{name}": values for name, values in {"dropout": 0.0, **self.rates}.items()}
        augment = self.augment.factors if self.augment is not None else {}
        patience = 0.0 if self.stop is None else self.stop.patience
        own = {} if self.loss is None else self.loss.factors
        return {**rates, "label_smoothing": self.label_smoothing, **own, PATIENCE: patience, **augment}

    @property
    def num_runs(self) -> int:
        """How many runs it is."""
        num = sum(num_configs(self, block) for block in self.rules) * max(1, len(folds_in(self.data)))
        if self.ladder is not None:
            return self.ladder.num_configs(num, len(self.parts) * len(self.rules)) * len(self.seeds)
        return (num + self.later * len(self.rules)) * len(self.seeds)

    @property
    def staged(self) -> bool:
        """Whether there is a second stage, which is decided by the validation of the first."""
        return self.tune != "joint"

    @property
    def later(self) -> int:
        """How many configs of a rule a second stage tries, at most."""
        if self.tune == "regularize":
            return max(len(part.study.rates_left) for part in self.parts)
        return len(self.decays)

    @property
    def rates_left(self) -> tuple[float, ...]:
        """The rates of dropout that a second stage tries; empty where there is none."""
        return positive_rates(self.dropout) if self.tune == "regularize" else ()

    @property
    def decays(self) -> tuple[ScheduleSpec, ...]:
        """The schedules that a second stage tries; empty where there is none."""
        return tuple(each for each in self.schedule if each != Constant()) if self.tune == "staged" else ()


def _same(given: object, before: float | None) -> bool:
    return isinstance(given, int | float) and given == before
