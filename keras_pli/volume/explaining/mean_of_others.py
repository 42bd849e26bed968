"""For each image, the mean map of other images, which cannot give the image's own label away."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def mean_of_others(
    maps: NDArray[Any], labels: NDArray[Any], subjects: NDArray[Any]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Returns for each image the mean map of the images of other subjects, each class counting the same.

    Without an image, its class has one image less than before. In a plain mean the other classes would then
    weigh more, which tells the class that was left out; in the mean of the classes' means they do not.

    Args:
        maps: `(images, X, Y, Z)`.
        labels: The class of each image.
        subjects: Whom it is of.

    Returns:
        The mean maps `(images, X, Y, Z)`, and for which images there is one: other subjects must have images
        of every class that occurs. The maps of the others are 0.

    Example:
        >>> maps = np.arange(4.0).reshape(4, 1, 1, 1)
        >>> means, known = mean_of_others(maps, np.array([0, 0, 1, 1]), np.arange(4))
        >>> means.ravel().tolist(), known.tolist()
        ([1.75, 1.25, 1.75, 1.25], [True, True, True, True])
    """
    values, classes = np.asarray(maps, np.float64), np.unique(labels)
    totals = {label: values[labels == label].sum(axis=0) for label in classes}
    means, known = np.zeros(values.shape, np.float32), np.zeros(len(values), bool)
    for subject in np.unique(subjects):
        own = subjects == subject
        counts = {label: int((~own & (labels == label)).sum()) for label in classes}
        if not all(counts.values()):
            continue
        rest = [
            (totals[label] - values[own & (labels == label)].sum(axis=0)) / counts[label]
            for label in classes
        ]
        means[own], known[own] = np.mean(rest, axis=0), True
    return means, known
