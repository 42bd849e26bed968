"""What maps and their decoders share: an optimizer made for each training, and files to be loaded from."""

from __future__ import annotations

from typing import Any

import keras

from ..checks import check_keras_file


def decaying_adam(learning_rate: float, steps: int) -> keras.optimizers.Adam:
    """Adam with a short warm-up and cosine decay, whose rate is 0 after `steps` steps.

    Args:
        learning_rate: The peak, after the warm-up.
        steps: Length of the training.

    Example:
        >>> rate = decaying_adam(0.01, steps=1000)._learning_rate
        >>> [round(float(rate(step)), 4) for step in (0, 50, 525, 1000)]
        [0.001, 0.01, 0.005, 0.0]
    """
    warmup = min(50, steps // 10)
    rate = keras.optimizers.schedules.CosineDecay(
        0.1 * learning_rate,
        max(1, steps - warmup),
        warmup_target=learning_rate,
        warmup_steps=warmup,
    )
    return keras.optimizers.Adam(rate)


class ScheduledModel(keras.Model):
    """A model whose default optimizer is made anew by each `fit`, to suit its length."""

    learning_rate: float

    def compile(self, optimizer: Any = None, *, jit_compile: Any = "auto", **kwargs: Any) -> None:
        """Chooses the optimizer and how steps are compiled.

        Args:
            optimizer: Any Keras optimizer; None for Adam with a short warm-up and cosine decay over the
                training, made anew by each `fit`.
            jit_compile: Whether to use XLA; `"auto"` as in Keras, and on TensorFlow also for long trainings
                of a map's default network.
            **kwargs: As for `keras.Model.compile`, apart from losses.

        Example:
            >>> from keras_pli.embedding import ParametricTSNE
            >>> ParametricTSNE().compile("adam", jit_compile=False)
        """
        self._own_optimizer = optimizer is None
        optimizer = keras.optimizers.Adam(self.learning_rate) if optimizer is None else optimizer
        super().compile(optimizer=optimizer, loss=None, jit_compile=jit_compile, **kwargs)

    def save(self, filepath: Any, **kwargs: Any) -> None:
        """Saves the model, with all models within it, as `keras.Model.save` does, to a `.keras` file.

        Raises:
            ValueError: If the file is of the older format, from which Keras could not load it.
        """
        check_keras_file(filepath, type(self).__name__)
        super().save(filepath, **kwargs)

    def _schedule(self, steps: int) -> None:
        """Makes the default optimizer anew, with a decay over the length of the training."""
        if self._own_optimizer:
            self.optimizer = decaying_adam(self.learning_rate, steps)
            self.train_function = None  # it was traced with the optimizer before
        if not self.optimizer.built:
            self.optimizer.build(self.trainable_variables)

    def get_compile_config(self) -> dict[str, Any]:
        """What `compile` was called with, or the optimizer that `fit` made."""
        config = super().get_compile_config() or {}
        if self._own_optimizer:
            config["optimizer"] = keras.saving.serialize_keras_object(self.optimizer)
        return {**config, "own_optimizer": self._own_optimizer}

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles a loaded model as it was when saved, with the state of its optimizer."""
        kept = ["jit_compile", "run_eagerly"]
        if not config.get("own_steps"):
            kept.append("steps_per_execution")
        optimizer = keras.saving.deserialize_keras_object(config["optimizer"])
        self.compile(optimizer, **{name: config[name] for name in kept if name in config})
        self._own_optimizer = config["own_optimizer"]
        if self.built:
            self.optimizer.build(self.trainable_variables)
