"""Brain sizes of classes matched by optimal transport, so that a classifier cannot decide by size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage, stats

from ...checks import checked_number, label_array, one_of, quoted
from ...optional import imported

Array = NDArray[Any]
METHODS = ("quantile", "pot")
BARYCENTRE = "barycentre"


def optimal_scales(
    brain_volumes: ArrayLike,
    labels: ArrayLike,
    *,
    method: Literal["quantile", "pot"] = "quantile",
    reference: Any = BARYCENTRE,
) -> NDArray[np.float64]:
    """Finds for each subject a scale by which brain sizes are distributed alike in all classes.

    Each class's distribution of brain lengths (cube roots of volumes) is carried to one reference by
    one-dimensional optimal transport of squared cost: the monotone map, so that within a class the larger
    brain stays the larger. Zooming a volume by the scale multiplies its brain's volume by the scale's cube.

    **Only for subjects to train on.** The scale uses the label. Scaled so, a held-out subject would tell its
    label by its scale. Give held-out subjects a rule without labels: none at all, as they are
    (the network has learned nothing from size), or `reference_scales`, then best for training too.

    Equal sizes are not everything: the one class is mostly shrunk and the other enlarged, which may leave
    traces in the images. Scale in the same resampling that brings images to their voxels, and see whether
    the trained network's logit follows the brains' volumes within a class. `reference_scales` on all
    subjects is the stricter remedy.

    Args:
        brain_volumes: Volumes of brains in any unit, `(subjects,)`.
        labels: Their classes, two or more.
        method: `"quantile"` matches quantile functions, linear between the subjects; `"pot"` solves the
            transport with `ot.emd_1d` of POT and takes means of where a subject's mass goes. For classes of
            one size both give the same; otherwise they differ by less than neighbours in a class do.
        reference: `"barycentre"` for the Wasserstein barycentre of the classes, weighted alike (it changes
            sizes least); or a class, whose subjects then keep theirs.

    Returns:
        Linear scales `(subjects,)`, above 1 where a brain is to be larger. Subjects of one class and size
        have one scale.

    Raises:
        ValueError: If a volume is not positive and finite, there are fewer than two classes, or there is no
            such method or reference.
        ImportError: If POT is missing and asked for.

    Example:
        >>> scales = optimal_scales([1000, 1331, 1331, 1728], [0, 0, 1, 1])
        >>> (np.array([10, 11, 11, 12]) * scales).round(6).tolist()
        [10.5, 11.5, 10.5, 11.5]
    """
    volumes = _volumes(brain_volumes)
    labels = label_array(labels, len(volumes))
    one_of(method, METHODS, "method")
    classes = np.unique(labels)
    if len(classes) < 2:
        raise ValueError(f"`labels` must name two classes or more. Received: {quoted(classes)}.")
    at = list(classes)
    if not (isinstance(reference, str) and reference == BARYCENTRE):
        at = [one_of(reference, [BARYCENTRE, *classes.tolist()], "reference")]
    lengths = np.cbrt(volumes)
    rows = np.arange(len(volumes))
    return _matched(lengths, labels, rows, method, at) / lengths


def _matched(
    lengths: Array, labels: Array, fitted: Array, method: str, at: list[Any]
) -> NDArray[np.float64]:
    """Lengths after the maps to the mean of classes `at` that the rows `fitted` define."""
    carried = _by_quantiles if method == "quantile" else _by_pot
    known = {label: lengths[fitted][labels[fitted] == label] for label in np.unique(labels)}
    targets = np.empty_like(lengths)
    for own, source in known.items():
        # In one dimension the barycentre's map is the mean of the maps to the classes.
        maps = [
            source if other == own else _alike(source, carried(source, known[other]))
            for other in at
        ]
        order = np.argsort(source)
        moved = np.mean(maps, axis=0) - source
        rows = labels == own
        # Those that are not fitted move as their neighbours in size do.
        targets[rows] = lengths[rows] + np.interp(lengths[rows], source[order], moved[order])
    return targets


def reference_scales(brain_volumes: ArrayLike, reference_volume: float) -> NDArray[np.float64]:
    """Scales that bring every brain to one volume, without any label.

    It may be used for subjects to train on and held-out ones alike; with a reference from the training
    subjects, such as the mean, nothing leaks.

    Args:
        brain_volumes: Volumes of brains, `(subjects,)`.
        reference_volume: The volume to reach, of the same unit.

    Returns:
        Linear scales `(subjects,)`.

    Raises:
        ValueError: If a volume is not positive and finite.

    Example:
        >>> reference_scales([1000.0, 8000.0], 1000.0).round(6).tolist()
        [1.0, 0.5]
    """
    volumes = _volumes(brain_volumes)
    reference = _volumes([checked_number(reference_volume, "reference_volume")])
    return np.cbrt(reference / volumes)


def scaled_brain_volumes(brain_volumes: ArrayLike, scales: ArrayLike) -> NDArray[np.float64]:
    """Volumes of brains after scaling: lengths scale as the cube root of volumes.

    Example:
        >>> scaled_brain_volumes([1000.0], [1.1]).round(6).tolist()
        [1331.0]
    """
    volumes = _volumes(brain_volumes)
    return volumes * _scales(scales, len(volumes)) ** 3


@dataclass(frozen=True)
class SizePredictability:
    """How well brain volume alone tells the class.

    Attributes:
        auc: Mean area under the ROC curve over folds, of subjects held out; 0.5 by chance.
        fold_aucs: That of each fold, averaged over classes where there are more than two.
        ks_p_value: The least p-value, times the number of pairs of classes, of the two-sample
            Kolmogorov–Smirnov test; small where distributions differ.
    """

    auc: float
    fold_aucs: tuple[float, ...]
    ks_p_value: float


def size_predictability(
    brain_volumes: ArrayLike,
    labels: ArrayLike,
    *,
    scaling: Literal["quantile", "pot"] | None = None,
    groups: ArrayLike | None = None,
    folds: int = 5,
    seed: int = 0,
) -> SizePredictability:
    """Asks by cross-validation whether a class can be told from brain volume alone.

    A logistic regression on cubic splines of the brain's length learns on all folds but one: it also finds
    classes that have one mean and differ otherwise.

    To ask it of optimal scaling, give the volumes as they are and `scaling`: then the transport is learned
    on the same folds as the regression, and held-out subjects are carried along by the map of their class.
    Volumes that were all scaled before have equal distributions, to the last subject: what a fold has more
    of the others have less of, and the AUC comes out below one half.

    Args:
        brain_volumes: Volumes of brains, `(subjects,)`.
        labels: Classes.
        scaling: A method of `optimal_scales`, to the barycentre; None leaves sizes as they are.
        groups: Subjects, where one has several images: they stay in one fold.
        folds: Number of folds.
        seed: Seed of the folds.

    Returns:
        `SizePredictability`. Its test compares all volumes, scaled by a transport learned on all.

    Raises:
        ValueError: If a volume is not positive and finite, there are fewer than two classes, a class has
            fewer samples than there are folds, or there is no such method.

    Example:
        >>> volumes = np.r_[1000:1040, 1030:1070]
        >>> labels = np.repeat([0, 1], 40)
        >>> bool(size_predictability(volumes, labels).auc > 0.9)
        True
        >>> after = size_predictability(volumes, labels, scaling="quantile")
        >>> bool(abs(after.auc - 0.5) < 0.1), bool(after.ks_p_value > 0.99)
        (True, True)
    """
    from sklearn.model_selection import StratifiedGroupKFold

    volumes = _volumes(brain_volumes)
    labels = label_array(labels, len(volumes))
    folds = checked_number(folds, "folds", least=2, whole=True)
    classes, counts = np.unique(labels, return_counts=True)
    if len(classes) < 2 or counts.min() < folds:
        raise ValueError(
            f"`labels` must name two classes or more, of at least {folds} samples each, as there are "
            f"folds. Received: {dict(zip(classes.tolist(), counts.tolist(), strict=True))}."
        )
    groups = np.arange(len(volumes)) if groups is None else label_array(groups, len(volumes))
    split = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    if scaling is not None:
        one_of(scaling, METHODS, "scaling")
    lengths = np.cbrt(volumes)

    def scaled(fitted: Array) -> Array:
        if scaling is None:
            return lengths
        return _matched(lengths, labels, fitted, scaling, list(classes))

    aucs = [
        _auc(scaled(train)[:, None], labels, train, test)
        for train, test in split.split(lengths, labels, groups)
    ]
    after = scaled(np.arange(len(lengths)))
    parts = [after[labels == label] for label in classes]
    pairs = [(a, b) for i, a in enumerate(parts) for b in parts[:i]]
    least = min(stats.ks_2samp(a, b).pvalue for a, b in pairs)
    return SizePredictability(
        float(np.mean(aucs)), tuple(aucs), float(min(1.0, least * len(pairs)))
    )


def scale_volumes(
    volumes: ArrayLike,
    scales: ArrayLike,
    *,
    brains: ArrayLike | None = None,
    order: int = 1,
    fill: float = 0.0,
) -> NDArray[np.float32]:
    """Zooms volumes about the middle of their brains, which stays where it is.

    Args:
        volumes: `(samples, X, Y, Z)`, or with one channel behind.
        scales: Linear scales `(samples,)`; above 1 the brain becomes larger.
        brains: Masks `(samples, X, Y, Z)`, whose centres of mass are the middles; by default those of the
            voxels that are not `fill`.
        order: 1 for trilinear interpolation, 0 for masks and labels, 3 for cubic splines.
        fill: What comes in from outside.

    Returns:
        float32 array of the shape of `volumes`.

    Raises:
        ValueError: If shapes do not match, a scale is not positive and finite, or a brain is empty.

    Example:
        >>> cube = np.zeros((1, 12, 12, 12))
        >>> cube[0, 4:8, 4:8, 4:8] = 1
        >>> scale_volumes(cube, [2.0]).sum(axis=(1, 2, 3)).tolist()
        [512.0]
    """
    values = np.asarray(volumes, dtype=np.float32)
    if values.ndim not in (4, 5) or (values.ndim == 5 and values.shape[-1] != 1):
        raise ValueError(
            f"`volumes` must be (samples, X, Y, Z) or with one channel. Received shape {values.shape}."
        )
    spatial = values.reshape(values.shape[:4])
    masks = spatial != fill if brains is None else np.asarray(brains, dtype=bool)
    masks = masks.reshape(masks.shape[:4])
    if masks.shape != spatial.shape:
        raise ValueError(
            f"`brains` must have the shape of the volumes, {spatial.shape}. Received: {masks.shape}."
        )
    empty = np.flatnonzero(~masks.any(axis=(1, 2, 3)))
    if len(empty):
        raise ValueError(f"A brain must have voxels. Empty are those of samples {quoted(empty)}.")
    found = np.empty_like(spatial)
    for row, scale in enumerate(_scales(scales, len(spatial))):
        if scale == 1:
            found[row] = spatial[row]
            continue
        middle = np.array(ndimage.center_of_mass(masks[row]))
        ndimage.affine_transform(
            spatial[row],
            np.full(3, 1 / scale),
            middle * (1 - 1 / scale),
            output=found[row],
            order=order,
            mode="grid-constant",
            cval=fill,
        )
    return found.reshape(values.shape)


def _volumes(brain_volumes: ArrayLike) -> NDArray[np.float64]:
    volumes = np.asarray(brain_volumes, dtype=np.float64)
    if volumes.ndim != 1 or not len(volumes):
        raise ValueError(f"`brain_volumes` must be (subjects,). Received shape {volumes.shape}.")
    return _positive(volumes, "brain_volumes")


def _scales(scales: ArrayLike, count: int) -> NDArray[np.float64]:
    found = np.asarray(scales, dtype=np.float64)
    if found.shape != (count,):
        raise ValueError(
            f"`scales` must have one entry for each of the {count} samples. Received shape {found.shape}."
        )
    return _positive(found, "scales")


def _positive(values: NDArray[np.float64], name: str) -> NDArray[np.float64]:
    bad = np.flatnonzero(~(np.isfinite(values) & (values > 0)))
    if len(bad):
        raise ValueError(
            f"`{name}` must be positive and finite. Rows {quoted(bad)} hold {quoted(values[bad])}."
        )
    return values


def _by_quantiles(source: Array, target: Array) -> Array:
    """The target's quantile, linear between its entries, at each entry's rank in the source."""
    levels = (stats.rankdata(source, "ordinal") - 0.5) / len(source)
    return np.quantile(target, levels, method="hazen")


def _by_pot(source: Array, target: Array) -> Array:
    """The mean of where the optimal plan carries each entry of the source."""
    ot = imported("ot", "Optimal scaling by POT", otherwise='use method="quantile"')
    plan = ot.emd_1d(source, target, metric="sqeuclidean")
    return plan @ target * len(source)


def _alike(source: Array, carried: Array) -> Array:
    """Equal entries of the source go to one place, the mean of theirs."""
    _, at, counts = np.unique(source, return_inverse=True, return_counts=True)
    return (np.bincount(at, carried) / counts)[at]


def _auc(x: Array, y: Array, train: Array, test: Array) -> float:
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import SplineTransformer, StandardScaler

    if np.ptp(x) < 1e-9 * abs(x).max():  # nothing to learn from
        return 0.5
    splines = SplineTransformer(5, extrapolation="linear")
    model = make_pipeline(StandardScaler(), splines, LogisticRegression())
    shares = model.fit(x[train], y[train]).predict_proba(x[test])
    if shares.shape[1] == 2:
        return float(roc_auc_score(y[test], shares[:, 1]))
    return float(roc_auc_score(y[test], shares, multi_class="ovr", labels=model.classes_))
