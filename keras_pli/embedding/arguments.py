"""What a caller gives an embedding, met at the door with errors that say what to write instead."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ..checks import checked_number, real_array

AUTO = "auto"

# Names of scikit-learn, openTSNE and umap-learn, and what says the same here.
ELSEWHERE = {
    "n_components": "`components`",
    "random_state": "`seed`",
    "n_iter": "`epochs` of `fit`",
    "max_iter": "`epochs` of `fit`",
    "n_epochs": "`epochs` of `fit`",
    "batch_size": "`batch_size` of `fit`",
    "epochs": "`epochs` of `fit`",
    "verbose": "`verbose` of `fit`",
    "encoder": "`network`",
    "n_jobs": "nothing: all cores are used",
    "negative_sample_rate": "`negative_samples`",
    "early_exaggeration_iter": "nothing: it is a quarter of the training",
}


@dataclass(frozen=True)
class FitDefaults:
    """What `fit` takes where it is not told otherwise.

    Args:
        epochs: Number of epochs, or `"auto"`.
        batch_size: Points in a batch, or `"auto"` for what suits the objective.
        pretrain_epochs: Epochs of regression on the first principal components; None for a start solved by
            least squares.
    """

    epochs: int | str = AUTO
    batch_size: int | str = AUTO
    pretrain_epochs: int | None = None

    def __post_init__(self) -> None:
        checked_epochs(self.epochs)
        if not isinstance(self.batch_size, str):
            checked_number(self.batch_size, "batch_size", least=1, whole=True)
        elif self.batch_size != AUTO:
            raise ValueError(
                f"`batch_size` must be a whole number from 1, or 'auto'. Received: {self.batch_size!r}."
            )
        if self.pretrain_epochs is not None:
            checked_number(self.pretrain_epochs, "pretrain_epochs", least=0, whole=True)

    def over(self, **given: Any) -> FitDefaults:
        """These settings, but for those given that are not None.

        Example:
            >>> FitDefaults().over(epochs=10, batch_size=None)
            FitDefaults(epochs=10, batch_size='auto', pretrain_epochs=None)
        """
        chosen = {name: value for name, value in given.items() if value is not None}
        return FitDefaults(**{**vars(self), **chosen})


def checked_epochs(epochs: Any) -> int | str:
    """Returns a number of epochs, or `"auto"`.

    Raises:
        TypeError: If labels came in its place, as `fit(X, y)` of other packages would have them.
        ValueError: If it is neither.
    """
    if isinstance(epochs, str) and epochs == AUTO:
        return epochs
    if np.ndim(epochs) > 0:
        raise TypeError(
            "The second argument of `fit` is the number of epochs: a map is made without labels, write "
            "`fit(z)`. In a scikit-learn Pipeline, use `as_transformer()`, which takes and ignores them. "
            f"Received: {type(epochs).__name__} of shape {np.shape(epochs)}."
        )
    if isinstance(epochs, str):
        raise ValueError(
            f"`epochs` must be a whole number from 1, or 'auto'. Received: {epochs!r}."
        )
    return int(checked_number(epochs, "epochs", least=1, whole=True))


def unlike_scikit_learn(taker: type, options: Iterable[str]) -> None:
    """Raises a `TypeError` for options that other packages have under other names.

    Example:
        >>> unlike_scikit_learn(FitDefaults, ["n_components"])
        Traceback (most recent call last):
        ...
        TypeError: FitDefaults takes no 'n_components'; write `components`. Or use `as_transformer()`.
    """
    for name in options:
        if name in ELSEWHERE:
            raise TypeError(
                f"{taker.__name__} takes no {name!r}; write {ELSEWHERE[name]}. Or use `as_transformer()`."
            )


def checked_points(z: Any, name: str) -> NDArray[Any]:
    """Returns points as they came, once they are seen to be finite numbers with an axis of samples.

    Raises:
        TypeError: If they are a sparse matrix, or no real numbers.
        ValueError: If an entry is not finite.
    """
    if sparse.issparse(z):
        raise TypeError(
            f"`{name}` is a sparse matrix, which no network takes. Write `{name}.toarray()`, or reduce it "
            f"with sklearn.decomposition.TruncatedSVD first. Received: {type(z).__name__} of shape {z.shape}."
        )
    return real_array(z, name)
