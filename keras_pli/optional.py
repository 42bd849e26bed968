"""Importing a large library where it is used, so that a broken one costs that use and nothing else."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from typing import Any

# What pip calls them.
_DISTRIBUTIONS = {"skimage": "scikit-image", "ot": "POT"}


def imported(
    module: str, use: str, *, otherwise: str | None = None, extra: str | None = None
) -> Any:
    """Returns a module of a library that is imported only where it is used.

    Args:
        module: Its dotted name.
        use: What needs it, to begin a sentence with.
        otherwise: What may be done without it, to go on with after "or".
        extra: The extra of this package that brings it, named where it is not installed at all.

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
        if extra and _is_missing(library):
            raise ImportError(
                f'{use} needs {name}, which is not installed: `pip install "keras-pli[{extra}]"`{other}.'
            ) from error
        raise ImportError(
            f"{use} needs {name}, which cannot be imported here: {error}. Install it anew, "
            f"`pip install --force-reinstall {name}`{other}."
        ) from error


def _is_missing(library: str) -> bool:
    try:
        return find_spec(library) is None
    except ValueError:  # it stands in `sys.modules` without a place of its own
        return library not in sys.modules or sys.modules[library] is None
