"""Ways through a generator's codes along which only the class code grows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from ...brief import counted
from ...checks import checked_number
from ...network.runner import Runner, batch_spec
from ...stored_result import StoredResult
from ..model_shapes import image_range_of
from ..search.class_reader import ClassReader, log_odds
from .class_codes import CodeScheme
from .inversion import models_and_codes
from .monotony import rank_correlations, violations

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Tensor = Any
Array = NDArray[Any]
# By name, maps of images, or from images and their classes to maps, as attribution methods have it.
Maps: TypeAlias = "Mapping[str, ArrayLike | Callable[[Array, Array], Any]]"


@dataclass(frozen=True, eq=False)
class Traversal(StoredResult):
    """Images on the ways from z₂ = 0 outwards, one way a sample, and what a classifier says about them.

    Attributes:
        images: G(z₁, n λ z₂) for n = 0, 1, …, `(samples, points, height, width, channels)`.
        probabilities: Of each class, `(samples, points, classes)`.
        log_odds: log p/(1 − p) of the class whose code grows, `(samples, points)`. It orders the points as
            p does, and still tells them apart where p is rounded to 1.
        positions: n λ, `(points,)`.
        z1: Structure codes.
        z2: Class codes at n λ = 1.
        labels: The class whose code grows, `(samples,)`; 0 where z₂ is zero and nothing changes.
        about: Settings: `rate`, `image_range`, `class_names`.
    """

    images: Array
    probabilities: Array
    log_odds: Array
    positions: Array
    z1: Array
    z2: Array
    labels: Array
    about: Mapping[str, Any]

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        text = f"Traversal of {counted(len(self), 'way')}, {counted(len(self.positions), 'point')} each"
        if not len(self):
            return text
        start, end = self.class_probabilities[:, [0, -1]].mean(axis=0)
        rising = np.mean(self.violations() == 0)
        return (
            f"{text}\n  mean probability of the class that grows: {start:.2f} → {end:.2f}; "
            f"it never falls on {rising:.0%} of the ways"
        )

    def _repr_html_(self) -> str:
        from ...plotting.notebook import notebook_html

        if not len(self):
            return notebook_html(repr(self))
        return notebook_html(repr(self), table=self.to_frame().head(6).round(4), figure=self.plot())

    @property
    def negatives(self) -> Array:
        """The negative twins G(z₁, 0), `(samples, height, width, channels)`."""
        return self.images[:, 0]

    @property
    def differences(self) -> Array:
        """What the way adds to an image: its last one less the negative twin."""
        return self.images[:, -1] - self.images[:, 0]

    @property
    def class_probabilities(self) -> Array:
        """Probability of the class whose code grows, `(samples, points)`."""
        return self.probabilities[np.arange(len(self)), :, self.labels]

    @property
    def spearman(self) -> Array:
        """Rank correlation of this probability with n, `(samples,)`: 1 where it always rises.

        NaN where nothing changes.
        """
        return rank_correlations(self.log_odds)

    def violations(self, tolerance: float = 1e-3) -> Array:
        """Returns how often this probability falls from one point to the next, `(samples,)`.

        Args:
            tolerance: Falls up to this are not counted.
        """
        return violations(self.class_probabilities, tolerance)

    def to_frame(self) -> pd.DataFrame:
        """Returns a table with a row a sample: class, probability at both ends, how it rises between."""
        along = self.class_probabilities
        return pd.DataFrame(
            {
                "label": self.labels,
                "start": along[:, 0],
                "end": along[:, -1],
                "spearman": self.spearman,
                "violations": self.violations(),
                "change": abs(self.differences).mean(axis=(1, 2, 3)),
            }
        )

    def plot(self, index: int = 0, *, title: str | None = None) -> Figure:
        """Draws one way: its images, and the probability of the class whose code grows."""
        from ...plotting import morph_strip

        label = int(self.labels[index])
        figure = morph_strip(
            self.images[index],
            self.probabilities[index],
            columns={label: self._name(label)},
            value_range=self.about.get("image_range"),
            title=title,
        )
        end = f"{self.positions[-1]:.3g} z₂".removeprefix("1 ")
        figure.axes[-1].set_xticklabels(["z₂ = 0", end])
        return figure

    def plot_differences(
        self, maps: Maps | None = None, *, most: int = 6, title: str | None = None
    ) -> Figure:
        """Draws the ends of the first ways and their differences, beside other maps (figure 2 of the paper).

        Args:
            maps: By name, arrays of maps of the last images, one for each way; or what makes them, a function
                of images and classes such as an attribution method. The paper has Grad-CAM.
            most: How many ways at most.
            title: What stands above.

        Raises:
            TypeError: If `maps` are not given by name.
            ValueError: If arrays are not of all ways.

        Example:
            >>> way.plot_differences({"Grad-CAM": GradCAM(classifier)})  # doctest: +SKIP
        """
        from ...plotting import attribution_grid

        rows = slice(0, most)
        last = self.images[rows, -1]
        shown = {"change from z₂ = 0": self.differences[rows]}
        shown |= {name: self._rows_of(made, name, rows) for name, made in _named(maps).items()}
        captions = [
            f"{self._name(label)}: p {start:.2f} → {end:.2f}"
            for label, (start, end) in zip(
                self.labels[rows], self.class_probabilities[rows][:, [0, -1]], strict=True
            )
        ]
        return attribution_grid(
            last,
            shown,
            row_labels=captions,
            value_range=self.about.get("image_range"),
            title=title,
        )

    def _rows_of(self, made: Any, name: str, rows: slice) -> Array:
        """Maps of some last images, made now or given for all."""
        if callable(made):
            made = made(self.images[rows, -1], self.labels[rows])
            return np.asarray(getattr(made, "attributions", made))
        given = np.asarray(getattr(made, "attributions", made))
        if len(given) != len(self):
            raise ValueError(
                f"`maps` must have one map for each of the {len(self)} ways. {name!r} has {len(given)}."
            )
        return given[rows]

    def _name(self, label: int) -> str:
        names = self.about.get("class_names")
        return f"class {label}" if names is None else str(names[label])


def _named(maps: Any) -> Maps:
    maps = {} if maps is None else maps
    if not isinstance(maps, Mapping):
        raise TypeError(
            "`maps` must be given by name, such as {'Grad-CAM': attribution.GradCAM(classifier)}. "
            f"Received: {type(maps).__name__}."
        )
    return maps


def traverse(
    generator: Any,
    classifier: keras.Model,
    z1: ArrayLike,
    z2: ArrayLike,
    *,
    steps: int = 10,
    rate: float = 0.1,
    structure_size: int | None = None,
    class_names: tuple[str, ...] | None = None,
    batch_size: int = 64,
    jit_compile: bool | Literal["auto"] = "auto",
    verbose: int = 0,
) -> Traversal:
    """Draws G(z₁, n λ z₂) for n = 0, 1, …, steps, with the classifier's probabilities.

    The structure stays and the class code grows from its zero, the negative twin of all classes (Dravid &
    Katsaggelos 2022, "Methods"). With the defaults the last image is G(z₁, z₂) itself.

    Args:
        generator: A `ClassLatentGAN`, or any built Keras model from codes (z₁ before z₂) to images.
        classifier: A built Keras model from images to classes.
        z1: Structure codes, `(samples, structure_size)`.
        z2: Class codes, `(samples, class_size)`.
        steps: How many steps are taken.
        rate: λ, the length of a step as a share of z₂.
        structure_size: Length of z₁; a `ClassLatentGAN` knows its own.
        class_names: Names of the classes 0, 1, …, for figures.
        batch_size: Ways drawn at a time.
        jit_compile: Whether XLA compiles; `"auto"` does so where there is a GPU.
        verbose: 1 draws a progress bar.

    Returns:
        A `Traversal`.

    Raises:
        ValueError: If codes or models do not fit each other, or a number is out of its range.

    Example:
        >>> dense, flat = keras.layers.Dense(16, "tanh"), keras.layers.Flatten()
        >>> generator = keras.Sequential([keras.Input((4,)), dense, keras.layers.Reshape((4, 4, 1))])
        >>> classifier = keras.Sequential([keras.Input((4, 4, 1)), flat, keras.layers.Dense(2, "softmax")])
        >>> way = traverse(generator, classifier, np.zeros((2, 3)), np.ones((2, 1)), structure_size=3)
        >>> way.images.shape, way.probabilities.shape
        ((2, 11, 4, 4, 1), (2, 11, 2))
    """
    model, reader, scheme = models_and_codes(generator, classifier, structure_size)
    codes = scheme.joined(z1, z2)
    steps = checked_number(steps, "steps", least=1, whole=True)
    rate = checked_number(rate, "rate", least=0.0)
    first, second = scheme.parts(codes)
    labels = scheme.classes_of(second)
    positions = (rate * np.arange(steps + 1)).astype(np.float32)
    walker = _Walker(model, reader, scheme, positions)
    runner = Runner([model, classifier], batch_size=batch_size, jit_compile=jit_compile)
    function = runner.traced(walker, [batch_spec(codes), batch_spec(labels)], "traversal")
    found = runner.over(function, [codes, labels], verbose=verbose)
    about = {
        "rate": rate,
        "image_range": image_range_of(model, scheme.latent_size),
        "class_names": class_names,
    }
    return Traversal(positions=positions, z1=first, z2=second, labels=labels, about=about, **found)


@dataclass(frozen=True)
class _Walker:
    """All points of some ways, drawn as one batch."""

    generator: keras.Model
    reader: ClassReader
    scheme: CodeScheme
    positions: NDArray[np.float32]

    def __call__(self, codes: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Returns the entries of a `Traversal` by name."""
        points = len(self.positions)
        z1, z2 = self.scheme.parts(codes)
        grown = tf.reshape(z2[:, None] * self.positions[:, None], (-1, self.scheme.class_size))
        placed = tf.concat([tf.repeat(z1, points, axis=0), grown], axis=-1)
        drawn = tf.cast(self.generator(placed, training=False), tf.float32)
        logits = self.reader.logits(drawn)
        found = {
            "images": drawn,
            "probabilities": tf.nn.softmax(logits),
            "log_odds": log_odds(logits, tf.repeat(labels, points)),
        }
        return {
            name: tf.reshape(values, (-1, points, *values.shape[1:]))
            for name, values in found.items()
        }
