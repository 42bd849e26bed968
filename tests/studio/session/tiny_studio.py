"""A session of a tiny classifier, and how a page talks to it."""

import keras
import numpy as np

from keras_pli.studio.conversation import Conversation
from keras_pli.studio.session.carrying import carried_over

SAMPLES, CLASSES = 60, 3


def linear(units: int, features: int, seed: int, name: str) -> keras.Model:
    model = keras.Sequential([keras.Input((features,)), keras.layers.Dense(units)], name=name)
    rng = np.random.default_rng(seed)
    model.set_weights([rng.normal(size=(features, units)), np.zeros(units)])
    return model


def ask(session, kind, **fields):
    reply = Conversation(session).ask({"id": 7, "kind": kind, **fields})
    assert reply.content["id"] == 7
    assert reply.content["ok"], reply.content
    return reply


def error_of(session, kind, **fields):
    reply = Conversation(session).ask({"id": 7, "kind": kind, **fields})
    assert not reply.content["ok"]
    return reply.content["error"]


def new_round(session, classifier=None, **how):
    """A round of the same classifier, or of a file; returns the note."""
    return session.new_round(
        session.round,
        classifier or session.round.folder / "classifier.keras",
        title="Kept",
        carried=lambda: carried_over(session.editor.entries, session.edited, **how),
    )[1]


SHIFT = {"type": "Shift", "selection": {"type": "ClassLabel", "label": 1}, "by": [2.0, -1.0]}
