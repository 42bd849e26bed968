"""Where the server's log goes while somebody wants to see it: to standard error, each line once."""

from __future__ import annotations

import logging
import sys
import threading

_logger = logging.getLogger(__package__)
_lock = threading.Lock()
_open: list[RequestLog] = []


class RequestLog:
    """Shows what the server logs, from `open` to `close`.

    Several may be open at a time: the log stays shown until the last is closed, and is then as it was. It is
    not handed on to the root logger meanwhile, which Keras or TensorFlow may have given a handler of its own.

    Example:
        >>> log = RequestLog()
        >>> log.open()
        >>> logging.getLogger("keras_pli.serving.server").propagate
        False
        >>> log.close()
        >>> logging.getLogger("keras_pli.serving.server").propagate
        True
    """

    _handler: logging.Handler
    _before: tuple[int, bool]

    def open(self) -> None:
        """Begins to show the log."""
        with _lock:
            if not _open:
                RequestLog._handler = logging.StreamHandler(sys.stderr)
                RequestLog._before = _logger.level, _logger.propagate
                _logger.addHandler(RequestLog._handler)
                _logger.setLevel(logging.INFO)
                _logger.propagate = False
            _open.append(self)

    def close(self) -> None:
        """Ends it; a second time, or without `open`, does nothing."""
        with _lock:
            if self not in _open:
                return
            _open.remove(self)
            if not _open:
                _logger.removeHandler(RequestLog._handler)
                _logger.level, _logger.propagate = RequestLog._before
