"""Plans as JSON: what is written, and the checks that a stored text must pass to be read."""

from __future__ import annotations

import json
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

from ..checks import one_of, quoted
from .change import Change
from .selection import SELECTION_KINDS, Selection

FORMAT = "keras_pli.InterventionPlan"
VERSION = 2
# In the first version there were moves alone.
LISTS = {1: "moves", 2: "changes"}
_PLAIN: frozenset[type] = frozenset({int, float, str, bool})


def to_json(changes: Sequence[Change]) -> str:
    """Returns the JSON text of a plan, one change a line.

    Raises:
        ValueError: If a change holds a function, which JSON cannot hold; the change is named.
    """
    lines = [
        f"    {change_text(change, _Numbered(place, change))}"
        for place, change in enumerate(changes, start=1)
    ]
    listed = "[\n" + ",\n".join(lines) + "\n  ]" if lines else "[]"
    return f'{{\n  "format": "{FORMAT}",\n  "version": {VERSION},\n  "{LISTS[VERSION]}": {listed}\n}}\n'


def change_text(change: Change, where: object) -> str:
    """Returns the JSON text of a change, which is made once and kept as long as the change lives.

    Args:
        change: The change.
        where: What it is called in errors.

    Raises:
        ValueError: If it holds a function.
    """
    kept = _TEXTS.get(id(change))
    if kept is not None:
        return kept
    text = _TEXTS[id(change)] = json.dumps(as_record(change, where))
    weakref.finalize(change, _TEXTS.pop, id(change), None)
    return text


# By the identity of a change, which never changes; comparing long lists of points would take as long as
# writing them.
_TEXTS: dict[int, str] = {}


@dataclass(frozen=True)
class _Numbered:
    """What a change is called, in words that are made only where an error needs them."""

    place: int
    change: Change

    def __str__(self) -> str:
        return f"change {self.place}, {self.change}"


def from_json(text: str, source: str) -> list[Change]:
    """Returns the changes that a JSON text holds.

    Args:
        text: What `to_json` returned.
        source: Where the text is from; quoted in the error.

    Raises:
        ValueError: If the text is damaged, of another format or version, or holds a change that is
            unknown or not valid.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{source} is not JSON: {error}") from error
    found = document.get("format") if isinstance(document, dict) else None
    if found != FORMAT:
        raise ValueError(
            f"{source} holds no intervention plan: its format is {found!r}, not {FORMAT!r}."
        )
    version = document.get("version")
    if type(version) is not int or version not in LISTS:
        raise ValueError(
            f"{source} has version {version!r} of the format; "
            f"this keras_pli reads version {' and '.join(map(str, LISTS))}."
        )
    name = LISTS[version]
    listed = document.get(name)
    if not isinstance(listed, list):
        raise ValueError(f"{source} must hold a list of {name}. Received: {listed!r}.")
    return [
        change_of(record, f"{source}, {name[:-1]} {place}")
        for place, record in enumerate(listed, start=1)
    ]


def read(path: str | Path) -> str:
    """Returns the text of a file; raises ValueError with its path if it is not UTF-8."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text: {error}") from error


def as_record(value: Any, where: object) -> Any:
    """Returns a change or a selection as JSON holds it.

    Args:
        value: The change or selection, or one of its entries.
        where: What it is called in errors; its `str` is made only there.

    Raises:
        ValueError: If it holds a function.

    Example:
        >>> from keras_pli.intervention import Contract
        >>> as_record(Contract(3), "the change")
        {'type': 'Contract', 'selection': {'type': 'ClassLabel', 'label': 3}, 'factor': 0.5}
    """
    if isinstance(value, Change | Selection):
        content = {field.name: getattr(value, field.name) for field in fields(value)}
        content["reason"] = content.pop("reason", None)
        kept = {
            name: as_record(entry, where) for name, entry in content.items() if entry is not None
        }
        return {"type": type(value).__name__, **kept}
    if isinstance(value, tuple):
        if set(map(type, value)) <= _PLAIN:  # thousands of indices
            return list(value)
        return [as_record(entry, where) for entry in value]
    if callable(value):
        raise ValueError(
            f"JSON cannot hold a function, so the plan cannot be stored: {where}. "
            f"Store the plan without it and add it again after loading."
        )
    return value


def change_of(record: Any, where: str) -> Change:
    """Returns the change that `as_record` made a record of.

    Raises:
        ValueError: If it is no such record, or its change is unknown or not valid.
    """
    change = _restored(record, Change.kinds, where)
    assert isinstance(change, Change)
    return change


def selection_of(record: Any, where: str) -> Selection:
    """Returns the selection that `as_record` made a record of; errors as in `change_of`.

    Example:
        >>> selection_of({"type": "Indices", "indices": [4, 7]}, "The message")
        Indices([4, 7])
    """
    selection = _restored(record, SELECTION_KINDS, where)
    assert isinstance(selection, Selection)
    return selection


def _restored(record: Any, kinds: Mapping[str, type], where: str) -> Any:
    if not isinstance(record, dict) or "type" not in record:
        raise ValueError(f"{where}: expected an object with a `type`. Received: {record!r}.")
    content = dict(record)
    try:
        kind = kinds[one_of(content.pop("type"), kinds, "type")]
        _check_names(kind, content)
        restored = {
            name: selection_of(entry, where) if isinstance(entry, dict) else entry
            for name, entry in content.items()
        }
        return kind(**restored)
    except (TypeError, ValueError) as error:
        prefix = "" if str(error).startswith(where) else f"{where}: "
        raise ValueError(f"{prefix}{error}") from error


def _check_names(kind: type, content: Mapping[str, Any]) -> None:
    for name in content:
        one_of(name, [field.name for field in fields(kind)], f"an entry of {kind.__name__}")
    missing = [f.name for f in fields(kind) if f.default is MISSING and f.name not in content]
    if missing:
        raise ValueError(f"{kind.__name__} lacks {quoted(missing)}.")
