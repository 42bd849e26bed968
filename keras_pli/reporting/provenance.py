"""What a report was made from."""

from __future__ import annotations

import platform
from datetime import datetime, timezone
from typing import Any

import keras
import pandas as pd

from ..identity import identity_digest, model_identity
from ..version import __version__
from .context import Context, ReportedSet
from .section import Section, Shown

_LETTERS = 16  # of a digest


def given_by(model: keras.Model, data: Any, **told: Any) -> dict[str, Any]:
    """Returns what of a report's arguments it depends on, digests of the model and the data among it."""
    identity = model_identity(model)
    return {
        "model": model.name,
        "model digest": {name: text[:_LETTERS] for name, text in identity.items()},
        "data digest": identity_digest(data)[:_LETTERS],
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        **{name: value for name, value in told.items() if value is not None},
    }


def provenance(context: Context) -> Section:
    """Versions, digests, shapes, seeds and settings."""
    given = {name: value for name, value in context.provenance.items() if value is not None}
    rows = {
        "date": given.pop("date"),
        "keras_pli": __version__,
        "Keras": f"{keras.__version__}, {keras.backend.backend()}",
        **_tensorflow(),
        "Python": f"{platform.python_version()}, {platform.machine()}",
        "model": given.pop("model"),
        **{f"model, {name}": text for name, text in given.pop("model digest").items()},
        "parameters": f"{context.model.count_params():,}",
        "samples reported on": _set(context.test),
        "training samples": "none given" if context.train is None else _set(context.train),
        "classes": len(context.class_names),
        "layer of the map": context.layer,
        "seed": context.seed,
        **given,
    }
    table = pd.DataFrame({"": [str(value) for value in rows.values()]}, index=list(rows))
    belief = (
        "Digests are of the model's architecture and weights and of all samples given: with the same ones, "
        "versions and seed, the figures come out the same but for rounding."
    )
    return Section("Provenance", belief, (Shown("provenance", table),))


def _set(part: ReportedSet) -> str:
    shapes = [array.shape[1:] for array in keras.tree.flatten(part.x)]
    shape = shapes[0] if len(shapes) == 1 else tuple(shapes)
    drawn = "" if len(part) == part.total else f"{len(part):,}, drawn at random, of "
    return f"{drawn}{part.total:,} of shape {shape}"


def _tensorflow() -> dict[str, str]:
    import tensorflow as tf

    return {"TensorFlow": tf.__version__}
