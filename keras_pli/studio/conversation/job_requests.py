"""What a page asks of long work: start, stop, the comparison after a retraining, and its report."""

from __future__ import annotations

from typing import Any

from ..jobs.comparison import comparison as compared
from ..jobs.decisions import kept_retraining, write_report
from ..jobs.retraining_result import RetrainingResult
from ..jobs.session_jobs import start_job, unfinished_retraining, waiting_retraining
from ..session.session import StudioSession
from .fields import Fields, Reply


def start(session: StudioSession, fields: Fields) -> Reply:
    """Begins a job; what becomes of it, events tell."""
    job = start_job(session, fields.text("job"), fields.record("options", default={}))
    return Reply({"job": job.told()})


def stop(session: StudioSession, fields: Fields) -> Reply:
    """Asks the job to end at its next batch or phase."""
    job = session.jobs.stop()
    return Reply({"job": None if job is None else job.told()})


def comparison(session: StudioSession, fields: Fields) -> Reply:
    """What became of the round's retraining, or `none`; with `round`, of the one that made that round.

    `changed` says whether the plan is another by now than the one that was trained.
    """
    made = _retraining(session, fields)
    if made is None:
        return Reply(compared(None))
    is_kept = fields.whole("round", default=None) is not None
    return Reply({**compared(made), "changed": not is_kept and made.plan != session.plan})


def report(session: StudioSession, fields: Fields) -> Reply:
    """The page of the round's retraining, as HTML that needs nothing beside; `round` as in `comparison`."""
    made = _retraining(session, fields)
    if made is None:
        raise ValueError("There is no report: nothing was retrained in this round.")
    return Reply({"html": write_report(session, made).read_text(encoding="utf-8")})


def job_state(session: StudioSession) -> dict[str, Any]:
    """The job that runs or ran last, and what came of retrainings, for a page that begins.

    `comparison` says whether there is one to compare; `unfinished` tells of one that could go on.
    """
    job, begun = session.jobs.current, unfinished_retraining(session)
    return {
        "job": None if job is None else job.told(),
        "comparison": waiting_retraining(session) is not None,
        "unfinished": None if begun is None else begun.told(),
    }


JOB_REQUESTS = {function.__name__: function for function in (start, stop, comparison, report)}


def _retraining(session: StudioSession, fields: Fields) -> RetrainingResult | None:
    number = fields.whole("round", least=0, default=None)
    return waiting_retraining(session) if number is None else kept_retraining(session, number)
