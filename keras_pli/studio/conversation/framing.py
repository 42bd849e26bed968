"""A message with its buffers as one run of bytes, for a host that has no other way to send them together.

Four bytes hold the length of the JSON that follows, little-endian. Behind it come the buffers, whose lengths
the JSON lists under `buffers`. JSON and buffers are filled up so that each begins at a multiple of eight
bytes, where a page can take an array out of them as it is.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from typing import Any

_HEAD = struct.Struct("<I")
_UNIT = 8


def framed(content: Mapping[str, Any], buffers: Sequence[bytes] = ()) -> bytes:
    """Returns a message as bytes.

    Args:
        content: What JSON can hold; numbers must be finite.
        buffers: Bytes that belong to it.

    Raises:
        ValueError: If JSON cannot hold it; see `check_sendable`.

    Example:
        >>> unframed(framed({"kind": "hello"}, [b"abc"]))
        ({'kind': 'hello'}, [b'abc'])
    """
    about = {**content, "buffers": [len(buffer) for buffer in buffers]}
    text = _text(about)
    text += b" " * (-(_HEAD.size + len(text)) % _UNIT)
    parts = [_HEAD.pack(len(text)), text]
    for buffer in buffers:
        parts += [buffer, bytes(-len(buffer) % _UNIT)]
    return b"".join(parts)


def framed_reply(content: Mapping[str, Any], buffers: Sequence[bytes] = ()) -> bytes:
    """Returns an answer as bytes; one that JSON cannot hold becomes an error, which is a sentence too."""
    try:
        return framed(content, buffers)
    except ValueError as error:
        told = f"The studio's answer cannot be sent: {error}"
        return framed({"id": content.get("id"), "ok": False, "error": told})


def check_sendable(content: Any) -> None:
    """Raises a `ValueError` for what could be answered by no frame, were it kept: NaN, half a character.

    Example:
        >>> check_sendable({"reason": "cut \\ud83d"})
        Traceback (most recent call last):
        ...
        ValueError: The message holds half of a character (a lone surrogate): 'cut \\ud83d'.
    """
    _text(content)


def unframed(frame: bytes) -> tuple[dict[str, Any], list[bytes]]:
    """Returns the content and the buffers of a message.

    Raises:
        ValueError: If the bytes are no such message.
    """
    try:
        (length,) = _HEAD.unpack_from(frame)
        start = _HEAD.size + length
        content = json.loads(frame[_HEAD.size : start].decode())
        if not isinstance(content, dict) or "buffers" not in content:
            raise ValueError("it holds no object with the lengths of its `buffers`")
        sizes = content.pop("buffers")
        buffers = []
        for size in sizes:
            buffers.append(frame[start : start + size])
            start += size + -size % _UNIT
    except (struct.error, ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"The message cannot be read: {error!s:.200}.") from error
    if start != len(frame) or any(
        len(buffer) != size for buffer, size in zip(buffers, sizes, strict=True)
    ):
        raise ValueError(
            f"The message is cut, or longer than it says. Received {len(frame)} bytes, expected {start}."
        )
    return content, buffers


def _text(content: Any) -> bytes:
    # No NaN: JavaScript reads none. Characters as they are: a name takes what it takes in UTF-8.
    try:
        return json.dumps(content, allow_nan=False, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        near = error.object[max(0, error.start - 40) : error.end]
        cut = near[near.rfind('"') + 1 :]
        raise ValueError(
            f"The message holds half of a character (a lone surrogate): {cut!r}."
        ) from error
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"The message holds what JSON cannot: {error}.") from error
