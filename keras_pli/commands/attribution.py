"""The commands of attribution: explain and check."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .data import chosen_samples, load_training_set
from .files import (
    Report,
    add_out,
    add_samples,
    kinds_named,
    load_classifier,
    whole,
    written,
)

if TYPE_CHECKING:
    import keras

    from ..attribution import Method


def add_commands(commands: Any) -> None:
    """Adds the commands to the parser."""
    explain = commands.add_parser(
        "explain", help="heat maps of what decided, as arrays and pictures"
    )
    _add_common(explain)
    explain.add_argument(
        "--target",
        default="predicted",
        help="a class, `label` for each sample's own, or `predicted` (default)",
    )
    add_samples(explain, 16)
    explain.add_argument(
        "--format",
        choices=("npz", "parquet"),
        default="npz",
        help="what files the maps are written to (default: %(default)s)",
    )
    explain.add_argument(
        "--pictures", type=whole(0), default=8, help="samples that are drawn (default: %(default)s)"
    )
    explain.add_argument("--class-names", help="names of the classes, with commas between")
    explain.set_defaults(run=_explain)

    check = commands.add_parser("check", help="randomisation tests: do the maps explain the model?")
    _add_common(check)
    check.add_argument(
        "--tests", default="model", help="model, data, or both with a comma (default: %(default)s)"
    )
    check.add_argument("--mode", choices=("cascading", "independent"), default="cascading")
    add_samples(check, 32)
    check.add_argument("--seeds", type=whole(1), default=3, help="default: %(default)s")
    check.add_argument(
        "--epochs",
        type=whole(1),
        default=100,
        help="most epochs of a training (default: %(default)s)",
    )
    check.set_defaults(run=_check)


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", required=True, help="the classifier, a .keras file")
    parser.add_argument(
        "--data",
        required=True,
        help=".npz with x_test or x, and labels y_test or y; or Parquet, a file or a folder of files, with a "
        "column of arrays and perhaps label",
    )
    parser.add_argument(
        "--method",
        required=True,
        help="one or several with commas between: saliency, integrated_gradients, grad_cam, …",
    )
    parser.add_argument(
        "--cam-layer",
        help="of class activation maps: the layer that makes the maps (default: the last)",
    )
    parser.add_argument("--output", help="name of the output, where the model has several")
    parser.add_argument("--batch-size", type=whole(1), default=32, help="default: %(default)s")
    add_out(parser)


def _explain(arguments: argparse.Namespace, report: Report) -> None:
    import tensorflow as tf

    from ..attribution import explain_dataset, load_attributions
    from ..parts import digest

    out = Path(arguments.out)
    model = load_classifier(arguments.model)
    methods = {
        name: _made(kind, arguments, model) for name, kind in kinds_named(arguments.method).items()
    }
    x, labels = chosen_samples(arguments)
    target = _target(arguments.target)
    if target == "label":
        _check_whole(labels, arguments.data)
    rows = (x, labels) if target == "label" else x
    drawn = slice(0, arguments.pictures if x.ndim > 2 else 0)  # a table has no picture
    predicted = _predicted(next(iter(methods.values())), x[drawn])
    found = {}
    for name, method in methods.items():
        report(f"{name} of {len(x)} samples …")
        stream = tf.data.Dataset.from_tensor_slices(rows).batch(arguments.batch_size)
        told = digest(*rows) if isinstance(rows, tuple) else digest(rows)
        options = {"target": target, "data_name": told, "format": arguments.format}
        explain_dataset(method, stream, out / name, **options)
        found[name] = load_attributions(out / name)["attributions"][drawn]
    report(written(out, *(f"{name}/" for name in methods)))
    if len(predicted):
        captions = _captions(predicted, labels, arguments.class_names)
        _draw(out / "attributions.png", x[drawn], found, captions)
        report(written(out, "attributions.png"))


def _check_whole(labels: Any, path: str) -> None:
    if labels is None:
        raise ValueError(f"--target label needs labels, y_test or y, in {path}.")
    if labels.dtype.kind not in "iu":
        raise ValueError(
            f"--target label needs labels of {path} that are integers. Received dtype {labels.dtype}."
        )


def _predicted(method: Method, x: Any) -> Any:
    """The class that the model gives each sample."""
    import tensorflow as tf

    from ..network.inputs import checked_inputs

    if not len(x):
        return []
    inputs = checked_inputs(x, method.network.model)
    scoring = method.scoring(inputs)
    return method.runner.over(lambda rows: scoring(tf.constant(rows))[1], [inputs])


def _check(arguments: argparse.Namespace, report: Report) -> None:
    import numpy as np

    from ..checks import one_of
    from ..evaluation import data_randomization_test, model_randomization_test

    tests = [
        one_of(name.strip(), ("model", "data"), "--tests") for name in arguments.tests.split(",")
    ]
    model = load_classifier(arguments.model)
    kinds = kinds_named(arguments.method)
    factories = {name: partial(_made, kind, arguments) for name, kind in kinds.items()}
    x, _ = chosen_samples(arguments)
    common = {"seeds": arguments.seeds, "verbose": 1}
    if "model" in tests:
        result = model_randomization_test(factories, model, x, mode=arguments.mode, **common)
        _report_check(result, "model", arguments, report)
    if "data" in tests:
        x_train, y_train = load_training_set(arguments.data)
        start = partial(_started_anew, model)
        result = data_randomization_test(
            factories, start, x_train, np.asarray(y_train), x, epochs=arguments.epochs, **common
        )
        _report_check(result, "data", arguments, report)


def _report_check(result: Any, test: str, arguments: argparse.Namespace, report: Report) -> None:
    from .. import plotting
    from ..files import write_text

    out = Path(arguments.out)
    report(f"{test} randomisation:\n{result}")
    if result.training is not None:
        report(result.training.to_string(index=False))
    names = [f"{test}-randomization.csv"]
    write_text(out / names[0], result.table.to_csv(index=False))
    if test == "model":
        figure = plotting.randomization_curves(result.table, threshold=result.threshold)
        names.append(f"{test}-randomization.png")
        plotting.save_figure(figure, out / names[1])
    report(written(out, *names))


def _started_anew(model: keras.Model, seed: int) -> keras.Model:
    """A network of the same layers with new weights, compiled as the model was."""
    import keras

    from ..retraining import loss_for

    keras.utils.set_random_seed(seed)
    fresh = keras.models.clone_model(model)
    fresh.compile("adam", loss=getattr(model, "loss", None) or loss_for(model))
    return fresh


def _draw(path: Path, x: Any, maps: dict[str, Any], captions: list[str]) -> None:
    from .. import plotting

    figure = plotting.attribution_grid(x, maps, row_labels=captions)
    plotting.save_figure(figure, path)


def _made(kind: type[Method], arguments: argparse.Namespace, model: keras.Model) -> Method:
    """Makes a method of a model; `--cam-layer` is for those that weigh a layer's maps."""
    from ..attribution import ClassActivationMap

    options = {"batch_size": arguments.batch_size, "output": arguments.output}
    if arguments.cam_layer is not None and issubclass(kind, ClassActivationMap):
        options["layer"] = arguments.cam_layer
    return kind(model, **options)


def _target(text: str) -> Any:
    if text in ("label", "predicted"):
        return None if text == "predicted" else text
    try:
        return int(text)
    except ValueError:
        raise ValueError(
            f"--target must be a class number, label or predicted. Received: {text!r}."
        ) from None


def _captions(predicted: Any, labels: Any, class_names: str | None) -> list[str]:
    names = class_names.split(",") if class_names else None

    def name(label: Any) -> str:
        if names and label.dtype.kind in "iu" and 0 <= label < len(names):
            return names[label]
        return str(label)

    captions = [f"predicted {name(label)}" for label in predicted]
    if labels is None:
        return captions
    return [f"{name(label)}, {text}" for label, text in zip(labels, captions, strict=False)]
