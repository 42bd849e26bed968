"""The kind of inspection that searches for images which activate a unit most."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .files import Report, add_out, load_classifier, load_model, positive, whole, written


def add_kinds(kinds: Any) -> None:
    """Adds the kind to the parser."""
    maximise = kinds.add_parser(
        "maximise",
        help="images that activate classes or channels most",
        description="Searches for images that activate classes, or channels of a layer, most.",
    )
    maximise.add_argument("--model", required=True, help="the classifier, a .keras file")
    maximise.add_argument("--layer", help="path of the layer whose channels (default: the classes)")
    maximise.add_argument("--units", help="such as 0,3,7 (default: all, of a layer at most 64)")
    maximise.add_argument(
        "--generator", help="a .keras file from codes to images, to search among its images"
    )
    maximise.add_argument(
        "--range",
        type=float,
        nargs=2,
        default=(0.0, 1.0),
        metavar=("LOW", "HIGH"),
        help="values of pixels as the classifier takes them (default: 0 1)",
    )
    maximise.add_argument("--shape", help="of one input, such as 64,64,3, where the model is open")
    maximise.add_argument(
        "--steps", type=whole(1), default=256, help="steps of the search (default: %(default)s)"
    )
    maximise.add_argument(
        "--starts", type=whole(1), default=1, help="searches a unit (default: %(default)s)"
    )
    maximise.add_argument(
        "--learning-rate", type=positive, default=0.1, help="of Adam (default: %(default)s)"
    )
    maximise.add_argument(
        "--other", help="another classifier, trained from another seed, that is asked what it sees"
    )
    maximise.add_argument("--class-names", help="names of the classes, with commas between")
    maximise.add_argument("--seed", type=whole(0), default=0, help="default: %(default)s")
    add_out(maximise)
    maximise.set_defaults(run=_maximise)


def _whole_numbers(text: str | None, name: str) -> list[int] | None:
    try:
        return None if text is None else [int(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(
            f"{name} must be whole numbers with commas between. Received: {text!r}."
        ) from None


def _maximise(arguments: argparse.Namespace, report: Report) -> None:
    from .. import plotting
    from ..inspection import ActivationMaximization

    out = Path(arguments.out)
    names = arguments.class_names.split(",") if arguments.class_names else None
    if names is not None and arguments.layer is not None:
        raise ValueError("--class-names are of classes, and --layer asks for channels.")
    units = _whole_numbers(arguments.units, "--units")
    shape = _whole_numbers(arguments.shape, "--shape")
    search = ActivationMaximization(
        load_classifier(arguments.model),
        layer=arguments.layer,
        steps=arguments.steps,
        learning_rate=arguments.learning_rate,
        value_range=tuple(arguments.range),
        generator=None if arguments.generator is None else load_model(arguments.generator),
        shape=shape,
    )
    other = None if arguments.other is None else load_classifier(arguments.other)
    found = search(units, starts=arguments.starts, seed=arguments.seed, verbose=1)
    found.save(out / "maximised.npz")
    figure = found.plot(names)
    for row, unit in enumerate(found.units):
        report(f"{_name(unit, names)}: {_told(found, row)}")
    if other is not None:
        agreed = found.judged_by(other)["agrees"]
        report(f"{arguments.other} agrees on {agreed.sum()} of {len(agreed)}.")
    plotting.save_figure(figure, out / "maximised.png")
    report(written(out, "maximised.npz", "maximised.png"))


def _name(unit: Any, names: list[str] | None) -> str:
    return str(unit) if names is None else names[unit]


def _told(found: Any, row: int) -> str:
    """The activation of the best image of a unit, and what the classifier takes it for."""
    start = found.activations[row].argmax()
    text = f"activation {found.activations[row, start]:.4g}"
    shares = found.probabilities[row, start]
    if not len(shares):
        return text
    text += f", probability {shares[found.units[row]]:.3f}"
    taken = int(shares.argmax())
    return text if taken == found.units[row] else f"{text}; the classifier says {taken}"
