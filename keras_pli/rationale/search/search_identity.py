"""What must agree for batches of rationales that were found at different times to belong together."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from ...parts import PartFolder, digest

if TYPE_CHECKING:
    from .rationale_generator import RationaleGenerator

# Settings of a `RationaleGenerator` that change what it finds, be it by rounding, or how it is cut in parts.
SETTINGS = (
    "classifies",
    "similarity_weight",
    "similarity_half_life",
    "steps",
    "learning_rate",
    "refine",
    "polish",
    "starts",
    "start_spread",
    "path_points",
    "reconstruction_limit",
    "seed",
)


def claimed_parts(
    store: str | Path, search: RationaleGenerator, images: NDArray[Any], aims: NDArray[Any]
) -> PartFolder:
    """Returns the folder of a search's finished batches.

    Args:
        store: Where they are.
        search: The generator of rationales.
        images: The images, as checked.
        aims: Target classes or cutoffs, as checked.

    Raises:
        ValueError: If it holds batches of other weights, settings, images or targets.
    """
    parts = PartFolder(Path(store), "rationales")
    parts.claim(search_identity(search, images, aims))
    return parts


def search_identity(
    search: RationaleGenerator, images: NDArray[Any], aims: NDArray[Any]
) -> dict[str, Any]:
    """Returns what a search works with, in a form for JSON: weights, settings, images and targets."""
    networks = ("generator", "encoder", "classifier")
    weights = {name: digest(*getattr(search, name).get_weights()) for name in networks}
    decision = {name: value for name, value in vars(search.decision).items() if name != "network"}
    loss = search.refine_loss
    return {
        **weights,
        **decision,
        **{name: getattr(search, name) for name in SETTINGS},
        "batch_size": search.runner.batch_size,
        "jit_compile": search.runner.jit_compile,
        "task": search.decision.task,
        "refine_loss": getattr(loss, "__qualname__", type(loss).__name__),
        "images": digest(images),
        "targets": digest(aims),
    }
