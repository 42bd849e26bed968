"""From images back to codes of structure and class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from ...brief import counted, span
from ...checks import checked_number
from ...draws import normal
from ...network.backward import backpropagate
from ...network.runner import Runner, batch_spec
from ...stored_result import StoredResult
from ..model_shapes import image_range_of, input_shape, output_shape
from ..search.class_reader import ClassReader
from ..search.latent_search import LatentSearch
from ..search.rationale_inputs import checked_images
from .class_codes import CodeScheme

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Tensor = Any
Array = NDArray[Any]
INVERSION_STATUSES = ("faithful", "class changed", "reconstruction too far")


@dataclass(frozen=True, eq=False)
class Inversion(StoredResult):
    """Codes found for images, and how well they stand for them; an entry for every image.

    Attributes:
        originals: The images x.
        images: Their reconstructions G(z₁, z₂).
        z1: Structure codes, `(samples, structure_size)`.
        z2: Class codes, `(samples, class_size)`.
        mse: Mean squared error of each reconstruction.
        errors: Share of each image's variance that its reconstruction misses.
        original_probabilities: What the classifier says about the images, `(samples, classes)`.
        probabilities: What it says about the reconstructions.
        losses: Equation 2 at the codes, as weighted.
        starts: Which of the starts led there, 0 being the first.
        status: One of `INVERSION_STATUSES` for each sample.
        about: Settings.
    """

    originals: Array
    images: Array
    z1: Array
    z2: Array
    mse: Array
    errors: Array
    original_probabilities: Array
    probabilities: Array
    losses: Array
    starts: Array
    status: Array
    about: Mapping[str, Any]

    def __len__(self) -> int:
        return len(self.originals)

    def __repr__(self) -> str:
        counts = [f"{(self.status == name).sum()} {name}" for name in INVERSION_STATUSES]
        text = f"Inversion of {counted(len(self), 'image')}: {', '.join(counts)}"
        return f"{text}\n  error: {span(self.errors)}" if len(self) else text

    def _repr_html_(self) -> str:
        from ...plotting.notebook import notebook_html

        if not len(self):
            return notebook_html(repr(self))
        table = self.to_frame().head(6).round(4)
        return notebook_html(repr(self), table=table, figure=self.plot())

    @property
    def differences(self) -> Array:
        """How far the classifier's probabilities are apart: the total variation, from 0 to 1."""
        return abs(self.probabilities - self.original_probabilities).sum(axis=1) / 2

    @property
    def faithful(self) -> Array:
        """Whether a reconstruction can stand for its image, bool `(samples,)`."""
        return self.status == INVERSION_STATUSES[0]

    def to_frame(self) -> pd.DataFrame:
        """Returns a table with a row a sample: classes, errors, the classifier's difference, the status."""
        return pd.DataFrame(
            {
                "predicted": self.original_probabilities.argmax(axis=1),
                "predicted_again": self.probabilities.argmax(axis=1),
                "mse": self.mse,
                "error": self.errors,
                "difference": self.differences,
                "loss": self.losses,
                "start": self.starts,
                "status": self.status.astype(object),
            }
        )

    def plot(self, *, most: int = 8, title: str | None = None) -> Figure:
        """Draws the first images, and below each what the generator makes of its code.

        Args:
            most: How many images at most.
            title: What stands above.
        """
        from ...plotting import image_strip
        from ...plotting.heatmaps import picture

        rows = slice(0, most)
        both = np.concatenate([self.originals[rows], self.images[rows]])
        shown = picture(both, dimensions=3, value_range=self.about.get("image_range"))
        before = self.original_probabilities[rows].argmax(axis=1)
        after = self.probabilities[rows].argmax(axis=1)
        captions = [f"class {label}" for label in before]
        captions += [
            f"class {label}, error {error:.2f}\n{status}"
            for label, error, status in zip(
                after, self.errors[rows], self.status[rows], strict=True
            )
        ]
        return image_strip(
            shown, captions, columns=len(before), value_range=(0.0, 1.0), title=title
        )


def invert(
    generator: Any,
    classifier: keras.Model,
    images: ArrayLike,
    *,
    structure_size: int | None = None,
    image_weight: float = 4.0,
    class_weight: float = 1.0,
    starts: int = 2,
    steps: int = 1000,
    learning_rate: float = 0.05,
    free_class_code: bool = False,
    error_limit: float = 0.5,
    batch_size: int = 64,
    jit_compile: bool | Literal["auto"] = "auto",
    seed: int = 0,
    verbose: int = 0,
) -> Inversion:
    """Finds the codes whose image resembles a given one and is classified like it.

    For all samples of a batch at once, Adam lowers

        4 · MSE(G(z₁, z₂), x) + BCE(C(G(z₁, z₂)), C(x))

    (Dravid & Katsaggelos 2022, equation 2, whose terms "can be balanced with constant coefficients"; 4 is
    that of their program). The second term is the cross-entropy −Σ C(x) log C(G), which for two classes is
    theirs, taken from the classifier's logits. Samples share nothing: each has its own Adam and best place.

    The class code is held at zero for an image that is classified as class 0, and to the block of the class
    for another one, as in the sampling scheme (see `CodeScheme`); otherwise traits of the structure move to
    z₂ and are lost with it at z₂ = 0.

    Args:
        generator: A `ClassLatentGAN`, or any built Keras model from codes (z₁ before z₂) to images.
        classifier: A built Keras model from images to classes.
        images: Shape `(samples, height, width, channels)`, in the generator's range.
        structure_size: Length of z₁; a `ClassLatentGAN` knows its own.
        image_weight: Weight of the squared error.
        class_weight: Weight of the cross-entropy.
        starts: Places to start from, of which the one is kept that led to the lowest loss: z₁ = 0 first, then
            random ones, with random z₂. They are the same for all samples.
        steps: Steps from each. The authors have 5,000.
        learning_rate: Of Adam. The authors have 0.01.
        free_class_code: Whether all of z₂ is searched whatever the class.
        error_limit: A reconstruction is too far if it misses more than this share of the image's variance.
        batch_size: Images at a time. It changes no sample's result beyond rounding.
        jit_compile: Whether XLA compiles; `"auto"` does so where there is a GPU.
        seed: Seed of the starts.
        verbose: 1 draws a progress bar.

    Returns:
        An `Inversion`.

    Raises:
        ValueError: If images do not fit the generator or leave its range, models or sizes do not fit each
            other, or no logits can be found.
        TypeError: If a model is not a Keras model.

    Example:
        >>> dense, flat = keras.layers.Dense(16, "tanh"), keras.layers.Flatten()
        >>> generator = keras.Sequential([keras.Input((4,)), dense, keras.layers.Reshape((4, 4, 1))])
        >>> classifier = keras.Sequential([keras.Input((4, 4, 1)), flat, keras.layers.Dense(2, "softmax")])
        >>> x = generator(np.random.default_rng(0).normal(size=(3, 4))).numpy()
        >>> found = invert(generator, classifier, x, structure_size=3, free_class_code=True)
        >>> found.status.tolist(), bool((found.mse < 0.01).all())
        (['faithful', 'faithful', 'faithful'], True)
    """
    model, reader, scheme = models_and_codes(generator, classifier, structure_size)
    search = _Inverter(
        model,
        reader,
        scheme,
        image_weight=checked_number(image_weight, "image_weight", least=0.0),
        class_weight=checked_number(class_weight, "class_weight", least=0.0),
        starts=checked_number(starts, "starts", least=1, whole=True),
        search=LatentSearch(
            checked_number(steps, "steps", least=1, whole=True),
            checked_number(learning_rate, "learning_rate", least=0.0),
            compact=False,
        ),
        free=free_class_code,
        seed=checked_number(seed, "seed", least=0, whole=True),
    )
    image_range = image_range_of(model, scheme.latent_size)
    checked = checked_images(images, output_shape(model, "generator"), image_range)
    runner = Runner([model, classifier], batch_size=batch_size, jit_compile=jit_compile)
    function = runner.traced(search, [batch_spec(checked)], "inversion")
    found = runner.over(function, [checked], verbose=verbose)
    z1, z2 = scheme.parts(found.pop("codes"))
    errors = found["mse"] / checked.var(axis=(1, 2, 3))
    about = {
        "image_weight": image_weight,
        "class_weight": class_weight,
        "seed": seed,
        "image_range": image_range,
    }
    return Inversion(
        originals=checked,
        z1=z1,
        z2=z2,
        errors=errors,
        status=_status(errors > error_limit, found),
        about=about,
        **found,
    )


def models_and_codes(
    generator: Any, classifier: keras.Model, structure_size: int | None
) -> tuple[keras.Model, ClassReader, CodeScheme]:
    """Returns the generator's network, the classifier as it is read, and the scheme of the codes.

    Args:
        generator: A model with a `best_generator` and a `scheme`, as a `ClassLatentGAN`, or a network.
        classifier: A built Keras model from the generator's images to classes.
        structure_size: Length of z₁, for a network.

    Raises:
        ValueError: If they do not fit each other, or the length of z₁ is missing.
    """
    scheme = getattr(generator, "scheme", None)
    model = getattr(generator, "best_generator", generator)
    reader = ClassReader(classifier, output_shape(model, "generator"))
    codes = input_shape(model, "generator")
    if len(codes) != 1:
        raise ValueError(f"`generator` must take codes (samples, latent_size). It takes {codes}.")
    if structure_size is None:
        if scheme is None:
            raise ValueError(
                f"Of the {codes[0]} numbers of {model.name!r}'s codes, how many are of the structure? "
                "Pass `structure_size`."
            )
        structure_size = scheme.structure_size
    return model, reader, CodeScheme.of(codes[0], structure_size, reader.classes)


@dataclass(frozen=True)
class _Inverter:
    """The search for codes as a function of tensors."""

    generator: keras.Model
    reader: ClassReader
    scheme: CodeScheme
    image_weight: float
    class_weight: float
    starts: int
    search: LatentSearch
    free: bool
    seed: int

    def __call__(self, images: Tensor) -> dict[str, Tensor]:
        """Returns the entries of an `Inversion` by name."""
        logits = self.reader.logits(images)
        predicted = tf.argmax(logits, axis=-1, output_type=tf.int32)
        of_class = self.scheme.blocks(predicted)
        free = tf.ones_like(of_class) if self.free else of_class
        structure = tf.ones((tf.shape(images)[0], self.scheme.structure_size))
        about = {
            "images": images,
            "probabilities": tf.nn.softmax(logits),
            "free": tf.concat([structure, free], axis=-1),
        }
        codes, losses, starts = self._best(about)
        drawn = self._drawn(codes)
        return {
            "images": drawn,
            "codes": codes,
            "mse": _mean_squares(drawn - images),
            "original_probabilities": about["probabilities"],
            "probabilities": tf.nn.softmax(self.reader.logits(drawn)),
            "losses": losses,
            "starts": starts,
        }

    def losses(self, codes: Tensor, about: Any) -> Tensor:
        """Equation 2 for each sample, `(batch,)`."""
        drawn = self._drawn(codes)
        crossed = tf.nn.softmax_cross_entropy_with_logits(
            about["probabilities"], self.reader.logits(drawn)
        )
        apart = _mean_squares(drawn - about["images"])
        return self.image_weight * apart + self.class_weight * crossed

    def _best(self, about: Any) -> tuple[Tensor, Tensor, Tensor]:
        """The codes of least loss that any start led to, their losses, and which start it was."""

        def objective(codes: Tensor, about: Any, _: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            losses = self.losses(codes, about)
            slopes = backpropagate(losses, codes) * about["free"]
            return slopes, losses, tf.zeros_like(losses, tf.bool)

        codes = tf.zeros_like(about["free"])
        losses = tf.fill(tf.shape(codes)[:1], float("inf"))
        starts = tf.zeros_like(losses, tf.int32)
        for number in range(self.starts):
            found = self.search.run(objective, self._start(number) * about["free"], about)
            better = found.cost < losses
            codes = tf.where(better[:, None], found.best, codes)
            losses = tf.where(better, found.cost, losses)
            starts = tf.where(better, number, starts)
        return codes, losses, starts

    def _start(self, number: int) -> Tensor:
        z1, z2 = self.scheme.parts(normal((1, self.scheme.latent_size), (self.seed, number)))
        return tf.concat([z1 if number else tf.zeros_like(z1), z2], axis=-1)

    def _drawn(self, codes: Tensor) -> Tensor:
        return tf.cast(self.generator(codes, training=False), tf.float32)


def _mean_squares(values: Tensor) -> Tensor:
    return tf.reduce_mean(values**2, axis=list(range(1, values.shape.rank)))


def _status(too_far: Array, found: Mapping[str, Array]) -> Array:
    before, after = (
        found[name].argmax(axis=1) for name in ("original_probabilities", "probabilities")
    )
    kept, changed, far = INVERSION_STATUSES
    return np.where(too_far, far, np.where(before != after, changed, kept))
