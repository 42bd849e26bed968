"""The kind `landscape`: the loss surface around a model's solution, or on the line to another."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .files import (
    Report,
    add_out,
    add_samples,
    check_classes,
    check_fits,
    check_folder,
    load_classifier,
    positive,
    whole,
    written,
)


def add_kinds(kinds: Any) -> None:
    """Adds the kind to the parser."""
    landscape = kinds.add_parser(
        "landscape",
        help="the loss surface around a solution, and how sharp it is",
        description="Evaluates the loss around a model's weights in filter-normalised random directions, or "
        "on the line to another model's. Once interrupted, it goes on when run again with the same --out.",
    )
    landscape.add_argument("--model", required=True, help="the classifier, a .keras file")
    landscape.add_argument(
        "--data",
        required=True,
        help=".npz with x_train, y_train; the surface is of the training set",
    )
    add_samples(landscape, 1000)
    landscape.add_argument(
        "--lines",
        type=int,
        choices=(1, 2),
        default=2,
        help="directions: 1 for a curve, 2 for a surface (default: %(default)s)",
    )
    landscape.add_argument(
        "--grid", type=whole(2), default=25, help="points along each (default: %(default)s)"
    )
    landscape.add_argument(
        "--span",
        type=positive,
        default=1.0,
        help="how far to go both ways, in lengths of the filters (default: %(default)s)",
    )
    landscape.add_argument(
        "--between", metavar="OTHER.keras", help="the line to this model's weights instead"
    )
    landscape.add_argument(
        "--sharpness",
        action="store_true",
        help="largest Hessian eigenvalue, spectral density and ε-sharpness as well",
    )
    landscape.add_argument("--seed", type=whole(0), default=0, help="default: %(default)s")
    add_out(landscape)
    landscape.set_defaults(run=_landscape)


def _landscape(arguments: argparse.Namespace, report: Report) -> None:
    import numpy as np

    from .. import inspection, plotting
    from ..parts import PartFolder
    from ..retraining import loss_for

    check_folder(arguments.out)
    out = Path(arguments.out)
    model = load_classifier(arguments.model)
    x, y = _samples(arguments, model)
    options: dict[str, Any] = {"loss": loss_for(model), "metrics": ["accuracy"], "verbose": 1}
    stored, span = {**options, "store": out / "parts"}, arguments.span
    found: Any
    if arguments.between:
        other = load_classifier(arguments.between)
        steps = np.linspace(0, 1, arguments.grid)
        found = inspection.linear_interpolation(model, other, x, y, alphas=steps, **stored)
        report(f"Barrier between the solutions: {found.barrier:.4g}.")
    else:
        steps = np.linspace(-span, span, arguments.grid)
        slices = inspection.loss_line if arguments.lines == 1 else inspection.loss_surface
        found = slices(model, x, y, alphas=steps, seed=arguments.seed, **stored)
    name = "line" if found.losses.ndim == 1 else "surface"
    found.save(out / f"{name}.npz")
    ends = [Path(arguments.model).stem, Path(arguments.between or "").stem]
    drawn = found.plot(ends=ends) if arguments.between else found.plot()
    plotting.save_figure(drawn, out / f"{name}.png")
    PartFolder(out / "parts", "loss surface").clear()
    report(f"Loss from {np.nanmin(found.losses):.4g} to {np.nanmax(found.losses):.4g}.")
    names = [f"{name}.npz", f"{name}.png"]
    if arguments.sharpness:
        del options["metrics"]
        names += _sharpness(arguments, report, model, x, y, options)
    report(written(out, *names))


def _samples(arguments: argparse.Namespace, model: Any) -> tuple[Any, Any]:
    """The training samples that the surface is of."""
    from .data import load_training_set, positions_in

    x, y = load_training_set(arguments.data)
    chosen = positions_in(arguments, len(x))
    check_fits(model, x, arguments.model)
    check_classes(model, y, arguments.model)
    return x[chosen], y[chosen]


def _sharpness(
    arguments: argparse.Namespace, report: Report, model: Any, x: Any, y: Any, options: Any
) -> list[str]:
    """Writes the spectrum and says how sharp the solution is; returns the names of the files."""
    from .. import inspection, plotting
    from ..files import write_json

    out = Path(arguments.out)
    options = {**options, "seed": arguments.seed}
    top = inspection.hessian_eigenvalues(model, x, y, tolerance=1e-3, **options)
    spectrum = inspection.spectral_density(model, x, y, runs=1, **options)
    box = inspection.epsilon_sharpness(model, x, y, **options)
    report(
        f"Largest Hessian eigenvalue {top.values[0]:.4g}; ε-sharpness {box.sharpness:.4g} % at ε = "
        f"{box.epsilon:g}."
    )
    figures = {
        "largest_eigenvalue": float(top.values[0]),
        "residual": float(top.residuals[0]),
        "epsilon_sharpness": box.sharpness,
        "epsilon": box.epsilon,
        "loss": box.loss,
        "worst_loss": box.worst_loss,
    }
    write_json(out / "sharpness.json", figures)
    spectrum.save(out / "spectrum.npz")
    plotting.save_figure(spectrum.plot(), out / "spectrum.png")
    return ["sharpness.json", "spectrum.npz", "spectrum.png"]
