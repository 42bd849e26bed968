"""A Wasserstein GAN with gradient penalty: the generator whose codes rationales are looked for in."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from ...draws import normal, uniform
from ...files import atomic_path
from ..model_shapes import check_number, input_shape
from .adversaries import check_adversaries
from .batches import held_out_batches, training_batches
from .divergence import HEALTHY, StopAtFailure, apply_if_finite, raise_if_failed
from .gradient_penalty import gradient_penalty
from .networks import dcgan_critic, dcgan_generator
from .weight_average import follow

Tensor = Any


@keras.saving.register_keras_serializable(package="keras_pli")
class WassersteinGAN(keras.Model):
    """Trains a generator of images from codes z ~ N(0, I).

    A critic f learns to score real images above generated ones while the slope of its scores is held to 1;
    the difference of the mean scores then estimates the Wasserstein distance between the two, which the
    generator lowers (Gulrajani et al. 2017, algorithm 1; as a source of rationales Seah et al. 2018,
    section 2).

    A training step takes `critic_steps * batch_size` images: each of the critic's updates has its own
    `batch_size` of them, then the generator is updated once. An epoch so shows every image to the critic
    once, in an order that the seed and the number of steps done decide. All that a run hangs on (weights,
    optimizers, steps done, seed) is in the model: `fit` continues where the last one ended, also after
    `save` and `WassersteinGAN.load`.

    Training is in float32 whatever the dtype policy. An update that is not finite is not made, and ends the
    training.

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
        >>> images = np.random.default_rng(0).uniform(-1, 1, (64, 16, 16, 1))
        >>> gan = WassersteinGAN((16, 16, 1), latent_size=8, width=4)
        >>> history = gan.fit(images, epochs=2, batch_size=8, verbose=0)
        >>> sorted(history.history)
        ['critic_distance', 'generator_loss', 'gradient_penalty']
        >>> gan.generate(5, seed=1).shape
        (5, 16, 16, 1)
    """

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
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.critic_steps = check_number(critic_steps, "critic_steps", least=1, whole=True)
        self.penalty_weight = check_number(penalty_weight, "penalty_weight", least=0.0)
        if average_decay is not None:
            check_number(average_decay, "average_decay", least=0.0, below=1.0)
        self.image_shape = tuple(image_shape)
        self._training_key, self._order_key, self._validation_key, start = _keys(seed)
        self.generator = generator or dcgan_generator(
            image_shape, latent_size=latent_size, width=width, seed=start
        )
        self.critic = critic or dcgan_critic(image_shape, width=width, seed=start)
        check_adversaries(self.generator, self.critic, self.image_shape)
        (self.latent_size,) = input_shape(self.generator, "generator")
        self.average_decay, self.value_range, self.seed = average_decay, value_range, seed
        self.averaged: keras.Model | None = None
        if average_decay is not None:
            self.averaged = keras.models.clone_model(self.generator)
            self.averaged.set_weights(self.generator.get_weights())
        self.steps_done = self._counter("steps_done", 0)
        self.failed_at = self._counter("failed_at", HEALTHY)
        self._trackers = {
            name: keras.metrics.Mean(name=name)
            for name in ("critic_distance", "gradient_penalty", "generator_loss")
        }
        self.built = True
        self.compile()

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> WassersteinGAN:
        """Returns a saved model with the state of its training, ready for `fit` to continue.

        Raises:
            TypeError: If the file holds another kind of model.

        Example:
            >>> import tempfile
            >>> gan = WassersteinGAN((16, 16, 1), latent_size=8, width=4)
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     gan.save(f"{folder}/gan.keras")
            ...     again = WassersteinGAN.load(f"{folder}/gan.keras")
            >>> bool((again.generate(2) == gan.generate(2)).all())
            True
        """
        model = keras.saving.load_model(path)
        if not isinstance(model, cls):
            raise TypeError(f"{path} holds no {cls.__name__}, but a {type(model).__name__}.")
        return model

    @property
    def best_generator(self) -> keras.Model:
        """The generator to use: the average of its weights if one is kept, else the one trained."""
        return self.generator if self.averaged is None else self.averaged

    @property
    def metrics(self) -> list[Any]:
        """What the logs hold; Keras's own loss is not used."""
        return list(self._trackers.values())

    def compile(
        self,
        generator_optimizer: Any = None,
        critic_optimizer: Any = None,
        *,
        learning_rate: float = 5e-5,
        betas: tuple[float, float] = (0.0, 0.9),
        jit_compile: bool = False,
        **kwargs: Any,
    ) -> None:
        """Chooses the optimizers and how steps are compiled.

        Args:
            generator_optimizer: Any Keras optimizer; None for Adam with the two arguments below.
            critic_optimizer: Likewise; it must be another object.
            learning_rate: Of Adam. Seah et al. (2018) have 5e-5 over 200,000 generator steps; where there is
                time for some thousands, 1e-3 that decays, in optimizers of one's own, comes further.
            betas: Of Adam. Seah et al. do not give theirs; these are those of Gulrajani et al. (2017,
                algorithm 1): where two networks chase each other, momentum points to where the other was.
            jit_compile: Whether to use XLA. Keras's own `"auto"` is not taken, so that a run does not depend
                on the machine that it is on.
            **kwargs: As for `keras.Model.compile`, apart from losses and metrics.

        Example:
            >>> WassersteinGAN((16, 16, 1), latent_size=8, width=4).compile(learning_rate=2e-4)
        """
        if generator_optimizer is not None and generator_optimizer is critic_optimizer:
            raise ValueError("Generator and critic must have an optimizer each, not share one.")
        super().compile(optimizer=None, loss=None, jit_compile=jit_compile, **kwargs)
        generator_optimizer, critic_optimizer = (
            keras.optimizers.Adam(learning_rate, *betas) if given is None else given
            for given in (generator_optimizer, critic_optimizer)
        )
        self.generator_optimizer = keras.optimizers.get(generator_optimizer)
        self.critic_optimizer = keras.optimizers.get(critic_optimizer)
        self.generator_optimizer.build(self.generator.trainable_variables)
        self.critic_optimizer.build(self.critic.trainable_variables)

    def fit(
        self,
        images: Any,
        epochs: int = 1,
        batch_size: int = 64,
        *,
        validation_data: Any = None,
        steps_per_epoch: int | None = None,
        initial_epoch: int = 0,
        callbacks: Any = None,
        verbose: Any = "auto",
    ) -> Any:
        """Trains both networks.

        Args:
            images: Array of shape `(samples, *image_shape)`, or a `tf.data.Dataset` of batches, with or
                without labels; the order of a data set, and whether it comes again, is its own matter.
            epochs: Number of the last epoch.
            batch_size: Images in an update, the critic's and the generator's.
            validation_data: Held-out images; `val_critic_distance` that falls behind `critic_distance` shows
                a critic that has learned its images by heart.
            steps_per_epoch: Generator steps in an epoch, for data sets of unknown length.
            initial_epoch: Epoch to count from, as in Keras.
            callbacks: Keras callbacks.
            verbose: As in Keras.

        Returns:
            A `keras.callbacks.History` with `critic_distance` (the estimate of the Wasserstein distance),
            `gradient_penalty` (before weighting) and `generator_loss`.

        Raises:
            ValueError: If images are of another shape or range, not finite, or too few for a step.
            FloatingPointError: If a loss or gradient was not finite. The weights are the last good ones.
        """
        size = self.critic_steps * check_number(batch_size, "batch_size", least=1, whole=True)
        self.failed_at.assign(HEALTHY)
        data, steps = training_batches(
            images,
            size,
            shape=self.image_shape,
            value_range=self.value_range,
            epochs=epochs - initial_epoch,
            steps_done=int(self.steps_done.numpy()),
            seed=self._order_key,
        )
        validation = None
        if validation_data is not None:
            validation = self._validation(validation_data, batch_size)
        watchers = [*_listed(callbacks), StopAtFailure()]
        history = super().fit(
            data,
            epochs=epochs,
            initial_epoch=initial_epoch,
            steps_per_epoch=steps or steps_per_epoch,
            validation_data=validation,
            shuffle=False,
            callbacks=watchers,
            verbose=verbose,
        )
        raise_if_failed(self.failed_at)
        return history

    def evaluate(self, x: Any, batch_size: int | None = 64, **kwargs: Any) -> Any:
        """Returns distance, penalty and generator loss on images, against codes that the seed decides.

        Args:
            x: Images, as for `fit`.
            batch_size: Images in a batch of an array.
            **kwargs: As for `keras.Model.evaluate`.
        """
        if "_use_cached_eval_dataset" not in kwargs:  # Keras in the middle of fit has its batches
            x = self._validation(x, batch_size or 64)
        return super().evaluate(x, **kwargs)

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
        count = check_number(count, "count", least=1, whole=True)
        return normal((count, self.latent_size), (seed, 0)).numpy()

    def call(self, codes: Any, training: bool = False) -> Tensor:
        """Images of codes, by the `best_generator`."""
        return self.best_generator(codes, training=training)

    def train_step(self, images: Tensor) -> dict[str, Tensor]:
        """Updates the critic `critic_steps` times, on different images, and then the generator once."""
        batch = tf.shape(images)[0] // self.critic_steps
        count = batch * self.critic_steps
        codes, mix = self._draws(count, self._training_key, 2 * self.steps_done)
        grouped = [
            tf.reshape(tensor, (self.critic_steps, batch, *tensor.shape[1:]))
            for tensor in (images[:count], self.generator(codes, training=True), mix)
        ]

        def update(number: Tensor, distance: Tensor, penalty: Tensor) -> tuple[Tensor, ...]:
            found = self._update_critic(*(tensor[number] for tensor in grouped))
            return number + 1, distance + found[0], penalty + found[1]

        _, distance, penalty = tf.while_loop(
            lambda number, *_: number < self.critic_steps,
            update,
            (tf.constant(0), tf.constant(0.0), tf.constant(0.0)),
            parallel_iterations=1,
        )
        codes, _ = self._draws(batch, self._training_key, 2 * self.steps_done + 1)
        loss = self._update_generator(codes)
        with tf.control_dependencies([loss]):  # no step is counted that finds the data at their end
            self.steps_done.assign_add(1)
        self._trackers["critic_distance"].update_state(distance / self.critic_steps)
        self._trackers["gradient_penalty"].update_state(penalty / self.critic_steps)
        self._trackers["generator_loss"].update_state(loss)
        return self.get_metrics_result()

    def test_step(self, data: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        """Compares numbered batches of images with generated ones; nothing is updated."""
        images, number = data
        codes, mix = self._draws(tf.shape(images)[0], self._validation_key, number)
        fakes = self.generator(codes, training=False)
        scores, of_fakes = (self._scores(batch, False) for batch in (images, fakes))
        penalty = gradient_penalty(lambda x: self._scores(x, False), images, fakes, mix)
        self._trackers["critic_distance"].update_state(scores - of_fakes)
        self._trackers["gradient_penalty"].update_state(penalty)
        self._trackers["generator_loss"].update_state(-of_fakes)
        return self.get_metrics_result()

    def save(self, filepath: Any, **kwargs: Any) -> None:
        """Saves networks, optimizers and the training's state in one `.keras` file, whole or not at all."""
        with atomic_path(filepath) as temporary:
            super().save(temporary, **kwargs)

    def get_compile_config(self) -> dict[str, Any]:
        """What `compile` was called with, or the optimizers that it made."""
        return {
            "jit_compile": self.jit_compile,
            "steps_per_execution": self.steps_per_execution,
            "generator_optimizer": keras.saving.serialize_keras_object(self.generator_optimizer),
            "critic_optimizer": keras.saving.serialize_keras_object(self.critic_optimizer),
        }

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles a loaded model as it was when saved, with the state of its optimizers."""
        self.compile(**keras.saving.deserialize_keras_object(config))

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

    def _update_critic(self, real: Tensor, fake: Tensor, mix: Tensor) -> tuple[Tensor, Tensor]:
        with tf.GradientTape() as tape:
            distance = tf.reduce_mean(self._scores(real, True)) - tf.reduce_mean(
                self._scores(fake, True)
            )
            penalty = tf.reduce_mean(
                gradient_penalty(lambda x: self._scores(x, True), real, fake, mix)
            )
            loss = self.penalty_weight * penalty - distance
        self._apply(self.critic_optimizer, loss, tape, self.critic.trainable_variables)
        return distance, penalty

    def _update_generator(self, codes: Tensor) -> Tensor:
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(self._scores(self.generator(codes, training=True), True))
        self._apply(self.generator_optimizer, loss, tape, self.generator.trainable_variables)
        if self.averaged is not None and self.average_decay is not None:
            follow(self.averaged, self.generator, self.average_decay, self.steps_done)
        return loss

    def _apply(self, optimizer: Any, loss: Tensor, tape: Any, variables: list[Any]) -> None:
        apply_if_finite(
            optimizer,
            loss,
            tape.gradient(loss, variables),
            variables,
            failed_at=self.failed_at,
            step=self.steps_done,
        )

    def _scores(self, images: Tensor, training: bool) -> Tensor:
        return tf.reshape(self.critic(images, training=training), (-1,))

    def _draws(self, count: Tensor, key: int, number: Tensor) -> tuple[Tensor, Tensor]:
        """Codes and mixing weights of a batch."""
        number = tf.cast(number, tf.int64)
        codes = normal((count, self.latent_size), (key, 2 * number))
        return codes, uniform((count,), (key, 2 * number + 1))

    def _validation(self, images: Any, batch_size: int) -> tf.data.Dataset:
        return held_out_batches(
            images, batch_size, shape=self.image_shape, value_range=self.value_range
        )

    def _counter(self, name: str, start: int) -> Any:
        return self.add_weight(
            shape=(),
            initializer=keras.initializers.Constant(start),
            dtype="int64",
            trainable=False,
            name=name,
        ).value


def _keys(seed: int) -> list[int]:
    """Seeds of the training's draws, the order of images, the validation's draws and the initial weights."""
    seed = check_number(seed, "seed", least=0, whole=True)
    return [int(key) for key in np.random.SeedSequence(seed).generate_state(4) >> 1]


def _listed(callbacks: Any) -> list[Any]:
    if callbacks is None:
        return []
    return list(callbacks) if isinstance(callbacks, list | tuple) else [callbacks]
