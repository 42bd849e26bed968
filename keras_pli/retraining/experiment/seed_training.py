"""One seed of an experiment: both arms trained from the same start, and looked at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import keras
import numpy as np
from numpy.typing import NDArray

from ...intervention import EditedData, InterventionPlan
from ...intervention.data_changes import is_unlabelled, lacks_label
from ...network.activations import ActivationReader
from ...strategies import made_like
from ..data import Inputs, ShuffledBatches, rows_of
from ..edited_training import as_plan, training_arrays
from ..embedders import embedder_of
from ..labels import check_classes, in_form, label_form
from ..loss import AUTOMATIC, PLILoss
from ..model import PLIModel
from ..outputs import class_outputs, only_output, predicted
from ..starting_point import fresh_optimizer, reseed, restore, state_of
from .held_out import held_out_selected, held_out_targets
from .seed_run import ARMS, SeedRun, stored_plan

Array = NDArray[Any]
Checked: TypeAlias = tuple[Inputs, Array]
PlanSource: TypeAlias = InterventionPlan | Callable[[Array, Array, Array], InterventionPlan]
TrainingCallbacks: TypeAlias = Callable[[int, str], Sequence[keras.callbacks.Callback]]
# What the trainings that find λ are called beside the arms.
FINDING_WEIGHT = "weight"


@dataclass(frozen=True)
class Settings:
    """What stays the same from seed to seed."""

    layer: str
    plan: PlanSource
    embedder: Any
    loss: Any
    label_form: str
    embedding_weight: float | str
    most_cost: float
    moved_only: bool
    scale: float | str | None
    optimizer: Any
    epochs: int
    batch_size: int
    on_trained: Callable[[int, str, keras.Model], None] | None
    callbacks: TrainingCallbacks | None = None

    @property
    def needs_map(self) -> bool:
        """Whether samples are put on a map: a plan may say nothing of one, and then none is made for it."""
        of_plan = not isinstance(self.plan, InterventionPlan) or self.plan.needs_map
        return self.embedder is not None or of_plan

    def watching(self, seed: int, arm: str) -> list[keras.callbacks.Callback]:
        """The callbacks of one training."""
        return [] if self.callbacks is None else list(self.callbacks(seed, arm))


@dataclass(frozen=True)
class Form:
    """In which form a loss takes labels, beside so many outputs."""

    form: str
    width: int

    @property
    def classes(self) -> int:
        """The number of classes."""
        return max(2, self.width)

    def of(self, labels: Array) -> Array:
        """Returns classes in this form; what has no class is not trained on, so any will do."""
        return in_form(np.where(is_unlabelled(labels), 0, labels), self.form, self.width)


def run_seed(
    classifier: keras.Model, train: Checked, test: Checked, seed: int, settings: Settings
) -> SeedRun:
    """Trains both arms from the classifier's weights, which it is given back, and looks at them.

    Raises:
        ValueError: If the data or the plan do not fit, or a training diverges.
    """
    (x_train, labels_train), (x_test, labels_test) = train, test
    form = form_taken(classifier, train, test, settings)
    reader, embedder, train_map = _map_for(classifier, x_train, seed, settings)

    def look() -> tuple[Array | None, Array]:
        on_map = None if embedder is None else predicted(embedder, predicted(reader, x_test))
        return on_map, class_outputs(classifier, x_test)

    plan, targets = settings.plan, None
    if not isinstance(plan, InterventionPlan):
        assert train_map is not None
        plan = as_plan(plan(train_map, labels_train, class_outputs(classifier, x_train)))
    if plan.moves:
        assert train_map is not None
        targets = plan.apply(train_map, labels_train)
    edited = plan.edited_data(labels_train, train_map, classes=form.classes)
    seen = {"baseline": look()}
    test_targets, test_moved = held_out_targets(plan, seen["baseline"][0], labels_test)
    batches = _batches(x_train, labels_train, edited, targets, form, settings.batch_size, seed)
    weights = {"control": 0.0, "PLI": 0.0}
    if plan.moves:
        weights["PLI"] = _weight(classifier, embedder, batches["PLI"], seed, settings)
    history = {}
    start = state_of(classifier)
    try:
        for arm in ARMS:
            restore(classifier, start)
            reseed(classifier, seed)
            history[arm] = _retrain(
                classifier,
                embedder,
                batches[arm],
                weights[arm],
                arm,
                settings,
                settings.watching(seed, arm),
            )
            seen[arm] = look()
            if not np.isfinite(seen[arm][1]).all():  # by its last step, which no mean loss tells
                raise ValueError(
                    f"Retraining with λ = {weights[arm]:g} ({arm}) diverged: outputs are not finite. Lower "
                    "the learning rate."
                )
            if settings.on_trained is not None:
                settings.on_trained(seed, arm, classifier)
    finally:
        restore(classifier, start)
    moved = ~is_unlabelled(labels_train) & (False if targets is None else targets[1])
    return SeedRun(
        seed=seed,
        plan=repr(plan),
        plan_json=stored_plan(plan),
        classes_moved=tuple(np.unique(labels_train[moved]).tolist()),
        embedding_weight=weights["PLI"],
        edited=edited.counts,
        train_map=train_map,
        train_targets=None if targets is None else targets[0],
        train_moved=None if targets is None else targets[1],
        test_targets=test_targets,
        test_moved=test_moved,
        test_selected=held_out_selected(plan, seen["baseline"][0], labels_test),
        test_maps={run: on_map for run, (on_map, _) in seen.items() if on_map is not None},
        outputs={run: outputs for run, (_, outputs) in seen.items()},
        history=history,
    )


def _map_for(
    classifier: keras.Model, x: Inputs, seed: int, settings: Settings
) -> tuple[Any, Any, Array | None]:
    """What reads activations, what embeds them, and the map of training samples; None without a map."""
    if not settings.needs_map:
        return None, None, None
    reader = ActivationReader(classifier, settings.layer)
    z = predicted(reader, x)
    embedder = embedder_of(settings.embedder, z, seed)
    return reader, embedder, predicted(embedder, z)


def _batches(
    x: Inputs,
    labels: Array,
    edited: EditedData,
    targets: tuple[Array, Array] | None,
    form: Form,
    batch_size: int,
    seed: int,
) -> dict[str, ShuffledBatches]:
    """Batches of each arm: as many for one as for the other, and the same where no data are changed."""
    data = {"control": InterventionPlan().edited_data(labels), "PLI": edited}
    steps = -(-max(len(each.rows) for each in data.values()) // batch_size)
    made = {}
    for arm, each in data.items():
        inputs, y, weights = training_arrays(each, x, form.of(each.labels), targets)
        made[arm] = ShuffledBatches(
            inputs, y, batch_size=batch_size, seed=seed, sample_weight=weights, steps=steps
        )
    return made


def _weight(
    classifier: keras.Model,
    embedder: keras.Model | None,
    batches: ShuffledBatches,
    seed: int,
    settings: Settings,
) -> float:
    """λ as it was given, or as a pilot finds it for this seed."""
    if not isinstance(settings.embedding_weight, str):
        return settings.embedding_weight
    found = _compiled(classifier, embedder, AUTOMATIC, settings).find_weight(
        batches.x,
        batches.y,
        sample_weight=batches.sample_weight,
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        steps=len(batches),
        seed=seed,
        callbacks=settings.watching(seed, FINDING_WEIGHT),
    )
    return found.weight


def _compiled(
    classifier: keras.Model,
    embedder: keras.Model | None,
    weight: float | str,
    settings: Settings,
) -> PLIModel:
    loss = PLILoss(
        _loss_of(classifier, settings),
        weight,
        most_cost=settings.most_cost,
        moved_only=settings.moved_only,
        scale=settings.scale,
    )
    pli = PLIModel(classifier, embedder, settings.layer)
    with made_like(pli):
        pli.compile(fresh_optimizer(settings.optimizer, classifier), loss)
    return pli


def _retrain(
    classifier: keras.Model,
    embedder: keras.Model | None,
    batches: ShuffledBatches,
    weight: float,
    arm: str,
    settings: Settings,
    watching: list[keras.callbacks.Callback],
) -> dict[str, list[float]]:
    pli = _compiled(classifier, embedder, weight, settings)
    # Keras would shuffle the order of the batches once more, from the global random state.
    history = pli.fit(
        batches, epochs=settings.epochs, shuffle=False, verbose=0, callbacks=watching
    ).history
    bad = [epoch for epoch, loss in enumerate(history["loss"], 1) if not np.isfinite(loss)]
    if bad:
        raise ValueError(
            f"Retraining with λ = {weight:g} ({arm}) diverged: the loss is {history['loss'][bad[0] - 1]} in "
            f"epoch {bad[0]} of {settings.epochs}. Lower the learning rate"
            + (", or the weights of samples." if batches.sample_weight is not None else ".")
        )
    if pli.stop_training:
        raise ValueError(
            f"A callback ended the retraining with λ = {weight:g} ({arm}) in epoch {len(history['loss'])} of "
            f"{settings.epochs}. Both arms are trained for as long; to end an experiment, let it raise."
        )
    return {name: [float(value) for value in values] for name, values in history.items()}


def form_taken(classifier: keras.Model, train: Checked, test: Checked, settings: Settings) -> Form:
    """Returns in which form the loss takes labels, once classifier, data and plan are seen to fit.

    Raises:
        ValueError: If they do not.
    """
    outputs = only_output(classifier, classifier(rows_of(train[0], slice(1)), training=False))
    if len(outputs.shape) != 2:
        raise ValueError(
            "An experiment scores a classifier with outputs of shape (samples, classes). "
            f"{classifier.name!r} gives shape (samples, {', '.join(map(str, outputs.shape[1:]))})."
        )
    width = int(outputs.shape[-1])
    for labels, name in ((train[1][~lacks_label(train[1])], "train"), (test[1], "test")):
        check_classes(labels, max(2, width), f"labels of {name}")
    found = label_form(PLILoss(_loss_of(classifier, settings)), (width,), settings.label_form)
    form, plan = Form(found, width), settings.plan
    if isinstance(plan, InterventionPlan) and not plan.needs_map:
        plan.edited_data(train[1], classes=form.classes)  # before anything is trained
    return form


def _loss_of(classifier: keras.Model, settings: Settings) -> Any:
    if settings.loss is not None:
        return settings.loss
    if getattr(classifier, "loss", None) is None:
        raise ValueError("`loss` is needed where the classifier is not compiled.")
    weights = getattr(getattr(classifier, "_compile_loss", None), "_user_loss_weights", None)
    if weights is not None:
        raise ValueError(
            "An experiment does not take over the `loss_weights` that the classifier was compiled with: give "
            f"`loss`, weighted as wanted. Received: {weights!r}."
        )
    return classifier.loss
