"""What decides, after each epoch: attributions of chosen samples, as arrays and pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import keras
import numpy as np
from numpy.typing import ArrayLike

from .. import plotting
from ..checks import checked_number
from ..files import write_arrays
from .sample import classifier_of
from .tensorboard import log_figure

if TYPE_CHECKING:  # other backends have the other callbacks, without TensorFlow
    from ..attribution import Method

MethodFactory: TypeAlias = "Callable[[keras.Model], Method]"


class AttributionSnapshots(keras.callbacks.Callback):
    """Explains chosen samples after each epoch of `fit`.

    Writes `epoch-000.npz` (before training) and one for every epoch after it, with the scores and the
    attributions of each method, and beside them a picture. It watches any Keras model; of a `PLIModel`, its
    classifier.

    Args:
        folder: Where to store them.
        x: The samples, `(samples, ...)`.
        methods: A method such as `Saliency`, or a mapping from names to what makes a method of a model.
        target: The class to explain, one class for each sample, a callable, or None for the predicted class.
            Give a class to see one question answered from epoch to epoch.
        row_labels: One text for each sample in the pictures.
        pictures: Whether to draw; arrays are stored in any case.
        log_dir: Folder of TensorBoard logs to add the pictures to, or None.
        every: Epochs from one snapshot to the next.

    Raises:
        ValueError: If `every` is less than 1, or a method or the samples do not fit the model.

    Example:
        >>> from keras_pli.attribution import GradCAM, Saliency
        >>> x = np.zeros((8, 28, 28, 1))
        >>> callback = AttributionSnapshots("runs/maps", x, Saliency, target=3)
        >>> callback = AttributionSnapshots(
        ...     "runs/maps", x,
        ...     {"saliency": Saliency, "grad_cam": lambda model: GradCAM(model, layer="conv2")},
        ... )
    """

    def __init__(
        self,
        folder: str | Path,
        x: ArrayLike,
        methods: MethodFactory | Mapping[str, MethodFactory],
        *,
        target: Any = None,
        row_labels: Sequence[str] | None = None,
        pictures: bool = True,
        log_dir: str | Path | None = None,
        every: int = 1,
    ) -> None:
        super().__init__()
        if not isinstance(methods, Mapping):
            methods = {getattr(methods, "__name__", "attribution"): methods}
        self.folder, self.x, self.factories = Path(folder), np.asarray(x), dict(methods)
        self.every = checked_number(every, "every", least=1, whole=True)
        self.target, self.row_labels = target, row_labels
        self.pictures, self.log_dir = pictures, log_dir

    def on_train_begin(self, logs: Any = None) -> None:
        """Stores the attributions before training, if the model has its weights by then."""
        self._methods: dict[str, Method] = {}
        if classifier_of(self.model).built:
            self._store(0)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Stores the attributions after an epoch."""
        if (epoch + 1) % self.every == 0:
            self._store(epoch + 1)

    def _store(self, epoch: int) -> None:
        if (
            not self._methods
        ):  # traced once; later epochs run the same functions on the weights of the time
            model = classifier_of(self.model)
            self._methods = {name: make(model) for name, make in self.factories.items()}
        found = {name: method(self.x, self.target) for name, method in self._methods.items()}
        maps = {name: result.attributions for name, result in found.items()}
        scores = {f"scores/{name}": result.scores for name, result in found.items()}
        path = write_arrays(self.folder / f"epoch-{epoch:03d}.npz", scores | maps)
        if self.pictures:
            title = "before training" if epoch == 0 else f"epoch {epoch}"
            figure = plotting.attribution_grid(
                self.x, maps, row_labels=self.row_labels, title=title
            )
            plotting.save_figure(figure, path.with_suffix(".png"), dpi=100)
            if self.log_dir is not None:
                log_figure(figure, Path(self.log_dir), "attributions", epoch)
