"""The one exception of the server, which REST and gRPC each translate."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from ...checks import one_of

# The codes are gRPC's canonical names. TensorFlow Serving knows no limit on a REST body, in length or in
# time, and so has no 413 and no 408.
HTTP_STATUS = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "DEADLINE_EXCEEDED": 408,
    "RESOURCE_EXHAUSTED": 413,
    "INTERNAL": 500,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
}


class ServingError(Exception):
    """A request that cannot be answered, with the reason for the one who asked.

    Args:
        message: What was wrong and what exists.
        code: A key of `HTTP_STATUS`, which is also the name of a gRPC status code.

    Example:
        >>> error = ServingError("there is no such model", "NOT_FOUND")
        >>> error.http_status
        404
    """

    def __init__(self, message: str, code: str = "INVALID_ARGUMENT") -> None:
        super().__init__(message)
        self.code = one_of(code, HTTP_STATUS, "code")

    @property
    def http_status(self) -> int:
        """The status of an HTTP response with this error."""
        return HTTP_STATUS[self.code]

    @classmethod
    def from_tensorflow(cls, error: Any) -> ServingError:
        """Translates a `tf.errors.OpError` that a signature raised while it ran."""
        # A check in the graph sees the values; that a call fails for other reasons is ours.
        codes = {
            3: "INVALID_ARGUMENT",
            8: "RESOURCE_EXHAUSTED",
            11: "INVALID_ARGUMENT",
            12: "UNIMPLEMENTED",
        }
        return cls(useful_part(error.message), codes.get(error.error_code, "INTERNAL"))


def known(value: Any, options: Iterable[Any], name: str, *, code: str) -> Any:
    """Returns `value` if it is among `options`; the error names what exists and near names."""
    try:
        return one_of(value, options, name)
    except ValueError as error:
        raise ServingError(str(error), code) from None


def useful_part(message: str) -> str:
    """Drops the graph's node names and stack from a message of TensorFlow; values that it shows stay.

    Example:
        >>> useful_part(
        ...     "Graph execution error:\\n\\nDetected at node a/b defined at (most recent call last):"
        ...     "\\n<stack traces unavailable>\\nassertion failed: [image has NaN in rows] [0 3]"
        ...     "\\n\\t [[{{node a/b}}]] [Op:__inference_7]"
        ... )
        'image has NaN in rows [0 3]'
    """
    start = r"\A.*?<stack traces unavailable>\s*"
    end = r"\s*(\[\[\{\{node.*|\[Op:\w+\]\s*)\Z"
    text = re.sub(end, "", re.sub(start, "", message, flags=re.DOTALL), flags=re.DOTALL).strip()
    return re.sub(r"\Aassertion failed: \[(.*?)\](?= \[|\Z)", r"\1", text, flags=re.DOTALL)
