"""How features change while a network trains, and which layers settle first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import keras
import numpy as np
from numpy.typing import ArrayLike

from ..checks import checked_number
from ..files import write_arrays
from .sample import classifier_of

if TYPE_CHECKING:  # other backends have the other callbacks, without TensorFlow
    from ..inspection import Settling

Feature: TypeAlias = "Callable[[keras.Model], ArrayLike]"


class FeatureEvolution(keras.callbacks.Callback):
    """Records filters, and other features, after each epoch of `fit`.

    Writes `epoch-000.npz` (before training) and one for every epoch after it, each with an array a feature;
    and at the end of training `settling.npz` and `settling.png`, which show the layers that settle first
    (`inspection.settling`). `inspection.plot_filter_evolution` draws the filters of a layer over the epochs.

    A training that is resumed, by `initial_epoch` or by `BackupAndRestore`, keeps the epochs before it; one
    that starts at epoch 0 replaces what an earlier one left in the folder. It watches any Keras model; of a
    `PLIModel`, its classifier.

    Args:
        folder: Where to store them.
        layers: Paths of the layers whose filters are recorded; None for all that have filters.
        features: What else to record: by name, a function from the model to an array, such as one that makes
            maximising images.
        measure: The distance to the end, as in `inspection.settling`.
        within: The distance within which a feature counts as settled.
        pictures: Whether to draw; arrays are stored in any case.
        every: Epochs from one record to the next.

    Raises:
        ValueError: If `every` is less than 1; when training, if a layer has no filters, or a feature has the
            name of a layer.

    Example:
        >>> callback = FeatureEvolution("runs/features", every=2)
        >>> callback = FeatureEvolution(
        ...     "runs/features", ["conv1"], {"head bias": lambda model: model.layers[-1].bias}
        ... )
    """

    def __init__(
        self,
        folder: str | Path,
        layers: Sequence[str] | None = None,
        features: Mapping[str, Feature] | None = None,
        *,
        measure: Any = "remaining",
        within: float = 0.1,
        pictures: bool = True,
        every: int = 1,
    ) -> None:
        super().__init__()
        self.folder, self.layers = Path(folder), None if layers is None else list(layers)
        self.features = dict(features or {})
        self.measure, self.within, self.pictures = measure, within, pictures
        self.every = checked_number(every, "every", least=1, whole=True)
        self._begun = False

    def on_train_begin(self, logs: Any = None) -> None:
        """Waits for the first epoch, which says whether the training is resumed."""
        self._begun = False

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Before the first epoch of this training, stores the features as they are by then."""
        from ..inspection.settling import epoch_files

        if self._begun:
            return
        self._begun = True
        stored = epoch_files(self.folder)
        for other in [number for number in stored if epoch == 0 or number > epoch]:
            stored.pop(other).unlink()
        due = epoch % self.every == 0 or not stored
        if due and epoch not in stored and classifier_of(self.model).built:
            self._store(epoch)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Stores the features after an epoch."""
        if (epoch + 1) % self.every == 0:
            self._store(epoch + 1)

    def on_train_end(self, logs: Any = None) -> None:
        """Shows which layers settle first, from all epochs that are stored."""
        from .. import plotting
        from ..inspection.settling import epoch_files

        if not epoch_files(self.folder):
            return
        found = self.settling()
        found.save(self.folder / "settling.npz")
        if self.pictures:
            plotting.save_figure(found.plot(), self.folder / "settling.png", dpi=100)

    def settling(self) -> Settling:
        """Returns how far each feature is from its end, by all epochs that are stored."""
        from ..inspection.settling import settling

        return settling(self.folder, measure=self.measure, within=self.within)

    def _store(self, epoch: int) -> None:
        from ..inspection.filters import filters, layers_with_filters

        model = classifier_of(self.model)
        paths = layers_with_filters(model) if self.layers is None else self.layers
        if shared := [name for name in self.features if name in paths]:
            raise ValueError(
                f"`features` must have other names than the layers, {paths}. Received: {shared}."
            )
        arrays = {path: filters(model, path) for path in paths}
        for name, make in self.features.items():
            arrays[name] = np.asarray(keras.ops.convert_to_numpy(make(model)))
        write_arrays(self.folder / f"epoch-{epoch:03d}.npz", arrays)
