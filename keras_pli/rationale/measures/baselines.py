"""What a rationale is held against: changes of the pixels themselves, and real images of the target class."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import ArrayLike, NDArray
from sklearn.neighbors import NearestNeighbors

from ...checks import finite_array, label_array, quoted
from ..model_shapes import input_shape
from ..search.rationale import STATUSES, Rationale
from ..search.rationale_generator import RationaleGenerator
from ..search.rationale_settings import Reconstruction
from .counterfactuals import Predictor, predicted

Array = NDArray[Any]


def pixel_search(
    classifier: keras.Model,
    *,
    value_range: tuple[float, float] = (-1.0, 1.0),
    learning_rate: float = 0.02,
    steps: int = 1000,
    **options: Any,
) -> RationaleGenerator:
    """Returns a search that changes pixels directly, with a generator that draws its codes as they are.

    The counterfactual search of Wachter et al. ("Counterfactual Explanations without Opening the Black Box",
    2017, equation 1): the prediction is changed by gradient descent, at the least distance. It is the same
    loop as that of `RationaleGenerator`, with the same objective and the same end, so that a comparison shows
    what the generator is good for and nothing else. Their distance, L1 in units of each feature's median
    absolute deviation, is a mean square here: that deviation is 0 for pixels that are mostly background.

    Args:
        classifier: A built Keras model of images; for one of codes, see `through_encoder`.
        value_range: What pixels are clipped to. A pixel at its limit still feels the gradient.
        learning_rate: Adam's step size, in units of the pixels.
        steps: The most steps.
        **options: As for `RationaleGenerator`, such as `confidence` or `search`.

    Returns:
        A `RationaleGenerator`, whose results have the images themselves for reconstructions.

    Raises:
        ValueError: As for `RationaleGenerator`.
        TypeError: Likewise.

    Example:
        >>> keras.utils.set_random_seed(0)
        >>> classifier = keras.Sequential(
        ...     [keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(2, "softmax")]
        ... )
        >>> x = np.random.default_rng(0).uniform(-1, 1, (3, 4, 4, 1))
        >>> why = pixel_search(classifier)(x)
        >>> why.summary(), bool(abs(why.images).max() <= 1)
        ('3 images: 3 reached, 0 stopped at the limit, 0 reconstruction too far', True)
    """
    shape = input_shape(classifier, "classifier")
    pixels, pictures = keras.Input((int(np.prod(shape)),)), keras.Input(shape)
    drawn = keras.layers.Reshape(shape)(_Clipped(value_range)(pixels))
    return RationaleGenerator(
        keras.Model(pixels, drawn, name="pixels"),
        keras.Model(pictures, keras.layers.Flatten()(pictures), name="flatten"),
        classifier,
        **{
            "classifies": "images",
            "image_range": value_range,
            "learning_rate": learning_rate,
            "steps": steps,
            "reconstruction": Reconstruction(refine=0),
            **options,
        },
    )


def nearest_images(
    x: ArrayLike,
    target: ArrayLike,
    gallery: ArrayLike,
    labels: ArrayLike,
    classifier: Predictor,
    *,
    confidence: float = 0.9,
    value_range: tuple[float, float] = (-1.0, 1.0),
) -> Rationale:
    """Returns for each image the real one of the target class that is nearest to it, as its changed image.

    It is as real as an image can be, and changes everything that has nothing to do with the class as well:
    the case in point of Keane & Smyth ("Good Counterfactuals and Where to Find Them", 2020), who start from
    such "native" counterfactuals. Nearest is by Euclidean distance of the pixels.

    Args:
        x: Images `(samples, height, width, channels)`.
        target: The class to change to, or one for each sample.
        gallery: Real images to choose from, such as those of the training.
        labels: Their classes. With those that the explained classifier predicts, every change is valid.
        classifier: The explained classifier, of images.
        confidence: Probability of the target class that counts as reached.
        value_range: Least and greatest value of an image, for the counts of changed pixels.

    Returns:
        A `Rationale`, whose codes are the pixels and whose way is a cross-fade.

    Raises:
        ValueError: If shapes do not fit, or a class has no image in the gallery.

    Example:
        >>> brightness = lambda x: np.stack([1 - x.mean((1, 2, 3)), x.mean((1, 2, 3))], axis=1)
        >>> levels = np.linspace(0, 1, 5)[:, None, None, None] * np.ones((1, 2, 2, 1))
        >>> why = nearest_images(levels[:1], 1, levels, [0, 0, 0, 1, 1], brightness)
        >>> why.images[0, 0, 0, 0].item(), str(why.status[0])
        (0.75, 'stopped at the limit')
    """
    images, choices = finite_array(x, "x", ndim=4), finite_array(gallery, "gallery", ndim=4)
    if images.shape[1:] != choices.shape[1:]:
        raise ValueError(
            f"`gallery` must hold images of shape {images.shape[1:]}. Received: {choices.shape[1:]}."
        )
    aims = label_array(np.broadcast_to(target, len(images)), len(images), "target").astype(np.int32)
    found = choices[_nearest(images, aims, choices, label_array(labels, len(choices)))]
    before, after = predicted(classifier, images), predicted(classifier, found)
    flipped = after.argmax(axis=1) == aims
    reached = flipped & (after[np.arange(len(aims)), aims] >= confidence)
    codes, ends = (batch.reshape(len(images), -1) for batch in (images, found))
    return Rationale(
        originals=images,
        reconstructions=images,
        images=found,
        flips=found,
        codes_start=codes,
        codes=ends,
        flip_codes=ends,
        path_images=np.stack([images, found], axis=1),
        path_probabilities=np.stack([before, after], axis=1).astype(np.float32),
        original_probabilities=before.astype(np.float32),
        predicted=before.argmax(axis=1).astype(np.int32),
        target=aims,
        steps=np.zeros(len(images), np.int32),
        reached=reached,
        flipped=flipped,
        reconstruction_errors=np.zeros(len(images), np.float32),
        status=np.where(reached, *STATUSES[:2]),
        about={"task": "classification", "confidence": confidence, "image_range": value_range},
    )


def through_encoder(encoder: keras.Model, classifier: keras.Model) -> keras.Model:
    """Returns a classifier of images that encodes them for one of codes; both share their weights with it.

    Args:
        encoder: A built Keras model from images to codes.
        classifier: A built Keras model of codes.

    Example:
        >>> encoder = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten()])
        >>> classifier = keras.Sequential([keras.Input((16,)), keras.layers.Dense(2, "softmax")])
        >>> through_encoder(encoder, classifier).output_shape
        (None, 2)
    """
    pictures = keras.Input(input_shape(encoder, "encoder"))
    return keras.Model(pictures, classifier(encoder(pictures)), name="through_encoder")


@keras.saving.register_keras_serializable(package="keras_pli")
class _Clipped(keras.layers.Layer):
    """Clips values and hands gradients through, so that a pixel at its limit can come back."""

    def __init__(self, value_range: tuple[float, float], **kwargs: Any) -> None:
        super().__init__(**{"dtype": "float32", **kwargs})
        self.value_range = tuple(value_range)

    def call(self, x: Any) -> Any:
        return x + ops.stop_gradient(ops.clip(x, *self.value_range) - x)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "value_range": self.value_range}


def _nearest(images: Array, target: Array, gallery: Array, labels: Array) -> NDArray[np.int64]:
    """Row in the gallery of the nearest image of the target class."""
    found = np.zeros(len(images), np.int64)
    for label in np.unique(target):
        members = np.flatnonzero(labels == label)
        if not len(members):
            raise ValueError(
                f"`gallery` has no image of class {label}; it has {quoted(np.unique(labels))}."
            )
        rows = target == label
        search = NearestNeighbors(n_neighbors=1).fit(gallery[members].reshape(len(members), -1))
        nearest = search.kneighbors(images[rows].reshape(rows.sum(), -1), return_distance=False)
        found[rows] = members[nearest[:, 0]]
    return found
