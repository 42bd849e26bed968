"""How features change while a network trains, and which layers settle first."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import keras
import numpy as np
from numpy.typing import ArrayLike

from ..checks import checked_number
from ..files import read_arrays, write_arrays
from .sample import classifier_of

if TYPE_CHECKING:  # other backends have the other callbacks, without TensorFlow
    from ..inspection import Settling

Feature: TypeAlias = "Callable[[keras.Model], ArrayLike]"
_FAILURES = (ValueError, ArithmeticError, OSError)
_RESULT, _PICTURE = "settling.npz", "settling.png"


class FeatureEvolution(keras.callbacks.Callback):
    """Records filters, and other features, after each epoch of `fit`.

    Writes `epoch-000.npz` (before training) and one for every epoch after it, each with an array a feature;
    and at the end of training `settling.npz` and `settling.png`, which show the layers that settle first
    (`inspection.settling`). `inspection.plot_filter_evolution` draws the filters of a layer over the epochs.
    The last epoch is recorded whatever `every` is, also where the training stops early. A training that
    diverges ends with a warning and without `settling.npz`; an epoch whose features cannot be made or stored
    is left out, with a warning.

    A training that is resumed, by `initial_epoch` or by `BackupAndRestore`, keeps the epochs before it. A
    second `fit` of the same model with the same callback, such as the second phase of fine-tuning, goes on
    counting where the first ended: after 3 epochs the next is stored as `epoch-004.npz`. A new callback, or
    another model, that starts at epoch 0 replaces what an earlier training left in the folder. It watches
    any Keras model; of a `PLIModel`, its classifier.

    Args:
        folder: Where to store them.
        layers: Paths of the layers whose filters are recorded; None for all that have filters.
        features: What else to record: by name, a function from the model to an array, such as one that makes
            maximising images.
        measure: The distance to the end, as in `inspection.settling`.
        within: The distance within which a feature counts as settled.
        pictures: Whether to draw; arrays are stored in any case.
        every: Epochs from one record to the next; the last epoch is recorded in any case.

    Raises:
        ValueError: If `every` is less than 1; when training begins, if a layer has no filters, a feature has
            the name of a layer, or the folder holds epochs of a model with other features.

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
        self._begun = self._tried = False
        self._watched: keras.Model | None = None
        # Epochs before this `fit`, in those before it with this callback; and all that are over.
        self._before = self._over = 0

    def on_train_begin(self, logs: Any = None) -> None:
        """Waits for the first epoch, which says whether the training is resumed."""
        self._begun = False

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Before the first epoch of this training, stores the features as they are by then.

        Raises:
            ValueError: If the folder holds epochs of a model with other features.
        """
        if self._begun:
            return
        self._begun = True
        model = classifier_of(self.model)
        goes_on = epoch == 0 and model is self._watched
        self._before = self._over if goes_on else 0
        self._watched, self._over = model, self._before + epoch
        stored = self._kept(self._over)
        self._tried = model.built
        if not model.built:
            return
        arrays = self._features()
        self._check_same(arrays, stored)
        due = self._over % self.every == 0 or not stored
        if due and self._over not in stored:
            self._store(arrays)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Stores the features after an epoch."""
        self._over = self._before + epoch + 1
        # A callback that stops the training may put other weights back before `on_train_end` comes here.
        last = epoch + 1 == self.params.get("epochs") or self.model.stop_training
        if not last and self._over % self.every:
            return
        try:
            self._store(self._features())
        except _FAILURES as error:
            if not self._tried:
                raise
            # What worked before fails by how the training went; that must not end it.
            warnings.warn(
                f"FeatureEvolution does not record epoch {self._over}: {error}", stacklevel=2
            )
        self._tried = True

    def on_train_end(self, logs: Any = None) -> None:
        """Shows which layers settle first, from all epochs that are stored."""
        from .. import plotting
        from ..inspection.settling import epoch_files

        # What went wrong here must not cost the history of a training that is over.
        try:
            if self._watched is not None and self._over not in epoch_files(self.folder):
                self._store(self._features())
            found = self.settling()
            found.save(self.folder / _RESULT)
            if self.pictures:
                plotting.save_figure(found.plot(), self.folder / _PICTURE, dpi=100)
        except _FAILURES as error:
            warnings.warn(
                f"FeatureEvolution does not show in {self.folder} which layers settle first: {error}",
                stacklevel=2,
            )

    def settling(self) -> Settling:
        """Returns how far each feature is from its end, by all epochs that are stored."""
        from ..inspection.settling import settling

        return settling(self.folder, measure=self.measure, within=self.within)

    def _kept(self, epoch: int) -> dict[int, Path]:
        """The stored epochs up to this one, none where it is 0; what comes after them is deleted."""
        from ..inspection.settling import epoch_files

        stored = epoch_files(self.folder)
        for other in [number for number in stored if epoch == 0 or number > epoch]:
            stored.pop(other).unlink()
        for name in (_RESULT, _PICTURE):  # they are of another end
            (self.folder / name).unlink(missing_ok=True)
        return stored

    def _features(self) -> dict[str, Any]:
        from ..inspection.filters import filters, layers_with_filters

        model = classifier_of(self.model)
        paths = layers_with_filters(model) if self.layers is None else self.layers
        if shared := [name for name in self.features if name in paths]:
            raise ValueError(
                f"`features` must have other names than the layers, {paths}. Received: {shared}."
            )
        arrays: dict[str, Any] = {path: filters(model, path) for path in paths}
        for name, make in self.features.items():
            arrays[name] = np.asarray(keras.ops.convert_to_numpy(make(model)))
        return arrays

    def _check_same(self, arrays: Mapping[str, Any], stored: Mapping[int, Path]) -> None:
        if not stored:
            return
        epoch, path = max(stored.items())
        before, now = (
            {name: np.shape(values) for name, values in one.items()}
            for one in (read_arrays(path), arrays)
        )
        if before != now:
            raise ValueError(
                f"{self.folder} holds epochs of another training: epoch {epoch} holds, with their shapes, "
                f"{before}; this model has {now}. Delete the folder, or choose another."
            )

    def _store(self, arrays: Mapping[str, Any]) -> None:
        write_arrays(self.folder / f"epoch-{self._over:03d}.npz", arrays)
