"""Visual rationales: the change of an image, among those a generator can draw, that changes a decision."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from ...network.runner import Runner
from ...parts import PartWriter
from ..model_shapes import fitting_shapes, image_range_of, what_is_classified
from .decision import CutoffDecision, decision_of
from .least_change import LeastChange
from .rationale import STATUSES, Rationale
from .rationale_inputs import checked_classes, checked_cutoffs, checked_images
from .rationale_settings import RationaleSettings, Reconstruction, Search
from .search_identity import parts_writer

Tensor = Any
Tensors = dict[str, Tensor]


class RationaleGenerator:
    """Changes images within what a generator can draw until a classifier decides otherwise.

    These are algorithms 1 and 2 of Seah et al. ("Generating Visual Rationales through Latent Space
    Optimization", 2018), for all samples of a batch at once. An image x is encoded as z₀ = E(x). From there
    Adam lowers

        y_m(z) − β y_t(z) + γ ⟨(G(z) − G(z₀))²⟩

    where y_m is the logit of the class to leave, y_t that of the target class, and ⟨ ⟩ the mean over an
    image's values; for a single output it is ±y(z) instead of the first two terms. A sample is frozen where
    the target class has the probability `confidence`, or the output the cutoff. Then the straight way from z₀
    to that place is halved again and again to the least change that still reaches this (z*), and to the
    least that only changes the decision. The signed rationale is G(z₀) − G(z*): positive where brightness is
    taken away. It holds nothing of the reconstruction's error x − G(z₀), which is kept apart.

    The paper weighs probabilities, and reports digits that would not change, "which may cause vanishingly
    small gradients"; logits are weighed here. Its loops end, as printed, when the output lowered is *above*
    the cutoff, and its class m is printed as an argmin; the evident meaning is taken (see `ClassDecision`
    and `CutoffDecision`). It stops at the cutoff; confidence and bisection are new here.

    Nothing is rescaled: images come in the generator's range, [-1, 1] for one that ends in tanh. The models
    run in inference mode and are left as they are.

    Args:
        generator: A built Keras model from codes `(samples, latent_size)` to images.
        encoder: A built Keras model from images to codes.
        classifier: A built Keras model of codes or of images, with one output: classes (softmax, sigmoid or
            logits) or, for a regressor, one value.
        confidence: Probability of the target class to reach, in (0, 1). At 0.9 this classifier has changed
            its mind and another often has not; 0.99 to 0.999 gives changes that others agree with.
        cutoff: Value for a single output to reach, where the call names none. For a sigmoid, a probability.
        direction: Whether a single output is lowered or raised to the cutoff.
        steps: The most steps of a search.
        learning_rate: Adam's step size on codes.
        search: β, γ and how hard it is tried, `Search(…)`; None for its defaults.
        reconstruction: How z₀ is brought nearer to the image, `Reconstruction(…)`; None for its defaults.
        task: What the classifier does. `"auto"` takes a single output for a regressor if a `cutoff` is
            given or it does not end in a sigmoid.
        classifies: What it takes; `"auto"` finds out from its input's shape.
        image_range: Least and greatest value of an image; None takes those of the generator's final tanh or
            sigmoid, or any for other generators.
        path_points: Places on the straight way from z₀ to z* whose images and probabilities are kept.
        batch_size: Images explained at a time. It changes no sample's result beyond rounding.
        jit_compile: Whether XLA compiles; `"auto"` does so where there is a GPU.
        seed: Seed of the other starts, which are around z₀ the same for all samples.
        class_names: Names of the classes 0, 1, …, for verdicts and figures.

    Attributes:
        settings: All of these as they are used, a `RationaleSettings`.

    Raises:
        ValueError: If shapes of the models do not fit each other, a number is out of its range, or no logits
            can be found.
        TypeError: If a model is not a Keras model, or settings are of another kind.

    Example:
        >>> keras.utils.set_random_seed(0)
        >>> dense = keras.layers.Dense
        >>> generator = keras.Sequential(
        ...     [keras.Input((3,)), dense(16, "tanh"), keras.layers.Reshape((4, 4, 1))]
        ... )
        >>> encoder = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten(), dense(3)])
        >>> classifier = keras.Sequential([keras.Input((3,)), dense(4, "softmax")])
        >>> x = generator(np.random.default_rng(0).normal(size=(5, 3))).numpy()
        >>> why = RationaleGenerator(generator, encoder, classifier)(x)
        >>> why.rationales.shape, why.codes.shape, len(why.verdicts)
        ((5, 4, 4, 1), (5, 3), 5)
    """

    def __init__(
        self,
        generator: keras.Model,
        encoder: keras.Model,
        classifier: keras.Model,
        *,
        confidence: float = 0.9,
        cutoff: float | None = None,
        direction: Literal["lower", "raise"] = "lower",
        steps: int = 5000,
        learning_rate: float = 0.1,
        search: Search | None = None,
        reconstruction: Reconstruction | None = None,
        task: Literal["auto", "classification", "regression"] = "auto",
        classifies: Literal["auto", "codes", "images"] = "auto",
        image_range: tuple[float, float] | None = None,
        path_points: int = 11,
        batch_size: int = 64,
        jit_compile: bool | Literal["auto"] = "auto",
        seed: int = 0,
        class_names: Sequence[str] | None = None,
    ) -> None:
        asked = RationaleSettings(
            confidence=confidence,
            cutoff=cutoff,
            direction=direction,
            steps=steps,
            learning_rate=learning_rate,
            search=search,  # type: ignore[arg-type]
            reconstruction=reconstruction,  # type: ignore[arg-type]
            task=task,
            classifies=classifies,
            image_range=image_range,
            path_points=path_points,
            batch_size=batch_size,
            jit_compile=jit_compile,  # type: ignore[arg-type]
            seed=seed,
            class_names=class_names,
        )
        self.generator, self.encoder, self.classifier = generator, encoder, classifier
        self.latent_size, self.image_shape = fitting_shapes(generator, encoder)
        shapes = (self.latent_size,), self.image_shape
        taken = what_is_classified(classifier, asked.classifies, *shapes)
        of_images = taken == "images"
        self.decision = decision_of(classifier, shapes[of_images], asked)
        refine = asked.reconstruction.refine
        refine = (100 if of_images else 0) if refine is None else refine
        self.settings = replace(
            asked,
            task=self.decision.task,
            classifies=taken,
            image_range=asked.image_range or image_range_of(generator, self.latent_size),
            reconstruction=replace(asked.reconstruction, refine=refine),
        )
        self.runner = Runner(
            [generator, encoder, classifier],
            batch_size=asked.batch_size,
            jit_compile=asked.jit_compile,
        )

    def __call__(
        self,
        x: ArrayLike,
        target: ArrayLike | None = None,
        *,
        store: str | Path | None = None,
        verbose: int = 0,
    ) -> Rationale:
        """Finds a rationale for each image.

        Args:
            x: Images `(samples, height, width, channels)` in the generator's range.
            target: The class to change to, or one for each sample; None for the runner-up. For a regressor,
                the cutoff to reach, or one for each sample; None for the constructor's.
            store: A folder in which each batch is kept as soon as it is done. The same call goes on there
                after an interruption, and gives what it would have given without one. The folder may be
                deleted when the call has returned.
            verbose: 1 draws a progress bar.

        Returns:
            A `Rationale` with an entry for every image, reached or not.

        Raises:
            ValueError: If images do not fit the models, leave the generator's range, hold NaN or are
                constant; if a target is not a class, is the predicted one already, or a cutoff is met
                already; if `store` holds batches of other models, settings, images or targets.
            TypeError: If images hold no numbers.
            RuntimeError: If another process is writing to `store`.
        """
        images = checked_images(x, self.image_shape, self.settings.image_range)
        aims = self._aims(target, self.predictions(images))
        stored = nullcontext() if store is None else parts_writer(store, self, images, aims)
        with stored as parts:
            found = self._in_batches(self.tensors, (images, aims), parts, verbose)
        status = np.array(STATUSES)[found.pop("status")]
        about = {
            "task": self.decision.task,
            "confidence": getattr(self.decision, "confidence", None),
            "image_range": self.settings.image_range,
            "class_names": self.settings.class_names,
            "steps": self.settings.steps,
            "similarity_weight": self.settings.search.similarity_weight,
            "seed": self.settings.seed,
        }
        return Rationale(originals=images, status=status, about=about, **found)

    def predictions(self, x: ArrayLike) -> NDArray[np.float32]:
        """Returns what the classifier says about images as they are; one of codes sees them by the encoder.

        Args:
            x: Images `(samples, height, width, channels)` in the generator's range.

        Returns:
            Probabilities `(samples, classes)`, or a regressor's values `(samples, 1)`.

        Raises:
            ValueError: If images do not fit the models, leave the generator's range, hold NaN or are
                constant.
            TypeError: If images hold no numbers.
        """
        images = checked_images(x, self.image_shape, self.settings.image_range)
        return self._in_batches(self._look, (images,))["outputs"]

    def _aims(self, target: ArrayLike | None, outputs: NDArray[Any]) -> NDArray[Any]:
        if isinstance(self.decision, CutoffDecision):
            return checked_cutoffs(target, outputs[:, 0], self.decision)
        return checked_classes(target, outputs.argmax(axis=1), self.decision.classes)

    @property
    def specs(self) -> dict[str, tf.TensorSpec]:
        """What `served` and `tensors` take: `image` and `target`, any number of samples."""
        of_target = tf.float32 if self.decision.task == "regression" else tf.int32
        return {
            "image": tf.TensorSpec((None, *self.image_shape), tf.float32, "image"),
            "target": tf.TensorSpec((None,), of_target, "target"),
        }

    def compiling(self, jit_compile: bool) -> RationaleGenerator:
        """Returns the same generator with or without XLA; this one stays as it was."""
        other = copy.copy(self)
        other.runner = self.runner.compiling(jit_compile)
        other.settings = replace(self.settings, jit_compile=jit_compile)
        return other

    def served(self, image: Tensor, target: Tensor) -> Tensors:
        """Returns what a server answers; a pure function of tensors, to be called where a graph is traced.

        Args:
            image: Float32 `(batch, height, width, channels)`, in the generator's range.
            target: int32 classes `(batch,)`, −1 for the runner-up; for a regressor float32 cutoffs, NaN for
                the usual one.

        Returns:
            By name, samples first: `rationales`, `images`, `reconstructions`, `codes`, `probabilities` (on
            the way from the reconstruction to the changed image), `steps`, `status` (place in `STATUSES`) and
            `target`.
        """
        found = self.tensors(image, target)
        kept = ("images", "reconstructions", "codes", "steps", "status", "target")
        return {name: found[name] for name in kept} | {
            "rationales": found["reconstructions"] - found["images"],
            "probabilities": found["path_probabilities"],
        }

    def tensors(self, image: Tensor, target: Tensor) -> Tensors:
        """Returns the entries of a `Rationale` as tensors, and `status` as a place in `STATUSES`."""
        return self._change(image, target)

    def _look(self, image: Tensor) -> Tensors:
        return {"outputs": self._change.outputs(image)}

    @property
    def _change(self) -> LeastChange:
        return LeastChange(self.generator, self.encoder, self.decision, self.settings)

    def _in_batches(
        self,
        function: Callable[..., Tensors],
        arrays: Sequence[NDArray[Any]],
        parts: PartWriter | None = None,
        verbose: int = 0,
    ) -> dict[str, NDArray[Any]]:
        signature = list(self.specs.values())[: len(arrays)]
        traced = self.runner.traced(function, signature, function.__name__)
        found: dict[str, NDArray[Any]] = self.runner.over(
            lambda *rows: traced(*map(tf.constant, rows)), arrays, parts=parts, verbose=verbose
        )
        return found
