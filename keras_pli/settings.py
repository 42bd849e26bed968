"""Settings that belong together, each with its check, from which the identity of stored work is derived."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from .checks import checked_number, one_of
from .identity import value_identity

Metadata = Mapping[str, Any]


@dataclass(frozen=True)
class Settings:
    """What settings have in common: they are checked when they are made, and say what they are.

    A field's check stands in its metadata, as `number`, `choice` and `setting` write it. Every field counts
    for what `identity` returns, unless its metadata say that results do not depend on it.

    Example:
        >>> from dataclasses import field
        >>> @dataclass(frozen=True)
        ... class Walk(Settings):
        ...     steps: int = field(default=10, metadata=number(least=1, whole=True))
        ...     title: str = field(default="", metadata=setting(decides=False))
        >>> Walk(steps=3, title="a walk").identity()
        {'steps': 3}
        >>> Walk(steps=0)
        Traceback (most recent call last):
        ...
        ValueError: `steps` must be a whole number from 1. Received: 0.
    """

    def __post_init__(self) -> None:
        for item in fields(self):
            check = item.metadata.get("check")
            if check is not None:
                object.__setattr__(self, item.name, check(getattr(self, item.name), item.name))

    def identity(self) -> dict[str, Any]:
        """Returns every setting that results depend on, by name and in a form for JSON.

        Settings within settings have the names of both, with a dot between.
        """
        found: dict[str, Any] = {}
        for item in fields(self):
            value = getattr(self, item.name)
            if not item.metadata.get("decides", True):
                continue
            if isinstance(value, Settings):
                found |= {f"{item.name}.{name}": part for name, part in value.identity().items()}
            else:
                found[item.name] = value_identity(value)
        return found


def setting(check: Callable[[Any, str], Any] | None = None, *, decides: bool = True) -> Metadata:
    """Returns a field's metadata.

    Args:
        check: From a value and the setting's name to the value as it is kept; raises where it is not valid.
        decides: Whether results depend on the setting.
    """
    return {"check": check, "decides": decides}


def number(
    *,
    least: float = -np.inf,
    below: float = np.inf,
    whole: bool = False,
    optional: bool = False,
) -> Metadata:
    """Returns the metadata of a number in [least, below), or None where it is `optional`."""

    def check(value: Any, name: str) -> Any:
        if value is None and optional:
            return None
        return checked_number(value, name, least=least, below=below, whole=whole)

    return setting(check)


def choice(*options: Any) -> Metadata:
    """Returns the metadata of one of several options."""
    return setting(lambda value, name: one_of(value, options, name))


def group(kind: type[Settings]) -> Metadata:
    """Returns the metadata of settings within settings; None takes their defaults."""

    def check(value: Any, name: str) -> Settings:
        if value is None:
            return kind()
        if not isinstance(value, kind):
            raise TypeError(
                f"`{name}` must be {kind.__name__}(…). Received: {type(value).__name__}."
            )
        return value

    return setting(check)
