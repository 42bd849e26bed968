"""Kinds of inspection: filters, activation maps, and the places that activate channels the most."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .data import chosen_samples, load_samples
from .files import Report, add_out, add_samples, load_model, whole, written

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def add_kinds(kinds: Any) -> None:
    """Adds the kinds to the parser."""
    _add_filters(kinds)
    _add_receptive_field(kinds)
    _add_activations(kinds)
    _add_top(kinds)


def _add_filters(kinds: Any) -> None:
    filters = kinds.add_parser("filters", help="the kernels of layers, as arrays and pictures")
    _add_model(filters)
    filters.add_argument("--layer", help="one or several with commas between (default: all)")
    filters.add_argument(
        "--most", type=whole(1), default=64, help="filters drawn as images (default: %(default)s)"
    )
    filters.add_argument(
        "--slices", choices=("middle", "all"), default="middle", help="of filters of volumes"
    )
    filters.add_argument(
        "--scale",
        choices=("each", "all"),
        default="each",
        help="of the pictures: each filter's own, or one for all (default: %(default)s)",
    )
    add_out(filters)
    filters.set_defaults(run=_filters)


def _add_receptive_field(kinds: Any) -> None:
    fields = kinds.add_parser(
        "receptive-field", help="what of the input units of a layer can depend on"
    )
    _add_model(fields)
    fields.add_argument("--layer", required=True, help="name or path, such as backbone/conv3")
    fields.add_argument(
        "--positions",
        nargs="+",
        metavar="POSITION",
        help="in the layer's output, such as 0,0 3,5 (default: the central one)",
    )
    fields.add_argument(
        "--input-shape", help="of one sample where the model leaves it open, such as 64,64,3"
    )
    fields.add_argument(
        "--out",
        default=argparse.SUPPRESS,  # without it there is no folder to check
        help="folder for the fields and their picture (default: none)",
    )
    fields.set_defaults(run=_receptive_field)


def _add_activations(kinds: Any) -> None:
    maps = kinds.add_parser(
        "activations", help="the maps of a layer for some samples, the strongest first"
    )
    _add_model_and_data(maps)
    maps.add_argument(
        "--measure", default="mean_positive", help="of strength (default: %(default)s)"
    )
    maps.add_argument(
        "--most", type=whole(1), default=8, help="maps drawn of a sample (default: %(default)s)"
    )
    add_samples(maps, 8)
    add_out(maps)
    maps.set_defaults(run=_activations)


def _add_top(kinds: Any) -> None:
    top = kinds.add_parser(
        "top", help="the places in the data that activate each channel of a layer the most"
    )
    _add_model_and_data(top)
    top.add_argument(
        "--k", type=whole(1), default=9, help="places a channel (default: %(default)s)"
    )
    top.add_argument(
        "--places-per-sample",
        type=whole(1),
        default=1,
        help="of these, how many may lie in one sample (default: %(default)s)",
    )
    top.add_argument(
        "--no-projections", action="store_true", help="crops alone, without deconvnet projections"
    )
    add_out(top)
    top.set_defaults(run=_top)


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", required=True, help="any Keras model, a .keras file")


def _add_model_and_data(parser: argparse.ArgumentParser) -> None:
    _add_model(parser)
    parser.add_argument("--data", required=True, help=".npz with x_test or x, and perhaps labels")
    parser.add_argument(
        "--set",
        choices=("train", "test"),
        default="test",
        help="x_train or x_test of --data; a file with x alone has one (default: %(default)s)",
    )
    parser.add_argument("--layer", required=True, help="name or path, such as backbone/conv3")
    parser.add_argument("--channels", help="such as 0,3,7 (default: all; of `top` the first 16)")
    parser.add_argument("--batch-size", type=whole(1), default=64, help="default: %(default)s")


def _filters(arguments: argparse.Namespace, report: Report) -> None:
    from .. import plotting
    from ..files import write_arrays
    from ..inspection import filters, layers_with_filters, plot_filters

    out, model = Path(arguments.out), load_model(arguments.model)
    named = arguments.layer.split(",") if arguments.layer else layers_with_filters(model)
    paths = [path.strip() for path in named]
    if not paths:
        raise ValueError(f"{arguments.model} has no layer with filters.")
    kernels = {path: filters(model, path) for path in paths}
    write_arrays(out / "filters.npz", kernels)
    names = ["filters.npz"]
    for path, kernel in kernels.items():
        report(f"{path}: {' x '.join(map(str, kernel.shape))}")
        if kernel.ndim > 2:  # others are no pictures
            figure = plot_filters(
                model,
                path,
                most=arguments.most,
                slices=arguments.slices,
                scale=arguments.scale,
            )
            names.append(f"filters-{path.replace('/', '-')}.png")
            plotting.save_figure(figure, out / names[-1])
    report(written(out, *names))


def _receptive_field(arguments: argparse.Namespace, report: Report) -> None:
    from .. import plotting
    from ..inspection import receptive_fields

    model = load_model(arguments.model)
    shape = _numbers(arguments.input_shape, "--input-shape") if arguments.input_shape else None
    given = arguments.positions
    found = receptive_fields(
        model,
        arguments.layer,
        [_numbers(one, "--positions") for one in given] if given else "central",
        input_shape=shape,
    )
    for place, start, stop in zip(found.positions, found.starts, found.stops, strict=True):
        size = " x ".join(map(str, stop - start))
        spans = " ".join(f"{a}:{b}" for a, b in zip(start, stop, strict=True))
        report(f"{found.about['layer']} at {','.join(map(str, place))}: {size}, entries {spans}")
    if found.about["overestimated"]:
        report(f"Too large where these are passed: {', '.join(found.about['overestimated'])}.")
    if "out" in arguments:
        out = Path(arguments.out)
        found.save(out / "fields.npz")
        plotting.save_figure(found.plot(), out / "fields.png")
        report(written(out, "fields.npz", "fields.png"))


def _activations(arguments: argparse.Namespace, report: Report) -> None:
    from .. import plotting
    from ..inspection import activation_maps

    out, model = Path(arguments.out), load_model(arguments.model)
    x, _ = chosen_samples(arguments, arguments.set)
    found = activation_maps(
        model,
        x,
        arguments.layer,
        channels=_channels(arguments.channels),
        measure=arguments.measure,
        batch_size=arguments.batch_size,
    )
    for sample in range(len(x)):
        strongest = ", ".join(map(str, found.strongest(sample, 3)))
        report(f"sample {sample}: channels {strongest} are the strongest")
    found.save(out / "activations.npz")
    names = ["activations.npz"]
    if found.maps.ndim > 2:  # a layer without positions has no maps to draw
        plotting.save_figure(found.plot(most=arguments.most), out / "activations.png")
        names.append("activations.png")
    report(written(out, *names))


def _top(arguments: argparse.Namespace, report: Report) -> None:
    from .. import plotting
    from ..files import write_text
    from ..inspection import top_activations

    out, model = Path(arguments.out), load_model(arguments.model)
    x, labels = load_samples(arguments.data, arguments.set)
    found = top_activations(
        model,
        x,
        arguments.layer,
        labels=labels,
        channels=_channels(arguments.channels),
        k=arguments.k,
        places_per_sample=arguments.places_per_sample,
        project=False if arguments.no_projections else None,
        batch_size=arguments.batch_size,
        verbose=1,
    )
    found.save(out / "top.npz")
    write_text(out / "top.csv", found.to_frame().to_csv(index=False))
    names = ["top.npz", "top.csv"]
    if x.ndim > 2:  # a table has no picture
        plotting.save_figure(found.plot(channels=len(found.channels)), out / "top.png")
        names.append("top.png")
    report(
        f"{found.about['seen']} samples, {len(found.channels)} channels of {found.about['layer']}"
    )
    report(written(out, *names))


def _channels(text: str | None) -> NDArray[np.intp] | None:
    import numpy as np

    return None if text is None else np.array(_numbers(text, "--channels"))


def _numbers(text: str, name: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ValueError(
            f"{name} must be numbers with commas between, such as 0,3,7. Received: {text!r}."
        ) from None
