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

    Example:
        >>> unframed(framed({"kind": "hello"}, [b"abc"]))
        ({'kind': 'hello'}, [b'abc'])
    """
    about = {**content, "buffers": [len(buffer) for buffer in buffers]}
    # No NaN: JavaScript reads none. Characters as they are: a name takes what it takes in UTF-8.
    text = json.dumps(about, allow_nan=False, ensure_ascii=False).encode()
    text += b" " * (-(_HEAD.size + len(text)) % _UNIT)
    parts = [_HEAD.pack(len(text)), text]
    for buffer in buffers:
        parts += [buffer, bytes(-len(buffer) % _UNIT)]
    return b"".join(parts)


def unframed(frame: bytes) -> tuple[dict[str, Any], list[bytes]]:
    """Returns the content and the buffers of a message.

    Raises:
        ValueError: If the bytes are no such message.
    """
    try:
        (length,) = _HEAD.unpack_from(frame)
        start = _HEAD.size + length
        content = json.loads(frame[_HEAD.size : start].decode())
        sizes = content.pop("buffers")
        buffers = []
        for size in sizes:
            buffers.append(frame[start : start + size])
            start += size + -size % _UNIT
    except (struct.error, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"The message cannot be read: {error!r:.200}.") from error
    if start != len(frame) or any(
        len(buffer) != size for buffer, size in zip(buffers, sizes, strict=True)
    ):
        raise ValueError(
            f"The message is cut, or longer than it says. Received {len(frame)} bytes, expected {start}."
        )
    return content, buffers
