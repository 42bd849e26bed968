"""`inspect influence` and `inspect prototypes`: explanations by training samples."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .files import (
    Report,
    add_model_and_data,
    add_out,
    check_classes,
    check_fits,
    check_folder,
    load_classifier,
    positive,
    whole,
    written,
)


def add_kinds(kinds: Any) -> None:
    """Adds the kinds to the parser."""
    _add_influence(kinds)
    _add_prototypes(kinds)


def _add_influence(kinds: Any) -> None:
    influence = kinds.add_parser(
        "influence",
        help="training samples that helped and harmed predictions, and suspicious labels",
    )
    influence.add_argument("--model", required=True, help="the classifier, a .keras file")
    influence.add_argument(
        "--data", required=True, help=".npz with x_train, y_train, x_test, y_test"
    )
    influence.add_argument(
        "--samples", type=whole(1), default=6, help="the first so many tests (default: %(default)s)"
    )
    influence.add_argument("--index", help="positions of the tests instead, such as 3,17,20")
    influence.add_argument(
        "--method",
        choices=("influence", "tracin"),
        default="influence",
        help="influence functions at the weights that the model has, or TracIn over --checkpoints "
        "(default: %(default)s)",
    )
    influence.add_argument(
        "--checkpoints",
        help="folder of .weights.h5 or .keras files, taken in the order of their names",
    )
    influence.add_argument(
        "--explain",
        choices=("predicted", "label"),
        default="predicted",
        help="what made the model say the class it predicts, or what helped and harmed it to know the label "
        "(default: %(default)s)",
    )
    influence.add_argument(
        "--layer", help="name or path of a layer (default: the last, in closed form)"
    )
    influence.add_argument(
        "--damping",
        type=positive,
        default=0.01,
        help="added to the Hessian of influence functions (default: %(default)s)",
    )
    influence.add_argument(
        "--most", type=whole(1), default=5, help="samples of each kind (default: %(default)s)"
    )
    influence.add_argument("--class-names", help="names of the classes, with commas between")
    add_out(influence)
    influence.set_defaults(run=_influence)


def _add_prototypes(kinds: Any) -> None:
    prototypes = kinds.add_parser(
        "prototypes", help="samples that stand for each class in a layer, and those left out"
    )
    add_model_and_data(prototypes)
    prototypes.add_argument(
        "--class", dest="classes", help="these labels alone, such as 3,5 (default: all)"
    )
    prototypes.add_argument(
        "--count", type=whole(1), default=4, help="prototypes of a class (default: %(default)s)"
    )
    prototypes.add_argument(
        "--criticisms", type=whole(0), default=4, help="of a class (default: %(default)s)"
    )
    prototypes.add_argument("--class-names", help="names of the classes, with commas between")
    prototypes.add_argument("--seed", type=whole(0), default=0, help="default: %(default)s")
    add_out(prototypes)
    prototypes.set_defaults(run=_prototypes)


def _influence(arguments: argparse.Namespace, report: Report) -> None:
    import numpy as np

    from ..files import write_text
    from .data import load_data, positions_in

    if arguments.checkpoints and arguments.method != "tracin":
        raise ValueError("--checkpoints are for --method tracin.")
    out = Path(arguments.out)
    check_folder(arguments.out)
    classifier = load_classifier(arguments.model)
    train, (x, y) = load_data(arguments.data)
    check_fits(classifier, x, arguments.model)
    labels = np.concatenate([train[1], y])
    check_classes(classifier, labels, arguments.model)
    names = _names(arguments, labels, _classes_of(classifier))
    rows = positions_in(arguments, len(x))
    test = x[rows], y[rows]
    found, suspects = _estimated(arguments, classifier, train, test)
    report(_explained(found, arguments.explain))
    frame = found.to_frame(arguments.most)
    frame["test"] = rows[frame["test"]]
    write_text(out / "influence.csv", frame.to_csv(index=False))
    write_text(out / "label_errors.csv", suspects.to_frame(200).to_csv(index=False))
    report(_suspicious(suspects))
    files = ["influence.csv", "label_errors.csv"]
    if x.ndim > 2:
        figure = found.plot(train[0], test[0], most=arguments.most, class_names=names)
        files.append(_drawn(figure, out / "influence.png"))
        if x.ndim == 3 or (x.ndim == 4 and x.shape[3] in (1, 3)):
            figure = suspects.plot(train[0], class_names=names)
            files.append(_drawn(figure, out / "label_errors.png"))
    report(written(out, *files))


def _estimated(
    arguments: argparse.Namespace, classifier: Any, train: Any, test: Any
) -> tuple[Any, Any]:
    """The influence on the test samples, and the ranking of the training labels, by the method asked for."""
    from ..inspection import influence, label_errors, tracin

    common: dict[str, Any] = {"layers": arguments.layer, "verbose": 1}
    if arguments.method == "tracin":
        common["checkpoints"] = arguments.checkpoints
        found = tracin(classifier, train, test, explain=arguments.explain, **common)
        return found, label_errors(classifier, train, method="tracin", **common)
    damping = {"damping": arguments.damping}
    found = influence(classifier, train, test, explain=arguments.explain, **damping, **common)
    if arguments.layer is not None:  # of one layer, samples' influence on themselves is TracIn's
        return found, label_errors(classifier, train, method="tracin", **common)
    return found, label_errors(classifier, train, method="influence", **damping, **common)


def _explained(found: Any, explain: str) -> str:
    """Says whose loss was explained, and how to ask for the other."""
    wrong = int((found.test_predicted != found.test_labels).sum())
    whose, other = (
        ("class predicted", "label") if explain == "predicted" else ("label", "predicted")
    )
    return (
        f"Explained: the loss of the {whose} of {len(found.test_labels)} test samples, {wrong} of them "
        f"decided wrongly (--explain {other} for the other)."
    )


def _suspicious(suspects: Any) -> str:
    """Names the training samples whose labels look most wrong."""
    first = suspects.to_frame(3)
    columns = (first[name] for name in ("sample", "label", "predicted"))
    told = [
        f"{sample} (labelled {label}, predicted {predicted})"
        for sample, label, predicted in zip(*columns, strict=True)
    ]
    return f"Most suspicious training labels: {', '.join(told)}."


def _prototypes(arguments: argparse.Namespace, report: Report) -> None:
    import numpy as np

    from ..files import write_text
    from ..inspection import prototypes
    from ..network.activations import activations
    from .data import load_training_set

    out = Path(arguments.out)
    check_folder(arguments.out)
    classifier = load_classifier(arguments.model)
    x, y = load_training_set(arguments.data)
    check_fits(classifier, x, arguments.model)
    classes = _chosen_classes(arguments.classes, y)
    names = _names(arguments, y if classes is None else np.array(classes))
    found = prototypes(
        activations(classifier, x, arguments.layer, verbose=1),
        y,
        classes=classes,
        count=arguments.count,
        criticisms=arguments.criticisms,
        seed=arguments.seed,
    )
    write_text(out / "prototypes.csv", found.to_frame().to_csv(index=False))
    found.save(out / "prototypes.npz")
    for line in _lines(found, names):
        report(line)
    files = ["prototypes.csv", "prototypes.npz"]
    if x.ndim > 2:
        figure = found.plot(x, class_names=names, title=f"Layer {arguments.layer}")
        files.append(_drawn(figure, out / "prototypes.png"))
    report(written(out, *files))


def _lines(found: Any, names: list[str] | None) -> Iterator[str]:
    """What was found of each class, a line each."""
    from ..inspection.examples.names import label_name

    for row, label in enumerate(found.classes):
        chosen = found.prototypes[row][found.prototypes[row] >= 0].tolist()
        critics = found.criticisms[row][found.criticisms[row] >= 0].tolist()
        yield (
            f"{label_name(label, names)}: prototypes {', '.join(map(str, chosen))}; criticisms "
            f"{', '.join(map(str, critics)) or 'none'}; squared discrepancy "
            f"{found.mmd[row][len(chosen) - 1]:.3g}."
        )


def _chosen_classes(text: str | None, labels: Any) -> list[Any] | None:
    """The labels that --class names, by what the data call them."""
    import numpy as np

    if text is None:
        return None
    present = {str(label): label for label in np.unique(labels).tolist()}
    wanted = text.split(",")
    if lacking := [name for name in wanted if name not in present]:
        raise ValueError(
            f"--class must be among the labels: {', '.join(present)}. Received: {', '.join(lacking)}."
        )
    return [present[name] for name in wanted]


def _names(arguments: argparse.Namespace, *labels: Any) -> list[str] | None:
    """The class names given, which must be enough before anything is computed."""
    from ..inspection.examples.names import check_names

    names = arguments.class_names.split(",") if arguments.class_names else None
    check_names(names, *labels, name="--class-names")
    return names


def _classes_of(classifier: Any) -> Any:
    """The classes that a classifier of one output may predict."""
    import numpy as np

    shape = getattr(classifier, "output_shape", None)
    if not isinstance(shape, tuple) or not shape or not isinstance(shape[-1], int):
        return np.arange(0)
    return np.arange(max(shape[-1], 2))


def _drawn(figure: Any, path: Path) -> str:
    from .. import plotting

    plotting.save_figure(figure, path)
    return path.name
