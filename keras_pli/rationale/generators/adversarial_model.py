"""What every GAN of this room shares: two optimizers, guarded updates, a resumable state, one file."""

from __future__ import annotations

import os
from typing import Any, TypeVar

import keras
import numpy as np
import tensorflow as tf

from ...backups import check_backups, listed
from ...checks import check_keras_file, check_options, checked_number
from ...files import atomic_path
from ...replicas import total
from ...strategies import check_scope, check_steps, made_like, replicas_of
from ...uneven_batches import UnevenBatches
from .adversaries import check_adversaries
from .batches import held_out_batches, training_batches
from .divergence import HEALTHY, StopAtFailure, apply_if_finite, raise_if_failed
from .weight_average import follow

Tensor = Any
_Model = TypeVar("_Model", bound="AdversarialModel")


class AdversarialModel(UnevenBatches, keras.Model):
    """A generator and its adversary in one model, whose training can be stopped and resumed anywhere.

    A subclass calls `_begin` as soon as it has its networks, and gives `train_step` and `test_step`.

    All that a run depends on (weights, optimizers, steps done, seed) is in the model, and every draw follows
    from the seed and the number of the step. Training is in float32 whatever the dtype policy. An update
    that is not finite is not made, and ends the training.

    Args:
        image_shape: Shape of an image.
        average_decay: Share kept at each step of a running average of the generator's weights, or None.
        value_range: The range that images must be in, or None to take any.
        seed: Seed of every draw.
    """

    adversary_name = "adversary"
    betas: tuple[float, float] = (0.5, 0.999)
    learning_rate: float = 2e-4
    logged: tuple[str, ...] = ()

    def __init__(
        self,
        image_shape: Any,
        *,
        average_decay: float | None,
        value_range: tuple[float, float] | None,
        seed: int,
        **kwargs: Any,
    ) -> None:
        check_options(type(self), kwargs)
        super().__init__(**{**kwargs, "dtype": "float32"})
        if average_decay is not None:
            checked_number(average_decay, "average_decay", least=0.0, below=1.0)
        self.image_shape = tuple(image_shape)
        self.average_decay, self.value_range, self.seed = average_decay, value_range, seed
        self._training_key, self._order_key, self._validation_key, self._weights_key = _keys(seed)

    def _begin(self, generator: keras.Model, adversary: keras.Model) -> None:
        """Takes the networks, and makes what the training writes to.

        Raises:
            ValueError: If the networks do not fit each other or the image shape.
        """
        check_adversaries(generator, adversary, self.image_shape, self.adversary_name)
        check_scope(self, generator.variables, "generator")
        check_scope(self, adversary.variables, self.adversary_name)
        self.generator, self._adversary = generator, adversary
        self.averaged: keras.Model | None = None
        if self.average_decay is not None:
            self.averaged = keras.models.clone_model(generator)
            self.averaged.set_weights(generator.get_weights())
        self.steps_done = self._counter("steps_done", 0)
        self.failed_at = self._counter("failed_at", HEALTHY)
        self._trackers = {name: keras.metrics.Mean(name=name) for name in self.logged}
        self.built = True
        self.compile()

    @classmethod
    def load(cls: type[_Model], path: str | os.PathLike[str]) -> _Model:
        """Returns a saved model with the state of its training, ready for `fit` to continue.

        Raises:
            TypeError: If the file holds another kind of model.
        """
        model = keras.saving.load_model(path)
        if not isinstance(model, cls):
            raise TypeError(f"{path} does not hold a {cls.__name__}, but a {type(model).__name__}.")
        return model

    def save(self, filepath: Any, **kwargs: Any) -> None:
        """Saves networks, optimizers and the training's state in one `.keras` file, whole or not at all.

        Raises:
            ValueError: If the file is of the older format, from which Keras could not load it.
        """
        check_keras_file(filepath, type(self).__name__)
        with atomic_path(filepath) as temporary:
            super().save(temporary, **kwargs)

    @property
    def adversary_steps(self) -> int:
        """Updates of the adversary in a training step, each of which takes a batch of images of its own."""
        return 1

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
        adversary_optimizer: Any = None,
        *,
        learning_rate: float | None = None,
        betas: tuple[float, float] | None = None,
        jit_compile: bool = False,
        **kwargs: Any,
    ) -> None:
        """Chooses the optimizers and how steps are compiled.

        Args:
            generator_optimizer: Any Keras optimizer; None for Adam with the two arguments below.
            adversary_optimizer: Likewise; it must be another object.
            learning_rate: Of Adam; None for the class's `learning_rate`.
            betas: Of Adam; None for the class's `betas`.
            jit_compile: Whether to use XLA. Keras's own `"auto"` is not taken, so that a run does not depend
                on the machine that it is on.
            **kwargs: As for `keras.Model.compile`, apart from losses and metrics.

        Raises:
            ValueError: If both optimizers are one object, or were not made under the strategy of the model.
        """
        one = generator_optimizer is adversary_optimizer
        if one and isinstance(generator_optimizer, keras.optimizers.Optimizer):
            raise ValueError(
                f"Generator and {self.adversary_name} must have an optimizer each, not share one."
            )
        rate = self.learning_rate if learning_rate is None else learning_rate
        with made_like(self):
            super().compile(optimizer=None, loss=None, jit_compile=jit_compile, **kwargs)
            self.generator_optimizer, self.adversary_optimizer = (
                keras.optimizers.get(
                    keras.optimizers.Adam(rate, *(betas or self.betas)) if given is None else given
                )
                for given in (generator_optimizer, adversary_optimizer)
            )
            for optimizer, network in (
                (self.generator_optimizer, self.generator),
                (self.adversary_optimizer, self._adversary),
            ):
                check_scope(self, optimizer.variables, "optimizer")
                optimizer.build(network.trainable_variables)

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

        A model made under a `tf.distribute` strategy is trained under it, and each step gives the losses and
        weights that one replica would with the same `batch_size`, which is that of all replicas together:
        draws are those of the whole batch, of which each replica takes its rows. Layers that look at a whole
        batch, as batch normalisation does, or draw at random see their replica's part alone.

        Args:
            images: Array of shape `(samples, *image_shape)`, or a `tf.data.Dataset` of batches, with or
                without labels; the order of a data set, and whether it comes again, is its own matter.
            epochs: Number of the last epoch.
            batch_size: Images in an update; a multiple of the number of replicas.
            validation_data: Held-out images.
            steps_per_epoch: Steps in an epoch, for data sets of unknown length.
            initial_epoch: Epoch to count from, as in Keras.
            callbacks: Keras callbacks. `BackupAndRestore` resumes an array's run to the same weights.
            verbose: As in Keras.

        Returns:
            A `keras.callbacks.History`.

        Raises:
            ValueError: If images are of another shape or range, not finite, or too few for a step; if
                `batch_size` cannot be shared out evenly among the replicas; or if `BackupAndRestore` saves
                within epochs, which it would begin again.
            FloatingPointError: If a loss or gradient was not finite. The weights are the last good ones.
        """
        check_backups(self, callbacks)
        check_scope(self, self.generator.variables, "generator")
        check_steps(self)
        self.failed_at.assign(HEALTHY)
        batch_size, replicas = self._checked_size(batch_size), replicas_of(self)
        data, steps = training_batches(
            images,
            self.adversary_steps * batch_size,
            shape=self.image_shape,
            value_range=self.value_range,
            epochs=epochs - initial_epoch,
            steps_done=self.steps_done,
            seed=self._order_key,
            groups=self.adversary_steps,
            replicas=replicas,
        )
        if validation_data is not None:
            validation_data = self._held_out(validation_data, batch_size)
        history = super().fit(
            data,
            epochs=epochs,
            initial_epoch=initial_epoch,
            steps_per_epoch=steps or steps_per_epoch,
            validation_data=validation_data,
            shuffle=False,
            callbacks=[*listed(callbacks), StopAtFailure()],
            verbose=verbose,
        )
        raise_if_failed(self.failed_at)
        return history

    def evaluate(self, x: Any, batch_size: int | None = 64, **kwargs: Any) -> Any:
        """Returns what the logs hold for other images, against codes that the seed decides.

        Args:
            x: Images, as for `fit`.
            batch_size: Images in a batch of an array.
            **kwargs: As for `keras.Model.evaluate`.
        """
        if "_use_cached_eval_dataset" not in kwargs:  # Keras in the middle of fit has its batches
            x = self._held_out(x, batch_size or 64)
        return super().evaluate(x, **kwargs)

    def call(self, codes: Any, training: bool = False) -> Tensor:
        """Images of codes, by the `best_generator`."""
        return self.best_generator(codes, training=training)

    def get_compile_config(self) -> dict[str, Any]:
        """What `compile` was called with, or the optimizers that it made."""
        return {
            "jit_compile": self.jit_compile,
            "steps_per_execution": self.steps_per_execution,
            "generator_optimizer": keras.saving.serialize_keras_object(self.generator_optimizer),
            "adversary_optimizer": keras.saving.serialize_keras_object(self.adversary_optimizer),
        }

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles a loaded model as it was when saved, with the state of its optimizers."""
        self.compile(**keras.saving.deserialize_keras_object(config))

    def _update(self, optimizer: Any, loss: Tensor, tape: Any, variables: list[Any]) -> None:
        apply_if_finite(
            optimizer,
            loss,
            tape.gradient(loss, variables),
            variables,
            failed_at=self.failed_at,
            step=self.steps_done,
        )

    def _update_average(self) -> None:
        if self.averaged is not None and self.average_decay is not None:
            follow(self.averaged, self.generator, self.average_decay, self.steps_done)

    def _logged(self, weight: Tensor = None, /, **values: Tensor) -> dict[str, Tensor]:
        """Notes means over a batch, of which each replica brings its part; with a weight, if need be."""
        whole = {name: total(value) for name, value in values.items()}
        with tf.control_dependencies(list(whole.values())):  # nor is a step averaged, at their end
            for name, value in whole.items():
                self._trackers[name].update_state(value, sample_weight=weight)
        return self.get_metrics_result()

    def _held_out(self, images: Any, batch_size: int) -> tf.data.Dataset:
        return held_out_batches(
            images,
            batch_size,
            shape=self.image_shape,
            value_range=self.value_range,
            replicas=replicas_of(self),
        )

    def _checked_size(self, batch_size: int) -> int:
        size = checked_number(batch_size, "batch_size", least=1, whole=True)
        replicas = replicas_of(self)
        if size % replicas:
            raise ValueError(
                f"`batch_size` must be a multiple of the {replicas} replicas, of which each has as many "
                f"images. Received: {size}."
            )
        return size

    def _counter(self, name: str, start: int) -> Any:
        return self.add_weight(
            shape=(),
            initializer=keras.initializers.Constant(start),
            dtype="int64",
            trainable=False,
            name=name,
            aggregation="only_first_replica",  # all count the same
        ).value


def _keys(seed: int) -> list[int]:
    """Seeds of the training's draws, the order of images, the validation's draws and the initial weights."""
    seed = checked_number(seed, "seed", least=0, whole=True)
    return [int(key) for key in np.random.SeedSequence(seed).generate_state(4) >> 1]
