"""What a model that is to follow a map can try before it is trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from ...intervention import InterventionPlan
from ..edited_training import as_plan, edited_arrays
from .automatic_weight import AutomaticWeight, automatic_weight
from .layer_trial import LayerTrial, try_layer
from .pilot import BATCH, STEPS, Pilot, run_pilot
from .plan_samples import plan_samples


class ModelTrials:
    """The trials of a `PLIModel`, after which its weights and random states are as they were."""

    loss_function: Any

    def find_weight(
        self,
        x: Any,
        y: Any,
        *,
        plan: InterventionPlan | None = None,
        epochs: int = 1,
        batch_size: int = 32,
        sample_weight: Any = None,
        class_weight: dict[int, float] | None = None,
        steps: int | None = None,
        seed: int = 0,
        callbacks: Sequence[keras.callbacks.Callback] = (),
    ) -> AutomaticWeight:
        """Finds the largest λ that costs no more than the loss's `most_cost`; see `automatic_weight`.

        The classifier's weights and random states are as before afterwards. Arguments are those that `fit`
        is to be called with, and `steps`, `seed` and `callbacks` as in `automatic_weight`.

        Raises:
            ValueError: As in `automatic_weight`, or if the model is not compiled, or a plan does not fit.
        """
        if self.loss_function is None:
            raise ValueError("Call `compile(optimizer, loss=PLILoss(...))` before `find_weight`.")
        if plan is not None:
            x, y, sample_weight = edited_arrays(self, x, y, as_plan(plan), sample_weight)
        return automatic_weight(
            self,
            x,
            y,
            epochs=epochs,
            batch_size=batch_size,
            sample_weight=sample_weight,
            class_weight=class_weight,
            steps=steps,
            seed=seed,
            callbacks=callbacks,
        )

    def pilot(
        self,
        x: Any,
        labels: Any,
        embedding: Any,
        targets: Any,
        *,
        moved: Any = None,
        samples: int = 2000,
        steps: int = STEPS,
        batch_size: int = BATCH,
        seed: int = 0,
        callbacks: Sequence[keras.callbacks.Callback] = (),
    ) -> Pilot:
        """Trains on a sample for a few steps, without the targets and with them, and gives the weights back.

        The classifier is trained by a fresh optimizer of this model's settings under this model's loss; its
        weights, this optimizer and all random states are afterwards as they were.

        Args:
            x: Inputs, shape `(samples, ...)`, or a list, tuple or dict of them.
            labels: Classes counted from 0, integers `(samples,)`; -1 for samples that have none.
            embedding: The map of `x` by this model's embedder, `(samples, components)`.
            targets: The edited map, of the same shape.
            moved: Booleans `(samples,)`, the points that the plan moves; None for those whose target is
                another place.
            samples: Samples trained on, at most, and no more than half of those with a label; of the others
                as many are measured.
            steps: Steps of either training.
            batch_size: Samples in a batch.
            seed: Seed of the sample, of the order of batches, and of random layers.
            callbacks: Keras callbacks that watch both trainings; what one raises ends the pilot.

        Returns:
            A `Pilot`.

        Raises:
            ValueError: If the model is not compiled or its λ is 0, lengths differ, labels are not classes of
                the classifier, `embedding` is not the map of `x`, or the training diverges.

        Example:
            >>> import keras
            >>> import numpy as np
            >>> from keras_pli import PLILoss, PLIModel
            >>> classifier = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
            >>> embedder = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
            >>> pli = PLIModel(classifier, embedder)
            >>> pli.compile("sgd", loss=PLILoss(embedding_weight=0.5))
            >>> x, labels = np.eye(2).repeat(8, axis=0).astype("float32"), np.arange(16) // 8
            >>> y = pli.predict(x, verbose=0)["embedding"]
            >>> pilot = pli.pilot(x, labels, y, y + 1, steps=2)
            >>> len(pilot.rows), pilot.share(np.ones(16, bool)) > 0
            (8, True)
        """
        given = plan_samples(self, x, labels, embedding, targets, moved)
        return run_pilot(
            self,
            given,
            samples=samples,
            steps=steps,
            batch_size=batch_size,
            seed=seed,
            callbacks=callbacks,
        )

    def layer_reach(
        self,
        x: Any,
        labels: Any,
        embedding: Any,
        targets: Any,
        *,
        moved: Any = None,
        samples: int = 1000,
        seed: int = 0,
    ) -> LayerTrial | None:
        """Moves activations of the layer freely under this model's loss: what the layer itself allows.

        Args:
            x: As in `pilot`, like all others.
            labels: Classes counted from 0.
            embedding: The map of `x`.
            targets: The edited map.
            moved: The points that the plan moves.
            samples: How many of these are tried, at most.
            seed: Seed of the sample.

        Returns:
            A `LayerTrial`; None, with a warning, where the classifier cannot be run from the layer (see
            `reachable_activations`).

        Raises:
            ValueError: As in `pilot`, or if no point is moved.
        """
        given = plan_samples(self, x, labels, embedding, targets, moved)
        return try_layer(self, given, samples=samples, seed=seed)
