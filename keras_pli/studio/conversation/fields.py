"""What a page asks for, read field by field with errors that quote it, and what it is answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...brief import brief
from ...checks import one_of


@dataclass(frozen=True)
class Reply:
    """An answer: what JSON holds, and arrays or pictures as bytes.

    Args:
        content: Fields of the answer.
        buffers: Its bytes, in the order that the kind of request says.
    """

    content: Mapping[str, Any]
    buffers: Sequence[bytes] = ()


class Fields:
    """The fields of a request.

    Args:
        content: The request as it came.
        buffers: Bytes that came with it.

    Example:
        >>> fields = Fields({"kind": "card", "index": 3})
        >>> fields.whole("index", least=0, most=9)
        3
        >>> fields.whole("size", least=1)
        Traceback (most recent call last):
        ...
        ValueError: The request 'card' lacks `size`, a whole number.
    """

    def __init__(self, content: Mapping[str, Any], buffers: Sequence[bytes] = ()) -> None:
        self._content, self.buffers = content, buffers

    @property
    def kind(self) -> str:
        """The kind of the request."""
        return str(self._content.get("kind"))

    def whole(
        self, name: str, *, least: int | None = None, most: int | None = None, default: Any = ...
    ) -> Any:
        """Returns a whole number; `default` where it is missing or null, if there is one."""
        value = self._given(name, "a whole number", default)
        if value is default:
            return value
        if isinstance(value, bool) or not isinstance(value, int):
            raise self._wrong(name, "a whole number", value)
        if (least is not None and value < least) or (most is not None and value > most):
            raise self._wrong(name, f"a whole number in {_range(least, most)}", value)
        return value

    def number(
        self,
        name: str,
        *,
        least: float | None = None,
        most: float | None = None,
        default: Any = ...,
    ) -> Any:
        """Returns a finite number; `default` where it is missing or null, if there is one."""
        value = self._given(name, "a number", default)
        if value is default:
            return value
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._wrong(name, "a number", value)
        low, high = (-1e300 if least is None else least), (1e300 if most is None else most)
        if not low <= value <= high:
            raise self._wrong(name, f"a number in {_range(least, most)}", value)
        return float(value)

    def text(self, name: str, *, options: Sequence[str] | None = None, default: Any = ...) -> Any:
        """Returns a text, one of the options if there are any."""
        value = self._given(name, "a text", default)
        if value is default:
            return value
        if not isinstance(value, str):
            raise self._wrong(name, "a text", value)
        return value if options is None else one_of(value, options, name)

    def flag(self, name: str, *, default: Any = ...) -> Any:
        """Returns true or false."""
        value = self._given(name, "true or false", default)
        if value is not default and not isinstance(value, bool):
            raise self._wrong(name, "true or false", value)
        return value

    def record(self, name: str, *, default: Any = ...) -> Any:
        """Returns an object."""
        value = self._given(name, "an object", default)
        if value is not default and not isinstance(value, dict):
            raise self._wrong(name, "an object", value)
        return value

    def listed(self, name: str, kind: type, *, most: int = 1_000_000, default: Any = ...) -> Any:
        """Returns a list of values of one type, `int`, `str` or `dict`."""
        value = self._given(name, "a list", default)
        if value is default:
            return value
        if not isinstance(value, list):
            raise self._wrong(name, f"a list of {_KINDS[kind]}", value)
        if len(value) > most:
            raise self._wrong(name, f"a list of at most {most:,} entries", _Count(len(value)))
        for each in value:
            if isinstance(each, bool) or not isinstance(each, kind):
                raise self._wrong(name, f"a list of {_KINDS[kind]}", each)
        return value

    def _given(self, name: str, what: str, default: Any) -> Any:
        value = self._content.get(name)
        if value is not None:
            return value
        if default is ...:
            raise ValueError(f"The request {self.kind!r} lacks `{name}`, {what}.")
        return default

    def _wrong(self, name: str, what: str, value: Any) -> ValueError:
        return ValueError(
            f"`{name}` of the request {self.kind!r} must be {what}. Received: {brief(value)}."
        )


_KINDS = {int: "whole numbers", str: "texts", dict: "objects"}


@dataclass(frozen=True)
class _Count:
    """How many entries came, in place of all of them."""

    entries: int

    def __repr__(self) -> str:
        return f"{self.entries:,} entries"


def _range(least: float | None, most: float | None) -> str:
    return f"[{'…' if least is None else least}, {'…' if most is None else most}]"
