"""What a page asks once a retraining is compared: keep it, discard it, go back to another round."""

from __future__ import annotations

from ..jobs.decisions import discard_retraining, go_to_round, keep_retraining
from ..session.session import StudioSession
from .fields import Fields, Reply
from .plan_state import plan_state
from .state_requests import round_state


def keep(session: StudioSession, fields: Fields) -> Reply:
    """Goes on from a retrained classifier; `note` says what of the plan was switched off by that."""
    return _where(session, keep_retraining(session, fields.text("arm", default="PLI")))


def discard(session: StudioSession, fields: Fields) -> Reply:
    """Removes the retraining; all else stays as it is."""
    discard_retraining(session)
    return _where(session)


def go_to(session: StudioSession, fields: Fields) -> Reply:
    """Looks at another round; `note` says what is lost of its plan."""
    return _where(session, go_to_round(session, fields.whole("round", least=0)))


DECISION_REQUESTS = {function.__name__: function for function in (keep, discard, go_to)}


def _where(session: StudioSession, note: str | None = None) -> Reply:
    return Reply({**round_state(session), "plan": plan_state(session), "note": note})
