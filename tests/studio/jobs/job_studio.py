"""How a page asks a session for jobs, and waits for them."""

import json

from keras_pli.studio.conversation import Conversation

NAMES = ("Coat", "Shirt", "Bag")


def ask(session, kind, **fields):
    reply = Conversation(session).ask({"id": 1, "kind": kind, **fields})
    json.dumps(reply.content, allow_nan=False)
    assert reply.content["ok"], reply.content
    return reply.content


def refused(session, kind, **fields):
    reply = Conversation(session).ask({"id": 1, "kind": kind, **fields})
    assert not reply.content["ok"]
    return reply.content["error"]


def ended(session, job, **options):
    """Starts a job, waits, and returns what it found."""
    begun = ask(session, "start", job=job, options=options)["job"]
    assert (begun["job"], begun["state"]) == (job, "running")
    found = session.jobs.wait(60)
    assert found.state == "done", found.error
    return found.told()["result"]


def plan_of(session, *changes):
    session.edit(lambda editor: editor.set(changes), complete=True)
