"""The command that trains a map of a layer: embed."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .data import load_training_set
from .files import (
    Report,
    add_model_and_data,
    add_out,
    check_fits,
    load_classifier,
    whole,
    written,
)

if TYPE_CHECKING:
    from ..embedding import ParametricEmbedding

# Of each objective, the options that it alone takes, by the names that Python has for them.
OPTIONS = {
    "tsne": {"perplexity": "--perplexity", "paper": "--paper"},
    "umap": {"n_neighbors": "--neighbors", "min_dist": "--min-dist"},
    "contrastive": {"n_neighbors": "--neighbors", "spectrum": "--spectrum"},
}


def add_command(commands: Any) -> None:
    """Adds the command to the parser."""
    embed = commands.add_parser("embed", help="train a parametric map of a layer, draw it")
    add_model_and_data(embed)
    add_out(embed)
    embed.add_argument(
        "--objective",
        choices=tuple(OPTIONS),
        default="tsne",
        help="what the map is to keep (default: %(default)s)",
    )
    _add_options_of_objectives(embed)
    embed.add_argument(
        "--metric",
        choices=("euclidean", "cosine"),
        default="euclidean",
        help="of the distances between activations (default: %(default)s)",
    )
    embed.add_argument(
        "--smooth",
        action="store_true",
        help="a smaller network, whose map is less faithful and can be followed by retraining",
    )
    embed.add_argument(
        "--epochs",
        type=_number_or_auto,
        help="a number, or `auto` (default: auto; with --paper 10, with --smooth 5)",
    )
    embed.add_argument(
        "--batch-size",
        type=_number_or_auto,
        help="a number, or `auto` (default: auto, which is 1000 or all points, of tsne more from 10,000 "
        "points on; with --paper 500, with --smooth 1000)",
    )
    embed.add_argument(
        "--thumbnails",
        action="store_true",
        help="of images: thumbnails.png as well, the map with the images on it",
    )
    embed.add_argument("--class-names", help="names of the classes, with commas between")
    embed.add_argument("--seed", type=whole(0), default=0, help="default: %(default)s")
    embed.set_defaults(
        run=_embed, check=partial(_check_options, embed), backends=("tensorflow", "jax")
    )


def _add_options_of_objectives(embed: argparse.ArgumentParser) -> None:
    embed.add_argument(
        "--perplexity",
        type=float,
        nargs="+",
        metavar="P",
        help="tsne: effective number of neighbours, or several to average (default: 50)",
    )
    embed.add_argument(
        "--paper",
        action="store_true",
        default=None,
        help="tsne: the settings of Hinterreiter et al. (2020)",
    )
    embed.add_argument(
        "--neighbors",
        dest="n_neighbors",
        type=whole(2),
        metavar="N",
        help="umap, contrastive: neighbours of a point (default: 15)",
    )
    embed.add_argument(
        "--min-dist", type=float, help="umap: how close neighbours may lie (default: 0.1)"
    )
    embed.add_argument(
        "--spectrum",
        type=float,
        help="contrastive: 0 for a map like t-SNE's, 1 for one like UMAP's (default: 0)",
    )


def _check_options(embed: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    """Ends with wrong usage where an option belongs to another objective."""
    taken = OPTIONS[arguments.objective]
    every = {name: flag for options in OPTIONS.values() for name, flag in options.items()}
    given = [flag for name, flag in every.items() if getattr(arguments, name) is not None]
    foreign = [flag for flag in given if flag not in taken.values()]
    if arguments.paper and arguments.smooth:
        embed.error("--paper and --smooth are two settings of the network: give one of them.")
    if foreign:
        embed.error(
            f"--objective {arguments.objective} takes no {', '.join(foreign)}. "
            f"Its options are {', '.join(taken.values())}."
        )


def _number_or_auto(text: str) -> int | str:
    if text == "auto":
        return text
    try:
        return whole(1)(text)
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(
            f"must be a whole number from 1, or `auto`. Received: {text!r}."
        ) from None


def _embed(arguments: argparse.Namespace, report: Report) -> None:
    from .. import activations, plotting, quality
    from ..files import atomic_path, write_arrays

    out = Path(arguments.out)
    embedder = _made(arguments)  # a bad number is met here, before anything is loaded
    classifier = load_classifier(arguments.model)
    x, labels = load_training_set(arguments.data)
    check_fits(classifier, x, arguments.model)
    if arguments.thumbnails and not _are_images(x):
        raise ValueError(
            f"--thumbnails draws images, (samples, height, width), grey or RGB. Received shape {x.shape}."
        )
    names = arguments.class_names.split(",") if arguments.class_names else None
    plotting.class_styles(labels, names)  # a class without a name is met here
    z = activations(classifier, x, arguments.layer)
    embedder.fit(z, epochs=arguments.epochs, batch_size=arguments.batch_size)
    embedding = embedder.predict(z, batch_size=1024, verbose=0)
    with atomic_path(out / "embedder.keras") as temporary:
        embedder.save(temporary)
    write_arrays(out / "embedding.npz", {"embedding": embedding, "labels": labels})
    drawn = plotting.embedding_map(embedding, labels, class_names=names)
    plotting.save_figure(drawn, out / "map.png")
    some = slice(0, 5000)
    trust = quality.trustworthiness(_as_compared(z[some], arguments.metric), embedding[some])
    report(
        f"{type(embedder).__name__} of {len(z)} points, {z.shape[1]} features of {arguments.layer!r}; "
        f"trustworthiness {trust:.3f}"
    )
    files = ["map.png", "embedding.npz", "embedder.keras"]
    if arguments.thumbnails:
        files.append("thumbnails.png")
        drawn = plotting.thumbnail_map(embedding, x, labels, class_names=names)
        plotting.save_figure(drawn, out / files[-1], dpi=300)
    report(written(out, *files))


def _are_images(x: Any) -> bool:
    return x.ndim == 3 or (x.ndim == 4 and x.shape[-1] in (1, 3))


def _made(arguments: argparse.Namespace) -> ParametricEmbedding:
    """The embedding that was asked for, untrained; what was not given is its own default."""
    from .. import ContrastiveEmbedding, ParametricTSNE, ParametricUMAP

    kinds = {"tsne": ParametricTSNE, "umap": ParametricUMAP, "contrastive": ContrastiveEmbedding}
    given = {name: getattr(arguments, name) for name in OPTIONS[arguments.objective]}
    settings = {name: value for name, value in given.items() if value is not None}
    if len(settings.get("perplexity", ())) == 1:
        (settings["perplexity"],) = settings["perplexity"]
    paper = settings.pop("paper", False)
    kind = kinds[arguments.objective]
    make = ParametricTSNE.paper if paper else kind.smooth if arguments.smooth else kind
    return make(metric=arguments.metric, seed=arguments.seed, **settings)


def _as_compared(z: Any, metric: str) -> Any:
    """Points whose Euclidean distances are in the order of those by which neighbours were found."""
    import numpy as np

    if metric == "euclidean":
        return z
    return z / np.maximum(np.linalg.norm(z, axis=1, keepdims=True), np.finfo(z.dtype).tiny)
