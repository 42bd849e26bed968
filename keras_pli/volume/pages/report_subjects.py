"""The pages of single subjects beside a report on their cohort, and links to them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import Any
from urllib.parse import quote

import numpy as np

from ...plotting.page import page_note
from .report_data import ReportData
from .subject_page import subject_page


def subject_parts(data: ReportData, count: int, steps: Any) -> Iterator[str]:
    """Writes the pages of the surest right answers and the surest errors, and yields links to them."""
    if not count:
        return
    links = []
    for position in _chosen(data, count):
        links.append(_subject(data, position))
        steps.add(1)
    yield "<h2>Subjects</h2>"
    yield page_note("The surest right answers and the surest errors; each page works by itself.")
    yield f"<ul>{''.join(links)}</ul>"


def _chosen(data: ReportData, count: int) -> Sequence[int]:
    table = data.explained.table
    rows = table["row"].to_numpy()
    p = data.found.predictions[[f"p_{name}" for name in data.found.classes]].to_numpy()[rows]
    sure = p.max(axis=1)
    right = (table["label"] == table["predicted"]).to_numpy()
    errors = np.flatnonzero(~right)[np.argsort(-sure[~right])][: count // 2]
    surest = np.flatnonzero(right)[np.argsort(-sure[right])][: count - len(errors)]
    return [int(i) for i in (*surest, *errors)]


def _subject(data: ReportData, position: int) -> str:
    row = data.explained.table.iloc[position]
    p = data.found.predictions.iloc[int(row["row"])]
    file = f"{row['name']}.html"
    data.written.add(f"subjects/{file}")
    maps = {method: data.explained.map(method, position) for method in data.explained.methods}
    told = [f"Maps explain class {row['explained']}, by a network that has not seen this subject."]
    signed = [method for method, values in maps.items() if values.min() < 0]
    if signed:
        which = "" if len(signed) == len(maps) else f" ({', '.join(signed)})"
        told.append(
            f"In maps with signs{which} orange speaks for the explained class, blue against it."
        )
    subject_page(
        data.folder / "subjects" / file,
        data.shown[position],
        maps,
        affine=data.affines[position],
        title=f"Subject {row['subject']}, {row['name']}",
        prediction=str(row["predicted"]),
        truth=str(row["label"]),
        probabilities={str(name): float(p[f"p_{name}"]) for name in data.found.classes},
        verdicts=told,
        outlines=None if data.brains is None else {"brain": data.brains[position]},
    )
    verdict = "right" if row["label"] == row["predicted"] else "wrong"
    return (
        f'<li><a href="subjects/{quote(file)}">{escape(str(row["name"]))}</a>: '
        f"{escape(str(row['label']))}, predicted {escape(str(row['predicted']))} ({verdict})</li>"
    )
