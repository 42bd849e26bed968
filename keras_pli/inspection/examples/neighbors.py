"""The training samples that are nearest in a layer's space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from sklearn.neighbors import NearestNeighbors

from ...brief import brief_repr
from ...checks import checked_number, finite_array, one_of
from ...stored_result import StoredResult
from .names import check_length, check_names, class_labels, label_name, plain_label

if TYPE_CHECKING:
    from matplotlib.figure import Figure

METRICS = ("euclidean", "cosine", "manhattan")


@dataclass(frozen=True, eq=False)
class NearestSamples(StoredResult):
    """The nearest training samples of each test sample.

    Args:
        neighbors: Positions of training samples, `(tests, count)`, the nearest first.
        distances: How far each is, float64 `(tests, count)`.
        train_labels: Labels of all training samples.
        test_labels: Labels of the test samples.
        about: Settings.
    """

    neighbors: NDArray[np.int64]
    distances: NDArray[np.float64]
    train_labels: NDArray[Any]
    test_labels: NDArray[Any]
    about: dict[str, Any]

    __repr__ = brief_repr

    @property
    def agreement(self) -> NDArray[np.float64]:
        """Share of the neighbours that have the test sample's label, `(tests,)`."""
        return np.mean(self.train_labels[self.neighbors] == self.test_labels[:, None], axis=1)

    def to_frame(self) -> pd.DataFrame:
        """Returns a row for each neighbour: `test`, `rank` from 1, `train`, `distance` and both labels."""
        tests, count = self.neighbors.shape
        return pd.DataFrame(
            {
                "test": np.repeat(np.arange(tests), count),
                "rank": np.tile(np.arange(1, count + 1), tests),
                "train": self.neighbors.ravel(),
                "distance": self.distances.ravel(),
                "test_label": np.repeat(self.test_labels, count),
                "train_label": self.train_labels[self.neighbors.ravel()],
            }
        )

    def plot(
        self,
        x_train: ArrayLike,
        x_test: ArrayLike,
        *,
        tests: Sequence[int] | None = None,
        class_names: Sequence[str] | None = None,
        value_range: tuple[float, float] | None = None,
        title: str | None = None,
    ) -> Figure:
        """Draws test samples, each beside its neighbours with their labels and distances.

        Args:
            x_train: All training samples, signals, images or volumes.
            x_test: All test samples.
            tests: Positions of those drawn; by default the first six.
            class_names: Names for labels.
            value_range: The values drawn black and white; see `image_strip`.
            title: What stands above.

        Returns:
            A new `plotting.example_rows`.
        """
        from ...plotting import example_rows

        train, test = np.asarray(x_train), np.asarray(x_test)
        check_length(train, len(self.train_labels), "x_train", of="nearest_samples")
        check_length(test, len(self.test_labels), "x_test", of="nearest_samples")
        check_names(class_names, self.train_labels, self.test_labels)
        drawn = list(range(min(6, len(test)))) if tests is None else list(tests)
        name = "nearest training samples, with labels and distances"
        texts = [
            [
                f"{label_name(self.train_labels[j], class_names)}\n{self.distances[i, place]:.3g}"
                for place, j in enumerate(self.neighbors[i])
            ]
            for i in drawn
        ]
        return example_rows(
            test[drawn],
            {name: self.neighbors[drawn]},
            of=train,
            captions=[label_name(plain_label(self.test_labels[i]), class_names) for i in drawn],
            group_captions={name: texts},
            value_range=value_range,
            title=title,
        )


def nearest_samples(
    z_train: ArrayLike,
    z_test: ArrayLike,
    *,
    train_labels: ArrayLike | None = None,
    test_labels: ArrayLike | None = None,
    count: int = 5,
    metric: str = "euclidean",
) -> NearestSamples:
    """Finds the training samples that are nearest in a layer's space, exactly, by scikit-learn.

    Args:
        z_train: Points of the training samples, `(trainings, features)`, such as
            `activations(model, x, layer)`.
        z_test: Points of the test samples, `(tests, features)`.
        train_labels: A label for each training sample; zeros by default.
        test_labels: A label for each test sample, such as the class predicted; zeros by default.
        count: Neighbours of each.
        metric: `"euclidean"`, `"cosine"` or `"manhattan"`.

    Returns:
        `NearestSamples`.

    Raises:
        ValueError: If shapes or numbers do not fit, or a value is not finite.

    Example:
        >>> nearest_samples([[0.0], [1.0], [5.0]], [[0.9]], count=2).neighbors
        array([[1, 0]])
    """
    train, test = finite_array(z_train, "z_train", ndim=2), finite_array(z_test, "z_test", ndim=2)
    if train.shape[1] != test.shape[1]:
        raise ValueError(
            "`z_train` and `z_test` must have equally many features. "
            f"Received shapes {train.shape} and {test.shape}."
        )
    count = checked_number(count, "count", least=1, below=len(train) + 1, whole=True)
    one_of(metric, METRICS, "metric")
    own, asked = (
        np.zeros(len(z), np.int64) if given is None else class_labels(given, len(z), name)
        for given, z, name in (
            (train_labels, train, "train_labels"),
            (test_labels, test, "test_labels"),
        )
    )
    search = NearestNeighbors(n_neighbors=count, metric=metric).fit(train.astype(np.float64))
    distances, found = search.kneighbors(test.astype(np.float64))
    return NearestSamples(
        found.astype(np.int64), distances, own, asked, {"metric": metric, "count": count}
    )
