"""What a page asks about samples: colours, cards, pictures, what decided about them, where classes lie."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from ..samples.columns import Column
from ..samples.confusions import confusions as all_confusions
from ..samples.fitting_methods import method_title
from ..samples.neighbors import NotYetError
from ..samples.pictures import LARGEST, Picture
from ..samples.samples import RoundSamples
from ..session.session import StudioSession
from .fields import Fields, Reply

MOST_PICTURES = 64
_MOST_METHODS = 20


def samples_state(session: StudioSession) -> dict[str, Any]:
    """What samples are, what they can be coloured by and explained by; for a page that begins."""
    found, pictures = _samples(session), session.samples.pictures
    names, default, why = [], [], None
    try:
        names, default = found.explanations.names, found.explanations.default
    except (ValueError, TypeError, NotImplementedError) as error:
        why = str(error)
    return {
        "kind": pictures.shape.kind,
        "no_pictures": pictures.shape.why or None,
        "columns": found.columns.names,
        "column_titles": found.columns.titles,
        "methods": names,
        "method_titles": {name: method_title(name) for name in names},
        "default_methods": default,
        "no_methods": why,
        "rationale": found.rationales is not None,
    }


def column(session: StudioSession, fields: Fields) -> Reply:
    """A value for each point: uint16 codes of categories, or float32 numbers, NaN where there is none.

    What takes a while is looked for in the background: the answer then is `pending`, to ask again.
    """
    name = fields.text("name")
    try:
        found = _samples(session).columns[name]
    except NotYetError as error:
        return Reply({"name": name, "pending": True, "words": str(error)})
    kind = "<f4" if found.kind == "number" else "<u2"
    return Reply(_column_state(found), [np.ascontiguousarray(found.values, dtype=kind).tobytes()])


def card(session: StudioSession, fields: Fields) -> Reply:
    """What is known of one sample."""
    index = _index(session, fields)
    count = fields.whole("neighbors", least=0, most=MOST_PICTURES, default=8)
    found = asdict(_samples(session).cards.of(index, neighbors=count))
    chances = [{"name": name, "p": p} for name, p in found["probabilities"]]
    return Reply({**found, "probabilities": chances, "neighbors": list(found["neighbors"])})


def pictures(session: StudioSession, fields: Fields) -> Reply:
    """Samples as PNG files; one that cannot be shown is empty, and an error if none of them can."""
    indices = fields.listed("indices", int, most=MOST_PICTURES)
    size = fields.whole("size", least=1, most=LARGEST, default=96)
    drawn: list[Picture] = []
    errors: dict[int, str] = {}
    for index in indices:
        try:
            drawn.append(session.samples.pictures.of(index, size=size))
        except ValueError as error:
            errors[index] = str(error)
            drawn.append(Picture(b"", 0, 0))
    if errors and len(errors) == len(set(indices)):
        raise ValueError(next(iter(errors.values())))
    content = {
        "sizes": [[picture.width, picture.height] for picture in drawn],
        "errors": [{"index": index, "error": told} for index, told in errors.items()],
    }
    return Reply(content, [picture.png for picture in drawn])


def explain(session: StudioSession, fields: Fields) -> Reply:
    """What decided about one sample, as PNG files, one a method."""
    index, target = _index(session, fields), _target(session, fields)
    if target is None:
        target = int(session.round.predictions[index])
    methods = fields.listed("methods", str, most=_MOST_METHODS, default=None) or None
    explanations = _samples(session).explanations
    found = session.samples.lane.run(
        lambda: explanations.of(index, methods, target=target), asker=_asker(fields)
    )
    content = {
        "methods": [each.method for each in found.maps],
        "titles": [each.title for each in found.maps],
        "notes": [each.note for each in found.maps],
        "refused": [{"title": title, "error": why} for title, why in found.refused],
        "target": found.target,
        "target_name": session.data.class_names[found.target],
    }
    return Reply(content, [each.png for each in found.maps])


def rationalise(session: StudioSession, fields: Fields) -> Reply:
    """What would have to change about one sample for another decision, as PNG files."""
    index, target = _index(session, fields), _target(session, fields)
    rationales = _samples(session).rationales
    if rationales is None:
        raise ValueError(
            "There are no networks to find rationales with: open the studio with `rationale`, a "
            "RationaleGenerator for this classifier."
        )
    found = session.samples.lane.run(
        lambda: rationales.of(index, target=target), asker=_asker(fields)
    )
    titles = ["Before and after", "The way between them"]
    content = {"status": found.status, "words": found.words, "titles": titles}
    return Reply(content, list(found.pngs))


def confusions(session: StudioSession, fields: Fields) -> Reply:
    """Which class the round's classifier takes for which, one way each, the worst first.

    As many samples are counted as "ErrorsOf" selects: labels are those that the plan leaves.
    """
    most = fields.whole("most", least=1, default=20)
    found = all_confusions(session.edited.data.labels, session.round.predictions)
    pairs = [
        {
            **asdict(pair),
            "name": session.class_name(pair.label),
            "predicted_name": session.class_name(pair.predicted),
        }
        for pair in found[:most]
    ]
    return Reply({"pairs": pairs, "left_out": max(0, len(found) - most)})


def outlines(session: StudioSession, fields: Fields) -> Reply:
    """Lines around each class on a map, and places for its name."""
    of = fields.text("of", default="targets")
    with session.lock:
        edited, current = session.edited, session.round
        points = edited.targets if of == "targets" else session.map_of(of)
        labels = edited.data.labels if of == "targets" else session.data.labels
        revision = session.revision
    found = session.samples.of(current).outlines((of, revision), points, labels)
    classes = [
        {
            "label": int(each.label),
            "name": session.class_name(each.label),
            "lines": [line.tolist() for line in each.lines],
            "label_at": list(each.label_at),
            "places": [list(place) for place in each.places],
        }
        for each in found.classes
    ]
    return Reply({"of": of, "classes": classes, "told_apart": found.told_apart})


SAMPLE_REQUESTS = {
    function.__name__: function
    for function in (column, card, pictures, explain, rationalise, confusions, outlines)
}


def _samples(session: StudioSession) -> RoundSamples:
    return session.samples.of(session.round)


def _index(session: StudioSession, fields: Fields) -> int:
    index: int = fields.whole("index", least=0, most=len(session.data.labels) - 1)
    return index


def _asker(fields: Fields) -> tuple[str, str]:
    """Who asks for what: a page's newer request takes the place of its older ones of the same kind."""
    return fields.text("page", default=""), fields.kind


def _target(session: StudioSession, fields: Fields) -> int | None:
    target: int | None = fields.whole("target", least=0, most=session.classes - 1, default=None)
    return target


def _column_state(found: Column) -> dict[str, Any]:
    is_number = found.kind == "number"
    return {
        "name": found.name,
        "title": found.title,
        "type": found.kind,
        "categories": None if is_number else [asdict(category) for category in found.categories],
        "low": found.low if is_number else None,
        "high": found.high if is_number else None,
        "ramp": list(found.ramp),
        "dark_ramp": list(found.dark_ramp),
    }
