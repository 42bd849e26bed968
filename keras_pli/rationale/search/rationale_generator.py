"""Visual rationales: the change of an image, among those a generator can draw, that changes a decision."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from ...checks import checked_number
from ...draws import normal
from ...network.backward import backpropagate
from ...network.runner import Runner
from ...parts import PartFolder
from ..model_shapes import fitting_shapes, image_range_of, what_is_classified
from .decision import Aim, CutoffDecision, Scores, decision_of
from .latent_search import LatentSearch, bisected, cheaper
from .rationale import STATUSES, Rationale
from .rationale_inputs import checked_classes, checked_cutoffs, checked_images
from .search_identity import claimed_parts

Tensor = Any
Tensors = dict[str, Tensor]
# From images and their reconstructions to one loss for each, `(batch,)`.
ReconstructionLoss = Callable[[Tensor, Tensor], Tensor]


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
        target_weight: β; without effect for a single output.
        leave: Which class m is: at each step the `"strongest"` but the target, so that no third class takes
            over, or the one `"predicted"` at the start, as in the paper.
        similarity_weight: γ, in logits (of a regressor, in its units) for a mean squared difference of 1.
        similarity_half_life: Steps after which γ has halved for a sample that has not arrived: too great a
            γ only delays it. None keeps γ, as in the paper, where such samples come to rest halfway.
        cutoff: Value for a single output to reach, where the call names none. For a sigmoid, a probability.
        direction: Whether a single output is lowered or raised to the cutoff.
        task: What the classifier does. `"auto"` takes a single output for a regressor if a `cutoff` is
            given or it does not end in a sigmoid.
        classifies: What it takes; `"auto"` finds out from its input's shape.
        steps: The most steps of a search.
        learning_rate: Adam's step size on codes.
        refine: Steps by which z₀ is moved so that G(z₀) resembles the image more; it never gets worse. None
            takes 100 for a classifier of images, and 0 for one of codes, which knows the encoder's codes.
        refine_loss: From images and reconstructions to losses `(batch,)`, of TensorFlow operations; None for
            the mean squared error.
        polish: Steps that go on, from where the aim was reached, to lessen the change in any direction, where
            halving only goes straight back. It can make changes several times smaller, and then such as other
            classifiers agree with less: 0 for rationales, 100 to find how near the boundary is.
        starts: Places to search from: z₀, and others around it. Kept is one that reached the aim, and of
            several the one whose image changed least.
        start_spread: Standard deviation of the other starts around z₀.
        path_points: Places on the straight way from z₀ to z* whose images and probabilities are kept.
        reconstruction_limit: A reconstruction is too far if it misses more than this share of the image's
            variance, or is decided otherwise than the image.
        image_range: Least and greatest value of an image; None takes those of the generator's final tanh or
            sigmoid, or any for other generators.
        batch_size: Images explained at a time. It changes no sample's result beyond rounding.
        jit_compile: Whether XLA compiles; `"auto"` does so where there is a GPU.
        seed: Seed of the other starts, which are around z₀ the same for all samples.
        class_names: Names of the classes 0, 1, …, for verdicts and figures.

    Raises:
        ValueError: If shapes of the models do not fit each other, a number is out of its range, or no logits
            can be found.
        TypeError: If a model is no Keras model.

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
        target_weight: float = 1.0,
        leave: Literal["strongest", "predicted"] = "strongest",
        similarity_weight: float = 10.0,
        similarity_half_life: int | None = 100,
        cutoff: float | None = None,
        direction: Literal["lower", "raise"] = "lower",
        task: Literal["auto", "classification", "regression"] = "auto",
        classifies: Literal["auto", "codes", "images"] = "auto",
        steps: int = 5000,
        learning_rate: float = 0.1,
        refine: int | None = None,
        refine_loss: ReconstructionLoss | None = None,
        polish: int = 0,
        starts: int = 1,
        start_spread: float = 0.3,
        path_points: int = 11,
        reconstruction_limit: float = 0.5,
        image_range: tuple[float, float] | None = None,
        batch_size: int = 64,
        jit_compile: bool | Literal["auto"] = "auto",
        seed: int = 0,
        class_names: Sequence[str] | None = None,
    ) -> None:
        self.generator, self.encoder, self.classifier = generator, encoder, classifier
        self.latent_size, self.image_shape = fitting_shapes(generator, encoder)
        self.classifies = what_is_classified(
            classifier, classifies, (self.latent_size,), self.image_shape
        )
        of_images = self.classifies == "images"
        self.decision = decision_of(
            classifier,
            self.image_shape if of_images else (self.latent_size,),
            task=task,
            confidence=checked_number(confidence, "confidence", least=0, below=1),
            target_weight=checked_number(target_weight, "target_weight", least=0),
            leave=leave,
            cutoff=None if cutoff is None else checked_number(cutoff, "cutoff"),
            direction=direction,
        )
        self.similarity_weight = checked_number(similarity_weight, "similarity_weight", least=0)
        half_life = similarity_half_life
        self.similarity_half_life = (
            None
            if half_life is None
            else checked_number(half_life, "similarity_half_life", least=1)
        )
        self.steps = checked_number(steps, "steps", least=1, whole=True)
        self.learning_rate = checked_number(learning_rate, "learning_rate", least=0)
        refine = (100 if of_images else 0) if refine is None else refine
        self.refine = checked_number(refine, "refine", least=0, whole=True)
        self.refine_loss = mean_squared_error if refine_loss is None else refine_loss
        self.polish = checked_number(polish, "polish", least=0, whole=True)
        self.starts = checked_number(starts, "starts", least=1, whole=True)
        self.start_spread = checked_number(start_spread, "start_spread", least=0)
        self.path_points = checked_number(path_points, "path_points", least=2, whole=True)
        self.reconstruction_limit = checked_number(
            reconstruction_limit, "reconstruction_limit", least=0
        )
        self.image_range = image_range or image_range_of(generator, self.latent_size)
        networks = [generator, encoder, classifier]
        self.runner = Runner(networks, batch_size=batch_size, jit_compile=jit_compile)
        self.seed = checked_number(seed, "seed", least=0, whole=True)
        self.class_names = None if class_names is None else tuple(map(str, class_names))

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
                constant; if a target is no class, is the predicted one already, or a cutoff is met already;
                if `store` holds batches of other weights, settings, images or targets.
            TypeError: If images hold no numbers.
        """
        images = checked_images(x, self.image_shape, self.image_range)
        aims = self._aims(target, self.predictions(images))
        parts = None if store is None else claimed_parts(store, self, images, aims)
        found = self._in_batches(self.tensors, (images, aims), parts, verbose)
        status = np.array(STATUSES)[found.pop("status")]
        about = {
            "task": self.decision.task,
            "confidence": getattr(self.decision, "confidence", None),
            "image_range": self.image_range,
            "class_names": self.class_names,
            "steps": self.steps,
            "similarity_weight": self.similarity_weight,
            "seed": self.seed,
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
        images = checked_images(x, self.image_shape, self.image_range)
        return self._in_batches(self._look, (images,))["outputs"]

    def _aims(self, target: ArrayLike | None, outputs: NDArray[Any]) -> NDArray[Any]:
        if isinstance(self.decision, CutoffDecision):
            return checked_cutoffs(target, outputs[:, 0], self.decision)
        return checked_classes(target, outputs.argmax(axis=1), self.decision.classes)

    @property
    def specs(self) -> dict[str, tf.TensorSpec]:
        """What `explain` and `tensors` take: `image` and `target`, any number of samples."""
        of_target = tf.float32 if self.decision.task == "regression" else tf.int32
        return {
            "image": tf.TensorSpec((None, *self.image_shape), tf.float32, "image"),
            "target": tf.TensorSpec((None,), of_target, "target"),
        }

    def compiling(self, jit_compile: bool) -> RationaleGenerator:
        """Returns the same generator with or without XLA; this one stays as it was."""
        other = copy.copy(self)
        other.runner = self.runner.compiling(jit_compile)
        return other

    def explain(self, image: Tensor, target: Tensor) -> Tensors:
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
        encoded = self._encoded(image)
        seen = self._scores(encoded, image)
        start = self._refined(encoded, image)
        anchor = self._decoded(start)
        at_start = self._scores(start, anchor)
        aim = self.decision.aim(seen, at_start, target)
        codes, steps = self._searched(start, anchor, aim)
        end = self._scores(codes)
        flips = bisected(lambda z: self.decision.flipped(self._scores(z), aim), start, codes)
        frames, outputs = self._along(start, codes)
        reached = self.decision.reached(end, aim)
        errors = mean_squared_error(image, anchor) / tf.math.reduce_variance(image, _axes(image))
        too_far = (errors > self.reconstruction_limit) | ~self.decision.agree(seen, at_start, aim)
        return {
            "reconstructions": anchor,
            "images": frames[:, -1],
            "flips": self._decoded(flips),
            "codes_start": start,
            "codes": codes,
            "flip_codes": flips,
            "path_images": frames,
            "path_probabilities": outputs,
            "original_probabilities": seen.outputs,
            "predicted": aim["predicted"],
            "target": aim["target"],
            "steps": steps,
            "reached": reached,
            "flipped": self.decision.flipped(end, aim),
            "reconstruction_errors": errors,
            "status": tf.where(too_far, 2, tf.where(reached, 0, 1)),
        }

    def _look(self, image: Tensor) -> Tensors:
        return {"outputs": self._scores(self._encoded(image), image).outputs}

    def _searched(self, start: Tensor, anchor: Tensor, aim: Aim) -> tuple[Tensor, Tensor]:
        """Returns the codes of the least change that reaches the aim, and the steps that led there."""
        about = {"anchor": anchor, "aim": aim}
        best: tuple[Tensor, ...] | None = None
        for number in range(self.starts):
            place = start + self._offset(number) if number else start
            found = self._search(self.steps).run(self._objective, place, about)
            codes = self._lessened(start, found.codes, about)
            if self.starts == 1:
                return codes, found.steps
            rival = (codes, found.steps, self._cost(codes, about))
            best = rival if best is None else cheaper(best, rival)
        assert best is not None
        return best[:2]

    def _objective(self, codes: Tensor, about: Any, steps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The loss of algorithms 1 and 2, and whether the aim is reached."""
        images = self._decoded(codes)
        scores = self._scores(codes, images)
        losses = self.decision.losses(scores, about["aim"])
        weight = self.similarity_weight
        if self.similarity_half_life is not None:
            weight *= 0.5 ** (tf.cast(steps, tf.float32) / self.similarity_half_life)
        losses += weight * mean_squared_error(images, about["anchor"])
        reached = self.decision.reached(scores, about["aim"])
        return backpropagate(losses, codes), losses, reached

    def _lessened(self, start: Tensor, codes: Tensor, about: Any) -> Tensor:
        """Takes back what of a change is not needed: on the straight way, then beside it, then again."""

        def reached(codes: Tensor) -> Tensor:
            return self.decision.reached(self._scores(codes), about["aim"])

        def lessening(codes: Tensor, about: Any, _: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            images = self._decoded(codes)
            scores = self._scores(codes, images)
            change = mean_squared_error(images, about["anchor"])
            met = self.decision.reached(scores, about["aim"])
            # Downhill to what is still missing, and from there nearer; of one length, whatever their units.
            losses = tf.where(met, change, self.decision.missing(scores, about["aim"]))
            slopes = tf.math.l2_normalize(backpropagate(losses, codes), axis=1, epsilon=1e-24)
            return slopes, tf.where(met, change, float("inf")), tf.zeros_like(met)

        nearest = bisected(reached, start, codes)
        if not self.polish:
            return nearest
        found = self._search(self.polish).run(lessening, nearest, about)
        return bisected(reached, start, found.best)

    def _cost(self, codes: Tensor, about: Any) -> Tensor:
        images = self._decoded(codes)
        met = self.decision.reached(self._scores(codes, images), about["aim"])
        return tf.where(met, mean_squared_error(images, about["anchor"]), float("inf"))

    def _refined(self, encoded: Tensor, images: Tensor) -> Tensor:
        if not self.refine:
            return encoded

        def objective(codes: Tensor, images: Tensor, _: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            losses = self.refine_loss(images, self._decoded(codes))
            return backpropagate(losses, codes), losses, tf.zeros_like(losses, tf.bool)

        return self._search(self.refine).run(objective, encoded, images).best

    def _along(self, start: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Images and outputs on the straight way, `(batch, path_points, ...)`."""

        def at(share: Tensor) -> tuple[Tensor, Tensor]:
            place = share * codes + (1 - share) * start
            images = self._decoded(place)
            return images, self._scores(place, images).outputs

        shares = tf.linspace(0.0, 1.0, self.path_points)
        kinds = (tf.float32, tf.float32)
        frames, outputs = tf.map_fn(at, shares, fn_output_signature=kinds, parallel_iterations=1)
        return tf.einsum("pb...->bp...", frames), tf.einsum("pb...->bp...", outputs)

    def _search(self, steps: int) -> LatentSearch:
        return LatentSearch(steps, self.learning_rate, compact=not self.runner.jit_compile)

    def _offset(self, number: int) -> Tensor:
        return self.start_spread * normal((1, self.latent_size), (self.seed, number))

    def _encoded(self, images: Tensor) -> Tensor:
        return tf.cast(self.encoder(images, training=False), tf.float32)

    def _decoded(self, codes: Tensor) -> Tensor:
        return tf.cast(self.generator(codes, training=False), tf.float32)

    def _scores(self, codes: Tensor, images: Tensor | None = None) -> Scores:
        """What the classifier says; images are drawn where it needs them and they are not there."""
        if self.classifies == "codes":
            return self.decision.read(codes)
        return self.decision.read(self._decoded(codes) if images is None else images)

    def _in_batches(
        self,
        function: Callable[..., Tensors],
        arrays: Sequence[NDArray[Any]],
        parts: PartFolder | None = None,
        verbose: int = 0,
    ) -> dict[str, NDArray[Any]]:
        signature = list(self.specs.values())[: len(arrays)]
        traced = self.runner.traced(function, signature, function.__name__)
        found: dict[str, NDArray[Any]] = self.runner.over(
            lambda *rows: traced(*map(tf.constant, rows)), arrays, parts=parts, verbose=verbose
        )
        return found


def mean_squared_error(images: Tensor, others: Tensor) -> Tensor:
    """Returns the mean squared difference of each pair of images, `(batch,)`."""
    return tf.reduce_mean(tf.math.squared_difference(images, others), _axes(images))


def _axes(images: Tensor) -> list[int]:
    return list(range(1, images.shape.rank))
