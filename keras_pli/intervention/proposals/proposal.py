"""What was found, and what it speaks for: proposals to look at, choose from, and make a plan of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from ...brief import counted
from ...checks import checked_number
from ..data_changes import DataChange, Relabel, Weigh
from ..plan import InterventionPlan

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ...plotting.style import ClassNames

_SHOWN, _BESIDE = 7, 3


@dataclass(frozen=True, eq=False)
class Proposal:
    """One change of the training data, and the samples that speak for it.

    Args:
        change: A `Weigh`, `Relabel` or `Exclude`; its `reason` says why.
        kind: What was found, such as `"suspicious label"`.
        rows: The samples that it selects, int64 `(k,)`, the most telling first.
        scores: float64 `(k,)`, how much each speaks for it; see the function that proposed it.
        labels: The labels that they have, one a sample, or none.
        beside: Samples to compare them with, int64 `(m,)`.
        beside_in: Where those are: among the training samples, or the test samples.

    Example:
        >>> from keras_pli import Exclude
        >>> one = Proposal(Exclude([3], reason="Twice."), "near-duplicate", np.array([3]), np.array([1.0]))
        >>> one
        exclude point 3: near-duplicate, 1 sample
          because: Twice.
    """

    change: DataChange
    kind: str
    rows: NDArray[np.int64]
    scores: NDArray[np.float64]
    labels: tuple[Any, ...] = ()
    beside: NDArray[np.int64] | None = None
    beside_in: Literal["train", "test"] = "train"

    @property
    def reason(self) -> str:
        """Why, a sentence."""
        return self.change.reason or ""

    def shown(self, most: int) -> NDArray[np.int64]:
        """Returns rows to look at: the most telling ones, of a cluster some from its core to its edge.

        Args:
            most: How many at most.
        """
        if self.kind != "unlabelled cluster" or len(self.rows) <= most:
            return self.rows[:most]
        return self.rows[np.linspace(0, len(self.rows) - 1, most).astype(np.int64)]

    @property
    def label(self) -> Any:
        """The label that all its samples have, or None."""
        return self.labels[0] if len(set(self.labels)) == 1 else None

    def __repr__(self) -> str:
        first = f"{self.change}: {self.kind}, {counted(len(self.rows), 'sample')}"
        return f"{first}\n  because: {self.reason}" if self.reason else first

    def _title(self, names: ClassNames | None) -> str:
        """What is done, in the few words that stand beside pictures."""
        own = "several classes" if self.label is None else class_name(self.label, names)
        if isinstance(self.change, Relabel):
            new = class_name(self.change.label, names)
            if self.kind == "unlabelled cluster":
                return f"label as {new}"
            return f"{own}, relabel as {new}"
        if isinstance(self.change, Weigh):
            return f"{own}, weigh by {self.change.factor:.3g}"
        return f"{own}, exclude" if self.labels else f"{self.kind}s, exclude"


@dataclass(frozen=True, eq=False)
class Proposals(Sequence[Proposal]):
    """Proposals in order, the one to look at first at the front.

    They are there to be looked at: `plot` shows their samples, `pick` keeps those that are right, and `plan`
    makes a plan.

    Args:
        proposals: The proposals.
        looked_at: What was looked at, in words.

    Example:
        >>> from keras_pli.intervention import suspicious_labels
        >>> z = np.random.default_rng(0).normal(size=(40, 3)) + np.repeat([[0.0], [9.0]], 20, axis=0)
        >>> labels = np.repeat([0, 1], 20)
        >>> labels[3] = 1
        >>> found = suspicious_labels(z, labels, neighbors=10)
        >>> found.plan()
        InterventionPlan of 1 change
          1. relabel point 3 as class 0
             because: 1 of 21 samples of class 1 lies among class 0; its label is wrong with a chance of 0.85
    """

    proposals: tuple[Proposal, ...]
    looked_at: str = ""

    def __len__(self) -> int:
        return len(self.proposals)

    @overload
    def __getitem__(self, place: int) -> Proposal: ...

    @overload
    def __getitem__(self, place: slice) -> Proposals: ...

    def __getitem__(self, place: int | slice) -> Proposal | Proposals:
        if isinstance(place, slice):
            return replace(self, proposals=self.proposals[place])
        return self.proposals[place]

    def pick(self, *places: int) -> Proposals:
        """Returns some of them, by their number in the table, counted from 1.

        Raises:
            ValueError: If there is no such number.

        Example:
            >>> Proposals((), "nothing").pick(1)
            Traceback (most recent call last):
            ...
            ValueError: `places` must be a whole number from 1 and less than 1. Received: 1.
        """
        below = len(self) + 1
        chosen = [checked_number(p, "places", least=1, below=below, whole=True) for p in places]
        return replace(self, proposals=tuple(self.proposals[place - 1] for place in chosen))

    def plan(self, most: int | None = None) -> InterventionPlan:
        """Returns a plan of the changes proposed.

        Args:
            most: How many, from the front; None for all.
        """
        if most is not None:
            most = checked_number(most, "most", least=0, whole=True)
        return InterventionPlan([proposal.change for proposal in self.proposals[:most]])

    def table(self) -> pd.DataFrame:
        """Returns one row a proposal, numbered from 1.

        Columns: `change`; `kind`; `samples`, how many; `label`, the one that all have; `score`, the mean of
        theirs; `because`.
        """
        columns = ["change", "kind", "samples", "label", "score", "because"]
        rows = [
            (str(p.change), p.kind, len(p.rows), p.label, float(np.mean(p.scores)), p.reason)
            for p in self.proposals
        ]
        return pd.DataFrame(rows, columns=columns, index=range(1, len(self) + 1))

    def plot(
        self,
        images: ArrayLike,
        *,
        test_images: ArrayLike | None = None,
        most: int = 8,
        columns: int = _SHOWN,
        class_names: ClassNames | None = None,
        value_range: tuple[float, float] | None = None,
        title: str | None = None,
    ) -> Figure:
        """Draws samples of each proposal in a row, beside others to compare them with.

        Args:
            images: All training samples: signals, images or volumes; see `plotting.example_rows`.
            test_images: All test samples, needed beside near-duplicates.
            most: How many proposals, from the front.
            columns: How many samples of each.
            class_names: A sequence that integer labels index, or a mapping from label to name.
            value_range: The values drawn black and white.
            title: What stands above; by default how many of the proposals are shown, where not all are.

        Returns:
            A new `plotting.example_rows`.

        Raises:
            ValueError: If there is no proposal, fewer samples than rows were proposed, or test samples are
                of another shape.
        """
        from ...plotting import example_rows

        if not self.proposals:
            raise ValueError(f"There is nothing to draw: {self._title()}.")
        shown = self.proposals[: checked_number(most, "most", least=1, whole=True)]
        if title is None and len(shown) < len(self):
            title = f"The first {len(shown)} of {len(self)} proposals"
        pools = {"train": np.asarray(images)}
        if test_images is not None:
            pools["test"] = np.asarray(test_images)
            one, other = (pool.shape[1:] for pool in pools.values())
            if one != other:
                raise ValueError(
                    f"`images` and `test_images` must hold samples of one shape. Received {one} and {other}."
                )
        pool = _Pool(pools)
        groups = {"proposed": [pool.places(p.shown(columns), "train", columns) for p in shown]}
        texts = {"proposed": [_texts(p, columns, class_names) for p in shown]}
        if any(p.beside is not None and p.beside_in in pools for p in shown):
            groups["to compare"] = [pool.beside(p) for p in shown]
            texts["to compare"] = [[""] * _BESIDE for _ in shown]
        captions = [
            f"{place}. {p._title(class_names)} ({len(p.rows)})" for place, p in enumerate(shown, 1)
        ]
        return example_rows(
            None,
            {name: np.array(rows) for name, rows in groups.items()},
            of=pool.samples(),
            captions=captions,
            group_captions=texts,
            value_range=value_range,
            title=title,
        )

    def _title(self) -> str:
        of = f" of {self.looked_at}" if self.looked_at else ""
        return f"{counted(len(self), 'proposal') if len(self) else 'no proposal'}{of}"

    def __repr__(self) -> str:
        lines = [self._title()]
        for place, proposal in enumerate(self.proposals, start=1):
            first, *more = repr(proposal).splitlines()
            lines += [f"{place:3}. {first}", *(f"   {line}" for line in more)]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        from ...plotting.notebook import notebook_html

        return notebook_html(self._title(), table=self.table() if len(self) else None)


class _Pool:
    """The samples that a figure shows, gathered from training and test samples."""

    def __init__(self, pools: Mapping[str, NDArray[Any]]) -> None:
        self.pools = pools
        self.taken: list[NDArray[Any]] = []

    def places(self, rows: NDArray[np.int64], pool: str, columns: int) -> list[int]:
        """Takes samples and returns their places, filled up with -1."""
        samples = self.pools[pool]
        if len(rows) and rows.max() >= len(samples):
            name = "images" if pool == "train" else "test_images"
            raise ValueError(
                f"`{name}` must hold all samples that were looked at, more than {rows.max()}. "
                f"Received {len(samples)}."
            )
        begin = len(self.taken)
        self.taken += [samples[row] for row in rows]
        return [*range(begin, len(self.taken)), *[-1] * (columns - len(rows))]

    def beside(self, proposal: Proposal) -> list[int]:
        if proposal.beside is None or proposal.beside_in not in self.pools:
            return [-1] * _BESIDE
        return self.places(proposal.beside[:_BESIDE], proposal.beside_in, _BESIDE)

    def samples(self) -> NDArray[Any]:
        return np.stack(self.taken)


def class_name(label: Any, names: ClassNames | None) -> str:
    """Returns a class's name, or its label in words where there is none.

    Example:
        >>> class_name(1, ["cat", "dog"]), class_name(1, None)
        ('dog', 'class 1')
    """
    if names is None:
        return f"class {label!r}"
    try:
        return str(names[label])
    except (KeyError, IndexError, TypeError):
        return f"class {label!r}"


def _texts(proposal: Proposal, columns: int, names: ClassNames | None) -> list[str]:
    """What stands below the samples of a proposal: what speaks for each, where that differs."""
    scores = proposal.scores[:columns]
    if proposal.kind == "suspicious label":
        labels = (class_name(label, names) for label in proposal.labels)
        texts = [
            f"{label}?\nwrong: {score:.2f}" for label, score in zip(labels, scores, strict=False)
        ]
    elif proposal.kind == "small group" and not proposal.scores.all():
        texts = ["misclassified" if score else "" for score in scores]
    else:
        texts = [""] * len(scores)
    return [*texts, *[""] * (columns - len(scores))]
