"""Retraining with an intervention beside a matched control, over several seeds."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..checks import quoted
from ..intervention import InterventionPlan
from ..network.activations import LOGITS, ActivationReader
from ..network.layers import layer_path
from .data import Inputs, ShuffledBatches, checked_data, rows_of
from .embedders import check_trained, embedder_of
from .labels import AUTO, check_classes, in_form, label_form
from .loss import SPREAD, PLILoss
from .model import PLIModel
from .outputs import class_outputs, only_output, output_sizes, predicted
from .result import ExperimentResult
from .seed_run import ARMS, SeedRun
from .starting_point import fresh_optimizer, reseed, restore, state_of
from .stored_experiment import experiment_identity, storing

Array = NDArray[Any]
Data = tuple[Inputs, ArrayLike]
Checked = tuple[Inputs, Array]
PlanSource = InterventionPlan | Callable[[Array, Array, Array], InterventionPlan]


@dataclass(frozen=True)
class _Settings:
    """What stays the same from seed to seed."""

    layer: str
    plan: PlanSource
    embedder: Any
    loss: Any
    label_form: str
    embedding_weight: float
    moved_only: bool
    scale: float | str | None
    optimizer: Any
    epochs: int
    batch_size: int
    on_trained: Callable[[int, str, keras.Model], None] | None


def pli_experiment(
    classifier: keras.Model | Callable[[int], keras.Model],
    train: Data,
    test: Data,
    plan: PlanSource,
    *,
    layer: str | keras.Layer = LOGITS,
    embedder: Any = None,
    embedding_weight: float = 0.1,
    moved_only: bool = False,
    scale: float | str | None = SPREAD,
    loss: Any = None,
    label_form: str = AUTO,
    optimizer: Any = None,
    epochs: int = 7,
    batch_size: int = 100,
    seeds: int | Iterable[int] = 5,
    class_names: Sequence[str] | None = None,
    groups: Mapping[str, Sequence[Any]] | None = None,
    out: str | Path | None = None,
    on_trained: Callable[[int, str, keras.Model], None] | None = None,
    verbose: Any = "auto",
) -> ExperimentResult:
    """Retrains a classifier with an intervention and, as a control, for as long without it.

    For each seed the two arms start from the same weights, see the same batches in the same order, draw
    alike in random layers, and use a fresh optimizer of the same settings; they differ in λ alone. The
    control has λ = 0, which is plain training on those batches to the last bit. Both are then measured on
    held-out samples.

    Args:
        classifier: A trained classifier, retrained once for each seed and given its weights back; or a
            function that builds and trains one from a seed, so that the whole procedure is repeated.
        train: `(x, labels)`: inputs, a list, tuple or dict of arrays where the classifier has several, and
            classes counted from 0, integers of shape `(samples,)`.
        test: `(x, labels)` of held-out samples.
        plan: An `InterventionPlan`, a list of its moves, or a function of `(embedding, labels, outputs)` of
            the training samples that makes one, such as
            `lambda y, labels, outputs: suggest(outputs, labels, y)`.
        layer: Layer to embed (see `keras_pli.activations`).
        embedder: A trained embedder, such as a `ParametricUMAP`; a function of `(activations, seed)` that
            trains and returns one; or None for a `ParametricTSNE.smooth`, trained anew for each seed.
        embedding_weight: λ of the arm with the intervention.
        moved_only: As in `PLILoss`.
        scale: As in `PLILoss`.
        loss: Classification loss; None for the one the classifier was compiled with.
        label_form: What the loss takes for labels: `"integers"`, a `"column"` of integers, `(samples, 1)`, or
            `"one_hot"` rows of the outputs' width; `"auto"` tries it on each.
        optimizer: Optimizer whose settings both arms use; None for the classifier's own.
        epochs: Epochs of retraining.
        batch_size: Samples in a batch of retraining.
        seeds: Number of seeds, counted from 0, or the seeds themselves.
        class_names: Names of the classes 0, 1, ….
        groups: Groups of classes to average over; None for the classes that the plan names and the others.
        out: Folder to keep each seed's results in as it ends. Called again with the same folder, the
            experiment is resumed: what is damaged or missing is done again.
        on_trained: Called as `on_trained(seed, arm, classifier)` after each retraining, for instance to save
            the classifier.
        verbose: As in Keras; a progress bar counts the seeds.

    Returns:
        An `ExperimentResult`.

    Raises:
        ValueError: If inputs are not finite, labels are not classes of the classifier, the form of labels
            cannot be told, the classifier has several outputs, the embedder has not been trained, λ lies
            outside [0, 1], the training diverges, or `out` holds an experiment of another classifier, other
            data, plan or settings.
        TypeError: If `embedder` is a function that returns no Keras model.
        RuntimeError: If another process is writing to `out`.

    Example:
        >>> from keras_pli import InterventionPlan, Separate, pli_experiment
        >>> result = pli_experiment(
        ...     classifier, (x_train, y_train), (x_test, y_test),
        ...     InterventionPlan([Separate(4, 9, distance=30.0)]), seeds=5,
        ... )  # doctest: +SKIP
        >>> print(result.verdict())  # doctest: +SKIP
    """
    seeds, plan = _checked_seeds(seeds), _checked_plan(plan)
    train, test = checked_data(train, "train"), checked_data(test, "test")
    PLILoss("mse", embedding_weight, moved_only=moved_only, scale=scale)  # a bad λ is met here
    check_trained(embedder)
    about: dict[str, Any] = {
        "layer": layer_path(classifier, layer),
        "embedding_weight": embedding_weight,
        "moved_only": moved_only,
        "scale": scale,
        "epochs": epochs,
        "batch_size": batch_size,
    }
    settings = _Settings(
        plan=plan,
        embedder=embedder,
        loss=loss,
        label_form=label_form,
        optimizer=optimizer,
        on_trained=on_trained,
        **about,
    )
    if isinstance(classifier, keras.Model):  # before `out` is touched
        _as_the_loss_takes(classifier, train, test, settings)
    if label_form != AUTO:
        about["label_form"] = label_form
    about |= {"train_samples": len(train[1]), "test_samples": len(test[1])}
    _check_names(class_names, groups, _count_classes(classifier, train[1], test[1]))
    identity = {} if out is None else _identity(classifier, train, test, settings)
    result = ExperimentResult(test[1], train[1], about, class_names, groups, identity=identity)
    progress = keras.utils.Progbar(len(seeds), unit_name="seed", verbose=0 if verbose == 0 else 1)
    with storing(out, result) as stored:
        for number, seed in enumerate(seeds):
            if seed not in stored.result.seeds:
                made = _classifier_of(classifier, seed)
                stored.add(_run_seed(made, train, test, seed, settings))
            progress.update(number + 1)
    return stored.result.only(seeds)


def _identity(classifier: Any, train: Any, test: Any, settings: _Settings) -> dict[str, Any]:
    given = {item.name: getattr(settings, item.name) for item in fields(settings)}
    del given["on_trained"]
    own = classifier if isinstance(classifier, keras.Model) else None
    loss = settings.loss if settings.loss is not None else getattr(own, "loss", None)
    optimizer = fresh_optimizer(settings.optimizer, own)
    return experiment_identity(
        classifier, train, test, **{**given, "loss": loss, "optimizer": optimizer}
    )


def _run_seed(
    classifier: keras.Model,
    train: Checked,
    test: Checked,
    seed: int,
    settings: _Settings,
) -> SeedRun:
    (x_train, labels_train), (x_test, labels_test) = train, test
    labels_taken = _as_the_loss_takes(classifier, train, test, settings)
    reader = ActivationReader(classifier, settings.layer)
    z = predicted(reader, x_train)
    embedder = embedder_of(settings.embedder, z, seed)

    def look() -> tuple[Array, Array]:
        return predicted(embedder, predicted(reader, x_test)), class_outputs(classifier, x_test)

    train_map = predicted(embedder, z)
    plan = settings.plan
    if not isinstance(plan, InterventionPlan):
        plan = plan(train_map, labels_train, class_outputs(classifier, x_train))
    targets, moved = plan.apply(train_map, labels_train)
    seen = {"baseline": look()}
    test_targets, test_moved = _held_out_targets(plan, seen["baseline"][0], labels_test)
    wanted = {
        "label": labels_taken,
        "embedding": targets,
        "moved": moved.astype(np.float32),
    }
    history = {}
    start = state_of(classifier)
    try:
        for arm, weight in zip(ARMS, (0.0, settings.embedding_weight), strict=True):
            restore(classifier, start)
            reseed(classifier, seed)
            history[arm] = _retrain(classifier, embedder, (x_train, wanted), weight, seed, settings)
            seen[arm] = look()
            if settings.on_trained is not None:
                settings.on_trained(seed, arm, classifier)
    finally:
        restore(classifier, start)
    return SeedRun(
        seed=seed,
        plan=repr(plan),
        classes_moved=tuple(np.unique(labels_train[moved]).tolist()),
        train_map=train_map,
        train_targets=targets,
        train_moved=moved,
        test_targets=test_targets,
        test_moved=test_moved,
        test_maps={run: on_map for run, (on_map, _) in seen.items()},
        outputs={run: outputs for run, (_, outputs) in seen.items()},
        history=history,
    )


def _retrain(
    classifier: keras.Model,
    embedder: keras.Model,
    data: tuple[Inputs, dict[str, Array]],
    weight: float,
    seed: int,
    settings: _Settings,
) -> dict[str, list[float]]:
    loss = _loss_of(classifier, settings)
    pli = PLIModel(classifier, embedder, settings.layer)
    pli.compile(
        fresh_optimizer(settings.optimizer, classifier),
        PLILoss(loss, weight, moved_only=settings.moved_only, scale=settings.scale),
    )
    batches = ShuffledBatches(*data, batch_size=settings.batch_size, seed=seed)
    # Keras would shuffle the order of the batches once more, from the global random state.
    history = pli.fit(batches, epochs=settings.epochs, shuffle=False, verbose=0).history
    bad = [epoch for epoch, loss in enumerate(history["loss"], 1) if not np.isfinite(loss)]
    if bad:
        raise ValueError(
            f"Retraining with λ = {weight:g} diverged: the loss is {history['loss'][bad[0] - 1]} in epoch "
            f"{bad[0]} of {settings.epochs}. Lower the learning rate."
        )
    return {name: [float(value) for value in values] for name, values in history.items()}


def _checked_plan(plan: Any) -> PlanSource:
    if isinstance(plan, list | tuple):
        return InterventionPlan(plan)
    if not isinstance(plan, InterventionPlan) and not callable(plan):
        raise TypeError(
            "`plan` must be an InterventionPlan, or a function that makes one. "
            f"Received: {type(plan).__name__}."
        )
    return plan


def _checked_seeds(seeds: int | Iterable[int]) -> list[int]:
    if isinstance(seeds, int | np.integer):
        seeds = range(int(seeds))
    seeds = [int(seed) for seed in seeds]
    if not seeds:
        raise ValueError("`seeds` must name at least one seed. Received none.")
    if len(set(seeds)) < len(seeds):
        raise ValueError(f"`seeds` must name each seed once. Received: {quoted(seeds)}.")
    return seeds


def _count_classes(classifier: Any, *labels: Array) -> int:
    sizes = output_sizes(classifier) if isinstance(classifier, keras.Model) else None
    return max((sizes or (0,))[-1] or 0, 1 + max(int(values.max()) for values in labels))


def _check_names(
    class_names: Sequence[str] | None, groups: Mapping[str, Sequence[Any]] | None, classes: int
) -> None:
    names = None if class_names is None else [str(name) for name in class_names]
    if names is not None and (len(names) < classes or len(set(names)) < len(names)):
        raise ValueError(
            f"`class_names` must hold {classes} different names. Received {len(names)}: {quoted(names)}."
        )
    for group, members in (groups or {}).items():
        if group in (names if names is not None else map(str, range(classes))):
            raise ValueError(f"Group {group!r} has the name of a class; give it another.")
        strangers = [member for member in members if member not in range(classes)]
        if strangers:
            raise ValueError(
                f"Group {group!r} names classes that are not there: {quoted(strangers)}. "
                f"There are {classes}, counted from 0."
            )


def _classifier_of(source: Any, seed: int) -> keras.Model:
    if isinstance(source, keras.Model):
        return source
    made = source(seed)
    if not isinstance(made, keras.Model):
        raise ValueError(
            f"`classifier` must be a Keras model or a function that returns one. It returned: {made!r}."
        )
    return made


def _loss_of(classifier: keras.Model, settings: _Settings) -> Any:
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


def _as_the_loss_takes(
    classifier: keras.Model, train: Checked, test: Checked, settings: _Settings
) -> Array:
    """The training labels in the form that the loss takes, once classifier and data are seen to fit."""
    outputs = only_output(classifier, classifier(rows_of(train[0], slice(1)), training=False))
    if len(outputs.shape) != 2:
        raise ValueError(
            "An experiment scores a classifier with outputs of shape (samples, classes). "
            f"{classifier.name!r} gives shape (samples, {', '.join(map(str, outputs.shape[1:]))})."
        )
    width = int(outputs.shape[-1])
    for (_, labels), name in ((train, "train"), (test, "test")):
        check_classes(labels, max(2, width), f"labels of {name}")
    form = label_form(PLILoss(_loss_of(classifier, settings)), (width,), settings.label_form)
    return in_form(train[1], form, width)


def _held_out_targets(
    plan: InterventionPlan, y: Array, labels: Array
) -> tuple[Array | None, Array | None]:
    """The plan applied to held-out points, or None where it names single training points."""
    if not plan.transfers:
        return None, None
    try:
        return plan.apply(y, labels)
    except ValueError as error:  # such as a lasso that holds no held-out point
        warnings.warn(
            f"The plan does not carry over to the held-out samples: {error}", stacklevel=3
        )
        return None, None
