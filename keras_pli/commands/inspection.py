"""The command of inspection, with a kind for each thing that can be looked at."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from . import inspect_examples, inspect_features, inspect_landscape, inspect_maximization

# Each adds its kinds to the parser by `add_kinds`.
FAMILIES: tuple[ModuleType, ...] = (
    inspect_examples,
    inspect_features,
    inspect_landscape,
    inspect_maximization,
)


def add_commands(commands: Any) -> None:
    """Adds the command to the parser."""
    inspect = commands.add_parser(
        "inspect", help="what a network has learned: filters, top images, influence, landscape"
    )
    kinds = inspect.add_subparsers(required=True, metavar="KIND")
    for family in FAMILIES:
        family.add_kinds(kinds)
