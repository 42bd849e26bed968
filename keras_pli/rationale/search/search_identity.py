"""What must agree for batches of rationales that were found at different times to belong together."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from ...identity import model_identity
from ...parts import PartFolder, PartWriter, digest
from ...version import __version__

if TYPE_CHECKING:
    from .rationale_generator import RationaleGenerator


def parts_writer(
    store: str | Path, search: RationaleGenerator, images: NDArray[Any], aims: NDArray[Any]
) -> AbstractContextManager[PartWriter]:
    """Yields what keeps a search's finished batches, while no other process may.

    Args:
        store: Folder of the batches.
        search: The generator of rationales.
        images: The images, as checked.
        aims: Target classes or cutoffs, as checked.

    Raises:
        ValueError: If it holds batches of other models, settings, images or targets, or of another version.
        RuntimeError: If another process is writing there.
    """
    return PartFolder(Path(store), "rationales").writing(search_identity(search, images, aims))


def search_identity(
    search: RationaleGenerator, images: NDArray[Any], aims: NDArray[Any]
) -> dict[str, Any]:
    """Returns all that a search depends on, by name and in a form for JSON."""
    models = {
        f"{name}.{what}": told
        for name in ("generator", "encoder", "classifier")
        for what, told in model_identity(getattr(search, name)).items()
    }
    return {
        **models,
        **search.settings.identity(),
        "images": digest(images),
        "targets": digest(aims),
        "keras_pli": __version__,
    }
