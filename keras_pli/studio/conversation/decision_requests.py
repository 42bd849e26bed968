"""What a page asks once a retraining is compared: keep it, discard it, go back to another round."""

from __future__ import annotations

from ..jobs.decisions import discard_retraining, go_to_round, keep_retraining
from ..session.session import StudioSession
from .fields import Fields, Reply
from .plan_state import plan_state
from .state_requests import round_state


def keep(session: StudioSession, fields: Fields) -> Reply:
    """Goes on from the retrained classifier."""
    keep_retraining(session)
    return _where(session)


def discard(session: StudioSession, fields: Fields) -> Reply:
    """Removes the retraining; all else stays as it is."""
    discard_retraining(session)
    return _where(session)


def go_to(session: StudioSession, fields: Fields) -> Reply:
    """Looks at another round."""
    go_to_round(session, fields.whole("round", least=0))
    return _where(session)


DECISION_REQUESTS = {function.__name__: function for function in (keep, discard, go_to)}


def _where(session: StudioSession) -> Reply:
    return Reply({**round_state(session), "plan": plan_state(session)})
