"""Do rationales show what the classifier learned? The same search with classifiers that learned otherwise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from ...checks import checked_number, finite_array, label_array
from ...intervals import mean_interval
from ..search.rationale import Rationale
from ..search.rationale_generator import RationaleGenerator
from .counterfactuals import normalised_cross_correlation

Array = NDArray[Any]
# From rationales, and the rows of the images that they are of, to one score each.
Score = Callable[[Rationale, NDArray[np.int64]], ArrayLike]


def classifier_contrast(
    classifiers: Mapping[str, keras.Model],
    generator: keras.Model,
    encoder: keras.Model,
    x: ArrayLike,
    target: int,
    score: Score,
    **options: Any,
) -> pd.DataFrame:
    """Scores the rationales of several classifiers, with one generator, on the same images.

    Seah et al. (2018, figure 9) hold the rationales of a contaminated classifier beside those of an honest
    one, on images that both call positive; this is that figure as a number. A classifier that was randomised
    is the other end, after Adebayo et al. ("Sanity Checks for Saliency Maps", 2018): where its rationales
    look like the honest ones, they show the generator and not the classifier.

    Args:
        classifiers: Classifiers of codes or of images by name, the honest one first; see `contaminated` and
            `randomized`.
        generator: A Keras model from codes to images.
        encoder: A Keras model from images to codes.
        x: Images. Each classifier explains those that it does not call `target` already.
        target: The class to change to.
        score: What a rationale is worth: a function of a `Rationale` and the rows of `x` that it is of, such
            as `normalised_cross_correlation` with what truly differs.
        **options: As for `RationaleGenerator`.

    Returns:
        A row for each classifier: `score` with the interval `low` and `high`, `samples`; `difference` from
        the first classifier with `difference_low` and `difference_high`, over the images that both explain;
        `similarity`, the mean correlation of its rationales with those of the first; and `reached`, the
        share of searches that arrived.

    Raises:
        ValueError: As `RationaleGenerator`, or if the first classifier calls all images `target`.

    Example:
        >>> from keras_pli.rationale.generators.networks import dcgan_encoder, dcgan_generator
        >>> from keras_pli.rationale.latent_classifiers import mlp
        >>> pair = [build((16, 16, 1), latent_size=4, width=4) for build in (dcgan_generator, dcgan_encoder)]
        >>> honest = mlp(4, classes=2)
        >>> x = pair[0](np.random.default_rng(0).normal(size=(20, 4))).numpy()
        >>> both = {"honest": honest, "randomized": randomized(honest)}
        >>> table = classifier_contrast(both, *pair, x, 1, lambda why, rows: why.distances)
        >>> table.loc["honest", "similarity"].item()
        1.0
    """
    images = finite_array(x, "x", ndim=4)
    found: dict[str, tuple[Array, Array, float]] = {}
    for name, classifier in classifiers.items():
        search = RationaleGenerator(generator, encoder, classifier, **options)
        rows = np.flatnonzero(search.predictions(images).argmax(axis=1) != target)
        scores, maps = np.full(len(images), np.nan), np.full(images.shape, np.nan)
        reached = np.nan
        if len(rows):
            why = search(images[rows], target)
            scores[rows], maps[rows] = np.asarray(score(why, rows)), why.rationales
            reached = float(why.reached.mean())
        elif not found:
            raise ValueError(f"{name!r} calls all {len(images)} images {target} already.")
        found[name] = (scores, maps, reached)
    first = next(iter(found.values()))
    lines = [_line(values, first) for values in found.values()]
    return pd.DataFrame(lines, index=pd.Index(list(found), name="classifier"))


def contaminated(
    classifier: keras.Model,
    inputs: ArrayLike,
    labels: ArrayLike,
    *,
    accuracy: float = 1.0,
    epochs: int = 1000,
    learning_rate: float = 3e-3,
    batch_size: int = 32,
    seed: int = 0,
) -> keras.Model:
    """Returns a classifier of the same form that has memorised the test set.

    Seah et al. (2018, section 2) "train the classifier directly on the testing examples and over train until
    almost perfect accuracy on this set is achieved". Where labels follow from images without noise, a
    memorised test set teaches the truth as well; to see a difference, it must be small or its labels noisy,
    as readings of a laboratory are.

    Args:
        classifier: A classifier with softmax or sigmoid, of codes or images; it is not changed.
        inputs: The test set, as the classifier takes it.
        labels: Its classes.
        accuracy: Share of the test set to know by heart.
        epochs: The most epochs.
        learning_rate: Of Adam.
        batch_size: As in Keras.
        seed: Seed of the initial weights and the order.

    Raises:
        ValueError: If shapes do not fit, or the accuracy is not reached within the epochs.

    Example:
        >>> from keras_pli.rationale.latent_classifiers import mlp
        >>> random = np.random.default_rng(0)
        >>> codes, labels = random.normal(size=(30, 8)), random.integers(2, size=30)
        >>> learned = contaminated(mlp(8, classes=2), codes, labels)
        >>> bool((learned.predict(codes, verbose=0).argmax(axis=1) == labels).all())
        True
    """
    examples = finite_array(inputs, "inputs")
    truth = label_array(labels, len(examples))
    checked_number(accuracy, "accuracy", least=0)
    copy = randomized(classifier, seed)
    single = copy.output_shape[-1] == 1
    loss = "binary_crossentropy" if single else "sparse_categorical_crossentropy"
    optimizer = keras.optimizers.Adam(learning_rate)
    copy.compile(optimizer, loss, metrics=["accuracy"], jit_compile=False)
    optimizer.build(copy.trainable_variables)  # or Keras traces the first step twice
    data = tf.data.Dataset.from_tensor_slices((examples, truth))
    data = data.shuffle(len(truth), seed=seed).batch(batch_size)
    watcher = _UntilMemorized(examples, truth, accuracy)
    copy.fit(data, epochs=epochs, shuffle=False, verbose=0, callbacks=[watcher])
    if watcher.known < accuracy:
        raise ValueError(
            f"After {epochs} epochs {watcher.known:.1%} of the test set are known, not {accuracy:.1%}. Give "
            "more `epochs`, a greater `learning_rate`, or a classifier with more units."
        )
    return copy


def randomized(classifier: keras.Model, seed: int = 0) -> keras.Model:
    """Returns a copy of a classifier whose weights are shuffled, each array within itself.

    Weights so keep their sizes, and outputs about their spread, so that a search for a confidence does not
    fail for dull outputs alone; what was learned is gone.

    Args:
        classifier: A Keras model, functional or sequential; it is not changed.
        seed: Seed of the order.

    Example:
        >>> model = keras.Sequential([keras.Input((50,)), keras.layers.Dense(4)])
        >>> other = randomized(model)
        >>> one, two = (np.sort(m.get_weights()[0].ravel()) for m in (model, other))
        >>> bool((one == two).all()), bool((model.get_weights()[0] == other.get_weights()[0]).all())
        (True, False)
    """
    random = np.random.default_rng(seed)
    copy = keras.models.clone_model(classifier)
    copy.set_weights(
        [
            random.permutation(array.ravel()).reshape(array.shape)
            for array in classifier.get_weights()
        ]
    )
    return copy


class _UntilMemorized(keras.callbacks.Callback):
    """Ends the training when a share of the examples is known by heart."""

    def __init__(self, inputs: Array, labels: Array, accuracy: float) -> None:
        super().__init__()
        self.inputs, self.labels, self.accuracy, self.known = inputs, labels, accuracy, 0.0

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        # The logs' accuracy is that of weights before the last updates; it rarely reaches all.
        if logs["accuracy"] < self.accuracy - 0.1:
            return
        outputs = self.model(self.inputs, training=False).numpy()
        single = outputs.shape[1] == 1
        classes = (outputs[:, 0] > 0.5).astype(int) if single else outputs.argmax(axis=1)
        self.known = float(np.mean(classes == self.labels))
        self.model.stop_training = self.known >= self.accuracy


def _line(values: tuple[Array, Array, float], first: tuple[Array, Array, float]) -> dict[str, Any]:
    scores, maps, reached = values
    both = ~np.isnan(maps + first[1]).any(axis=(1, 2, 3))
    alike = np.nan
    if both.any():
        alike = float(np.nanmean(normalised_cross_correlation(maps[both], first[1][both])))
    names = [f"{kind}{end}" for kind in ("", "difference") for end in ("", "_low", "_high")]
    names[:3] = ["score", "low", "high"]
    intervals = (*mean_interval(scores), *mean_interval(scores - first[0]))
    known = int((~np.isnan(scores)).sum())
    line: dict[str, Any] = dict(zip(names, intervals, strict=True))
    return line | {"samples": known, "similarity": round(alike, 6), "reached": reached}
