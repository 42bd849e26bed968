"""The command of rationales: images changed until the prediction is another."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .data import chosen_samples
from .files import Report, add_out, add_samples, load_model, whole, written


def add_commands(commands: Any) -> None:
    """Adds the command to the parser."""
    rationale = commands.add_parser(
        "rationale",
        help="images changed until the prediction is another",
        description="Changes images until the prediction is another. Once interrupted, it goes on when run "
        "again with the same --out.",
    )
    for name, what in (
        ("generator", "from codes to images"),
        ("encoder", "from images to codes"),
        ("classifier", "of codes or of images"),
    ):
        rationale.add_argument(f"--{name}", required=True, help=f"{what}, a .keras file")
    rationale.add_argument(
        "--data", required=True, help=".npz with x_test or x, images in the generator's range"
    )
    rationale.add_argument(
        "--target",
        type=float,
        help="the class to change to, or a regressor's cutoff (default: the runner-up)",
    )
    rationale.add_argument(
        "--confidence", type=float, default=0.9, help="probability to reach (default: %(default)s)"
    )
    rationale.add_argument(
        "--steps",
        type=whole(1),
        default=5000,
        help="most steps of the search (default: %(default)s)",
    )
    add_samples(rationale, 16)
    rationale.add_argument("--class-names", help="names of the classes, with commas between")
    rationale.add_argument("--seed", type=whole(0), default=0, help="default: %(default)s")
    add_out(rationale)
    rationale.set_defaults(run=_rationale)


def _rationale(arguments: argparse.Namespace, report: Report) -> None:
    from .. import plotting
    from ..files import write_text
    from ..parts import PartFolder
    from ..rationale import RationaleGenerator

    out = Path(arguments.out)
    names = arguments.class_names.split(",") if arguments.class_names else None
    search = RationaleGenerator(
        *(load_model(getattr(arguments, name)) for name in ("generator", "encoder", "classifier")),
        confidence=arguments.confidence,
        steps=arguments.steps,
        seed=arguments.seed,
        class_names=names,
    )
    images, _ = chosen_samples(arguments)
    found = search(images, arguments.target, store=out / "parts", verbose=1)
    for index, verdict in enumerate(found.verdicts):
        report(f"{index}: {verdict}")
    found.save(out / "rationales.npz")
    PartFolder(out / "parts", "rationales").clear()
    found.to_html(out / "rationales.html")
    write_text(out / "rationales.csv", found.to_frame().to_csv(index=False))
    plotting.save_figure(found.plot(), out / "rationales.png")
    report(written(out, *(f"rationales.{ending}" for ending in ("npz", "html", "csv", "png"))))
