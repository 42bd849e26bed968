"""An encoder from images to the codes that a generator would make them of."""

from __future__ import annotations

from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops
from numpy.typing import NDArray

from ...files import atomic_path
from ...replicas import mean_loss, replica_count, shared_loss
from ...strategies import check_scope, check_steps, made_like
from ...uneven_batches import UnevenBatches
from ..model_shapes import fitting_shapes, input_shape, output_shape
from .batches import checked_images, held_out_batches, training_batches
from .networks import dcgan_encoder
from .pyramid import laplacian_loss, most_levels

Tensor = Any


class GeneratorEncoder(UnevenBatches, keras.Model):
    """Trains the encoder of an autoencoder whose decoder is a frozen generator.

    The encoder sees real images only and lowers the Laplacian-pyramid distance between them and their
    reconstructions (Seah et al. 2018, section 2). Gradients pass through the generator, which stays as it
    is: its weights, its `trainable` flags.

    Args:
        generator: A trained Keras model from codes to images.
        encoder: Any built Keras model from images to codes, in place of `dcgan_encoder`.
        width: Width of the default encoder.
        levels: Levels of the pyramid (see `laplacian_loss`), fewer where images are too small.
        value_range: The range that images must be in, or None to take any.
        seed: Seed of the initial weights and of the order of images.

    Raises:
        ValueError: If the encoder's images or codes are not the generator's.

    Example:
        >>> from keras_pli.rationale.generators.networks import dcgan_generator
        >>> generator = dcgan_generator((16, 16, 1), latent_size=8, width=4)
        >>> images = generator.predict(np.random.default_rng(0).normal(size=(32, 8)), verbose=0)
        >>> autoencoder = GeneratorEncoder(generator, width=4)
        >>> history = autoencoder.fit(images, epochs=2, batch_size=16, verbose=0)
        >>> sorted(history.history)
        ['laplacian', 'loss', 'mse']
        >>> autoencoder.encode(images).shape, autoencoder.reconstruct(images).shape
        ((32, 8), (32, 16, 16, 1))
    """

    def __init__(
        self,
        generator: keras.Model,
        *,
        encoder: keras.Model | None = None,
        width: int = 32,
        levels: int = 3,
        value_range: tuple[float, float] | None = (-1.0, 1.0),
        seed: int = 0,
    ) -> None:
        super().__init__(name="generator_encoder", dtype="float32")
        if encoder is None:
            (codes,) = input_shape(generator, "generator")
            images = output_shape(generator, "generator")
            encoder = dcgan_encoder(images, latent_size=codes, width=width, seed=seed)
        self.encoder = encoder
        self.latent_size, self.image_shape = fitting_shapes(generator, encoder)
        check_scope(self, encoder.variables, "encoder")
        # Out of Keras's sight, so that the generator is neither trained nor saved.
        self._decode = partial(generator, training=False)
        self.levels = min(levels, most_levels(*self.image_shape[:2]))
        self.value_range, self.seed = value_range, seed
        self._laplacian = keras.metrics.Mean(name="laplacian")
        self._mse = keras.metrics.Mean(name="mse")
        self.built = True
        self.compile()

    @property
    def generator(self) -> keras.Model:
        """The frozen generator."""
        return self._decode.func

    def compile(self, optimizer: Any = None, *, jit_compile: bool = False, **kwargs: Any) -> None:
        """Chooses the optimizer and how steps are compiled.

        Args:
            optimizer: Any Keras optimizer; None for Adam with a rate of 5e-4.
            jit_compile: Whether to use XLA.
            **kwargs: As for `keras.Model.compile`, apart from losses and metrics.
        """
        with made_like(self):
            optimizer = keras.optimizers.Adam(5e-4) if optimizer is None else optimizer
            super().compile(optimizer=optimizer, loss=None, jit_compile=jit_compile, **kwargs)
        check_scope(self, self.optimizer.variables, "optimizer")

    def fit(
        self,
        images: Any,
        epochs: int = 1,
        batch_size: int = 64,
        *,
        validation_data: Any = None,
        **kwargs: Any,
    ) -> Any:
        """Trains the encoder.

        An encoder made under a `tf.distribute` strategy is trained under it, and each step gives the losses
        and weights that one replica would with the same `batch_size`, which is that of all replicas together.

        Args:
            images: Array of shape `(samples, *image_shape)`, or a `tf.data.Dataset` of batches of images.
            epochs: As in Keras.
            batch_size: As in Keras.
            validation_data: Held-out images.
            **kwargs: As in Keras.

        Returns:
            A `keras.callbacks.History` with `laplacian`, the loss of an image on average, and `mse`, its mean
            squared error, before and after `val_`.

        Raises:
            ValueError: If images are of another shape or range, or not finite.
        """
        check_scope(self, self.encoder.variables, "encoder")
        check_steps(self)
        known = None if isinstance(images, tf.data.Dataset) else len(images)
        data, steps = training_batches(
            images,
            min(batch_size, known or batch_size),
            shape=self.image_shape,
            value_range=self.value_range,
            epochs=epochs - kwargs.get("initial_epoch", 0),
            steps_done=int(self.optimizer.iterations.numpy()),
            seed=self.seed,
        )
        if steps is not None:
            kwargs["steps_per_epoch"] = steps
        if validation_data is not None:
            validation_data = self._held_out(validation_data, batch_size)
        if not self.optimizer.built:
            # Otherwise the first step makes the optimizer's variables, and Keras traces it twice.
            with made_like(self):
                self.optimizer.build(self.trainable_variables)
        return super().fit(
            data, epochs=epochs, validation_data=validation_data, shuffle=False, **kwargs
        )

    def evaluate(self, x: Any, batch_size: int | None = 64, **kwargs: Any) -> Any:
        """Returns the reconstruction errors of images; arguments as for `keras.Model.evaluate`."""
        if "_use_cached_eval_dataset" not in kwargs:  # Keras in the middle of fit has its batches
            x = self._held_out(x, batch_size or 64)
        return super().evaluate(x, **kwargs)

    def encode(self, images: Any, *, batch_size: int = 256) -> NDArray[np.float32]:
        """Returns the codes of images, `(samples, latent_size)`.

        Raises:
            ValueError: If images are of another shape or range, or not finite.
        """
        images = checked_images(images, self.image_shape, self.value_range, "images")
        return np.asarray(self.encoder.predict(images, batch_size=batch_size, verbose=0))

    def reconstruct(self, images: Any, *, batch_size: int = 256) -> NDArray[np.float32]:
        """Returns what the generator makes of the images' codes: images of the same shape.

        Raises:
            ValueError: If images are of another shape or range, or not finite.
        """
        images = checked_images(images, self.image_shape, self.value_range, "images")
        return np.asarray(self.predict(images, batch_size=batch_size, verbose=0))

    def call(self, images: Any, training: bool = False) -> Tensor:
        """Encodes a batch and decodes it again."""
        return self._decode(self.encoder(images, training=training))

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Tensor:
        """The Laplacian-pyramid distance of an image on average, and whatever the encoder's layers add."""
        # Before replicas meet: a layer notes the losses of all in one list.
        added = sum(self.losses)
        distances = self._distances(x, y_pred)
        axes = list(range(1, len(x.shape)))
        self._laplacian.update_state(distances)
        self._mse.update_state(ops.mean(ops.square(x - y_pred), axis=axes))
        return mean_loss(distances) + shared_loss(added)

    def _distances(self, images: Tensor, others: Tensor) -> Tensor:
        if replica_count() == 1:
            return laplacian_loss(images, others, levels=self.levels)
        # A replica may have no image, and of none nothing can be blurred.
        spare = ops.zeros((1, *self.image_shape), images.dtype)
        both = (ops.concatenate([each, spare]) for each in (images, others))
        return laplacian_loss(*both, levels=self.levels)[:-1]

    def save(self, filepath: Any, **kwargs: Any) -> None:
        """Saves the encoder alone, as a plain Keras model; the generator has a file of its own."""
        with atomic_path(filepath) as temporary:
            self.encoder.save(temporary, **kwargs)

    def _held_out(self, images: Any, batch_size: int) -> tf.data.Dataset:
        return held_out_batches(
            images, batch_size, shape=self.image_shape, value_range=self.value_range
        ).map(lambda batch, _: batch)
