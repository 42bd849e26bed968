"""Names of files made from texts of the user's, which stay in the folder that they are meant for."""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence

_LONGEST = 50  # of a text; file systems take 255 bytes, and a character has up to four


def file_name(text: str) -> str:
    """Returns a text as a file's name without an ending: letters, digits, and `. _ - + = , ( )` and spaces.

    What has to be changed gets a digest of the text behind it, so that two texts never share a name.

    Example:
        >>> file_name("grad_cam"), file_name("../a/b")
        ('grad_cam', '_a_b-f27172e6')
    """
    # A dot in front hides a file, and two of them climb; Windows drops dots and spaces at the end.
    plain = re.sub(r"[^\w.+=,() -]", "_", text).strip(". ")[:_LONGEST].strip(". ")
    return plain if plain == text and text else f"{plain}-{_digest(text)}"


def file_names(texts: Iterable[Sequence[str]]) -> list[str]:
    """Returns a file's name for each of several texts in parts; the parts are joined by `_`.

    Names that would be the same, or differ in case only, get a digest of their parts.

    Example:
        >>> file_names([("saliency", "0"), ("a", "b_c"), ("a_b", "c")])
        ['saliency_0', 'a_b_c-cb4d6ebb', 'a_b_c-9ff992be']
    """
    given = [tuple(parts) for parts in texts]
    names = [file_name("_".join(parts)) for parts in given]
    counts = Counter(name.casefold() for name in names)
    return [
        name if counts[name.casefold()] == 1 else f"{name}-{_digest(repr(parts))}"
        for name, parts in zip(names, given, strict=True)
    ]


def _digest(text: str) -> str:
    return f"{zlib.crc32(text.encode(errors='surrogatepass')):08x}"
