"""A trained classifier as a SavedModel that answers, and explains its answers."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from logging import LogRecord
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import keras
import tensorflow as tf
from absl import logging

from ..attribution import Method
from ..checks import one_of
from ..network.activations import LOGITS
from ..network.layers import layer_path
from ..retraining import PLIModel
from ..retraining.embedders import check_trained
from .archive import write_saved_model
from .comparison import compare_with_model, compare_with_traced
from .configuration import write_configuration
from .documents import documents
from .inputs import ModelInputs
from .signatures import (
    SERVING_DEFAULT,
    Signature,
    embedding,
    explanation,
    named_methods,
    prediction,
    rationale,
)
from .version_folders import new_version
from .warmup import can_write_warmup, write_warmup

if TYPE_CHECKING:
    from ..rationale import RationaleGenerator

Explanation: TypeAlias = "Method | Callable[[keras.Model], Method]"


def export(
    model: keras.Model,
    path: str | os.PathLike[str],
    *,
    explanations: Sequence[Explanation] | Mapping[str, Explanation] = (),
    rationales: RationaleGenerator | None = None,
    embedder: keras.Model | None = None,
    layer: str | keras.Layer | None = None,
    class_names: Sequence[str] | None = None,
    version: int | None = None,
    output: int | str | None = None,
    score: Literal["logits", "output"] = "logits",
    activation: Literal["auto", "softmax", "sigmoid"] = "auto",
    top: int = 5,
    examples: Any = None,
    checks: bool = True,
    xla: bool = False,
    warmup: Sequence[int] | Literal["auto"] | None = "auto",
) -> Path:
    """Writes a classifier, and explanations of its answers, as a SavedModel for TensorFlow Serving.

    `path/<version>/` gets the signatures `serving_default` (probabilities, logits and the most probable
    classes), `embed` (the position on a map), one `explain_<method>` for each explanation, and
    `rationalize`. An output with positions, such as a segmentation, is served in its shape, and explained for
    a class within a mask. All inputs and outputs are named and have the samples first;
    `assets/signatures.json` describes them. The SavedModel needs neither Python nor this package. Before the
    version appears it is loaded, its predictions are compared with what the model says on `examples` and at
    random, and every signature with what was traced; after an error or a crash there is no version.

    Args:
        model: A built classifier, or a `PLIModel`, whose classifier, embedder and layer are taken.
        path: Folder of the model's versions; its name is the model's name for a server.
        explanations: Attribution methods of this model, or functions that make one of a model, such as
            `GradCAM`; a mapping names the signatures.
        rationales: A `RationaleGenerator`, for the signature `rationalize`. It is tried, too: give
            `examples`, since made-up images take all the steps of its search.
        embedder: A trained `ParametricTSNE`, `ParametricUMAP` or the like, or another Keras model from a
            layer's activations to a map.
        layer: The layer that the embedder maps, or its path; None for the logits.
        class_names: Names of the classes 0, 1, ….
        version: A whole number; None takes the one after the highest.
        output: Position or name of the classifying output, where the model has several. The others are
            given as they come.
        score: `"output"` serves what the model gives, as it is, in place of probabilities, and no logits: for
            models that end in something else than a softmax, a sigmoid or a linear layer.
        activation: What makes probabilities of logits; `"auto"` is the model's own, and softmax where it ends
            linearly (sigmoid for a single unit).
        top: How many classes `serving_default` lists at most, in all or at each position.
        examples: A few inputs as the model takes them, to compare and to warm up on; made up if None.
            Subclassed models need them.
        checks: Whether signatures refuse NaN, infinity and classes that do not exist. A server that joins
            requests into batches refuses a whole batch for a bad one: without checks, bad samples get
            NaN or zeros, and the others their answer.
        xla: Whether each signature gets a twin `<name>_xla`, compiled by XLA where it is served.
        warmup: Batch sizes of the requests that warm a server up, which are stored in the version; None for
            no such requests. `"auto"` leaves them out where tensorflow-serving-api is missing.

    Returns:
        The folder of the version.

    Raises:
        ValueError: If the version is there already, the model is not built or has no logits, the embedder has
            not been trained, an explanation cannot be exported or is of another model, or names do not fit.
        TypeError: If `model` is not a Keras model or an explanation is not a method.
        RuntimeError: If the written SavedModel answers otherwise than the model; the error says what differs.
        ImportError: If requests for warming up are asked for and tensorflow-serving-api is missing.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from keras_pli.attribution import Saliency
        >>> model = keras.Sequential([keras.Input((4,), name="measured"), keras.layers.Dense(3)])
        >>> with TemporaryDirectory() as folder:
        ...     written = export(model, f"{folder}/flowers", explanations=[Saliency], warmup=None)
        ...     served = tf.saved_model.load(str(written))
        ...     found = served.signatures["explain_saliency"](
        ...         measured=tf.ones((2, 4)), target=tf.constant([0, -1])
        ...     )
        >>> written.name, found["attributions"].shape
        ('1', TensorShape([2, 4]))
    """
    if isinstance(model, PLIModel):
        model, embedder, layer = model.classifier, embedder or model.embedder, layer or model.layer
    if layer is not None and embedder is None:
        raise ValueError(
            f"`layer` names what the embedder maps; pass the `embedder` of {layer!r}, too."
        )
    check_trained(embedder)
    one_of(activation, ("auto", "softmax", "sigmoid"), "activation")
    if top < 1:
        raise ValueError(f"`top` must be at least 1. Received: {top}.")
    mapped = LOGITS if layer is None else layer_path(model, layer)
    plain = Method(model, output=output, score=score, jit_compile=False)
    inputs = ModelInputs(model, examples)
    classes = plain.classes(inputs.pack(inputs.specs))
    _check_names(class_names, classes)
    methods = _methods(explanations, model)

    def signatures_of(compiled: bool) -> list[Signature]:
        names = None if compiled else class_names  # XLA has no strings
        made = [prediction(plain, inputs, activation=activation, top=top, class_names=names)]
        if embedder is not None:
            made.append(embedding(model, embedder, mapped, inputs))
        made += [explanation(name, m.compiling(compiled), inputs) for name, m in methods]
        if rationales is not None:
            made.append(rationale(rationales.compiling(compiled), inputs))
        return [signature.compiled() for signature in made] if compiled else made

    signatures = signatures_of(compiled=False) + (signatures_of(compiled=True) if xla else [])
    functions = {signature.name: signature.traced(checks=checks) for signature in signatures}
    texts = documents(model, functions, signatures, classes=classes, class_names=class_names)
    requests = {s.name: partial(s.request, inputs.examples) for s in signatures}
    with new_version(path, version) as new, _without_warnings_of_gradients():
        write_saved_model(new.folder, functions, [model], texts)
        exact = {s.name for s in signatures if s.exact}
        served = tf.saved_model.load(str(new.folder)).signatures
        compare_with_traced(served, functions, requests, exact, inputs.rows)
        for name in set(served) & {SERVING_DEFAULT, f"{SERVING_DEFAULT}_xla"}:
            compare_with_model(served[name], name, plain.network, inputs, activation)
        if warmup is not None and (warmup != "auto" or can_write_warmup()):
            sizes = inputs.warmup_sizes if warmup == "auto" else warmup
            write_warmup(new.folder, Path(path).name, requests, sizes)
        write_configuration(path)  # before the version appears: what can fail comes first
    return new.path


@contextmanager
def _without_warnings_of_gradients() -> Iterator[None]:
    """TensorFlow warns that what is loaded has no gradients of its own; nobody asks a server for any."""

    def others(
        record: LogRecord,
    ) -> bool:  # one for each call, so that threads do not undo each other's
        return "unsaved custom gradients" not in record.getMessage()

    logger = logging.get_absl_logger()
    logger.addFilter(others)
    try:
        yield
    finally:
        logger.removeFilter(others)


def _methods(
    given: Sequence[Explanation] | Mapping[str, Explanation], model: keras.Model
) -> list[tuple[str, Method]]:
    """Makes the methods of the model and checks that they are; returns them by name."""

    def made(explanation: Explanation) -> Method:
        method = explanation if isinstance(explanation, Method) else _called(explanation, model)
        if method.network.model is not model:
            raise ValueError(
                f"{type(method).__name__} explains {method.network.model.name!r} instead of the exported "
                f"{model.name!r}."
            )
        return method

    if isinstance(given, Mapping):
        return list(named_methods({name: made(part) for name, part in given.items()}).items())
    return list(named_methods([made(part) for part in given]).items())


def _called(explanation: Any, model: keras.Model) -> Method:
    method = explanation(model) if callable(explanation) else explanation
    if not isinstance(method, Method):
        raise TypeError(
            "`explanations` must be attribution methods, or functions that make one of a model, such as "
            f"GradCAM. Received: {explanation!r}."
        )
    return method


def _check_names(class_names: Sequence[str] | None, classes: int) -> None:
    if class_names is None:
        return
    if isinstance(class_names, str) or len(class_names) != classes:
        raise ValueError(
            f"`class_names` must name the {classes} classes. Received: {class_names!r}."
        )
