"""Prototypes and criticisms: what a class looks like in a layer, and what that leaves out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from ...brief import brief_repr
from ...checks import checked_number, quoted, real_array
from ...stored_result import StoredResult
from .kernel import Array, gaussian, kernel_means, median_gamma
from .names import check_length, check_names, class_labels, label_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LEAST = 1e-10  # determinant's factor below which a criticism is a copy of another


@dataclass(frozen=True, eq=False)
class Prototypes(StoredResult):
    """Samples that stand for each class, and samples that these represent badly.

    Args:
        classes: The classes, `(classes,)`.
        prototypes: Positions of samples, `(classes, prototypes)`, in the order in which they were found; −1
            where a class has no more.
        criticisms: Positions of samples likewise, `(classes, criticisms)`.
        mmd: Squared maximum mean discrepancy between a class and its first 1, 2, … prototypes, float64
            `(classes, prototypes)`; NaN where there are no more.
        witness: Of each criticism, the mean kernel with its class less that with the prototypes: above 0
            where the prototypes have too little of it.
        gamma: γ of each class's kernel exp(−γ ‖x − y‖²), `(classes,)`.
        about: Settings.
    """

    classes: NDArray[Any]
    prototypes: NDArray[np.int64]
    criticisms: NDArray[np.int64]
    mmd: Array
    witness: Array
    gamma: Array
    about: dict[str, Any]

    __repr__ = brief_repr

    def to_frame(self) -> pd.DataFrame:
        """Returns a row for each sample found: `class`, `kind`, `rank` from 1, `sample`, `mmd`, `witness`."""
        rows = [
            {
                "class": label,
                "kind": kind,
                "rank": rank + 1,
                "sample": int(sample),
                "mmd": self.mmd[row, rank] if kind == "prototype" else np.nan,
                "witness": self.witness[row, rank] if kind == "criticism" else np.nan,
            }
            for row, label in enumerate(self.classes.tolist())
            for kind, found in (
                ("prototype", self.prototypes[row]),
                ("criticism", self.criticisms[row]),
            )
            for rank, sample in enumerate(found)
            if sample >= 0
        ]
        return pd.DataFrame(rows, columns=["class", "kind", "rank", "sample", "mmd", "witness"])

    def plot(
        self,
        x: ArrayLike,
        *,
        class_names: Sequence[str] | None = None,
        value_range: tuple[float, float] | None = None,
        title: str | None = None,
    ) -> Figure:
        """Draws a row for each class: its prototypes, then its criticisms.

        Below a criticism stands its witness: above 0 the class has more samples like it than the prototypes
        say ("too few"), below 0 fewer ("too many").

        Args:
            x: All samples that were given, as signals, images or volumes.
            class_names: Names of the classes.
            value_range: The values drawn black and white; see `image_strip`.
            title: What stands above.

        Returns:
            A new `plotting.example_rows`.
        """
        from ...plotting import example_rows

        samples = np.asarray(x)
        check_length(samples, int(self.about["samples"]), "x", of="prototypes")
        check_names(class_names, self.classes)
        groups = {"prototypes": self.prototypes, "criticisms": self.criticisms}
        return example_rows(
            None,
            {name: found for name, found in groups.items() if found.shape[1]},
            of=samples,
            captions=[label_name(label, class_names) for label in self.classes],
            group_captions={
                "criticisms": [[_said(value) for value in row] for row in self.witness]
            },
            value_range=value_range,
            title=title,
        )


def prototypes(
    z: ArrayLike,
    labels: ArrayLike | None = None,
    *,
    classes: ArrayLike | None = None,
    count: int = 4,
    criticisms: int = 4,
    gamma: float | None = None,
    most_candidates: int = 20_000,
    seed: int = 0,
) -> Prototypes:
    """Finds samples that stand for each class, and those that these leave out (MMD-critic, Kim et al. 2016).

    Prototypes S are chosen one after another so that the squared maximum mean discrepancy between a class
    and S falls most, with the kernel exp(−γ ‖x − y‖²); where the kernel is small enough off the diagonal,
    they take off at least 1 − 1/e of what the best choice would (section 4). Criticisms C are chosen one
    after another so that ∑ |witness| + log det K_C grows most (section 3.2): they lie where class and
    prototypes differ, and apart from one another.

    Memory is linear in the samples: the kernel is made some rows at a time, and is held for chosen samples
    alone. Time is quadratic in the samples of a class, up to `most_candidates`.

    Args:
        z: Points `(samples, features)`, such as `activations(model, x, layer)`.
        labels: A class for each sample; None for one class. Classes predicted explain the model, labels the
            data.
        classes: The classes wanted, one or several entries of `labels`; all by default.
        count: Prototypes of each class.
        criticisms: Criticisms of each class.
        gamma: γ, in 1 / squared units of z; by default 1 / median ‖x − y‖² within each class.
        most_candidates: Of larger classes so many samples are drawn, which then stand for all.
        seed: Seed of what is drawn.

    Returns:
        `Prototypes`.

    Raises:
        ValueError: If a shape or number does not fit, a value is not finite, a label is missing, or a class
            has no sample.

    Example:
        >>> z = np.array([[0.0], [0.1], [0.2], [5.0]])
        >>> prototypes(z, count=2, criticisms=0, gamma=1.0).prototypes
        array([[1, 3]])
    """
    points = real_array(z, "z", ndim=2).astype(np.float64)
    given = np.zeros(len(points), np.int64)
    if labels is not None:
        given = class_labels(labels, len(points), "labels")
    wanted = _wanted(classes, given)
    count = checked_number(count, "count", least=1, whole=True)
    criticisms = checked_number(criticisms, "criticisms", least=0, whole=True)
    most = checked_number(most_candidates, "most_candidates", least=2, whole=True)
    if gamma is not None and checked_number(gamma, "gamma", least=0) == 0:
        raise ValueError(f"`gamma` must be above 0. Received: {gamma!r}.")
    random = np.random.default_rng(seed)
    rows = []
    for label in wanted:
        members = np.flatnonzero(given == label)
        if len(members) > most:
            members = np.sort(random.choice(members, most, replace=False))
        own = points[members]
        width = median_gamma(own, seed=seed) if gamma is None else float(gamma)
        rows.append((*_of_class(own, members, count, criticisms, width), width))
    columns = [np.stack(column) for column in zip(*rows, strict=True)]
    about = {"samples": len(points), "most_candidates": most, "seed": seed}
    chosen, critics, mmd, witness, gammas = columns
    return Prototypes(wanted, chosen, critics, mmd, witness, gammas, about)


def _wanted(classes: ArrayLike | None, given: NDArray[Any]) -> NDArray[Any]:
    present = np.unique(given)
    if classes is None:
        return present
    wanted = np.atleast_1d(np.asarray(classes))
    lacking = [label for label in wanted.tolist() if label not in present.tolist()]
    if lacking or wanted.ndim != 1 or not len(wanted):
        raise ValueError(
            f"`classes` must be among the labels: {quoted(present)}. Received: {quoted(wanted.ravel())}."
        )
    return np.asarray(list(dict.fromkeys(wanted.tolist())), dtype=given.dtype)


def _said(witness: float) -> str:
    if np.isnan(witness):
        return ""
    sign = "\N{MINUS SIGN}" if witness < 0 else "+"
    return f"{sign}{abs(witness):.2g}\ntoo {'many' if witness < 0 else 'few'}\nprototypes"


def _of_class(
    z: Array, members: NDArray[np.intp], count: int, criticisms: int, gamma: float
) -> tuple[Any, ...]:
    means = kernel_means(z, gamma)
    chosen, mmd, kernels = greedy_prototypes(z, means, count, gamma)
    witness = means - kernels.mean(axis=1)
    critics = greedy_criticisms(z, witness, chosen, criticisms, gamma)
    return (
        _filled(members[chosen], count, -1),
        _filled(members[critics], criticisms, -1),
        _filled(mmd, count, np.nan),
        _filled(witness[critics], criticisms, np.nan),
    )


def greedy_prototypes(
    z: Array, means: Array, count: int, gamma: float
) -> tuple[list[int], list[float], Array]:
    """Returns the samples chosen, the squared discrepancy after each, and their kernels with all samples."""
    samples, total = len(z), float(means.mean())
    chosen: list[int] = []
    discrepancies: list[float] = []
    kernels = np.empty((samples, min(count, samples)))
    among = np.zeros(samples)  # sums of kernels with those chosen
    gained, pairs = 0.0, 0.0  # sums over those chosen
    for number in range(1, kernels.shape[1] + 1):
        # 2/m ∑ means − 1/m² ∑ kernels, with each candidate for the last of m.
        values = 2 * (gained + means) / number - (pairs + 2 * among + 1.0) / number**2
        values[chosen] = -np.inf
        best = int(values.argmax())
        gained, pairs = gained + means[best], pairs + 2 * among[best] + 1.0
        kernels[:, number - 1] = gaussian(z, z[[best]], gamma)[:, 0]
        among += kernels[:, number - 1]
        chosen.append(best)
        discrepancies.append(max(total - float(values[best]), 0.0))
    return chosen, discrepancies, kernels


def greedy_criticisms(
    z: Array, witness: Array, prototypes: list[int], count: int, gamma: float
) -> list[int]:
    """Returns the samples chosen; fewer where all that are left are copies of those."""
    chosen: list[int] = []
    # The factor by which each candidate multiplies det K, and the rows of the Cholesky factor.
    left, rows = np.ones(len(z)), np.empty((0, len(z)))
    barred = np.zeros(len(z), bool)
    barred[prototypes] = True
    while len(chosen) < count:
        free = ~barred & (left > _LEAST)
        if not free.any():
            break
        values = np.where(free, np.abs(witness) + np.log(np.maximum(left, _LEAST)), -np.inf)
        best = int(values.argmax())
        row = gaussian(z[[best]], z, gamma)[0] - rows[:, best] @ rows
        row /= np.sqrt(left[best])
        left = left - row**2
        rows = np.vstack([rows, row])
        barred[best] = True
        chosen.append(best)
    return chosen


def _filled(values: Any, length: int, value: float) -> NDArray[Any]:
    found = np.asarray(values)
    dtype = np.int64 if value == -1 else np.float64
    return np.concatenate([found, np.full(length - len(found), value)]).astype(dtype)
