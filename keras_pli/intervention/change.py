"""What all entries of a plan share: a reason, checked fields, and a name to be stored by."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

from .values import text


class ChangeMisfitError(ValueError):
    """A change of a plan does not fit the points.

    Args:
        place: Its number among the changes, from 1.
        told: What it is, and of how many.
        why: Why it does not fit, a sentence.
    """

    def __init__(self, place: int, told: str, why: str) -> None:
        super().__init__(f"{told}: {why}")
        self.place, self.why = place, why


@dataclass(frozen=True)
class Change:
    """One entry of a plan: a move on the map (`Move`), or a change of the training data (`DataChange`).

    A subclass is a frozen dataclass that says in `__str__` what it does, in words. Fields whose metadata hold
    `convert`, a function of value and name, are converted when the change is made; every field that is a
    `Selection` selects points. Changes are known by their class name in stored plans, the caller's own too,
    once they are defined.

    Args:
        reason: Why the change is made, a sentence kept with it.
    """

    reason: str | None = field(default=None, kw_only=True, metadata={"convert": text})

    kinds: ClassVar[dict[str, type[Change]]] = {}

    def __init_subclass__(cls, *, abstract: bool = False, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if abstract:
            return
        known = Change.kinds.get(cls.__name__)
        # A notebook cell run twice defines its class twice; only another module's name is a clash.
        if known is not None and known.__module__ != cls.__module__:
            raise TypeError(
                f"There is a change named {cls.__name__!r} already, in {known.__module__}."
            )
        Change.kinds[cls.__name__] = cls

    def __post_init__(self) -> None:
        for entry in fields(self):
            convert = entry.metadata.get("convert")
            if convert is not None:
                value = convert(getattr(self, entry.name), entry.name)
                object.__setattr__(self, entry.name, value)
