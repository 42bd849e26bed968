"""The studio in a notebook: the same page and the same messages as in a browser, over the kernel."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from ..optional import imported
from ..serving.server.workers import Workers
from .conversation import Conversation
from .session.session import StudioSession
from .view_source import module_source, style_source

NEEDS = "The studio in a notebook"
THREADS = 16  # they start when they are needed; some wait for a long explanation

_AnyWidget: Any = imported("anywidget", NEEDS, extra="notebook").AnyWidget
traitlets: Any = imported("traitlets", NEEDS, extra="notebook")

_log = logging.getLogger(__name__)


class StudioWidget(_AnyWidget):
    """Shows a session in Jupyter, JupyterLab, VS Code or Colab.

    Whatever the page asks for is computed in threads, so that the kernel stays free for other cells. While
    another cell runs, most notebooks keep a widget's messages waiting; what a job tells arrives all the same.

    Args:
        session: The session.

    Raises:
        ImportError: If anywidget is not installed.

    Example:
        >>> StudioWidget(session)  # doctest: +SKIP
    """

    _esm = traitlets.Unicode().tag(sync=True)
    _css = traitlets.Unicode().tag(sync=True)

    def __init__(self, session: StudioSession) -> None:
        self.session = session
        self._conversation = Conversation(session)
        self._workers = Workers(THREADS, "keras-pli-studio-widget")
        # ipykernel sends from any thread, but writes the parts of a message one after the other.
        self._sending = threading.Lock()
        super().__init__(_esm=module_source(), _css=style_source())
        self.on_msg(self._receive)
        self._unsubscribe = self._conversation.subscribe(self._tell)

    def close(self) -> None:
        """Takes the page away; the session stays open."""
        self._unsubscribe()
        self._workers.abandon()
        super().close()

    def _receive(self, _: Any, content: Any, buffers: Sequence[Any] | None) -> None:
        given = [bytes(buffer) for buffer in buffers or ()]
        self._workers.submit(self._answer, content, given)

    def _answer(self, content: Any, buffers: Sequence[bytes]) -> None:
        try:
            reply = self._conversation.ask(content, buffers)
            self._tell(reply.content, reply.buffers)
        except Exception as error:  # nobody waits for what the thread raises
            _log.exception("A message of the studio's page was not answered.")
            about = content.get("id") if isinstance(content, dict) else None
            told = f"{type(error).__name__}: {error}"
            self._tell({"id": about, "ok": False, "error": told})

    def _tell(self, content: Mapping[str, Any], buffers: Sequence[bytes] = ()) -> None:
        with self._sending:
            self.send(dict(content), list(buffers))
