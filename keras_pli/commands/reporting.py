"""The command of the report on a classifier."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .data import load_data
from .files import Report, add_out, load_classifier, whole, written


def add_commands(commands: Any) -> None:
    """Adds the command to the parser."""
    parser = commands.add_parser(
        "report-model",
        help="one page of what can be said about a classifier",
        description="Writes model_report.html: confusion, worst errors with attributions and their checks, "
        "the map, suspected labels, filters, top images, maximising images, sharpness, provenance. A part "
        "that fails loses no other: the page says so, and the command ends with 1.",
    )
    parser.add_argument("--model", required=True, help="the classifier, a .keras file")
    parser.add_argument("--data", required=True, help=".npz with x_train, y_train, x_test, y_test")
    parser.add_argument("--layer", help="name or path of the layer of the map (default: logits)")
    parser.add_argument(
        "--parts",
        help="with commas between: confusion, errors, map, labels, filters, top_images, maximizing, "
        "sharpness, provenance (default: all)",
    )
    parser.add_argument("--class-names", help="names of the classes, with commas between")
    parser.add_argument("--output", help="name of the output, where the model has several")
    parser.add_argument("--title", help="heading of the page")
    parser.add_argument(
        "--samples",
        type=whole(1),
        default=2000,
        help="most samples of a set; of more, so many at random (default: %(default)s)",
    )
    parser.add_argument("--seed", type=whole(0), default=0, help="default: %(default)s")
    add_out(parser)
    parser.set_defaults(run=_report_model)


def _report_model(arguments: argparse.Namespace, report: Report) -> None:
    from .. import reporting

    model, data = load_classifier(arguments.model), load_data(arguments.data)
    found = reporting.report(
        model,
        data,
        Path(arguments.out),
        parts=_listed(arguments.parts),
        layer=arguments.layer,
        class_names=_listed(arguments.class_names),
        output=arguments.output,
        samples=arguments.samples,
        seed=arguments.seed,
        title=arguments.title,
        about={"model file": Path(arguments.model).name, "data file": Path(arguments.data).name},
        verbose=1,
    )
    for line in found.summary:
        report(line)
    report(written(Path(arguments.out), reporting.PAGE))
    if found.errors:
        told = "; ".join(f"{name}: {found.parts[name].reason}" for name in found.errors)
        raise RuntimeError(f"The page is written, without what failed. {told}")


def _listed(text: str | None) -> list[str] | None:
    return None if text is None else [part.strip() for part in text.split(",")]
