"""Which layers settle first: how far each is, epoch by epoch, from how it ends.

Zeiler & Fergus (2014, section 4) saw that features of lower layers converge within a few epochs and those of
upper ones only after many. Here that is a distance for each layer and epoch, and one epoch for each layer.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..brief import brief_repr
from ..checks import checked_number, one_of, quoted
from ..files import read_arrays
from ..stored_result import StoredResult

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

Array = NDArray[np.float64]
State = Mapping[str, Any]
Measure = Literal["remaining", "relative", "cosine"]
MEASURES: tuple[Measure, ...] = ("remaining", "relative", "cosine")
_DISTANCE = {
    "remaining": "share of the way from the start that is left",
    "relative": "change to the end over the size at the end",
    "cosine": "1 less the cosine with the end",
}


class EpochFolder(Sequence[State]):
    """The arrays that `callbacks.FeatureEvolution` stored, epoch by epoch; each is read when it is asked for.

    Args:
        folder: Where they are.

    Raises:
        FileNotFoundError: If there are none.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from keras_pli.files import write_arrays
        >>> with TemporaryDirectory() as folder:
        ...     _ = write_arrays(Path(folder) / "epoch-002.npz", {"conv": np.ones((3, 3, 1, 4))})
        ...     stored = EpochFolder(folder)
        ...     stored.epochs, stored[0]["conv"].shape
        ([2], (3, 3, 1, 4))
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self.files = epoch_files(self.folder)
        if not self.files:
            raise FileNotFoundError(f"{self.folder} holds no epochs, such as epoch-000.npz.")

    @property
    def epochs(self) -> list[int]:
        """The epochs that are there, in order; 0 is before training."""
        return list(self.files)

    def __len__(self) -> int:
        return len(self.files)

    @overload
    def __getitem__(self, index: int) -> State: ...

    @overload
    def __getitem__(self, index: slice) -> list[State]: ...

    def __getitem__(self, index: int | slice) -> State | list[State]:
        paths = list(self.files.values())[index]
        return read_arrays(paths) if isinstance(paths, Path) else [read_arrays(p) for p in paths]


def epoch_files(folder: Path) -> dict[int, Path]:
    """Returns the files of epochs in a folder, by epoch, in order.

    Example:
        >>> epoch_files(Path("nowhere"))
        {}
    """
    found = ((re.fullmatch(r"epoch-(\d+)\.npz", path.name), path) for path in folder.glob("*.npz"))
    return dict(sorted((int(match[1]), path) for match, path in found if match))


@dataclass(frozen=True, eq=False, repr=False)
class Settling(StoredResult):
    """How far each feature is from its end, and from when on it stays near.

    Attributes:
        names: Of the features, such as the paths of layers, in the network's order.
        epochs: The epochs looked at; 0 is before training.
        distances: Of each feature at each epoch, `(features, epochs)`, by `about["measure"]`.
        settled: For each feature the first epoch from which it stays within `about["within"]`; NaN where that
            is the last epoch alone, which is no distance from itself: it was still moving.
        about: The measure, and the distance within which a feature counts as settled.

    Example:
        >>> found = settling([{"conv": [1.0, 0.0]}, {"conv": [0.0, 1.0]}, {"conv": [0.0, 1.1]}])
        >>> found.settled.tolist()
        [1.0]
    """

    names: NDArray[Any]
    epochs: NDArray[np.intp]
    distances: Array
    settled: Array
    about: dict[str, Any]

    __repr__ = brief_repr

    def to_frame(self) -> pd.DataFrame:
        """Returns a row a feature: when it settled, `<NA>` if it did not, and its distance at each epoch."""
        import pandas as pd

        columns = {f"epoch {epoch}": self.distances[:, i] for i, epoch in enumerate(self.epochs)}
        settled = pd.Series(self.settled).astype("Int64")
        return pd.DataFrame({"feature": self.names, "settled": settled, **columns})

    def plot(self, *, title: str | None = None) -> Figure:
        """Draws the distances, a row a feature, with a dot where each settled, or a ring if it did not."""
        from .. import plotting

        return plotting.settling_map(
            self.distances,
            [int(epoch) for epoch in self.epochs],
            [str(name) for name in self.names],
            settled=[None if np.isnan(epoch) else int(epoch) for epoch in self.settled],
            label=_DISTANCE[self.about["measure"]],
            note=f"dot: from here on within {self.about['within']:g}",
            title="Which layers settle first" if title is None else title,
        )


def settling(
    states: str | os.PathLike[str] | Sequence[State],
    epochs: ArrayLike | None = None,
    *,
    measure: Measure = "remaining",
    within: float = 0.1,
) -> Settling:
    """Measures how far features are from how they end, epoch by epoch.

    With w the numbers of a feature, such as a layer's filters, flattened, the distance at an epoch is

    - `"remaining"`: |w − w_end| / |w_start − w_end|, so that layers compare whatever their initial size;
    - `"relative"`: |w − w_end| / |w_end|;
    - `"cosine"`: 1 − cos(w, w_end).

    A feature has settled if it stays within the distance for an epoch at least before the end, which is no
    distance from itself; otherwise it was still moving when the training ended, and `settled` is NaN.

    Args:
        states: A folder that `callbacks.FeatureEvolution` wrote, or for each epoch arrays by name. The last
            is the end.
        epochs: The epoch of each, where they are no folder; by default 0, 1, ….
        measure: The distance.
        within: The distance from which on a feature counts as settled, once it stays there; above 0.

    Raises:
        ValueError: If there are no epochs, they hold different features, or a number is not finite.
        FileNotFoundError: If a folder holds no epochs.

    Example:
        >>> found = settling([{"a": [0.0], "b": [0.0]}, {"a": [0.95], "b": [0.5]}, {"a": [1.0], "b": [1.0]}])
        >>> found.distances.round(2).tolist(), found.settled.tolist()
        ([[1.0, 0.05, 0.0], [1.0, 0.5, 0.0]], [1.0, nan])
    """
    one_of(measure, MEASURES, "measure")
    within = checked_number(within, "within", least=0)
    if isinstance(states, str | os.PathLike):
        states = EpochFolder(states)
        epochs = states.epochs
    if not len(states):
        raise ValueError("`states` must hold an epoch at least. Received none.")
    numbers = np.arange(len(states)) if epochs is None else np.asarray(epochs)
    if (
        numbers.shape != (len(states),)
        or numbers.dtype.kind not in "iu"
        or (np.diff(numbers) <= 0).any()
    ):
        raise ValueError(
            f"`epochs` must be {len(states)} whole numbers that rise. Received: {epochs!r}."
        )
    start, end = _flat(states[0], numbers[0]), _flat(states[len(states) - 1], numbers[-1])
    distances = np.zeros((len(end), len(states)))
    for column, number in enumerate(numbers):
        now = _flat(states[column], number)
        _check_same(now, end, number)
        for row, name in enumerate(end):
            distances[row, column] = _distance(now[name], start[name], end[name], measure)
    firsts = [_first_to_stay(line, within) for line in distances]
    settled = [numbers[first] if first < len(numbers) - 1 else np.nan for first in firsts]
    return Settling(
        names=np.array(list(end)),
        epochs=numbers.astype(np.intp),
        distances=distances,
        settled=np.array(settled, np.float64),
        about={"measure": measure, "within": within},
    )


def plot_filter_evolution(
    folder: str | os.PathLike[str],
    layer: str,
    *,
    most: int = 8,
    columns: int = 10,
    scale: Literal["each", "all"] = "each",
    title: str | None = None,
) -> Figure:
    """Draws the filters of a layer over the epochs that `callbacks.FeatureEvolution` stored.

    Args:
        folder: Where they are.
        layer: The layer's path.
        most: Filters drawn.
        columns: Epochs drawn at the most, the first and the last among them.
        scale: `"each"` draws each filter to its own largest absolute value, `"all"` has one scale.
        title: What stands above.

    Raises:
        ValueError: If the layer was not recorded, or has no positions.
        FileNotFoundError: If the folder holds no epochs.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from keras_pli.files import write_arrays
        >>> with TemporaryDirectory() as folder:
        ...     for epoch in range(2):
        ...         _ = write_arrays(Path(folder) / f"epoch-{epoch:03d}.npz", {"a": np.ones((3, 3, 1, 4))})
        ...     len(plot_filter_evolution(folder, "a").axes)
        8
    """
    from .. import plotting

    stored = EpochFolder(folder)
    count = checked_number(columns, "columns", least=1, whole=True)
    chosen = np.unique(np.linspace(0, len(stored) - 1, min(count, len(stored))).round().astype(int))
    states = [stored[int(place)] for place in chosen]
    one_of(layer, states[-1], "layer")
    return plotting.filter_evolution(
        np.stack([state[layer] for state in states]),
        [stored.epochs[place] for place in chosen],
        most=most,
        scale=scale,
        title=f"Filters of {layer} over epochs" if title is None else title,
    )


def _flat(state: State, epoch: int) -> dict[str, Array]:
    found = {name: np.asarray(values, np.float64).ravel() for name, values in state.items()}
    wrong = [name for name, values in found.items() if not np.isfinite(values).all()]
    if wrong:
        raise ValueError(
            f"Features must be finite. At epoch {epoch} these are not: {quoted(wrong)}."
        )
    return found


def _check_same(state: Mapping[str, Array], end: Mapping[str, Array], epoch: int) -> None:
    sizes, last = ({name: len(v) for name, v in one.items()} for one in (state, end))
    if sizes != last:
        raise ValueError(
            f"All epochs must hold the same features. Epoch {epoch} holds, with their sizes, {sizes}; the "
            f"last {last}."
        )


def _distance(now: Array, start: Array, end: Array, measure: str) -> float:
    left = float(np.linalg.norm(now - end))
    if left == 0:
        return 0.0
    if measure == "cosine":
        sizes = float(np.linalg.norm(now) * np.linalg.norm(end))
        return 1.0 - float(now @ end) / sizes if sizes else 1.0
    whole = float(np.linalg.norm(start - end if measure == "remaining" else end))
    # What ends where it began, or at zero, is as far away as it gets while it is elsewhere.
    return left / whole if whole else 1.0


def _first_to_stay(distances: Array, within: float) -> int:
    """The first place from which on all distances are small; the last is 0 by definition."""
    far = np.flatnonzero(distances > within)
    return int(far[-1]) + 1 if len(far) else 0
