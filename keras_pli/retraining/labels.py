"""What form labels must have, by what a loss makes of them, and which values."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from ..checks import one_of, quoted
from .loss import PLILoss, crossentropy

Array = NDArray[Any]
Shape = Sequence[Any]
AUTO, INTEGERS, COLUMN, ONE_HOT = "auto", "integers", "column", "one_hot"


def forms_taken(loss: PLILoss, outputs: Shape) -> dict[str, Array]:
    """Tries a loss on labels in each form, beside made-up outputs.

    A form is taken if the loss gives finite numbers, one for all, a sample, a position or an output. The
    number of samples differs from that of outputs, so that integers meet no axis of their length and cannot
    be broadcast unseen. A column always can: it is taken if the loss reads class numbers in it, as where it
    gives what it gives for integers, or does not mind fractions.

    Args:
        loss: The loss.
        outputs: Shape of the classifier's outputs without the batch axis, `(classes,)` or
            `(*positions, classes)`.

    Returns:
        For each form taken what the loss gave: `"integers"` of shape `(samples, *positions)`, `"column"` with
        one more axis of one, and `"one_hot"` of the outputs' shape, the same as a column for one output.

    Example:
        >>> list(forms_taken(PLILoss("mse"), (10,))), list(forms_taken(PLILoss(), (10,)))
        (['one_hot'], ['integers', 'column'])
    """
    made, labels = _made_up(outputs)
    tried = {form: _trial(loss, values, made) for form, values in labels.items()}
    found = {form: numbers for form, numbers in tried.items() if numbers is not None}
    if COLUMN in found:
        others = (found.get(INTEGERS), _trial(loss, labels[COLUMN] + 0.25, made))
        if not any(other is not None and _alike(found[COLUMN], other) for other in others):
            del found[COLUMN]
    return found


def label_form(loss: PLILoss, outputs: Shape, wanted: str = AUTO) -> str:
    """Returns the form in which a loss takes class labels.

    Args:
        loss: The loss.
        outputs: Shape of the classifier's outputs without the batch axis.
        wanted: `"auto"`, or the form that somebody chose.

    Raises:
        ValueError: If the loss takes no form, another than the one chosen, or several with other results.

    Example:
        >>> label_form(PLILoss("kl_divergence"), (3,)), label_form(PLILoss(), (3,))
        ('one_hot', 'integers')
    """
    one_of(wanted, (AUTO, INTEGERS, COLUMN, ONE_HOT), "label_form")
    taken = forms_taken(loss, outputs)
    beside = f"beside outputs of shape {_text((None, *outputs))}"
    if not taken:
        raise ValueError(
            f"The loss {_name(loss)} takes no class labels {beside}, neither integers nor one-hot rows: it "
            "fails, or does not give a finite number a sample."
        )
    if wanted not in (AUTO, *taken):
        raise ValueError(
            f"The loss {_name(loss)} does not take label_form={wanted!r} {beside}, but {quoted(taken)}."
        )
    if wanted != AUTO:
        return wanted
    first, *rest = taken
    if not all(_alike(taken[first], taken[form]) for form in rest):
        raise ValueError(
            f"The loss {_name(loss)} takes several forms of labels {beside}, with other values for each. "
            f"Say which is meant by `label_form`: {quoted(taken)}."
        )
    return ONE_HOT if outputs[-1] == 1 and ONE_HOT in taken else first


def in_form(labels: Array, form: str, width: int) -> Array:
    """Returns integer labels in the form that a loss takes, for so many outputs.

    Example:
        >>> in_form(np.array([2, 0]), "one_hot", 3).tolist(), in_form(np.array([1, 0]), "one_hot", 1).tolist()
        ([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]], [[1], [0]])
    """
    if form == INTEGERS:
        return labels
    return (
        labels[:, None] if form == COLUMN or width == 1 else np.eye(width, dtype=np.float32)[labels]
    )


def check_form(taken: Collection[str], loss: PLILoss, labels: Shape, outputs: Shape) -> None:
    """Raises where labels have a form that the loss does not take.

    Args:
        taken: The forms that it takes, as `forms_taken` found them; with none nothing is known.
        loss: The loss.
        labels: Shape of the labels with the batch axis.
        outputs: Shape of the outputs with the batch axis.

    Raises:
        ValueError: If the labels are of another form; the error says how to make the right one.
    """
    form = _form_of(labels, outputs)
    if form is None or not taken or form in taken:
        return
    width = outputs[-1]
    numbers = {INTEGERS: "labels", COLUMN: "labels[..., 0]", ONE_HOT: "labels.argmax(axis=-1)"}[
        form
    ]
    rows = "labels[..., None]" if width == 1 else f"keras.utils.to_categorical(labels, {width})"
    ways = {
        INTEGERS: "labels[..., 0]" if width == 1 else numbers,
        COLUMN: f"{numbers}[..., None]",
        ONE_HOT: rows,
    }
    raise ValueError(
        f"The loss {_name(loss)} does not take labels of shape {_text(labels)} beside outputs of shape "
        f"{_text(outputs)}. Pass `{ways[next(iter(taken))]}`."
    )


def check_values(loss: PLILoss, labels: Array, outputs: Shape, name: str) -> None:
    """Raises where the values of labels are none that a loss of Keras's is defined for.

    Args:
        loss: The loss; of one that is not Keras's nothing is asked.
        labels: The labels.
        outputs: Shape of the outputs with the batch axis.
        name: What the labels are called in the error.

    Raises:
        ValueError: If classes are not counted from 0, or labels of a binary cross-entropy leave [0, 1].
    """
    if labels.dtype.kind not in "fiub":
        return
    form, function = _form_of(labels.shape, outputs), _function(loss.classification_loss)
    if function in _SPARSE and outputs[-1] > 1 and form in (INTEGERS, COLUMN):
        ignored = _ignored(loss.classification_loss)
        check_classes(labels[labels != ignored], outputs[-1], name)
    elif function in _BINARY and labels.size and not 0 <= labels.min() <= labels.max() <= 1:
        raise ValueError(
            f"`{name}` must lie between 0 and 1 for the loss {_name(loss)}. "
            f"Received: {quoted(np.unique(labels))}.{_hint(labels, 2)}"
        )


def check_classes(labels: Array, classes: int, name: str) -> None:
    """Raises where labels are not classes counted from 0.

    Raises:
        ValueError: If a label lies elsewhere; the error quotes it, and says what may be meant.

    Example:
        >>> check_classes(np.array([1, 3, 2]), 3, "labels")
        Traceback (most recent call last):
        ...
        ValueError: `labels` must be classes from 0 to 2. Received also: 3. Counted from 1? Pass `labels - 1`.
    """
    outside = labels[(labels < 0) | (labels >= classes) | (labels != np.floor(labels))]
    if outside.size:
        raise ValueError(
            f"`{name}` must be classes from 0 to {classes - 1}. "
            f"Received also: {quoted(np.unique(outside))}.{_hint(labels, classes)}"
        )


def _hint(labels: Array, classes: int) -> str:
    if set(np.unique(labels).tolist()) == {-1, 1}:
        return " Pass `(labels > 0).astype(int)`, 0 for -1."
    if labels.min() >= 1 and labels.max() == classes:
        return " Counted from 1? Pass `labels - 1`."
    return ""


def _trial(loss: PLILoss, labels: Array, outputs: Array) -> Array | None:
    """What a loss gives for labels beside outputs, or None where it does not take them."""
    try:
        with keras.StatelessScope():  # a loss that counts or draws is not to notice
            given = loss.classification({"label": labels}, {"label": outputs})
            numbers = np.asarray(ops.convert_to_numpy(given), dtype=np.float64)
    except Exception:  # whatever a function of somebody else's raises
        return None
    allowed = {outputs.shape[:axes] for axes in (0, 1, outputs.ndim - 1, outputs.ndim)}
    fits = numbers.shape in {*allowed, (*outputs.shape[:-1], 1)}
    return numbers if fits and np.isfinite(numbers).all() else None


def _made_up(outputs: Shape) -> tuple[Array, dict[str, Array]]:
    """Outputs that could be probabilities or logits, and labels beside them in each form."""
    width = int(outputs[-1])
    shape = (4 if width == 3 else 3, *[2 for _ in outputs[:-1]])
    draws = np.random.default_rng(0).uniform(0.2, 0.8, size=(*shape, width)).astype(np.float32)
    classes = np.arange(np.prod(shape)).reshape(shape) % max(2, width)
    if width == 1:
        return draws, {INTEGERS: classes, ONE_HOT: classes[..., None]}
    rows = np.eye(width, dtype=np.float32)[classes]
    probabilities = draws / draws.sum(axis=-1, keepdims=True)
    return probabilities, {INTEGERS: classes, COLUMN: classes[..., None], ONE_HOT: rows}


def _form_of(labels: Shape, outputs: Shape) -> str | None:
    width = outputs[-1]
    if len(labels) == len(outputs) - 1:
        return INTEGERS
    if len(labels) == len(outputs) and labels[-1] == width:
        return ONE_HOT
    return COLUMN if len(labels) == len(outputs) and labels[-1] == 1 else None


def _alike(ours: Array, others: Array) -> bool:
    return ours.size == others.size and np.allclose(ours.ravel(), others.ravel(), 1e-5, 1e-6)


def _function(loss: Any) -> Any:
    """The function behind a loss of Keras's, as far as it has one."""
    return getattr(loss, "fn", getattr(loss, "func", loss))


def _ignored(loss: Any) -> Any:
    settings: Mapping[str, Any] = getattr(loss, "keywords", {})
    return getattr(loss, "ignore_class", settings.get("ignore_class"))


_SPARSE = (keras.losses.sparse_categorical_crossentropy, crossentropy)
_BINARY = (keras.losses.binary_crossentropy, keras.losses.binary_focal_crossentropy)


def _name(loss: PLILoss) -> str:
    given = loss.classification_loss
    return repr(getattr(given, "name", None) or getattr(given, "__name__", type(given).__name__))


def _text(shape: Shape) -> str:
    return str(tuple("samples" if size is None else size for size in shape)).replace("'", "")
