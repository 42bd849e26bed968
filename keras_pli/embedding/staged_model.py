"""A Keras model whose training is laid out when `fit` begins, and can be resumed at any of its epochs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from ..replicas import on_all_devices, replica_count, shared_loss
from .scheduled_model import ScheduledModel
from .shares import rows_at_once, shared_out
from .stages import RegressionStage, Stage

MOST_STEPS_PER_EXECUTION = 64
LEAST_STEPS_FOR_XLA = 500


class StagedModel(ScheduledModel):
    """A network whose steps are told by a stage, and counted among its weights.

    Keras runs the loop, with its callbacks; a stage says which points a step looks at and what they cost.
    Since the number of the next step is a weight, whatever restores the weights and the optimizer, such as
    `keras.callbacks.BackupAndRestore`, restores the place in the training, too.

    Args:
        measure: Name of what a stage reports beside its loss.
        learning_rate: Peak of the default optimizer, Adam with a short warm-up and cosine decay over a
            training.
        seed: Seed of every draw.
        **kwargs: As for `keras.Model`.
    """

    network: keras.Model
    projection: keras.layers.Layer | None

    def __init__(
        self, measure: str, *, learning_rate: float, seed: int | None, **kwargs: Any
    ) -> None:
        super().__init__(**{"dtype": "float32", **kwargs})
        self.learning_rate = learning_rate
        self.seed = seed
        self._measure = keras.metrics.Mean(name=measure)
        self._train_stage: Stage | None = None
        self._test_stage: Stage | None = None

    def compile(self, optimizer: Any = None, *, jit_compile: Any = "auto", **kwargs: Any) -> None:
        """As for `ScheduledModel`; what is not chosen here, each `fit` chooses by its length."""
        self._own_steps = "steps_per_execution" not in kwargs
        self._own_xla = jit_compile == "auto"
        super().compile(optimizer, jit_compile=jit_compile, **kwargs)

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Maps a batch of points; inside `fit`, of points that a stage chooses by the number of the step."""
        if not isinstance(inputs, dict):
            z = inputs if self.projection is None else self.projection(inputs)
            return self.network(z, training=training)
        if training:
            stage, step = self._train_stage, ops.cast(self.step, "int32")
            self.step.assign_add(1)
        else:
            stage, step = self._test_stage, ops.reshape(inputs["row"][:1], ())
        assert stage is not None
        row = stage.row(step)
        points = stage.points(row)

        def mapped(places: Any) -> Any:
            shown = stage.inputs(points, row, places)
            return self.network(
                shown if places is None else on_all_devices(shown), training=training
            )

        together = stage.rows_per_step == 1
        embedded = shared_out(points.shape[0], mapped) if together else mapped(None)
        return {"embedding": embedded, "points": points, "row": row}

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """What the present stage says that a batch costs, and the losses of a network of the caller.

        Of several replicas, each one's part of the mean over them.
        """
        stage = self._train_stage if training else self._test_stage
        assert stage is not None
        embedded = ops.cast(y_pred["embedding"], "float32")
        loss, measure = stage.cost(embedded, y_pred["points"], y_pred["row"])
        self._measure.update_state(measure)
        # Of a network of another precision.
        return shared_loss(loss + sum(ops.cast(own, loss.dtype) for own in self.losses))

    def _run(
        self,
        stage: Stage,
        validation: Stage | None,
        *,
        epochs: int,
        initial_epoch: int = 0,
        callbacks: Any = None,
        verbose: Any,
    ) -> Any:
        """Lets Keras run the steps of a stage; the tables are let go of at the end, however that comes."""
        steps = len(stage.draws) // (epochs * stage.rows_per_step)
        self.step.assign(initial_epoch * steps)
        self._initial_epoch = None  # Keras would begin every later training where one was restored
        with self._at_work(train=stage, test=validation):
            return super().fit(
                # Which row it is, the model counts itself: a restored training knows where it was.
                rows_of(stage, steps),
                batch_size=rows_at_once(),
                shuffle=False,
                epochs=epochs,
                initial_epoch=initial_epoch,
                validation_data=None if validation is None else (rows_of(validation),),
                validation_batch_size=rows_at_once(),
                callbacks=callbacks,
                verbose=verbose,
            )

    @contextmanager
    def _at_work(self, *, train: Stage | None = None, test: Stage | None = None) -> Iterator[None]:
        # Compiled steps hold on to the tables they were traced with.
        try:
            self._train_stage, self._test_stage = train, test
            self.train_function = self.test_function = None
            yield
        finally:
            self._train_stage = self._test_stage = None
            self.train_function = self.test_function = None

    def _choose_xla(self, steps: int) -> None:
        """Compiles a long training of the default network by XLA, unless the caller chose."""
        # Keras does so on a GPU alone. On two cores it halves the time of these dense steps, but makes
        # convolutions slower, and compiling takes as long as a hundred steps.
        # Over several replicas it cannot compile a step.
        dense = self.projection is not None and keras.backend.backend() == "tensorflow"
        dense = dense and replica_count() == 1
        if self._own_xla and dense and steps >= LEAST_STEPS_FOR_XLA:
            self.jit_compile = True

    def _run_together(self, steps: int) -> None:
        """Lets Keras run as many steps per execution as divide an epoch, unless the caller chose."""
        # Only TensorFlow runs them as a compiled loop, and of one replica; elsewhere they would be unrolled.
        if self._own_steps and keras.backend.backend() == "tensorflow" and replica_count() == 1:
            self.steps_per_execution = max(
                count for count in range(1, MOST_STEPS_PER_EXECUTION + 1) if steps % count == 0
            )
            # Keras would feed a prediction compiled for other steps in portions it does not expect.
            self.predict_function = None

    def _random(self, purpose: str) -> np.random.Generator:
        # A stream for each purpose, so that training resumed without pre-training meets the same batches.
        stream = ["pretraining", "training", "jitter"].index(purpose)
        return np.random.default_rng(None if self.seed is None else [self.seed, stream])

    def _state(self, name: str, dtype: str = "float32") -> Any:
        return self.add_weight(
            shape=(),
            initializer="zeros",
            dtype=dtype,
            trainable=False,
            aggregation="only_first_replica",  # a step counts once, however many take it
            name=name,
        )

    def get_metrics_result(self) -> Any:
        """Keras's metrics; in pre-training the regression's loss alone."""
        result = super().get_metrics_result()
        if isinstance(self._train_stage, RegressionStage):
            return {"pretraining_loss": result["loss"]}
        return result

    def get_compile_config(self) -> dict[str, Any]:
        """What `compile` was called with, or what `fit` chose."""
        own = {"own_steps": self._own_steps, "own_xla": self._own_xla}
        return {**super().get_compile_config(), **own}

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles a loaded model as it was when saved, with the state of its optimizer."""
        super().compile_from_config(config)
        self._own_xla = config.get("own_xla", False)  # which earlier versions did not choose

    def load_own_variables(self, store: Any) -> None:
        """Takes the stored state; files of earlier versions hold a state of their draws, and no step."""
        names = set(store.keys()) - {"draws"}
        if not names:  # of a model that was not built
            return
        if len(names) == 2:
            self.started.assign(store["0"][...])
            self.spread.assign(store["1"][...])
        else:
            super().load_own_variables(store)


def rows_of(stage: Stage, count: int | None = None) -> dict[str, NDArray[np.int32]]:
    """What Keras is given in place of data: the numbers of the stage's steps, or of the first `count`.

    Each of them comes once for each replica, and a batch of Keras's is as many rows as there are replicas.
    """
    rows = np.arange(len(stage.draws) if count is None else count, dtype=np.int32)
    return {"row": np.repeat(rows, rows_at_once())[:, None]}
