"""What a search for images that activate units most has found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..brief import brief_repr
from ..checks import quoted
from ..stored_result import StoredResult

if TYPE_CHECKING:
    import keras
    import pandas as pd
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False, repr=False)
class MaximizedImages(StoredResult):
    """Images that activate units, and how much.

    Attributes:
        units: The classes or channels, int32 of shape `(units,)`.
        images: float32 of shape `(units, starts, ...)`.
        activations: What the unit makes of each image, `(units, starts)`; of a unit with positions their sum,
            or its value at the position that was named.
        probabilities: What the model makes of each image, `(units, starts, classes)`; of units within the
            model, of no classes.
        history: The activation before each step, `(units, starts, steps)`, of the image as it was shown then,
            which jitter shifts.
        about: The settings.

    Example:
        >>> import keras
        >>> from keras_pli.inspection import ActivationMaximization
        >>> model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(3)])
        >>> ActivationMaximization(model, steps=2)([0, 2], starts=4).best.shape
        (2, 8, 8, 1)
    """

    units: NDArray[np.int32]
    images: NDArray[np.float32]
    activations: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    history: NDArray[np.float32]
    about: dict[str, Any]

    __repr__ = brief_repr

    @property
    def best(self) -> NDArray[np.float32]:
        """Of each unit the image that activates it most, `(units, ...)`."""
        found: NDArray[np.float32] = self.images[np.arange(len(self.units)), self._best_starts]
        return found

    @property
    def _best_starts(self) -> NDArray[np.intp]:
        found: NDArray[np.intp] = self.activations.argmax(axis=1)
        return found

    def judged_by(self, other: keras.Model) -> pd.DataFrame:
        """Asks another classifier, best one trained from another seed, what it takes the best images for.

        Args:
            other: A classifier of the same inputs and classes, whose output are probabilities or logits.

        Returns:
            A row for each unit: `unit`, `says`, the class of the largest output, and `agrees`.

        Raises:
            ValueError: If the units are no classes.
        """
        import pandas as pd

        if not self.probabilities.shape[-1]:
            raise ValueError(
                f"Another classifier can judge images of classes. These are of channels of "
                f"{self.about['layer']!r}."
            )
        says = np.asarray(other.predict(self.best, verbose=0)).reshape(len(self.units), -1)
        taken = says.argmax(axis=1) if says.shape[1] > 1 else (says[:, 0] > 0.5).astype(int)
        return pd.DataFrame({"unit": self.units, "says": taken, "agrees": taken == self.units})

    def plot(self, class_names: Sequence[str] | None = None, *, columns: int = 5) -> Figure:
        """Draws the best image of each unit with its activation, and of a class its probability.

        Args:
            class_names: Names of all classes.
            columns: Images in a row.

        Raises:
            ValueError: If a class has no name, or names are given for channels.
        """
        from .. import plotting

        if class_names is not None and not self.probabilities.shape[-1]:
            raise ValueError(
                f"`class_names` are of classes. These images are of channels of {self.about['layer']!r}."
            )
        if class_names is not None and len(class_names) <= self.units.max():
            raise ValueError(
                f"`class_names` must name every unit, up to {self.units.max()}. Received {len(class_names)}: "
                f"{quoted(class_names)}."
            )

        rows = np.arange(len(self.units))
        captions = [
            str(unit) if class_names is None else str(class_names[unit]) for unit in self.units
        ]
        for row, start in zip(rows, self._best_starts, strict=True):
            if self.probabilities.shape[-1]:
                share = self.probabilities[row, start, self.units[row]]
                captions[row] += f"\np = {np.floor(share * 1000) / 1000:.3f}"
            else:
                captions[row] += f"\n{self.activations[row, start]:.3g}"
        return plotting.sample_grid(
            self.best,
            captions,
            columns=columns,
            has_channels=self.about["has_channels"],
            value_range=self.about["value_range"],
        )
