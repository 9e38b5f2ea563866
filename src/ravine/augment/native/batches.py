"""Augmented batches of pictures in machine code.

Some pictures of a batch are a job. Its first function is traced: the numbers of their plans. The second one makes their
pixels. Where examples are mixed, all pictures are made first, into memory of their own, and jobs of a second kind mix
them and their answers.

Shapes: N example of the source, G group: runs of one seed and the same strengths, J batch, batch j of group j modulo G,
B example of a batch, C some of them, which are a job, K class, P number of a plan, I input.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from torch import Tensor

from ravine.augment.mix import drawn_mixture, mixed_answers
from ravine.augment.native.frame import Frame
from ravine.augment.native.kernel import pictures_function
from ravine.augment.native.mixing import mixing_function
from ravine.augment.numbers import Words, example_key
from ravine.augment.plan import planned
from ravine.augment.spec import MIXING, Augment
from ravine.native.compiler import Compiler
from ravine.native.function import Function
from ravine.native.tensors import Unsupported
from ravine.native.workers import Jobs, Workers

_PIXELS = 1 << 16  # numbers of the pictures of a job: they stay in a core's caches
_THREAD = 1 << 18  # numbers of all pictures for which one more thread is woken


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What batches are made of; all of it is read whenever batches are made, so its memory stays where it is.

    Args:
        x: the source, float32 (N, C, H, W).
        y: its answers, int64 or float32 (N,).
        rows_JB: the rows of each batch, int64.
        examples_JB: the numbers that they draw by, int64; in training the rows.
        epochs_J: the epoch of each batch, int64.
        of_group: int64 "seed", and float32 strengths by name, (G,) each.
    """

    x: Tensor
    y: Tensor
    rows_JB: Tensor
    examples_JB: Tensor
    epochs_J: Tensor
    of_group: Mapping[str, Tensor]


@final
class PictureBatches:
    """Makes batches of pictures.

    Args:
        given: what they are made of.
        x: where they are written, float32 (J, B, C, H, W).
        y: where their answers are written: float32 (J, B, K) of mixed classes, else (J, B) as they are.
        fixed: of the training part, from `ravine.augment.fixed.fixed_of`.
        options: structure.
        num_classes: K; None for regression.
        num_threads: at most so many at once.
        team: on PyTorch's threads, where that is possible.

    Raises:
        Unsupported: there is no machine code for it.
    """

    def __init__(
        self,
        given: Given,
        x: Tensor,
        y: Tensor,
        *,
        fixed: Mapping[str, Tensor],
        options: Augment,
        num_classes: int | None,
        num_threads: int,
        team: bool = False,
    ) -> None:
        names = tuple(name for name in given.of_group if name != "seed")
        _check(given, x, y)
        self._given, self._x, self._y, self._names = given, x, y, names
        self._fixed, self._options, self._num_classes = dict(fixed), options, num_classes
        self._mixes = any(name in names for name in MIXING)
        num, batch, channels, height, width = x.shape
        self._batch, self._shape = batch, (channels, height, width)
        per_batch = -(-batch // max(1, _PIXELS // x[0, 0].numel()))
        self._part = -(-batch // per_batch)
        firsts = np.arange(0, batch, self._part)
        # All parts are as long: the last one has pictures of the one before it, which it does not make.
        starts = np.minimum(firsts, batch - self._part)
        self._batch_L = np.repeat(np.arange(num), len(starts))
        self._start_L, self._skip_L = np.tile(starts, num), np.tile(firsts - starts, num)
        self._per_batch = len(starts)
        self._raw = torch.empty_like(x) if self._mixes else x
        self._stages = [self._pictures()]
        if self._mixes:
            self._stages.append(self._mixing())
        threads = min(num_threads, 1 + x.numel() // _THREAD)
        self._workers = [Workers(jobs, threads, team=team) for jobs in self._stages]
        self._all = [workers.once_each() for workers in self._workers]

    def __call__(self, num: int, wanted: np.ndarray | None = None) -> None:
        """Make the first batches, so many of them; or those of them that are wanted, by number."""
        for jobs, workers, all_of_them in zip(self._stages, self._workers, self._all, strict=True):
            if wanted is None and num == len(self._x):
                all_of_them()
                continue
            batches = np.arange(num) if wanted is None else wanted
            parts = (batches[:, None] * self._per_batch + np.arange(self._per_batch)).ravel()
            still_I = np.zeros(jobs.tables_JI.shape[1], dtype=np.int64)
            workers.run(parts, 1, still_I, np.zeros(len(self._batch_L), dtype=np.uint8))
        if not self._mixes:
            rows = self._given.rows_JB[:num].flatten()
            torch.index_select(self._given.y, 0, rows, out=self._y[:num].view(-1))

    def _pictures(self) -> Jobs:
        compiler, options, fixed = Compiler(), self._options, self._fixed
        channels_of = {
            "outside": fixed["average" if options.fill == "mean" else "black"].contiguous(),
            "cut": fixed["average" if options.cutout_fill == "mean" else "black"].contiguous(),
            **{name: fixed[name].flatten().contiguous() for name in ("mean", "deviation")},
        }
        self._channels = channels_of  # whose memory the code reads

        def plan(examples_C: Tensor, seed: Tensor, epoch: Tensor, *strengths: Tensor) -> dict[str, Tensor]:
            alone = len(examples_C) == 1  # vectors and single numbers are rounded otherwise
            words = Words(example_key(seed, epoch), torch.cat([examples_C] * 2) if alone else examples_C)
            given = dict(zip(self._names, strengths, strict=True))
            found = planned(words, given, fixed, options, self._shape)
            return {name: each[:1] for name, each in found.items()} if alone else found

        examples = self._examples(["examples"])
        numbers = tuple(plan(*examples.values()))
        channels, height, width = self._shape
        frame = Frame(
            channels=channels, height=height, width=width, fill=options.fill, has=frozenset(numbers)
        )
        functions: list[Function | None] = []
        if numbers:
            outputs = [("plan", (len(numbers), self._part), 0)]
            functions.append(
                compiler.function(
                    lambda *given: (torch.stack(list(plan(*given).values())),), examples, outputs
                )
            )
        names = ("source", "rows", "plan", "pictures", "skip", *channels_of)
        places = {name: compiler.number(name) for name in names}
        functions.append(pictures_function(frame, numbers, self._part, places))
        fixed_places = {"source": self._given.x, **channels_of}
        own = {compiler.number("plan"): 4 * max(1, len(numbers)) * self._part}
        return self._jobs(compiler, functions, {"pictures": self._raw}, fixed_places, own)

    def _mixing(self) -> Jobs:
        compiler, shape = Compiler(), self._shape[1:]

        def mixture(
            first_1: Tensor, examples_C: Tensor, start: Tensor, rows_C: Tensor, batch_B: Tensor, y: Tensor,
            seed: Tensor, epoch: Tensor, *strengths: Tensor,
        ) -> tuple[Tensor, ...]:  # fmt: skip
            key = example_key(seed, epoch)
            places = torch.arange(self._part) + start
            part = (Words(key, first_1), places)
            given = dict(zip(self._names, strengths, strict=True))
            words = Words(key, examples_C)
            found = drawn_mixture(words, given, self._batch, shape, self._options, part)
            answers = y.index_select(0, rows_C)
            others = y.index_select(0, batch_B.index_select(0, found.partner))
            numbers = [found.lam, found.partner.float(), found.by_box.float(), *found.box.values()]
            return torch.stack(numbers), mixed_answers(answers, others, found, self._num_classes)

        examples = self._examples(["first", "examples", "start", "rows", "batch", "y"])
        box = ("top", "bottom", "left", "right") if "cutmix" in self._names else ()
        numbers = ("lam", "partner", "by_box", *box)
        outputs = [
            ("mixture", (len(numbers), self._part), 0),
            ("answers", (self._part, *self._y.shape[2:]), 0),
        ]
        function = compiler.function(mixture, examples, outputs)
        places = {name: compiler.number(name) for name in ("whole", "raw", "mixture", "pictures", "skip")}
        channels, height, width = self._shape
        frame = Frame(channels=channels, height=height, width=width, fill="black", has=frozenset(box))
        mixes = mixing_function(frame, numbers, self._part, places)
        own = {compiler.number("mixture"): 4 * len(numbers) * self._part}
        parts = {"raw": self._raw, "pictures": self._x, "answers": self._y}
        return self._jobs(compiler, [function, mixes], parts, {"y": self._given.y}, own)

    def _examples(self, names: Sequence[str]) -> dict[str, Tensor]:
        """Inputs that a function is traced with."""
        given, part = self._given, self._part
        kinds = {
            "first": given.examples_JB[0, :1],
            "examples": given.examples_JB[0, :part],
            "start": torch.zeros((), dtype=torch.int64),
            "rows": given.rows_JB[0, :part],
            "batch": given.rows_JB[0],
            "y": given.y,
            "seed": given.of_group["seed"][0],
            "epoch": given.epochs_J[0],
        }
        strengths = {f"strength/{name}": given.of_group[name][0] for name in self._names}
        return {**{name: kinds[name] for name in (*names, "seed", "epoch")}, **strengths}

    def _jobs(
        self,
        compiler: Compiler,
        functions: list[Function | None],
        parts: Mapping[str, Tensor],
        same: Mapping[str, Tensor],
        own: dict[int, int],
    ) -> Jobs:
        """Jobs for all parts of all batches.

        Args:
            compiler: knows the inputs.
            functions: of each job.
            parts: inputs that are a part of a batch, (J, B, ...).
            same: inputs that are the same for all jobs.
            own: bytes of a thread's own inputs.
        """
        given, batch_L, start_L = self._given, self._batch_L, self._start_L
        group_L = batch_L % len(given.of_group["seed"])
        table_LI = compiler.table({}, len(batch_L))

        def put(name: str, tensor: Tensor, places_L: np.ndarray) -> None:
            if name in compiler.numbers:
                far = tensor.element_size() * places_L
                table_LI[:, compiler.numbers[name]] = tensor.data_ptr() + far

        for name, tensor in same.items():
            put(name, tensor, 0 * batch_L)
        of_part = batch_L * self._batch + start_L
        for name, tensor in {"rows": given.rows_JB, "examples": given.examples_JB, **parts}.items():
            put(name, tensor, tensor[0, 0].numel() * of_part)
        put("first", given.examples_JB, batch_L * self._batch)
        put("batch", given.rows_JB, batch_L * self._batch)
        put("whole", self._raw, self._raw[0].numel() * batch_L)
        put("epoch", given.epochs_J, batch_L)
        put("seed", given.of_group["seed"], group_L)
        for name in self._names:
            put(f"strength/{name}", given.of_group[name], group_L)
        for name, each_L in {"start": start_L, "skip": self._skip_L}.items():
            if name in compiler.numbers:
                table_LI[:, compiler.numbers[name]] = each_L.ctypes.data + 8 * np.arange(len(batch_L))
        self._kept = [*getattr(self, "_kept", []), compiler]  # whose constants the code reads
        return Jobs(tables_JI=table_LI, functions=[functions] * len(batch_L), own=own)


def _check(given: Given, x: Tensor, y: Tensor) -> None:
    tensors = [
        given.x,
        given.y,
        given.rows_JB,
        given.examples_JB,
        given.epochs_J,
        *given.of_group.values(),
        x,
        y,
    ]
    if any(each.device.type != "cpu" or not each.is_contiguous() for each in tensors):
        raise Unsupported("tensors that do not lie row by row in the processor's memory")
    if given.x.dim() != 4 or given.x.dtype != torch.float32 or x.dtype != torch.float32:
        raise Unsupported("examples that are no pictures of float32")
