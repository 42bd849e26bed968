"""Answers what pages ask of a session. Nothing here knows how messages travel."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..session.events import Subscriber
from ..session.folder import writing_in
from ..session.session import StudioSession
from .decision_requests import DECISION_REQUESTS
from .fields import Fields, Reply
from .framing import check_sendable
from .job_requests import JOB_REQUESTS, job_state
from .plan_requests import PLAN_REQUESTS
from .plan_state import plan_state
from .sample_requests import SAMPLE_REQUESTS
from .state_requests import STATE_REQUESTS, round_state

_log = logging.getLogger(__name__)

REQUESTS: Mapping[str, Callable[[StudioSession, Fields], Reply]] = {
    **STATE_REQUESTS,
    **PLAN_REQUESTS,
    **JOB_REQUESTS,
    **DECISION_REQUESTS,
    **SAMPLE_REQUESTS,
}


class Conversation:
    """Answers requests, in whatever thread they come, and passes events on.

    Args:
        session: What they are about.

    Example:
        >>> reply = Conversation(session).ask({"id": 1, "kind": "undo"})  # doctest: +SKIP
        >>> reply.content["error"]  # doctest: +SKIP
        'There is nothing to undo: this is where the plan began.'
    """

    def __init__(self, session: StudioSession) -> None:
        self.session = session

    def ask(self, content: Any, buffers: Sequence[bytes] = ()) -> Reply:
        """Returns the answer to a request; an error is an answer too.

        Args:
            content: The request: `kind`, `id`, and what the kind asks for.
            buffers: Bytes that came with it.

        Returns:
            A `Reply` with `id`, and `ok` true, or false beside `error`, a sentence.
        """
        if not isinstance(content, dict):
            content = {"kind": content}
        about = {"id": None}
        try:
            check_sendable(content)
            about = {"id": content.get("id")}
            found = REQUESTS.get(str(content.get("kind")))
            if found is None:
                raise ValueError(f"There is no request {content.get('kind')!r:.80}.")
            with writing_in(self.session.folder.path):
                answer = found(self.session, Fields(content, buffers))
            return Reply({**about, "ok": True, **answer.content}, answer.buffers)
        except (ValueError, TypeError, OSError, RuntimeError, ImportError) as error:
            _log.info("The request %r failed.", content.get("kind"), exc_info=True)
            return Reply({**about, "ok": False, "error": str(error)})
        except Exception as error:
            _log.exception("The request %r failed.", content.get("kind"))
            told = f"{type(error).__name__}: {error}"
            return Reply({**about, "ok": False, "error": f"The studio itself failed, {told}"})

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Lets a function be called with every event, and returns what ends that."""

        def tell(content: dict[str, Any], buffers: Sequence[bytes]) -> None:
            subscriber({**content, **self._news(content["event"])}, buffers)

        return self.session.events.subscribe(tell)

    def _news(self, event: str) -> dict[str, Any]:
        """What pages are told with an event of which the session says only that it happened."""
        if event == "plan":
            return {"plan": plan_state(self.session)}
        if event == "round":
            session = self.session
            return {**round_state(session), **job_state(session), "plan": plan_state(session)}
        return {}
