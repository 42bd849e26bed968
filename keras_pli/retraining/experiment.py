"""Retraining with an intervention beside a matched control, over several seeds."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import ArrayLike, NDArray

from ..checks import label_array, quoted
from ..embedding import ParametricTSNE
from ..intervention import InterventionPlan
from ..network.activations import LOGITS, ActivationReader, ends_squashed
from ..network.layers import layer_path
from .loss import SPREAD, PLILoss
from .model import PLIModel
from .result import ExperimentResult
from .seed_run import ARMS, SeedRun

Array = NDArray[Any]
Data = tuple[ArrayLike, ArrayLike]
PlanSource = InterventionPlan | Callable[[Array, Array, Array], InterventionPlan]


@dataclass(frozen=True)
class _Settings:
    """What stays the same from seed to seed."""

    layer: str
    plan: PlanSource
    embedder: Any
    loss: Any
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

    For each seed the two arms start from the same weights and random states, see the same batches in the
    same order, and use a fresh optimizer of the same settings; they differ in λ alone. The control has
    λ = 0, which is plain training on those batches to the last bit. Both are then measured on held-out
    samples.

    Args:
        classifier: A trained classifier, retrained once for each seed and given its weights back; or a
            function that builds and trains one from a seed, so that the whole procedure is repeated.
        train: `(x, labels)`, integer labels of shape `(samples,)`.
        test: `(x, labels)` of held-out samples.
        plan: An `InterventionPlan`, or a function of `(embedding, labels, outputs)` of the training samples
            that makes one, such as `lambda y, labels, outputs: suggest(outputs, labels, y)`.
        layer: Layer to embed (see `keras_pli.activations`).
        embedder: A trained embedder; a function of `(activations, seed)` that trains one; or None for a
            `ParametricTSNE` of default settings, trained anew for each seed.
        embedding_weight: λ of the arm with the intervention.
        moved_only: As in `PLILoss`.
        scale: As in `PLILoss`.
        loss: Classification loss; None for the one the classifier was compiled with.
        optimizer: Optimizer whose settings both arms use; None for the classifier's own.
        epochs: Epochs of retraining.
        batch_size: Samples in a batch of retraining.
        seeds: Number of seeds, counted from 0, or the seeds themselves.
        class_names: Names of the classes 0, 1, ….
        groups: Groups of classes to average over; None for the classes that the plan names and the others.
        out: Folder to keep each seed's results in as it ends. Called again with the same folder, the
            experiment can be resumed.
        on_trained: Called as `on_trained(seed, arm, classifier)` after each retraining, for instance to save
            the classifier.
        verbose: As in Keras; a progress bar counts the seeds.

    Returns:
        An `ExperimentResult`.

    Raises:
        ValueError: If labels do not fit, λ lies outside [0, 1], or `out` holds an experiment with other
            settings.

    Example:
        >>> from keras_pli import InterventionPlan, Separate, pli_experiment
        >>> result = pli_experiment(
        ...     classifier, (x_train, y_train), (x_test, y_test),
        ...     InterventionPlan([Separate(4, 9, distance=30.0)]), seeds=5,
        ... )  # doctest: +SKIP
        >>> print(result.verdict())  # doctest: +SKIP
    """
    seeds = _checked_seeds(seeds)
    train = _checked(train, "train")
    test = _checked(test, "test")
    PLILoss("mse", embedding_weight, moved_only=moved_only, scale=scale)  # a bad λ is met here
    about: dict[str, Any] = {
        "layer": layer_path(classifier, layer),
        "embedding_weight": embedding_weight,
        "moved_only": moved_only,
        "scale": scale,
        "epochs": epochs,
        "batch_size": batch_size,
    }
    settings = _Settings(
        plan=plan, embedder=embedder, loss=loss, optimizer=optimizer, on_trained=on_trained, **about
    )
    about |= {"train_samples": len(train[1]), "test_samples": len(test[1])}
    _check_names(class_names, groups, _count_classes(classifier, train[1], test[1]))
    result = ExperimentResult(test[1], train[1], about, class_names, groups)
    if out is not None:
        result = result.resumed(Path(out))
        _check_plan(plan, result, out)
    progress = keras.utils.Progbar(len(seeds), unit_name="seed", verbose=0 if verbose == 0 else 1)
    for number, seed in enumerate(seeds):
        if seed not in result.seeds:
            run = _run_seed(_classifier_of(classifier, seed), train, test, seed, settings)
            result = result.with_run(run, Path(out) if out is not None else None)
        progress.update(number + 1)
    return result.only(seeds)


def _run_seed(
    classifier: keras.Model,
    train: tuple[Array, Array],
    test: tuple[Array, Array],
    seed: int,
    settings: _Settings,
) -> SeedRun:
    (x_train, labels_train), (x_test, labels_test) = train, test
    reader = ActivationReader(classifier, settings.layer)
    z = _predict(reader, x_train)
    embedder = _embedder_of(settings.embedder, z, seed)

    def look() -> tuple[Array, Array]:
        return _predict(embedder, _predict(reader, x_test)), class_outputs(classifier, x_test)

    train_map = _predict(embedder, z)
    plan = settings.plan
    if not isinstance(plan, InterventionPlan):
        plan = plan(train_map, labels_train, class_outputs(classifier, x_train))
    targets, moved = plan.apply(train_map, labels_train)
    seen = {"baseline": look()}
    test_targets, test_moved = _held_out_targets(plan, seen["baseline"][0], labels_test)
    wanted = {
        "label": _as_the_loss_takes(labels_train, classifier, settings),
        "embedding": targets,
        "moved": moved.astype(np.float32),
    }
    history = {}
    start = _state(classifier)
    try:
        for arm, weight in zip(ARMS, (0.0, settings.embedding_weight), strict=True):
            _restore(classifier, start)
            history[arm] = _retrain(classifier, embedder, (x_train, wanted), weight, seed, settings)
            seen[arm] = look()
            if settings.on_trained is not None:
                settings.on_trained(seed, arm, classifier)
    finally:
        _restore(classifier, start)
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
    data: tuple[Array, dict[str, Array]],
    weight: float,
    seed: int,
    settings: _Settings,
) -> dict[str, list[float]]:
    loss = settings.loss if settings.loss is not None else getattr(classifier, "loss", None)
    if loss is None:
        raise ValueError("`loss` is needed where the classifier is not compiled.")
    pli = PLIModel(classifier, embedder, settings.layer)
    pli.compile(
        _fresh_optimizer(settings.optimizer, classifier),
        PLILoss(loss, weight, moved_only=settings.moved_only, scale=settings.scale),
    )
    batches = ShuffledBatches(*data, batch_size=settings.batch_size, seed=seed)
    # Keras would shuffle the order of the batches once more, from the global random state.
    history = pli.fit(batches, epochs=settings.epochs, shuffle=False, verbose=0).history
    return {name: [float(value) for value in values] for name, values in history.items()}


class ShuffledBatches(keras.utils.PyDataset):
    """Batches in an order that the seed alone decides, so that two trainings see the same.

    Keras's own shuffling draws from the global random state.

    Args:
        x: Inputs, shape `(samples, ...)`.
        y: Arrays with as many samples, by name.
        batch_size: Samples in a batch; the last of an epoch may be smaller.
        seed: Seed of the order.
    """

    def __init__(self, x: Array, y: Mapping[str, Array], *, batch_size: int, seed: int) -> None:
        super().__init__()
        self.x, self.y, self.batch_size = x, dict(y), batch_size
        self._random = np.random.default_rng(seed)
        self._order = self._random.permutation(len(x))

    def __len__(self) -> int:
        return -(-len(self.x) // self.batch_size)

    def __getitem__(self, index: int) -> tuple[Array, dict[str, Array]]:
        rows = self._order[index * self.batch_size : (index + 1) * self.batch_size]
        return self.x[rows], {name: values[rows] for name, values in self.y.items()}

    def on_epoch_end(self) -> None:
        """Shuffles anew."""
        self._order = self._random.permutation(len(self.x))


def _checked(data: Data, name: str) -> tuple[Array, Array]:
    if not isinstance(data, tuple | list) or len(data) != 2:
        raise ValueError(f"`{name}` must be (x, labels). Received: {type(data).__name__}.")
    x = np.asarray(data[0])
    labels = label_array(data[1], len(x), f"labels of {name}")
    if labels.dtype.kind not in "iu":
        raise ValueError(f"Labels of `{name}` must be integers. Received dtype {labels.dtype}.")
    return x, labels


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
    outputs = getattr(classifier, "output_shape", None) or (0,)
    return max(int(outputs[-1]), 1 + max(int(values.max()) for values in labels))


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


def _check_plan(plan: PlanSource, stored: ExperimentResult, out: str | Path) -> None:
    if not isinstance(plan, InterventionPlan):
        return
    for run in stored.runs:
        targets, _ = plan.apply(run.train_map, stored.train_labels)
        if not np.allclose(targets, run.train_targets, rtol=1e-4, atol=1e-5):
            raise ValueError(
                f"{out} holds an experiment with other plans: there {run.plan}, here {plan!r}. "
                "Choose another folder, or remove it."
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


def _embedder_of(source: Any, z: Array, seed: int) -> keras.Model:
    if isinstance(source, keras.Model):
        return source
    if source is not None:
        return source(z, seed)
    tsne = ParametricTSNE(perplexity=min(50.0, len(z) / 3 - 1), seed=seed)
    tsne.fit(z, verbose=0)
    return tsne


def class_outputs(classifier: keras.Model, x: ArrayLike) -> NDArray[np.float32]:
    """Returns a classifier's outputs with one column a class, also where it has a single one for two classes.

    Args:
        classifier: A Keras model with output `(samples, classes)` or, for two classes, `(samples, 1)`.
        x: Inputs, shape `(samples, ...)`.

    Returns:
        float32 array `(samples, classes)` whose largest entry in a row is the class decided for.

    Example:
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, activation="sigmoid")])
        >>> class_outputs(model, np.zeros((3, 4))).tolist()
        [[0.5, 0.5], [0.5, 0.5], [0.5, 0.5]]
    """
    return one_column_a_class(_predict(classifier, x), classifier)


def one_column_a_class(
    outputs: NDArray[np.float32], classifier: keras.Model
) -> NDArray[np.float32]:
    """As `class_outputs`, of outputs that are already there."""
    if outputs.shape[1] > 1:
        return outputs
    other = 1.0 - outputs if ends_squashed(classifier) else np.zeros_like(outputs)
    return np.concatenate([other, outputs], axis=1)


def _as_the_loss_takes(labels: Array, classifier: keras.Model, settings: _Settings) -> Array:
    loss = settings.loss if settings.loss is not None else getattr(classifier, "loss", None)
    name = str(getattr(loss, "name", None) or getattr(loss, "__name__", loss))
    if name.lower().startswith(
        "categorical"
    ):  # cross-entropy, focal cross-entropy, hinge: one-hot rows
        return keras.utils.to_categorical(labels, classifier.output_shape[-1])
    return labels


def _fresh_optimizer(source: Any, classifier: keras.Model) -> Any:
    chosen = source if source is not None else getattr(classifier, "optimizer", None)
    chosen = keras.optimizers.get("adam" if chosen is None else chosen)
    return type(chosen).from_config(chosen.get_config())


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


def _predict(model: keras.Model, x: ArrayLike) -> NDArray[np.float32]:
    return np.asarray(model.predict(x, batch_size=512, verbose=0), dtype=np.float32)


def _state(model: keras.Model) -> list[Array]:
    return [ops.convert_to_numpy(v.value) for v in model.variables]


def _restore(model: keras.Model, state: list[Array]) -> None:
    for variable, value in zip(model.variables, state, strict=True):
        variable.assign(value)
