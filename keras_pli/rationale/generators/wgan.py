"""A Wasserstein GAN with gradient penalty: the generator whose codes rationales are looked for in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from ...checks import checked_number
from ...draws import normal, uniform
from ...replicas import ReplicaRows, replica_count, share_of_mean, shared_loss
from ..model_shapes import input_shape
from .adversarial_model import AdversarialModel
from .batches import number_of_all
from .gradient_penalty import gradient_penalty
from .networks import dcgan_critic, dcgan_generator

Tensor = Any


@keras.saving.register_keras_serializable(package="keras_pli")
class WassersteinGAN(AdversarialModel):
    """Trains a generator of images from codes z ~ N(0, I).

    A critic f learns to score real images above generated ones while the slope of its scores is held to 1;
    the difference of the mean scores then estimates the Wasserstein distance between the two, which the
    generator lowers (Gulrajani et al. 2017, algorithm 1; as a source of rationales Seah et al. 2018,
    section 2).

    A training step takes `critic_steps * batch_size` images: each of the critic's updates has its own
    `batch_size` of them, then the generator is updated once. An epoch so shows every image to the critic
    once, in an order that the seed and the number of steps done decide. All that a run depends on (weights,
    optimizers, steps done, seed) is in the model: `fit` continues where the last one ended, also after
    `save` and `WassersteinGAN.load`.

    Training is in float32 whatever the dtype policy. An update that is not finite is not made, and ends the
    training.

    Unless `compile` is told otherwise, both optimizers are Adam with the rate of Seah et al., 5e-5 over
    200,000 generator steps; where there is time for some thousands, 1e-3 that decays comes further. They do
    not give their betas; 0 and 0.9 are those of Gulrajani et al. (algorithm 1): where two networks chase each
    other, momentum points to where the other was.

    Logs hold `critic_distance` (the estimate of the distance), `gradient_penalty` (before weighting) and
    `generator_loss`. A `val_critic_distance` that falls behind shows a critic that has learned its images by
    heart.

    Args:
        image_shape: Shape of an image, such as `(28, 28, 1)`.
        latent_size: Length of a code.
        width: Width of the default networks, see `dcgan_generator` and `dcgan_critic`.
        generator: Any built Keras model from codes to images, in place of the default one.
        critic: Any built Keras model from images to `(samples, 1)`, in place of the default one. It must not
            mix samples, as batch normalisation does.
        critic_steps: Updates of the critic for each of the generator. Seah et al. have 4.
        penalty_weight: Weight λ of the gradient penalty.
        average_decay: Share kept at each step of a running average of the generator's weights, such as
            0.999, in which the samples' quality swings less; None for no average. See `best_generator`.
        value_range: The range that images must be in, or None to take any.
        seed: Seed of the initial weights and of every draw.

    Raises:
        ValueError: If networks do not fit each other or the image shape, or compute in another precision.

    Example:
        >>> images = np.random.default_rng(0).uniform(-1, 1, (16, 16, 16, 1))
        >>> gan = WassersteinGAN((16, 16, 1), latent_size=8, width=4)
        >>> history = gan.fit(images, epochs=1, batch_size=4, verbose=0)
        >>> sorted(history.history)
        ['critic_distance', 'generator_loss', 'gradient_penalty']
        >>> gan.generate(5, seed=1).shape
        (5, 16, 16, 1)
    """

    adversary_name = "critic"
    learning_rate, betas = 5e-5, (0.0, 0.9)
    logged = ("critic_distance", "gradient_penalty", "generator_loss")

    def __init__(
        self,
        image_shape: Sequence[int],
        *,
        latent_size: int = 100,
        width: int = 32,
        generator: keras.Model | None = None,
        critic: keras.Model | None = None,
        critic_steps: int = 4,
        penalty_weight: float = 10.0,
        average_decay: float | None = None,
        value_range: tuple[float, float] | None = (-1.0, 1.0),
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            image_shape,
            average_decay=average_decay,
            value_range=value_range,
            seed=seed,
            **kwargs,
        )
        self.critic_steps = checked_number(critic_steps, "critic_steps", least=1, whole=True)
        self.penalty_weight = checked_number(penalty_weight, "penalty_weight", least=0.0)
        start = self._weights_key
        generator = generator or dcgan_generator(
            image_shape, latent_size=latent_size, width=width, seed=start
        )
        self.critic = critic or dcgan_critic(image_shape, width=width, seed=start)
        self._begin(generator, self.critic)
        (self.latent_size,) = input_shape(self.generator, "generator")

    @property
    def adversary_steps(self) -> int:
        """See `AdversarialModel`."""
        return self.critic_steps

    def generate(self, count: int, seed: int = 0, *, batch_size: int = 256) -> NDArray[np.float32]:
        """Returns images of random codes, the same for the same seed; see `best_generator`.

        Args:
            count: How many.
            seed: Seed of the codes.
            batch_size: How many at a time.

        Raises:
            ValueError: If `count` is less than 1.
        """
        codes = self.codes(count, seed)
        images = self.best_generator.predict(codes, batch_size=batch_size, verbose=0)
        return np.asarray(images, dtype=np.float32)

    def codes(self, count: int, seed: int = 0) -> NDArray[np.float32]:
        """Returns random codes z ~ N(0, I), `(count, latent_size)`, the same for the same seed.

        Raises:
            ValueError: If `count` is less than 1.
        """
        count = checked_number(count, "count", least=1, whole=True)
        return normal((count, self.latent_size), (seed, 0)).numpy()

    def train_step(self, images: Tensor) -> dict[str, Tensor]:
        """Updates the critic `critic_steps` times, on different images, and then the generator once."""
        batch = tf.shape(images)[0] // self.critic_steps
        count = batch * self.critic_steps
        rows = ReplicaRows.even(batch)
        first, second = 2 * self.steps_done, 2 * self.steps_done + 1
        codes, mix = self._draws(rows, self._training_key, first, self.critic_steps)
        grouped = [
            tf.reshape(tensor, (self.critic_steps, batch, *tensor.shape[1:]))
            for tensor in (images[:count], self.generator(codes, training=True), mix)
        ]
        distance, penalty = self._updates_of_critic(grouped)
        codes, _ = self._draws(rows, self._training_key, second)
        loss = self._update_generator(codes)
        with tf.control_dependencies([loss]):  # no step is counted that finds the data at their end
            self.steps_done.assign_add(1)
        return self._logged(
            critic_distance=distance / self.critic_steps,
            gradient_penalty=penalty / self.critic_steps,
            generator_loss=loss,
        )

    def test_step(self, data: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        """Compares numbered batches of images with generated ones; nothing is updated."""
        images, number = data
        rows = ReplicaRows.of(tf.shape(images)[0])
        codes, mix = self._draws(rows, self._validation_key, number_of_all(number))
        fakes = self.generator(codes, training=False)
        scores, of_fakes = (self._scores(batch, False) for batch in (images, fakes))
        penalty = gradient_penalty(lambda x: self._scores(x, False), images, fakes, mix)
        found = {
            "critic_distance": scores - of_fakes,
            "gradient_penalty": penalty,
            "generator_loss": -of_fakes,
        }
        if replica_count() == 1:
            return self._logged(**found)
        shares = {name: share_of_mean(values) for name, values in found.items()}
        return self._logged(tf.cast(rows.count, tf.float32), **shares)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "name": self.name,
            "image_shape": list(self.image_shape),
            "generator": keras.saving.serialize_keras_object(self.generator),
            "critic": keras.saving.serialize_keras_object(self.critic),
            "critic_steps": self.critic_steps,
            "penalty_weight": self.penalty_weight,
            "average_decay": self.average_decay,
            "value_range": None if self.value_range is None else list(self.value_range),
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> WassersteinGAN:
        """Makes the model that `get_config` describes."""
        networks = {
            name: keras.saving.deserialize_keras_object(config[name], custom_objects)
            for name in ("generator", "critic")
        }
        return cls(**{**config, **networks})

    def _updates_of_critic(self, grouped: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Updates the critic on one group of images after another; the sums of what it has found."""

        def update(number: Tensor, distance: Tensor, penalty: Tensor) -> tuple[Tensor, ...]:
            found = self._update_critic(*(tensor[number] for tensor in grouped))
            return number + 1, distance + found[0], penalty + found[1]

        if replica_count() > 1:  # replicas cannot meet within a loop
            sums: tuple[Tensor, ...] = (0, tf.constant(0.0), tf.constant(0.0))
            for _ in range(self.critic_steps):
                sums = update(*sums)
            return sums[1], sums[2]
        _, distance, penalty = tf.while_loop(
            lambda number, *_: number < self.critic_steps,
            update,
            (tf.constant(0), tf.constant(0.0), tf.constant(0.0)),
            parallel_iterations=1,
        )
        return distance, penalty

    def _update_critic(self, real: Tensor, fake: Tensor, mix: Tensor) -> tuple[Tensor, Tensor]:
        with tf.GradientTape() as tape:
            scores, of_fakes = self._scores(real, True), self._scores(fake, True)
            distance = shared_loss(tf.reduce_mean(scores) - tf.reduce_mean(of_fakes))
            penalty = shared_loss(
                tf.reduce_mean(gradient_penalty(lambda x: self._scores(x, True), real, fake, mix))
            )
            loss = self.penalty_weight * penalty - distance
        self._update(self.adversary_optimizer, loss, tape, self.critic.trainable_variables)
        return distance, penalty

    def _update_generator(self, codes: Tensor) -> Tensor:
        with tf.GradientTape() as tape:
            scores = self._scores(self.generator(codes, training=True), True)
            loss = -shared_loss(tf.reduce_mean(scores))
        self._update(self.generator_optimizer, loss, tape, self.generator.trainable_variables)
        self._update_average()
        return loss

    def _scores(self, images: Tensor, training: bool) -> Tensor:
        return tf.reshape(self.critic(images, training=training), (-1,))

    def _draws(
        self, rows: ReplicaRows, key: int, number: Tensor, groups: int = 1
    ) -> tuple[Tensor, Tensor]:
        """Codes and mixing weights of this replica's rows of a batch, or of so many in a row."""
        number, count = tf.cast(number, tf.int64), rows.count * groups
        codes = normal((count, self.latent_size), (key, 2 * number))
        mix = uniform((count,), (key, 2 * number + 1))
        return rows.part(codes, groups), rows.part(mix, groups)
