"""Importing a large library where it is used, so that a broken one costs that use and nothing else."""

from __future__ import annotations

from importlib import import_module
from typing import Any

# What pip calls them.
_DISTRIBUTIONS = {"skimage": "scikit-image", "ot": "POT"}


def imported(module: str, use: str, *, otherwise: str | None = None) -> Any:
    """Returns a module of a library that is imported only where it is used.

    Args:
        module: Its dotted name.
        use: What needs it, to begin a sentence with.
        otherwise: What may be done without it, to go on with after "or".

    Raises:
        ImportError: If the import fails, whatever the library or those that it needs raise.

    Example:
        >>> imported("colorsys", "Drawing").__name__
        'colorsys'
    """
    try:
        return import_module(module)
    except Exception as error:  # a broken binary raises more kinds than ImportError
        library = module.split(".")[0]
        name = _DISTRIBUTIONS.get(library, library)
        other = f", or {otherwise}" if otherwise else ""
        raise ImportError(
            f"{use} needs {name}, which cannot be imported here: {error}. Install it anew, "
            f"`pip install --force-reinstall {name}`{other}."
        ) from error
