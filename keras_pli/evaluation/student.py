"""Can a second model learn from the explanations? The curve over the number of samples it needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from ..attribution import Attribution
from ..brief import brief_repr
from ..checks import checked_by_name, checked_number, finite_array, label_array, quoted
from ..intervals import mean_interval
from ..stored_result import StoredResult
from .scoring import position_maps
from .student_network import StudentTraining, attention_student, attention_targets

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NONE, RANDOM = "no explanation", "random maps"


@dataclass(frozen=True, eq=False)
class StudentCurves(StoredResult):
    """How often students agree with the classifier on held-out inputs, by the explanations they learned from.

    Args:
        agreement: Share of held-out inputs put into the classifier's class, float64 `(methods, sizes,
            seeds)`.
        methods: What each learned from, `"no explanation"` first and `"random maps"` second.
        sizes: Numbers of training samples.
        about: Settings.
    """

    agreement: NDArray[np.float64]
    methods: NDArray[np.str_]
    sizes: NDArray[np.int64]
    about: dict[str, Any]

    __repr__ = brief_repr

    def to_frame(self) -> pd.DataFrame:
        """Returns a row for each method and size.

        Columns: `method`, `samples`, the mean `agreement` over seeds with the ends `low` and `high` of its
        95 % interval by Student's t, and `gain`, the mean difference to the student of the same seed without
        explanations, with `gain_low` and `gain_high`.
        """
        rows = []
        for row, method in enumerate(self.methods.tolist()):
            for column, size in enumerate(self.sizes.tolist()):
                found = self.agreement[row, column]
                mean, low, high = mean_interval(found)
                gain = mean_interval(found - self.agreement[0, column])
                rows.append((method, size, mean, low, high, *gain))
        columns = ["method", "samples", "agreement", "low", "high", "gain", "gain_low", "gain_high"]
        return pd.DataFrame(rows, columns=columns)

    def samples_needed(self, agreement: float) -> pd.Series[float]:
        """Returns how many samples each method's students need to agree so often, on average over seeds.

        Read off the mean curve, straight between sizes on a logarithmic axis; the least size where that is
        enough already, and NaN where the greatest is not.
        """
        means = self.agreement.mean(axis=2)
        found = {}
        for method, curve in zip(self.methods.tolist(), means, strict=True):
            # Where a curve falls by chance, what was reached once counts.
            reached = np.maximum.accumulate(curve)
            if reached[-1] < agreement:
                found[method] = np.nan
                continue
            place = int(np.argmax(reached >= agreement))
            ends = np.log(self.sizes[[max(place - 1, 0), place]])
            values = reached[[max(place - 1, 0), place]]
            part = 1.0 if place == 0 else (agreement - values[0]) / (values[1] - values[0])
            found[method] = float(np.exp(ends[0] + part * (ends[1] - ends[0])))
        return pd.Series(found, name="samples", dtype=np.float64).rename_axis("method")

    def plot(self, *, title: str | None = None) -> Figure:
        """Draws the curve of each method over the number of samples.

        Returns:
            A new `plotting.student_curves`.
        """
        from ..plotting import student_curves

        return student_curves(self.to_frame(), title=title)


def student_test(
    x: ArrayLike,
    predictions: ArrayLike,
    explanations: Mapping[str, ArrayLike | Attribution],
    held_out: tuple[ArrayLike, ArrayLike],
    *,
    sizes: Sequence[int] = (16, 32, 64, 128, 256),
    seeds: int = 5,
    student: Callable[[int], keras.Model] | None = None,
    strength: float = 1.0,
    steps: int = 400,
    batch: int = 32,
    seed: int = 0,
    verbose: int = 0,
) -> StudentCurves:
    """Measures explanations by what a second model learns from them (Seah et al. 2018, discussion).

    "How much data a second model requires when learning from the predictions and interpretations provided by
    another": a student learns n predictions of the classifier, and besides to attend where the explanation is
    large. It is judged on held-out inputs, which it sees without explanations. Beside stand students that
    learn predictions alone, and ones that are given random maps, smooth as an object: an explanation that
    does not beat these taught nothing. All students of one seed start alike and see the same samples in the
    same order.

    The measure is of maps that say where: of an explanation's sign, and of what it says within a cell of the
    student's grid, the student learns nothing.

    Args:
        x: Inputs that were explained, `(samples, *spatial, channels)`.
        predictions: The classifier's class of each, `(samples,)`.
        explanations: Attributions by name, an `Attribution` or its array, with or without channels.
        held_out: Other inputs, and the classifier's class of each.
        sizes: Numbers n of samples to learn from, ascending, each at most `samples`.
        seeds: Students of each kind; each has other weights and other samples.
        student: From a seed to a new model of outputs `[logits, attention]`; by default `attention_student`.
        strength: Weight of the attention's cross-entropy against that of the classes.
        steps: Steps of each training, the same for all n.
        batch: Samples a step.
        seed: First of the seeds.
        verbose: 1 draws a progress bar.

    Returns:
        `StudentCurves`.

    Raises:
        ValueError: If shapes or numbers do not fit, a name is taken, or the student has other outputs.
        TypeError: If `held_out` is no pair.

    Example:
        >>> random = np.random.default_rng(0)
        >>> x, classes = random.normal(size=(20, 8, 8, 1)), np.arange(20) % 2
        >>> maps = {"magnitude": np.abs(x)}
        >>> found = student_test(x, classes, maps, (x, classes), sizes=[8], seeds=1, steps=2)
        >>> found.methods.tolist()
        ['no explanation', 'random maps', 'magnitude']
    """
    images, classes = _samples(x, predictions, "predictions")
    if not isinstance(held_out, tuple | list) or len(held_out) != 2:
        raise TypeError(
            "`held_out` must be a pair of inputs and the classifier's classes, (x, predictions). "
            f"Received: {type(held_out).__name__}."
        )
    others, truth = _samples(*held_out, "held_out[1]")
    if others.shape[1:] != images.shape[1:]:
        raise ValueError(
            f"`held_out` must have inputs of shape {images.shape[1:]}. Received: {others.shape[1:]}."
        )
    wanted = _sizes(sizes, len(images))
    seeds = checked_number(seeds, "seeds", least=1, whole=True)
    steps = checked_number(steps, "steps", least=1, whole=True)
    batch = checked_number(batch, "batch", least=1, whole=True)
    strength = checked_number(strength, "strength", least=0)
    count = max(int(max(classes.max(), truth.max())) + 1, 2)
    make = student or (lambda number: attention_student(images.shape[1:], count, seed=number))
    model = make(seed)
    grid = _grid(model, count)
    taught = _targets(explanations, images, grid)
    names = [NONE, RANDOM, *taught]
    training = StudentTraining(model, steps=steps, batch=batch)
    found = np.empty((len(names), len(wanted), seeds))
    progress = keras.utils.Progbar(found.size, verbose=verbose, unit_name="student")
    for number in range(seeds):
        own = seed + number
        start = make(own).get_weights()
        order = np.random.default_rng(own).permutation(len(images))
        maps: dict[str, Any] = {NONE: None, RANDOM: random_maps(len(images), grid, own), **taught}
        for column, size in enumerate(wanted):
            rows = order[:size]
            for row, name in enumerate(names):
                chosen = None if maps[name] is None else maps[name][rows]
                training.run(start, images[rows], classes[rows], chosen, strength, own)
                logits = model.predict(others, batch_size=256, verbose=0)[0]
                found[row, column, number] = np.mean(logits.argmax(axis=1) == truth)
                progress.add(1)
    about = {"strength": strength, "steps": steps, "batch": batch, "seed": seed}
    return StudentCurves(found, np.array(names), np.array(wanted), about)


def random_maps(samples: int, grid: Sequence[int], seed: int) -> NDArray[np.float64]:
    """Returns maps of a Gaussian at a place drawn evenly, summing to 1: as sure as an explanation, and wrong.

    Example:
        >>> np.round(random_maps(2, (4, 4), 0).sum(axis=(1, 2)), 6)
        array([1., 1.])
    """
    random = np.random.default_rng([seed, 1])
    found = np.ones((samples, *grid))
    for axis, cells in enumerate(grid):
        middle = random.uniform(-0.5, cells - 0.5, size=(samples, 1))
        away = (np.arange(cells) - middle) / max(cells / 8, 0.5)
        shape = [samples, *(cells if other == axis else 1 for other in range(len(grid)))]
        found = found * np.exp(-0.5 * away**2).reshape(shape)
    return np.asarray(found / found.reshape(samples, -1).sum(axis=1).reshape(-1, *[1] * len(grid)))


def _samples(
    x: ArrayLike, predictions: ArrayLike, name: str
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    images = finite_array(x, "x")
    if not 3 <= images.ndim <= 5:
        raise ValueError(
            f"`x` must have shape (samples, *spatial, channels). Received shape {images.shape}."
        )
    classes = label_array(predictions, len(images), name)
    if classes.dtype.kind not in "iu" or classes.min() < 0:
        raise ValueError(
            f"`{name}` must hold classes from 0 on. Received dtype {classes.dtype}, values "
            f"{quoted(np.unique(classes))}."
        )
    return images, classes.astype(np.int64)


def _sizes(sizes: Sequence[int], samples: int) -> list[int]:
    wanted = [
        checked_number(size, "sizes", least=1, below=samples + 1, whole=True) for size in sizes
    ]
    if not wanted or wanted != sorted(set(wanted)):
        raise ValueError(f"`sizes` must ascend. Received: {list(sizes)}.")
    return wanted


def _grid(model: keras.Model, classes: int) -> tuple[int, ...]:
    shapes = [tuple(output.shape) for output in model.outputs]
    if len(shapes) != 2 or len(shapes[0]) != 2 or shapes[0][1] != classes or None in shapes[1][1:]:
        raise ValueError(
            f"`student` must make a model with outputs [logits, attention], of {classes} classes. "
            f"Received outputs of shape {quoted(shapes)}."
        )
    return shapes[1][1:]


def _targets(
    explanations: Mapping[str, Any], images: NDArray[np.float32], grid: tuple[int, ...]
) -> dict[str, NDArray[np.float64]]:
    checked_by_name(explanations, "explanations")
    taken = {NONE, RANDOM} & set(explanations)
    if taken:
        raise ValueError(
            f"`explanations` must be called otherwise than {NONE!r} and {RANDOM!r}, which stand beside them. "
            f"Received: {quoted(explanations)}."
        )
    return {
        name: attention_targets(position_maps(found, images, f"explanations[{name!r}]"), grid)
        for name, found in explanations.items()
    }
