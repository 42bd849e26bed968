"""Parametric t-SNE: a small network that maps activations to a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import ArrayLike, NDArray

from ..backups import backups_among
from ..checks import check_keras_file, check_options, checked_number, finite_array, one_of
from .affinity import Affinities, affinities, check_perplexity
from .batches import STRATEGIES, NeighborBatches, UniformBatches, anchor_rows
from .neighbors import given_neighbors, nearest_neighbors
from .network import PrincipalProjection, default_network, leading_components

# Name of the state of the draws in a stored model.
DRAWS = "draws"
MOST_STEPS_PER_EXECUTION = 64
LEAST_STEPS_PER_EPOCH = 100  # of neighbour-aware batches, so that ten epochs settle a small set too
SPREAD_SAMPLE = 10_000


@keras.saving.register_keras_serializable(package="keras_pli")
class ParametricTSNE(keras.Model):
    """A network trained to be a t-SNE: it embeds new points, and gradients pass through it.

    The divergence between Gaussian affinities of the data and Student-t affinities of the map is minimised
    over the network's weights (van der Maaten 2009), with the additions of Hinterreiter et al. (2020,
    section 2.1): k = min(3 · perplexity, N − 1) neighbours, kernel widths by Brent's method, and a start
    from the first principal components. `ParametricTSNE.paper()` has that paper's settings; the defaults
    differ where measurements were in favour of something else (see `benchmarks/embedding.py`).

    Args:
        components: Dimensions of the map, 2 or 3.
        perplexity: Effective number of neighbours, above 1 and below N / 3.
        hidden_units: Widths of the hidden layers.
        activation: Their activation.
        principal_components: The default network starts with a fixed projection on that many principal
            components of the data; None keeps all features and only centres and scales them.
        network: Any Keras model from a batch of points to `(batch, components)`, in place of the default
            one; it may take images or volumes.
        batches: `"neighbors"` draws the edges of each batch from P, so that it holds pairs that attract;
            `"uniform"` draws points, as the papers do. With 60,000 points, 90 neighbours each and batches
            of 500, a uniform batch shows a point 0.75 of its neighbours.
        early_exaggeration: Factor on the attraction in the first quarter of training.
        learning_rate: Peak of the default optimizer, Adam with a short warm-up and cosine decay over the
            training. Call `compile(optimizer)` for another.
        neighbors: `"auto"`, `"exact"` or `"approximate"`; see `nearest_neighbors`.
        seed: Seed of the initial weights and of every draw.

    Raises:
        ValueError: If an argument is out of range.

    Example:
        >>> from sklearn.datasets import load_digits
        >>> z = load_digits().data
        >>> tsne = ParametricTSNE(perplexity=30, seed=0)
        >>> history = tsne.fit(z, epochs=1, batch_size=500, verbose=0)
        >>> tsne.predict(z, verbose=0).shape
        (1797, 2)
    """

    def __init__(
        self,
        components: int = 2,
        *,
        perplexity: float = 50.0,
        hidden_units: Sequence[int] = (300, 100),
        activation: Any = "silu",
        principal_components: int | None = 50,
        network: keras.Model | None = None,
        batches: str = "neighbors",
        early_exaggeration: float = 1.5,
        learning_rate: float = 0.008,
        neighbors: str = "auto",
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        check_options(type(self), kwargs)
        super().__init__(**{"dtype": "float32", **kwargs})
        self.components = one_of(components, [2, 3], "components")
        if not perplexity > 1:
            raise ValueError(f"`perplexity` must be above 1. Received: {perplexity}.")
        self.perplexity = perplexity
        self.hidden_units = tuple(hidden_units)
        self.activation = keras.activations.get(activation)
        self.principal_components = principal_components
        self.batches = one_of(batches, list(STRATEGIES), "batches")
        self.early_exaggeration = early_exaggeration
        self.learning_rate = learning_rate
        self.neighbors = one_of(neighbors, ["auto", "exact", "approximate"], "neighbors")
        self.seed = seed
        self._given_network = network
        self.projection = PrincipalProjection(principal_components) if network is None else None
        self.network: keras.Model = network or default_network(
            components, hidden_units=self.hidden_units, activation=self.activation, seed=seed
        )
        self._kl = keras.metrics.Mean(name="kl")
        self._draws = keras.random.SeedGenerator(seed)
        self._training: Any = None
        self._validation: Any = None
        self._targets: Any = None
        self.compile()

    @classmethod
    def paper(
        cls, components: int = 2, *, seed: int | None = None, **kwargs: Any
    ) -> ParametricTSNE:
        """Returns a model with the settings of Hinterreiter et al. (2020), sections 2.1 and 3.2.

        Perplexity 50, hidden layers of 300 and 100, uniform batches, Adam at a constant rate of 0.01.
        `fit` has the rest as its defaults: ten epochs in batches of 500 after five of pre-training. The
        paper does not name the activation; softplus is that of its authors' code.

        Example:
            >>> tsne = ParametricTSNE.paper(seed=0)
            >>> tsne.perplexity, tsne.batches
            (50.0, 'uniform')
        """
        settings: dict[str, Any] = {
            "perplexity": 50.0,
            "hidden_units": (300, 100),
            "activation": "softplus",
            "principal_components": None,
            "batches": "uniform",
            "early_exaggeration": 1.0,
        }
        model = cls(components, seed=seed, **{**settings, **kwargs})
        model.compile(keras.optimizers.Adam(0.01))
        return model

    def compile(self, optimizer: Any = None, *, jit_compile: Any = "auto", **kwargs: Any) -> None:
        """Chooses the optimizer and how steps are compiled.

        Args:
            optimizer: Any Keras optimizer; None for Adam with the decay described above, made anew by each
                `fit` to suit its length.
            jit_compile: Whether to use XLA; `"auto"` as in Keras.
            **kwargs: As for `keras.Model.compile`, apart from losses.

        Example:
            >>> ParametricTSNE().compile("adam", jit_compile=False)
        """
        self._own_optimizer = optimizer is None
        optimizer = keras.optimizers.Adam(self.learning_rate) if optimizer is None else optimizer
        self._own_steps = "steps_per_execution" not in kwargs
        super().compile(optimizer=optimizer, loss=None, jit_compile=jit_compile, **kwargs)

    def fit(
        self,
        z: ArrayLike,
        epochs: int = 10,
        batch_size: int = 500,
        pretrain_epochs: int = 5,
        *,
        graph: Any = None,
        validation_data: ArrayLike | None = None,
        steps_per_epoch: int | None = None,
        initial_epoch: int = 0,
        callbacks: Any = None,
        verbose: Any = "auto",
    ) -> Any:
        """Trains the network on points `z`.

        The first call starts with `pretrain_epochs` of regression towards the first principal components,
        scaled to a standard deviation of 1; a later call, also after saving and loading, goes on from the
        present map.

        Args:
            z: Points of shape `(samples, ...)`, such as activations; distances are Euclidean.
            epochs: Number of epochs.
            batch_size: Points in a batch; all of them where there are fewer.
            pretrain_epochs: Epochs of pre-training, 0 for none.
            graph: Neighbours the caller already has (see `given_neighbors`).
            validation_data: Other points; their own divergence becomes `val_kl`.
            steps_per_epoch: Steps in an epoch; by default one pass over the points, and at least 100 with
                neighbour-aware batches.
            initial_epoch: Epoch to resume at, as in Keras.
            callbacks: Keras callbacks.
            verbose: As in Keras.

        Returns:
            A `keras.callbacks.History` with `loss` and `kl`, the Kullback-Leibler divergence in nats: of the
            batch with uniform batches, estimated for all points with neighbour-aware ones.

        Raises:
            ValueError: If points are not finite, too few for the perplexity, the graph does not fit, epochs
                or batch size are not whole numbers from 1, or `BackupAndRestore` is among the callbacks.
        """
        if backups_among(callbacks):
            raise ValueError(
                "BackupAndRestore cannot resume this training exactly: batches and learning rates are laid "
                "out when `fit` begins. Save with ModelCheckpoint('map.keras') in its place, load that, and "
                "call `fit` with the same settings and `initial_epoch`."
            )
        checked_number(epochs, "epochs", least=1, whole=True)
        checked_number(batch_size, "batch_size", least=1, whole=True)
        checked_number(pretrain_epochs, "pretrain_epochs", least=0, whole=True)
        z = self._checked(z, "z")
        first = not bool(ops.convert_to_numpy(self.started))
        if first and self.projection is not None:
            self.projection.adapt(z, seed=self.seed)
        self._training = self._tables(z, graph)
        try:
            batch_size = min(batch_size, len(z))
            anchors = max(2, batch_size // self._training.points_per_anchor)
            steps = steps_per_epoch or self._default_steps(len(z), batch_size)
            pretrain_epochs = pretrain_epochs if first else 0
            if not initial_epoch:
                self._schedule(steps * (epochs + pretrain_epochs))
            self._run_together(steps)
            if first:
                self._pretrain(z, anchors, steps, pretrain_epochs, verbose)
            self.started.assign(1)
            rows = anchor_rows(len(z), anchors, steps * epochs, self._random("training"))
            exaggerated = len(rows) // 4 if first or initial_epoch else 0
            inputs = self._inputs(rows, exaggerated=exaggerated)
            start = initial_epoch * steps
            validation = None
            if validation_data is not None:
                validation = self._validation_inputs(validation_data, batch_size)
            self._forget_compiled()
            history = super().fit(
                {name: values[start:] for name, values in inputs.items()},
                batch_size=1,
                shuffle=False,
                epochs=epochs,
                initial_epoch=initial_epoch,
                steps_per_epoch=steps,
                validation_data=validation,
                validation_batch_size=1,
                callbacks=callbacks,
                verbose=verbose,
            )
            self._measure_spread(z)
            return history
        finally:
            self._training = self._validation = self._targets = None
            self._forget_compiled()

    def evaluate(self, x: Any = None, *args: Any, batch_size: int = 500, **kwargs: Any) -> Any:
        """Returns the divergence of the map of given points, as `keras.Model.evaluate` would its loss.

        Args:
            x: Points of shape `(samples, ...)`.
            *args: As for `keras.Model.evaluate`.
            batch_size: Points in a batch.
            **kwargs: As for `keras.Model.evaluate`.

        Raises:
            ValueError: If points are not finite or too few for the perplexity.
        """
        if isinstance(x, dict):  # Keras in the middle of fit, with rows that fit has prepared
            return super().evaluate(x, *args, batch_size=1, **kwargs)
        try:
            inputs = self._validation_inputs(x, batch_size)[0]
            self._forget_compiled()
            return super().evaluate(inputs, *args, batch_size=1, **kwargs)
        finally:
            self._validation = None
            self._forget_compiled()

    def save(self, filepath: Any, **kwargs: Any) -> None:
        """Saves the model as `keras.Model.save` does, to a `.keras` file.

        Raises:
            ValueError: If the file is of the older format, from which Keras could not load it.
        """
        check_keras_file(filepath, type(self).__name__)
        super().save(filepath, **kwargs)

    def build(self, input_shape: Any) -> None:
        """Builds the network for points of shape `input_shape[1:]`."""
        if isinstance(input_shape, dict):
            raise ValueError("The network is built by `fit`, `predict` or a call on points.")
        self.started = self.add_weight(
            shape=(), initializer="zeros", trainable=False, name="started"
        )
        self.spread = self.add_weight(shape=(), initializer="zeros", trainable=False, name="spread")
        shape = input_shape
        if self.projection is not None:
            self.projection.build(input_shape)
            shape = self.projection.compute_output_shape(input_shape)
        if not self.network.built:
            self.network.build(shape)
        mapped = self.network.compute_output_shape((1, *shape[1:]))
        if tuple(mapped[1:]) != (self.components,):
            raise ValueError(
                f"`network` must map points to {self.components} components. "
                f"Received a network with output shape {tuple(mapped)} for inputs {tuple(input_shape)}."
            )
        self.built = True

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Maps a batch of points; inside `fit`, of points given by the indices of their anchors."""
        if not isinstance(inputs, dict):
            return self.network(self._projected(inputs), training=training)
        tables = self._training if training else self._validation
        points = tables.draw(ops.reshape(inputs["anchors"], (-1,)), self._draws)
        embedded = self.network(ops.take(tables.z, points, axis=0), training=training)
        return {"embedding": embedded, "points": points}

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """The divergence of a batch, or in pre-training its squared distance from the components."""
        embedded, points = ops.cast(y_pred["embedding"], "float32"), y_pred["points"]
        if self._targets is not None:
            return ops.mean(ops.square(embedded - ops.take(self._targets, points, axis=0)))
        tables = self._training if training else self._validation
        # Keras hands numbers over in its global precision.
        exaggeration = ops.cast(ops.reshape(x["exaggeration"], ()), embedded.dtype)
        loss, divergence = tables.divergence(embedded, points, exaggeration)
        self._kl.update_state(divergence)
        # Of a network of another precision.
        return loss + sum(ops.cast(own, loss.dtype) for own in self.losses)

    def _checked(self, z: ArrayLike, name: str) -> NDArray[np.float32]:
        z = finite_array(z, name)
        check_perplexity(self.perplexity, len(z))
        if not self.built:
            self.build((None, *z.shape[1:]))
        return z

    def _tables(
        self, z: NDArray[np.float32], graph: Any = None
    ) -> UniformBatches | NeighborBatches:
        # The projection is fixed in training, and so applied once and not in every step.
        inputs = z if self.projection is None else self._all_projected(z)
        return STRATEGIES[self.batches].of(inputs, self._affinities(z, graph))

    def _all_projected(self, z: NDArray[np.float32]) -> NDArray[np.float32]:
        chunks = [z[start : start + 4096] for start in range(0, len(z), 4096)]
        return np.concatenate([ops.convert_to_numpy(self._projected(chunk)) for chunk in chunks])

    def _affinities(self, z: NDArray[np.float32], graph: Any) -> Affinities:
        if graph is None:
            found = nearest_neighbors(
                z, perplexity=self.perplexity, method=self.neighbors, seed=self.seed
            )
        else:
            found = given_neighbors(graph)
            if len(found.indices) != len(z):
                raise ValueError(
                    f"`graph` must hold the {len(z)} points of `z`. Received: {len(found.indices)} rows."
                )
        return affinities(found, perplexity=self.perplexity)

    def _default_steps(self, samples: int, batch_size: int) -> int:
        steps = samples // batch_size
        return steps if self.batches == "uniform" else max(steps, LEAST_STEPS_PER_EPOCH)

    def _projected(self, z: Any) -> Any:
        return z if self.projection is None else self.projection(z)

    def _random(self, purpose: str) -> np.random.Generator:
        # A stream for each purpose, so that training resumed without pre-training meets the same batches.
        stream = ["pretraining", "training"].index(purpose)
        return np.random.default_rng(None if self.seed is None else [self.seed, stream])

    def _schedule(self, steps: int) -> None:
        """Makes the default optimizer anew, with a decay over the length of the training."""
        if not self._own_optimizer:
            return
        warmup = min(50, steps // 10)
        rate = keras.optimizers.schedules.CosineDecay(
            0.1 * self.learning_rate,
            max(1, steps - warmup),
            warmup_target=self.learning_rate,
            warmup_steps=warmup,
        )
        self.optimizer = keras.optimizers.Adam(rate)
        self.optimizer.build(self.trainable_variables)

    def _run_together(self, steps: int) -> None:
        """Lets Keras run as many steps per execution as divide an epoch, unless the caller chose."""
        # Only TensorFlow runs them as a compiled loop; elsewhere they would be unrolled.
        if self._own_steps and keras.backend.backend() == "tensorflow":
            self.steps_per_execution = max(
                count for count in range(1, MOST_STEPS_PER_EXECUTION + 1) if steps % count == 0
            )
            # Keras would feed a prediction compiled for other steps in portions it does not expect.
            self.predict_function = None

    def _pretrain(
        self, z: NDArray[np.float32], anchors: int, steps: int, epochs: int, verbose: Any
    ) -> None:
        if not epochs:
            return
        found = leading_components(z, self.components, seed=self.seed)
        scores = found.transform(z.reshape(len(z), -1)).astype(np.float32)
        # Of a single output, such as a sigmoid's, there is but one component.
        scores = np.pad(scores, ((0, 0), (0, self.components - scores.shape[1])))
        self._targets = ops.convert_to_tensor(scores / max(float(scores[:, 0].std()), 1e-12))
        rows = anchor_rows(len(z), anchors, steps * epochs, self._random("pretraining"))
        self._forget_compiled()
        super().fit(
            self._inputs(rows, exaggerated=0),
            batch_size=1,
            shuffle=False,
            epochs=epochs,
            steps_per_epoch=steps,
            verbose=verbose,
        )
        self._targets = None

    def _measure_spread(self, z: NDArray[np.float32]) -> None:
        """Keeps the map's mean squared distance from its centre, the unit of the embedding loss."""
        step = -(-len(z) // SPREAD_SAMPLE)
        y = self.predict(z[::step], batch_size=1024, verbose=0)
        self.spread.assign(np.sum(np.var(y, axis=0)))

    def _inputs(self, rows: NDArray[np.int32], *, exaggerated: int) -> dict[str, NDArray[Any]]:
        factors = np.ones((len(rows), 1), dtype=np.float32)
        factors[:exaggerated] = self.early_exaggeration
        return {"anchors": rows, "exaggeration": factors}

    def _validation_inputs(self, z: ArrayLike, batch_size: int) -> tuple[dict[str, NDArray[Any]]]:
        z = self._checked(z, "validation_data")
        self._validation = self._tables(z)
        batch_size = min(batch_size, len(z))
        anchors = max(2, batch_size // self._validation.points_per_anchor)
        # The same rows each time, so that epochs can be compared.
        rows = anchor_rows(len(z), anchors, max(1, len(z) // anchors), np.random.default_rng(0))
        return (self._inputs(rows, exaggerated=0),)

    def _forget_compiled(self) -> None:
        # Compiled steps hold on to the tables they were traced with.
        self.train_function = self.test_function = None

    def get_metrics_result(self) -> Any:
        """Keras's metrics; in pre-training the regression's loss alone."""
        result = super().get_metrics_result()
        return result if self._targets is None else {"pretraining_loss": result["loss"]}

    def get_compile_config(self) -> dict[str, Any]:
        """What `compile` was called with, or the optimizer that `fit` made."""
        config = super().get_compile_config() or {}
        if self._own_optimizer:
            config["optimizer"] = keras.saving.serialize_keras_object(self.optimizer)
        return {**config, "own_optimizer": self._own_optimizer, "own_steps": self._own_steps}

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles a loaded model as it was when saved, with the state of its optimizer."""
        kept = ["jit_compile", "run_eagerly"]
        if not config["own_steps"]:
            kept.append("steps_per_execution")
        optimizer = keras.saving.deserialize_keras_object(config["optimizer"])
        self.compile(optimizer, **{name: config[name] for name in kept if name in config})
        self._own_optimizer = config["own_optimizer"]
        if self.built:
            self.optimizer.build(self.trainable_variables)

    def save_own_variables(self, store: Any) -> None:
        """Stores the state of the draws beside the weights, so that training can be resumed exactly."""
        super().save_own_variables(store)
        store[DRAWS] = ops.convert_to_numpy(self._draws.state)

    def load_own_variables(self, store: Any) -> None:
        """Takes what `save_own_variables` stored; files of earlier versions hold no draws."""
        names = set(store.keys())
        super().load_own_variables({name: store[name] for name in names - {DRAWS}})
        if DRAWS in names:
            self._draws.state.assign(store[DRAWS][...])

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        network = self._given_network
        return {
            "name": self.name,
            "components": self.components,
            "perplexity": self.perplexity,
            "hidden_units": list(self.hidden_units),
            "activation": keras.activations.serialize(self.activation),
            "principal_components": self.principal_components,
            "network": None if network is None else keras.saving.serialize_keras_object(network),
            "batches": self.batches,
            "early_exaggeration": self.early_exaggeration,
            "learning_rate": self.learning_rate,
            "neighbors": self.neighbors,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> ParametricTSNE:
        """Makes the model that `get_config` describes."""
        network = config.get("network")
        if network is not None:
            network = keras.saving.deserialize_keras_object(network, custom_objects=custom_objects)
        return cls(**{**config, "network": network})
