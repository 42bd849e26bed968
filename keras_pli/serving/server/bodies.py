"""The bodies of REST requests and answers: how long, how late, and how they are packed."""

from __future__ import annotations

import re
import zlib
from collections.abc import AsyncIterator

from anyio import move_on_after
from starlette.requests import Request

from .errors import ServingError

GZIP = ("gzip", "x-gzip")
LEAST_PACKED = 1024  # bytes
_GZIP_HEADER = 16 + zlib.MAX_WBITS


class UnknownEncodingError(Exception):
    """A Content-Encoding that is not taken, with the reason for the one who asked."""


def is_gzip(request: Request) -> bool:
    """Whether the body is packed by gzip; raises UnknownEncodingError if by anything else."""
    encoding = request.headers.get("content-encoding", "").strip().lower()
    if encoding in ("", "identity"):
        return False
    if encoding not in GZIP:
        raise UnknownEncodingError(
            f"The Content-Encoding {encoding[:80]!r} is not taken: a body is sent as it is, or by gzip."
        )
    return True


async def read(
    request: Request, stream: AsyncIterator[bytes], *, max_bytes: int, seconds: float
) -> bytes:
    """Returns the body as it was sent.

    Raises:
        ServingError: If it is longer than `max_bytes`, announced or not, or is not there after `seconds`.
    """
    announced = request.headers.get("content-length", "0")
    if announced.isdecimal():
        _check_length(int(announced), max_bytes)
    body = bytearray()
    with move_on_after(seconds) as late:
        async for chunk in stream:
            body += chunk
            _check_length(len(body), max_bytes)
    if late.cancelled_caught:
        raise ServingError(
            f"The body did not arrive within {seconds:g} seconds.", "DEADLINE_EXCEEDED"
        )
    return bytes(body)


def unpacked(body: bytes, *, max_bytes: int) -> bytes:
    """Returns what gzip packed, without unpacking more than is allowed.

    Raises:
        ServingError: If it is longer than `max_bytes`, or is not one whole gzip file.
    """
    unpacker = zlib.decompressobj(_GZIP_HEADER)
    try:
        text = unpacker.decompress(body, max_bytes + 1)
    except zlib.error as error:
        raise ServingError(f"The body is not gzip: {error}.") from None
    _check_length(len(text), max_bytes)
    if not unpacker.eof:
        raise ServingError("The body is gzip that ends too early.")
    if unpacker.unused_data:
        raise ServingError("The body has more after the end of the gzip file.")
    return text


def takes_gzip(request: Request) -> bool:
    """Whether the client reads an answer that is packed by gzip."""
    for part in request.headers.get("accept-encoding", "").lower().split(","):
        name, _, weight = part.partition(";")
        if name.strip() in GZIP:
            return re.fullmatch(r"\s*q\s*=\s*0(\.0*)?\s*", weight) is None
    return False


def packed(body: bytes) -> bytes:
    """Returns the gzip file of a body, made fast: it takes a fifth of the time that its JSON takes."""
    packer = zlib.compressobj(1, wbits=_GZIP_HEADER)
    return packer.compress(body) + packer.flush()


def _check_length(length: int, max_bytes: int) -> None:
    if length > max_bytes:
        raise ServingError(
            f"The body is larger than the limit of {max_bytes} bytes.", "RESOURCE_EXHAUSTED"
        )
