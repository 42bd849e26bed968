"""Back from the map: which activations a place stands for, and which images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import ArrayLike, NDArray

from ..brief import brief
from ..checks import check_options, checked_number, finite_array
from ..replicas import replica_count, scope_of, share_of_mean, shared_loss, total
from .decoder_network import PairBatches, ShareOfVariance, decoder_network
from .inversion import FoundActivations, smallest_change
from .scheduled_model import ScheduledModel
from .shares import check_replicas

Array = NDArray[np.float32]
HELD_OUT = 10  # one point of so many is held out where no others are given
BATCH = 1024  # of passes without training


@keras.saving.register_keras_serializable(package="keras_pli")
class MapDecoder(ScheduledModel):
    """A network from places of a map back to the activations of its layer, and on to images.

    It is trained on pairs of a point's position and its activations, and so answers with what points there
    hold on average: what a map of two components does not keep cannot come back. How much that is stands in
    `error`, measured on points held out.

    Args:
        embedder: A trained map, such as a `ParametricTSNE`; it is not changed. After it was trained on, call
            `fit` again.
        generator: A Keras model from such activations to images, for `images`: the decoder of an
            autoencoder, or a generator of the layer's activations. It is not changed.
        hidden_units: Widths of the hidden layers.
        activation: Their activation. Rectifiers fit the edges between clusters best: on digits a
            held-out error of .365, with silu .376.
        smoothing: Standard deviation of the noise on positions in training, as a share of the map's spread
            along one axis; more of it averages over more neighbours.
        learning_rate: Peak of the default optimizer, Adam with a short warm-up and cosine decay over the
            training. Call `compile(optimizer)` for another.
        seed: Seed of the initial weights and of every draw.

    Saved as `.keras`, the file holds embedder and generator, too.

    Raises:
        TypeError: If `embedder` is not a map, or `generator` not a Keras model.
        ValueError: If an argument is out of range.

    Example:
        >>> from sklearn.datasets import load_digits
        >>> from keras_pli.embedding import ParametricTSNE
        >>> z = load_digits().data[:500] / 16
        >>> tsne = ParametricTSNE(perplexity=30, seed=0)
        >>> history = tsne.fit(z, epochs=1, steps_per_epoch=20, verbose=0)
        >>> pixels = keras.Sequential([keras.Input((64,)), keras.layers.Reshape((8, 8, 1))])
        >>> decoder = MapDecoder(tsne, generator=pixels, seed=0)
        >>> history = decoder.fit(z, epochs=5, verbose=0)
        >>> 0 < decoder.error < 1
        True
        >>> decoder.images([[0.0, 0.0]]).shape
        (1, 8, 8, 1)
        >>> decoder.activations_at(tsne.predict(z[:1], verbose=0), start=z[1:2]).reached
        array([ True])
    """

    def __init__(
        self,
        embedder: keras.Model,
        *,
        generator: keras.Model | None = None,
        hidden_units: Sequence[int] = (256, 256, 256),
        activation: Any = "relu",
        smoothing: float = 0.07,
        learning_rate: float = 0.01,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        check_options(type(self), kwargs)
        super().__init__(**{"dtype": "float32", **kwargs})
        if not isinstance(embedder, keras.Model) or not hasattr(embedder, "components"):
            raise TypeError(
                f"`embedder` must be a map, such as a ParametricTSNE. Received: {brief(embedder)}."
            )
        if generator is not None and not isinstance(generator, keras.Model):
            raise TypeError(
                "`generator` must be a Keras model from activations to images. "
                f"Received: {brief(generator)}."
            )
        self.embedder, self.generator = embedder, generator
        self.hidden_units = tuple(hidden_units)
        self.activation = keras.activations.get(activation)
        self.smoothing = checked_number(smoothing, "smoothing", least=0)
        self.learning_rate = checked_number(learning_rate, "learning_rate", least=0)
        self.seed = seed
        self.network: keras.Sequential | None = None
        self._shape: tuple[int, ...] | None = None
        self._error = ShareOfVariance(name="error")
        self.compile()

    @property
    def error(self) -> float:
        """The reconstruction error of held-out points after the last `fit`, as a share of their variance.

        The mean squared distance between activations and what the decoder makes of their positions, over
        that between activations and the training points' mean: 0 is perfect, 1 no better than the mean. NaN
        where the training was cut off.

        Raises:
            ValueError: If the decoder is not trained.
        """
        self._check_trained()
        return float(ops.convert_to_numpy(self.held_out_error))

    @property
    def trainable_variables(self) -> list[Any]:
        """The decoder's own weights: embedder and generator stay as they are."""
        return [] if self.network is None else self.network.trainable_variables

    @property
    def trainable_weights(self) -> list[Any]:
        """The same as `trainable_variables`."""
        return self.trainable_variables

    def fit(
        self,
        z: ArrayLike,
        epochs: int = 50,
        batch_size: int = 128,
        *,
        validation_data: ArrayLike | None = None,
        callbacks: Any = None,
        verbose: Any = "auto",
    ) -> Any:
        """Trains the decoder on activations `z` and their places on the map.

        A later call, also after saving and loading, goes on from the present weights. Made in the scope of a
        `tf.distribute` strategy, the decoder trains on all its replicas, which share out each batch: loss and
        gradient are those of one replica, up to rounding. Every worker must be given the same activations.

        Args:
            z: Activations `(samples, ...)`, at best those that the map was trained on.
            epochs: Number of epochs.
            batch_size: Points in a batch; all of them where there are fewer.
            validation_data: Other activations, to measure the error on. By default one point in ten is held
                out, the same in each call.
            callbacks: Keras callbacks.
            verbose: As in Keras.

        Returns:
            A `keras.callbacks.History`; its `error` and `val_error` are as `error` describes, of the
            training points with noise on their positions, and of those held out.

        Raises:
            ValueError: If the embedder is not trained, activations are not finite, have another shape than
                before, are fewer than ten or all the same, or the generator does not take them. Under
                `tf.distribute` as for `ParametricEmbedding.fit`.
        """
        checked_number(epochs, "epochs", least=1, whole=True)
        checked_number(batch_size, "batch_size", least=1, whole=True)
        with scope_of(self):
            return self._learn(z, epochs, batch_size, validation_data, callbacks, verbose)

    def predict(
        self, y: ArrayLike, batch_size: int | None = BATCH, verbose: Any = "auto", **kwargs: Any
    ) -> Array:
        """Returns the activations that places of the map stand for.

        Args:
            y: Places `(samples, components)`, in units of the map. Far from all points the answer means
                nothing.
            batch_size: Places in a batch.
            verbose: As in Keras.
            **kwargs: As for `keras.Model.predict`.

        Returns:
            float32 `(samples, ...)`, shaped like the activations in `fit`.

        Raises:
            ValueError: If the decoder is not trained, or the map was trained on since; or places are not
                finite or have another number of components than the map.
        """
        self._check_current()
        y = self._places(y)
        return super().predict(y, batch_size=batch_size, verbose=verbose, **kwargs)

    def images(self, y: ArrayLike, *, batch_size: int = BATCH) -> Array:
        """Returns the images that places of the map stand for, by the generator.

        Args:
            y: Places `(samples, components)`, in units of the map.
            batch_size: Places in a batch.

        Returns:
            What the generator makes of the decoded activations, `(samples, ...)`.

        Raises:
            ValueError: If there is no generator, or as for `predict`.
        """
        if self.generator is None:
            raise ValueError(
                "There is no generator to make images of activations. "
                "Give one: MapDecoder(embedder, generator=…)."
            )
        return self.generator.predict(
            self.predict(y, batch_size, verbose=0), batch_size=batch_size, verbose=0
        )

    def activations_at(
        self,
        y: ArrayLike,
        start: ArrayLike | None = None,
        *,
        steps: int = 100,
        tolerance: float = 0.01,
        batch_size: int = 256,
    ) -> FoundActivations:
        """Says what the layer would have to hold for points to lie at given places.

        Looks for the smallest change of the starting activations, in Euclidean length, after which the
        embedder puts them there (see `smallest_change`). The decoder alone answers with an average, which
        the embedder may put elsewhere.

        Args:
            y: Places `(samples, components)`, in units of the map.
            start: Activations to change, `(samples, ...)`; by default the decoder's answer, so that the
                change is the smallest correction of it.
            steps: The most steps.
            tolerance: Distance from the place that counts as reached, as a share of the map's spread (the
                root mean squared distance of its points from their centre).
            batch_size: Places at a time.

        Raises:
            ValueError: If the decoder is not trained, places or activations are not finite or of another
                shape, or an option is out of range.
        """
        self._check_trained()
        y = self._places(y)
        shape = self._shape or ()
        decoded = self.predict(y, verbose=0)
        start = decoded if start is None else finite_array(start, "start")
        if start.shape != (len(y), *shape):
            raise ValueError(
                f"`start` must have shape {(len(y), *shape)}, one entry for each "
                f"place. Received shape {start.shape}."
            )
        spread = math.sqrt(self._check_embedder())
        features = math.prod(shape)
        return smallest_change(
            self.embedder,
            y,
            start,
            guess=decoded,
            scale=float(ops.convert_to_numpy(self.scale)) * math.sqrt(features),
            tolerance=spread * checked_number(tolerance, "tolerance", least=0),
            steps=checked_number(steps, "steps", least=1, whole=True),
            batch_size=checked_number(batch_size, "batch_size", least=1, whole=True),
        )

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Decodes a batch of places; inside `fit`, to activations centred and scaled."""
        network, shape = self.network, self._shape
        if network is None or shape is None:
            raise _untrained()
        within_fit = isinstance(inputs, dict)
        y = ops.cast(inputs["positions"] if within_fit else inputs, "float32")
        decoded = network((y - self.map_center) / self.map_scale, training=training)
        if within_fit:
            return decoded
        return ops.reshape(decoded * self.scale + self.center, (-1, *shape))

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """The mean squared error, as a share of the training points' variance.

        Of several replicas, each one's part of the mean over all rows.
        """
        y = ops.cast(y, y_pred.dtype)  # Keras hands numbers over in its global precision
        self._error.update_state(y, y_pred)
        share = share_of_mean(ops.square(y - y_pred))
        if replica_count() == 1:
            return share
        # The value is the same on all replicas, so that Keras logs it, however many rows each has.
        return share + ops.stop_gradient(shared_loss(total(share)) - share)

    def _maybe_symbolic_build(self, *args: Any, **kwargs: Any) -> None:
        """Leaves out what Keras does before training on replicas: `fit` has built all there is.

        Keras would add the replicas' parts of the first batch up, and fails where they differ in size.
        """

    def build(self, input_shape: Any) -> None:
        """Refuses: the shape of the activations is known in `fit` alone."""
        raise _untrained()

    def _learn(
        self,
        z: ArrayLike,
        epochs: int,
        batch_size: int,
        validation_data: ArrayLike | None,
        callbacks: Any,
        verbose: Any,
    ) -> Any:
        check_replicas(self, self.seed)
        self._check_embedder()
        z = finite_array(z, "z")
        if len(z) < HELD_OUT:
            raise ValueError(f"`z` must hold at least {HELD_OUT} points. Received: {len(z)}.")
        if validation_data is None:
            held = np.random.default_rng(0).permutation(len(z)) < len(z) // HELD_OUT
            z, other = z[~held], z[held]
        else:
            other = finite_array(validation_data, "validation_data")
        self._prepare(z, other)
        positions = self._positions(z)
        if not bool(ops.convert_to_numpy(self.started)):
            self._adapt(positions, z)
        self.held_out_error.assign(np.nan)
        self.map_spread.assign(self._check_embedder())
        batches = PairBatches(positions, self._standard(z), batch_size, self.seed)
        self._schedule(epochs * len(batches))
        history = super().fit(
            batches,
            epochs=epochs,
            validation_data=({"positions": self._positions(other)}, self._standard(other)),
            validation_batch_size=BATCH,
            shuffle=False,  # the batches see to it
            callbacks=callbacks,
            verbose=verbose,
        )
        self.held_out_error.assign(history.history["val_error"][-1])
        return history

    def _build_for(self, shape: tuple[int, ...]) -> None:
        features, components = math.prod(shape), self.embedder.components
        self._shape = tuple(shape)
        self.network = decoder_network(
            components,
            features,
            hidden_units=self.hidden_units,
            activation=self.activation,
            smoothing=self.smoothing,
            seed=self.seed,
        )
        for name, size in {
            "started": (),
            "held_out_error": (),
            "map_center": (components,),
            "map_scale": (),
            "map_spread": (),
            "center": (features,),
            "scale": (),
        }.items():
            weight = self.add_weight(shape=size, initializer="zeros", trainable=False, name=name)
            setattr(self, name, weight)
        self.built = True

    def _prepare(self, z: Array, other: Array) -> None:
        """Builds for activations of this shape, or checks that it is still theirs."""
        shape = self._shape or z.shape[1:]
        for name, values in (("z", z), ("validation_data", other)):
            if values.shape[1:] != shape:
                raise ValueError(
                    f"`{name}` must have shape (samples, {', '.join(map(str, shape))}). "
                    f"Received shape {values.shape}."
                )
        if not self.built:
            self._check_generator(z[:1])
            if not (z != z[0]).any():
                raise ValueError(f"All {len(z)} points of `z` are the same: no place tells more.")
            self._build_for(shape)

    def _check_generator(self, sample: Array) -> None:
        if self.generator is None:
            return
        try:
            self.generator(sample, training=False)
        except Exception as error:  # each layer says in its own way that a shape does not fit
            raise ValueError(
                f"`generator` must take activations of shape (samples, "
                f"{', '.join(map(str, sample.shape[1:]))}). It raised {type(error).__name__}: {error}"
            ) from error

    def _adapt(self, positions: Array, z: Array) -> None:
        """Learns centre and scale of both sides.

        Features keep their sizes relative to each other, so that the loss is the share of the whole variance.
        """
        flat = z.reshape(len(z), -1)
        self.map_center.assign(positions.mean(axis=0, dtype=np.float64))
        self.map_scale.assign(max(math.sqrt(positions.var(axis=0, dtype=np.float64).mean()), 1e-12))
        self.center.assign(flat.mean(axis=0, dtype=np.float64))
        self.scale.assign(math.sqrt(flat.var(axis=0, dtype=np.float64).mean()))
        self.started.assign(1)

    def _standard(self, z: Array) -> Array:
        center, scale = (ops.convert_to_numpy(value) for value in (self.center, self.scale))
        return np.asarray((z.reshape(len(z), -1) - center) / scale, dtype=np.float32)

    def _positions(self, z: Array) -> Array:
        return self.embedder.predict(z, batch_size=BATCH, verbose=0)

    def _places(self, y: ArrayLike) -> Array:
        places = finite_array(y, "y", ndim=2)
        if places.shape[1] != self.embedder.components:
            raise ValueError(
                f"`y` must hold places of the map, of {self.embedder.components} components. "
                f"Received shape {places.shape}."
            )
        return places

    def _check_embedder(self) -> float:
        """Returns the mean squared distance of the map's points from their centre."""
        known = spread_of(self.embedder)
        if not known > 0:
            raise ValueError(
                "`embedder` is not trained: call its `fit` before the decoder's. "
                f"Received: {type(self.embedder).__name__} named {self.embedder.name!r}."
            )
        return known

    def _check_current(self) -> None:
        self._check_trained()
        if spread_of(self.embedder) != float(ops.convert_to_numpy(self.map_spread)):
            raise ValueError(
                "The map has been trained on since the decoder was: call the decoder's `fit` again."
            )

    def _check_trained(self) -> None:
        if self._shape is None or not bool(ops.convert_to_numpy(self.started)):
            raise _untrained()

    def get_build_config(self) -> dict[str, Any] | None:
        """The shape of the activations."""
        return None if self._shape is None else {"activations": list(self._shape)}

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Makes the weights of a loaded decoder."""
        self._build_for(tuple(config["activations"]))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        models = {"embedder": self.embedder, "generator": self.generator}
        return {
            "name": self.name,
            **{
                name: None if model is None else keras.saving.serialize_keras_object(model)
                for name, model in models.items()
            },
            "hidden_units": list(self.hidden_units),
            "activation": keras.activations.serialize(self.activation),
            "smoothing": self.smoothing,
            "learning_rate": self.learning_rate,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> MapDecoder:
        """Makes the decoder that `get_config` describes."""
        models = {
            name: keras.saving.deserialize_keras_object(config[name], custom_objects=custom_objects)
            for name in ("embedder", "generator")
            if config.get(name) is not None
        }
        return cls(**{**config, **models})


def spread_of(embedder: keras.Model) -> float:
    """Returns the mean squared distance of a map's points from their centre; 0 before it is trained."""
    spread = getattr(embedder, "spread", None)
    return 0.0 if spread is None else float(ops.convert_to_numpy(spread))


def _untrained() -> ValueError:
    return ValueError("The decoder is not trained: call `fit` with activations.")
