"""A classifier in training together with the map of one of its layers."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import partial
from typing import Any

import keras
from keras import ops

from ..checks import finite_array, quoted
from ..intervention import InterventionPlan
from ..network.activations import LOGITS, Tap
from ..replicas import shared_loss
from ..strategies import check_scope, check_steps, made_like, of_first_worker
from ..uneven_batches import UnevenBatches
from .batch_weights import spread_of_targets, weight_table, weights_of
from .data import arrays_of, count_samples, named_data, weights_by_name
from .edited_training import as_plan, edited_arrays
from .embedders import check_trained
from .labels import check_form, check_values, forms_taken
from .loss import AUTOMATIC, SPREAD, PLILoss, weight_like
from .outputs import only_output, output_sizes
from .trials.model_trials import ModelTrials

Tensor = Any


class PLIModel(ModelTrials, UnevenBatches, keras.Model):
    """Trains a classifier so that its embedding follows an edited map.

    The embedder stands frozen behind a layer of the classifier, and gradients of the embedding loss pass
    through it (Hinterreiter et al. 2020, section 2.3). The classifier given is the one trained: afterwards it
    predicts, saves and serves as before, and nothing of this package is left in it.

    Args:
        classifier: A trained Keras model with one output, and one input or several.
        embedder: A trained `ParametricTSNE`, `ParametricUMAP` or the like, or any Keras model from `(batch,
            features)` to a map; None to train by plans that move nothing, or with λ = 0.
        layer: The layer that was embedded, or its path, or `"logits"` (see `keras_pli.activations`).

    Raises:
        ValueError: If there is no such layer, it has another number of features than the embedder takes, the
            embedder has not been trained, or the classifier has several outputs.

    Example:
        >>> import numpy as np
        >>> classifier = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])
        >>> embedder = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
        >>> pli = PLIModel(classifier, embedder)
        >>> pli.compile("sgd", loss=PLILoss(embedding_weight=0.1))
        >>> x, y = np.zeros((8, 4)), {"label": np.zeros(8, int), "embedding": np.ones((8, 2))}
        >>> history = pli.fit(x, y, verbose=0)
    """

    def __init__(
        self,
        classifier: keras.Model,
        embedder: keras.Model | None = None,
        layer: str | keras.Layer = LOGITS,
    ) -> None:
        with made_like(classifier):  # it is trained under the strategy that its weights are under
            super().__init__(name=f"{classifier.name}_pli")
            self._classification = keras.metrics.Mean(name="classification_loss")
            self._embedding = keras.metrics.Mean(name="embedding_loss")
        check_scope(self, classifier.variables, "classifier")
        output_sizes(classifier)  # several outputs are met here
        check_trained(embedder)
        self.classifier = classifier
        # Without a map no activations are read, and so the classifier need not have any logits.
        self._tap = None if embedder is None else Tap(classifier, layer)
        self.layer = layer if self._tap is None else self._tap.path
        # Out of Keras's sight, so that the embedder's weights are neither trained nor saved.
        self._embed = None if embedder is None else partial(embedder, training=False)
        self._class_weight: Tensor = None
        self._weighs_classes = False
        # Of the classifier's outputs for a sample, and the forms of labels that the loss takes beside them.
        self._output_sizes: tuple[int | None, ...] | None = None
        self._label_forms: Collection[str] = ()
        self.loss_function: PLILoss | None = None
        self.fit_data: tuple[Any, dict[str, Any]] | None = None

    @property
    def embedder(self) -> keras.Model | None:
        """The frozen embedder, if there is one."""
        return None if self._embed is None else self._embed.func

    def compile(
        self,
        optimizer: Any = "adam",
        loss: PLILoss | None = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        **kwargs: Any,
    ) -> None:
        """Compiles as `keras.Model.compile` does, with a `PLILoss`; metrics are of the classification.

        Raises:
            TypeError: If the loss is not a `PLILoss`.
        """
        if not isinstance(loss, PLILoss):
            raise TypeError(
                "`loss` must be a PLILoss, such as "
                f"PLILoss('sparse_categorical_crossentropy', embedding_weight=0.1). Received: {loss!r}."
            )
        self.loss_function = loss
        self._output_sizes, self._label_forms = None, ()
        with made_like(self):
            super().compile(
                optimizer=optimizer,
                loss=None,
                metrics=metrics,
                weighted_metrics=weighted_metrics,
                **kwargs,
            )
        check_scope(self, self.optimizer.variables, "optimizer")

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        *,
        plan: InterventionPlan | None = None,
        class_weight: dict[int, float] | None = None,
        sample_weight: Any = None,
        validation_data: Any = None,
        **kwargs: Any,
    ) -> Any:
        """Trains the classifier; arguments as for `keras.Model.fit`.

        With a `plan`, `y` is the labels alone: targets come from its moves, and labels, weights and the rows
        that are trained on from its changes of the data. With λ = 0 this is plain training on those data. A
        plan that moves nothing asks nothing of the map, and λ counts as 0.

        Where the loss has λ `"auto"`, a pilot finds it first (see `find_weight`); `loss_function` has it
        from then on, also in a second `fit`.

        A classifier made under a `tf.distribute` strategy is trained under it: `batch_size` is that of all
        replicas together, and each step gives the losses and weights that one replica would with the same
        batch, wherever plain `fit` does. As there, each replica's part counts alike, also of a last batch
        that cannot be shared out evenly and of one in which their masks or, with the reduction
        `"mean_with_sample_weight"`, their weights differ. Logs of a step are means over replicas, those of
        an epoch are over all samples.

        Args:
            x: Inputs, or a data set of `(x, y)` or `(x, y, sample_weight)`. A data set is read once more
                before training where the spread must be taken from its targets; one that shuffles itself
                then starts with its second order, unless the loss has a number as `scale`.
            y: `{"label": …, "embedding": …}` and, for `moved_only`, `"moved"`: labels as the classification
                loss takes them in plain `fit`, target positions `(samples, components)`, booleans
                `(samples,)`.
            plan: An `InterventionPlan` to apply to arrays `x` and labels `y`, -1 for samples without a label.
            class_weight: Weight of each class in the whole loss.
            sample_weight: Weight of each sample in the whole loss, or for outputs with positions of each; the
                weights of a plan multiply it.
            validation_data: As in Keras; where only labels are given, `val_loss` is the classification loss.
            **kwargs: As in Keras.

        Returns:
            A `keras.callbacks.History`; beside the usual names it has `classification_loss` and
            `embedding_loss`, each before weighting.

        Raises:
            ValueError: If targets are missing, not finite, of another length or number of components, labels
                do not have the form or the values that the classification loss takes, or a plan does not fit.
        """
        compiled = self.loss_function
        if compiled is None:
            raise ValueError("Call `compile(optimizer, loss=PLILoss(...))` before `fit`.")
        check_scope(self, self.classifier.variables, "classifier")
        check_steps(self)
        if plan is not None:
            plan = as_plan(plan)
            x, y, sample_weight = edited_arrays(self, x, y, plan, sample_weight)
            if not plan.moves:
                self.loss_function = compiled.with_weight(0.0)
        try:
            return self._fit(
                x,
                y,
                class_weight=class_weight,
                sample_weight=sample_weight,
                validation_data=validation_data,
                **kwargs,
            )
        finally:
            if plan is not None and not plan.moves:
                self.loss_function = compiled

    def _fit(
        self,
        x: Any,
        y: Any,
        *,
        class_weight: dict[int, float] | None,
        sample_weight: Any,
        validation_data: Any,
        **kwargs: Any,
    ) -> Any:
        assert self.loss_function is not None
        if self._embed is None and self.loss_function.needs_targets:
            raise ValueError(
                "Without an embedder only λ = 0 or a plan that moves nothing can be trained. Received: "
                f"embedding_weight={self.loss_function.embedding_weight!r}."
            )
        if y is not None:
            x, y = arrays_of(x, y)
            y = self._checked(x, y)
            self.fit_data = (x, y)
        kwargs["sample_weight"] = weights_by_name(sample_weight, y)
        self._learn_forms(x)
        validation_data = named_data(validation_data)
        self._check_labels(y, "y['label']")
        if isinstance(validation_data, tuple):
            self._check_labels(validation_data[1], "labels of validation_data")
        self._find_scale(x, y)
        if self.loss_function.embedding_weight == AUTOMATIC:
            lengths = {name: kwargs[name] for name in ("epochs", "batch_size") if kwargs.get(name)}
            weights = {"sample_weight": _of_samples(sample_weight), "class_weight": class_weight}
            told = kwargs.get("verbose", "auto") != 0
            if told:
                print("Looking for λ on a part of the training set …")
            found = self.find_weight(x, y, **weights, **lengths)
            if told:
                print(
                    f"λ = {found.weight:g}, the largest that costs no more than {found.most_cost:g} of "
                    f"accuracy on {found.held_out} samples held out."
                )
            weight = of_first_worker(self, found.weight)
            self.loss_function = self.loss_function.with_weight(weight)
        self._class_weight = None if class_weight is None else weight_table(class_weight)
        # What a compiled step was traced with may have changed: the scale, the class weights.
        self.train_function = self.test_function = None
        if self.classifier.built and not self.optimizer.built:
            # Otherwise the first step makes the optimizer's variables, and Keras traces it twice.
            with made_like(self):
                self.optimizer.build(self.trainable_variables)
        try:
            return super().fit(x, y, validation_data=validation_data, **kwargs)
        finally:
            self.fit_data = None

    def evaluate(
        self, x: Any = None, y: Any = None, *, sample_weight: Any = None, **kwargs: Any
    ) -> Any:
        """Evaluates as Keras does; `y` may be labels alone."""
        if y is not None:
            x, y = arrays_of(x, y)
            y = y if isinstance(y, dict) else {"label": y}
        kwargs["sample_weight"] = weights_by_name(sample_weight, y)
        if self.loss_function is not None and self._output_sizes is None:
            self._learn_forms(x)
        return super().evaluate(x, y, **kwargs)

    def call(self, inputs: Any, training: bool | None = None) -> dict[str, Tensor]:
        """Runs the classifier once and embeds the activations of its layer."""
        if self._tap is None or self._embed is None:
            outputs = (
                self.classifier(inputs)
                if training is None
                else self.classifier(inputs, training=training)
            )
            return {"label": only_output(self.classifier, outputs)}
        outputs, features = self._tap.run(inputs, training=training)
        return {"label": only_output(self.classifier, outputs), "embedding": self._embed(features)}

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Tensor:
        """Equation 1 over a batch, and whatever losses the classifier's own layers add."""
        y = y if isinstance(y, dict) else {"label": y}
        assert self.loss_function is not None
        if training and self.loss_function.needs_targets and "embedding" not in y:
            raise ValueError(
                "A data set for PLIModel must yield (x, {'label': …, 'embedding': …}) where λ is not 0. "
                f"Received no 'embedding', but {quoted(y)}."
            )
        check_form(self._label_forms, self.loss_function, y["label"].shape, y_pred["label"].shape)
        self._weighs_classes = training and self._class_weight is not None
        weight = self._weights(y["label"], sample_weight)
        classification = self.loss_function.classification(y, y_pred, weight)
        self._note(self._classification, classification, weight)
        embedding = None
        if "embedding" in y:
            embedding = self.loss_function.embedding(y, y_pred)
            self._note(self._embedding, embedding, weight)
        total = self.loss_function.mixed(classification, embedding, y_pred, weight)
        for loss in self.classifier.losses:
            total = total + shared_loss(ops.cast(ops.sum(loss), total.dtype))
        return total

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """The compiled metrics, on labels and classifier outputs."""
        labels = y["label"] if isinstance(y, dict) else y
        weight = self._weights(labels, sample_weight)
        return super().compute_metrics(x, labels, y_pred["label"], weight)

    @staticmethod
    def _note(metric: keras.metrics.Mean, values: Tensor, weight: Tensor | None) -> None:
        if len(values.shape) == 0:
            weight = None  # for a loss that is a mean already, or has weighed the samples itself
        elif weight is None:
            weight = ops.ones_like(values)  # without weights, Keras would count what is masked
        else:
            weight = weight_like(weight, values)
        metric.update_state(values, sample_weight=weight)

    def save(self, filepath: Any, **kwargs: Any) -> None:
        """Saves the classifier alone, so that checkpoints need nothing of this package."""
        self.classifier.save(filepath, **kwargs)

    def save_weights(self, filepath: Any, **kwargs: Any) -> None:
        """Saves the classifier's weights as its own `save_weights` does, with this model's optimizer."""
        self._as_classifier().save_weights(filepath, **kwargs)

    def load_weights(self, filepath: Any, **kwargs: Any) -> None:
        """Loads weights that the classifier or this model saved, and this model's optimizer with them."""
        self._as_classifier().load_weights(filepath, **kwargs)

    def export(self, filepath: Any, **kwargs: Any) -> Any:
        """Exports the classifier alone."""
        return self.classifier.export(filepath, **kwargs)

    def _as_classifier(self) -> keras.Model:
        """The classifier as it would be had it been trained by itself: the same layers, this optimizer."""
        classifier: keras.Model = object.__new__(type(self.classifier))
        # Past Keras's tracking, so that neither the classifier nor the optimizer learns of the other.
        own = {"optimizer": getattr(self, "optimizer", None)}
        classifier.__dict__.update(self.classifier.__dict__ | own)
        return classifier

    def _checked(self, x: Any, y: Any) -> dict[str, Any]:
        assert self.loss_function is not None
        if not isinstance(y, dict):
            if self.loss_function.needs_targets:
                raise ValueError(
                    "`y` must be a dict with 'label' and 'embedding', or labels alone where λ is 0. "
                    f"Received: {type(y).__name__}."
                )
            y, needed = {"label": y}, ["label"]
        else:
            asked = ["embedding", *(["moved"] if self.loss_function.moved_only else [])]
            needed = ["label", *(asked if self.loss_function.needs_targets else [])]
        missing = [name for name in needed if name not in y]
        unknown = [name for name in y if name not in ("label", "embedding", "moved")]
        if missing or unknown:
            raise ValueError(f"`y` must hold {quoted(needed)}. Received: {quoted(y)}.")
        samples = count_samples(x)
        for name, values in y.items():
            if len(values) != samples:
                raise ValueError(
                    f"`y[{name!r}]` must have one entry for each of the {samples} samples. "
                    f"Received: {len(values)}."
                )
        if "embedding" not in y:
            return y
        if self._embed is None:
            raise ValueError("Targets `y['embedding']` need an embedder, and there is none.")
        targets = finite_array(y["embedding"], "y['embedding']", ndim=2)
        components = self(_first(x), training=False)["embedding"].shape[-1]
        if targets.shape[1] != components:
            raise ValueError(
                f"The targets have {targets.shape[1]} components, the embedder gives {components}."
            )
        return {**y, "embedding": targets}

    def _weights(self, labels: Tensor, sample_weight: Any) -> Tensor | None:
        """The weight of each sample; in training it has its class's share, as in Keras."""
        weight = _of_samples(sample_weight)
        if not self._weighs_classes:
            return weight
        of_class = weights_of(self._class_weight, labels)
        return of_class if weight is None else ops.cast(weight, of_class.dtype) * of_class

    def _learn_forms(self, x: Any) -> None:
        """Finds which forms of labels the loss takes, wherever that takes no reading of a data set."""
        assert self.loss_function is not None
        read = isinstance(x, keras.utils.PyDataset) or _holds_arrays(x)
        known = output_sizes(self.classifier)
        self._output_sizes = self._sizes_by_a_pass(x) if known is None and read else known
        self._label_forms = ()
        if self._output_sizes is not None:
            self._label_forms = tuple(forms_taken(self.loss_function, self._output_sizes))

    def _check_labels(self, y: Any, name: str) -> None:
        if self._output_sizes is None or not isinstance(y, dict) or "label" not in y:
            return
        assert self.loss_function is not None
        labels, outputs = y["label"], (None, *self._output_sizes)
        check_form(self._label_forms, self.loss_function, labels.shape, outputs)
        check_values(self.loss_function, ops.convert_to_numpy(labels), outputs, name)

    def _find_scale(self, x: Any, y: dict[str, Any] | None) -> None:
        assert self.loss_function is not None
        if self.loss_function.scale != SPREAD:
            return
        if isinstance(x, Iterator):
            raise ValueError(
                "The spread cannot be read from a generator, which yields its batches once: give the loss a "
                f"number as `scale`, or fit arrays or a data set. Received: {type(x).__name__}."
            )
        spread = getattr(self.embedder, "spread", None)
        total = 0.0 if spread is None else float(ops.convert_to_numpy(spread))
        if total == 0.0:  # an embedder that does not know its own: the targets tell
            total = spread_of_targets(x, y, needed=self.loss_function.needs_targets)
        sizes = self._output_sizes or self._sizes_by_a_pass(x)
        scale = total / max(2, sizes[-1] or 0) if total > 0 else 1.0
        scale = of_first_worker(self, scale)
        self.loss_function = self.loss_function.with_scale(scale)

    def _sizes_by_a_pass(self, x: Any) -> tuple[int | None, ...]:
        batch = x[0][0] if isinstance(x, keras.utils.PyDataset) else _first(x)
        return tuple(self(batch, training=False)["label"].shape[1:])


def _holds_arrays(x: Any) -> bool:
    return all(hasattr(leaf, "shape") for leaf in keras.tree.flatten(x))


def _first(x: Any) -> Any:
    """The inputs of one sample of arrays, or of the first batch of a data set."""
    if _holds_arrays(x):
        return keras.tree.map_structure(lambda a: a[:1], x)
    return next(iter(x))[0]


def _of_samples(sample_weight: Any) -> Any:
    # One array of weights was copied to every entry of y, here or by Keras.
    if isinstance(sample_weight, dict):
        return sample_weight["label"]
    return sample_weight
