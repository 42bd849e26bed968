"""The least change of an image by which a decision becomes another, as a function of tensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from ...draws import normal
from ...network.backward import backpropagate
from .decision import Aim, Decision, Scores
from .latent_search import LatentSearch, bisected, cheaper
from .rationale_settings import RationaleSettings

Tensor = Any


@dataclass(frozen=True)
class LeastChange:
    """The search of a `RationaleGenerator`; it makes graph operations, and is called where a graph is traced.

    Args:
        generator: From codes to images.
        encoder: From images to codes.
        decision: The classifier's, and when it has changed.
        settings: How to search.
    """

    generator: keras.Model
    encoder: keras.Model
    decision: Decision
    settings: RationaleSettings

    def __call__(self, image: Tensor, target: Tensor) -> dict[str, Tensor]:
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
        too_far = (errors > self.settings.reconstruction.limit) | ~self.decision.agree(
            seen, at_start, aim
        )
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

    def outputs(self, image: Tensor) -> Tensor:
        """Returns what the classifier says about images as they are."""
        return self._scores(self._encoded(image), image).outputs

    def _searched(self, start: Tensor, anchor: Tensor, aim: Aim) -> tuple[Tensor, Tensor]:
        """Returns the codes of the least change that reaches the aim, and the steps that led there."""
        about = {"anchor": anchor, "aim": aim}
        starts = self.settings.search.starts
        best: tuple[Tensor, ...] | None = None
        for number in range(starts):
            place = start + self._offset(number) if number else start
            found = self._search(self.settings.steps).run(self._objective, place, about)
            codes = self._lessened(start, found.codes, about)
            if starts == 1:
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
        losses += self._weight(steps) * mean_squared_error(images, about["anchor"])
        reached = self.decision.reached(scores, about["aim"])
        return backpropagate(losses, codes), losses, reached

    def _weight(self, steps: Tensor) -> Tensor:
        """γ, of which little is left where a search is long."""
        weight, half_life = (
            self.settings.search.similarity_weight,
            self.settings.search.similarity_half_life,
        )
        if half_life is None:
            return weight
        return weight * 0.5 ** (tf.cast(steps, tf.float32) / half_life)

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

        nearest, polish = bisected(reached, start, codes), self.settings.search.polish
        if not polish:
            return nearest
        found = self._search(polish).run(lessening, nearest, about)
        return bisected(reached, start, found.best)

    def _cost(self, codes: Tensor, about: Any) -> Tensor:
        images = self._decoded(codes)
        met = self.decision.reached(self._scores(codes, images), about["aim"])
        return tf.where(met, mean_squared_error(images, about["anchor"]), float("inf"))

    def _refined(self, encoded: Tensor, images: Tensor) -> Tensor:
        steps, loss = self.settings.reconstruction.refine, self.settings.reconstruction.refine_loss
        if not steps:
            return encoded

        def objective(codes: Tensor, images: Tensor, _: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            losses = (loss or mean_squared_error)(images, self._decoded(codes))
            return backpropagate(losses, codes), losses, tf.zeros_like(losses, tf.bool)

        return self._search(steps).run(objective, encoded, images).best

    def _along(self, start: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Images and outputs on the straight way, `(batch, path_points, ...)`."""

        def at(share: Tensor) -> tuple[Tensor, Tensor]:
            place = share * codes + (1 - share) * start
            images = self._decoded(place)
            return images, self._scores(place, images).outputs

        shares = tf.linspace(0.0, 1.0, self.settings.path_points)
        kinds = (tf.float32, tf.float32)
        frames, outputs = tf.map_fn(at, shares, fn_output_signature=kinds, parallel_iterations=1)
        return tf.einsum("pb...->bp...", frames), tf.einsum("pb...->bp...", outputs)

    def _search(self, steps: int) -> LatentSearch:
        return LatentSearch(
            steps, self.settings.learning_rate, compact=not self.settings.jit_compile
        )

    def _offset(self, number: int) -> Tensor:
        shape = (1, self.generator.input_shape[-1])
        return self.settings.search.start_spread * normal(shape, (self.settings.seed, number))

    def _encoded(self, images: Tensor) -> Tensor:
        return tf.cast(self.encoder(images, training=False), tf.float32)

    def _decoded(self, codes: Tensor) -> Tensor:
        return tf.cast(self.generator(codes, training=False), tf.float32)

    def _scores(self, codes: Tensor, images: Tensor | None = None) -> Scores:
        """What the classifier says; images are drawn where it needs them and they are not there."""
        if self.settings.classifies == "codes":
            return self.decision.read(codes)
        return self.decision.read(self._decoded(codes) if images is None else images)


def mean_squared_error(images: Tensor, others: Tensor) -> Tensor:
    """Returns the mean squared difference of each pair of images, `(batch,)`."""
    return tf.reduce_mean(tf.math.squared_difference(images, others), _axes(images))


def _axes(images: Tensor) -> list[int]:
    return list(range(1, images.shape.rank))
