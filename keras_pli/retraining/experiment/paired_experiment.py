"""Retraining with an intervention beside a matched control, over several seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...checks import quoted
from ...network.activations import LOGITS
from ...network.layers import layer_path
from ..data import Inputs, checked_data
from ..edited_training import as_plan
from ..embedders import check_trained
from ..labels import AUTO
from ..loss import AUTOMATIC, SPREAD, PLILoss
from ..outputs import output_sizes
from ..starting_point import fresh_optimizer
from .result import ExperimentResult
from .seed_training import PlanSource, Settings, TrainingCallbacks, form_taken, run_seed
from .stored_experiment import experiment_identity, storing
from .subgroups import checked_subgroups

Array = NDArray[Any]
Data = tuple[Inputs, ArrayLike]


def pli_experiment(
    classifier: keras.Model | Callable[[int], keras.Model],
    train: Data,
    test: Data,
    plan: PlanSource,
    *,
    layer: str | keras.Layer = LOGITS,
    embedder: Any = None,
    embedding_weight: float | str = 0.1,
    most_cost: float = 0.01,
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
    subgroups: ArrayLike | None = None,
    out: str | Path | None = None,
    on_trained: Callable[[int, str, keras.Model], None] | None = None,
    callbacks: TrainingCallbacks | None = None,
    verbose: Any = "auto",
) -> ExperimentResult:
    """Retrains a classifier with an intervention and, as a control, for as long without it.

    For each seed the two arms start from the same weights, see the same batches in the same order, draw
    alike in random layers, and use a fresh optimizer of the same settings; they differ in λ alone. The
    control has λ = 0, which is plain training on those batches to the last bit. Both are then measured on
    held-out samples.

    Where the plan weighs, relabels or excludes samples, the control trains on the data as they were. Both
    arms take the steps in which the larger of the two sets is seen once an epoch; of the smaller one, samples
    are seen again, as the few labelled ones are where a plan labels many.

    Args:
        classifier: A trained classifier, retrained once for each seed and given its weights back; or a
            function that builds and trains one from a seed, so that the whole procedure is repeated.
        train: `(x, labels)`: inputs, a list, tuple or dict of arrays where the classifier has several, and
            classes counted from 0, integers of shape `(samples,)`, -1 for samples without a label.
        test: `(x, labels)` of held-out samples.
        plan: An `InterventionPlan`, a list of its moves, or a function of `(embedding, labels, outputs)` of
            the training samples that makes one, such as
            `lambda y, labels, outputs: suggest(outputs, labels, y)`.
        layer: Layer to embed (see `keras_pli.activations`).
        embedder: A trained embedder, such as a `ParametricUMAP`; a function of `(activations, seed)` that
            trains and returns one; or None for a `ParametricTSNE.smooth`, trained anew for each seed, and for
            none at all where a plan neither moves points nor selects any by a lasso.
        embedding_weight: λ of the arm with the intervention; a plan that moves nothing has λ = 0. `"auto"`
            finds one for each seed by a pilot on its training samples (see `PLIModel.find_weight`), which
            takes some three times as long as the training.
        most_cost: Where λ is `"auto"`, the accuracy that it may cost, in [0, 1), in which rare classes hardly
            count.
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
        subgroups: A group for each held-out sample, an int or a string, such as the colour that misleads; for
            accuracy by group, and of the worst. None for the samples that the plan selects and the others.
        out: Folder to keep each seed's results in as it ends. Called again with the same folder, the
            experiment is resumed: what is damaged or missing is done again.
        on_trained: Called as `on_trained(seed, arm, classifier)` after each retraining, for instance to save
            the classifier.
        callbacks: A function of `(seed, arm)`, the arm `"control"` or `"PLI"`, that returns Keras callbacks
            for that training, to watch it. Their `model` is the `PLIModel` that is trained, and
            `model.classifier` the classifier, which they must leave as it is. They are no part of what a
            stored experiment depends on, so a seed that is there already is not watched again. What one
            raises ends the experiment; nothing of that seed is kept, and the next call begins it anew.
            Where λ is `"auto"`, the function is asked once more for each seed, with the arm `"weight"`, and
            its callbacks watch all trainings by which λ is found.
        verbose: As in Keras; a progress bar counts the seeds.

    Returns:
        An `ExperimentResult`.

    Raises:
        ValueError: If inputs are not finite, labels are not classes of the classifier, the form of labels
            cannot be told, the classifier has several outputs, the embedder has not been trained, λ lies
            outside [0, 1], the training diverges, a callback sets `stop_training`, so that the arms would
            not be trained alike, or `out` holds an experiment of another classifier, other data, plan or
            settings.
        TypeError: If `embedder` is a function that returns no Keras model, or `callbacks` is no function.
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
    # A bad λ is met here.
    PLILoss("mse", embedding_weight, most_cost=most_cost, moved_only=moved_only, scale=scale)
    check_trained(embedder)
    if callbacks is not None and not callable(callbacks):
        raise TypeError(
            "`callbacks` must be a function of (seed, arm) that returns Keras callbacks: each training has "
            f"its own. Received: {quoted(callbacks)}."
        )
    about: dict[str, Any] = {
        "layer": layer_path(classifier, layer),
        "embedding_weight": embedding_weight,
        "moved_only": moved_only,
        "scale": scale,
        "epochs": epochs,
        "batch_size": batch_size,
    }
    settings = Settings(
        plan=plan,
        embedder=embedder,
        loss=loss,
        label_form=label_form,
        optimizer=optimizer,
        on_trained=on_trained,
        callbacks=callbacks,
        most_cost=most_cost,
        **about,
    )
    if embedding_weight == AUTOMATIC:
        about["most_cost"] = most_cost
    if isinstance(classifier, keras.Model):  # before `out` is touched
        form_taken(classifier, train, test, settings)
    if label_form != AUTO:
        about["label_form"] = label_form
    about |= {"train_samples": len(train[1]), "test_samples": len(test[1])}
    _check_names(class_names, groups, _count_classes(classifier, train[1], test[1]))
    identity = {} if out is None else _identity(classifier, train, test, settings)
    result = ExperimentResult(
        test[1],
        train[1],
        about,
        class_names,
        groups,
        identity=identity,
        subgroups=checked_subgroups(subgroups, len(test[1])),
    )
    progress = keras.utils.Progbar(len(seeds), unit_name="seed", verbose=0 if verbose == 0 else 1)
    with storing(out, result) as stored:
        for number, seed in enumerate(seeds):
            if seed not in stored.result.seeds:
                made = _classifier_of(classifier, seed)
                stored.add(run_seed(made, train, test, seed, settings))
            progress.update(number + 1)
    return stored.result.only(seeds)


def _identity(classifier: Any, train: Any, test: Any, settings: Settings) -> dict[str, Any]:
    given = {item.name: getattr(settings, item.name) for item in fields(settings)}
    del given["on_trained"], given["callbacks"]
    if settings.embedding_weight != AUTOMATIC:
        del given["most_cost"]
    own = classifier if isinstance(classifier, keras.Model) else None
    loss = settings.loss if settings.loss is not None else getattr(own, "loss", None)
    optimizer = fresh_optimizer(settings.optimizer, own)
    return experiment_identity(
        classifier, train, test, **{**given, "loss": loss, "optimizer": optimizer}
    )


def _checked_plan(plan: Any) -> PlanSource:
    if callable(plan):
        return plan
    return as_plan(plan)


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
