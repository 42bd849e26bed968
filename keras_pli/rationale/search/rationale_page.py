"""The self-contained page of rationales."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from ...plotting.page import page, page_figure, page_note, page_table

if TYPE_CHECKING:
    from .rationale import Rationale

NOTE = (
    "Original; what the generator makes of it; the least change found by which the classifier decides "
    "otherwise; the rationale, where this change takes brightness away (vermilion) or adds it (blue); and "
    "the residual, what the generator cannot draw, on the same scale. Where the residual is strong, the "
    "rationale speaks of the reconstruction more than of the original."
)
PATH_NOTE = "The straight way in the latent space from the reconstruction to the changed image."


def html_page(rationale: Rationale, *, title: str, most: int) -> str:
    """Returns the page as HTML with its figures inside.

    Args:
        rationale: What was found.
        title: Heading of the page.
        most: How many samples are drawn.
    """
    shown = min(most, len(rationale))
    parts = [
        f"<h2>Before and after{_of(shown, len(rationale))}</h2>",
        page_note(NOTE),
        page_figure(rationale.plot(most=shown), "Rationales"),
        "<h2>On the way</h2>",
        page_note(PATH_NOTE),
    ]
    for index in range(min(shown, 4)):
        parts.append(page_figure(rationale.plot_path(index), rationale.verdicts[index]))
    parts += ["<h2>All samples</h2>", page_table(_table(rationale))]
    found = f"{rationale.summary()}."
    return page(title, parts, settings=_settings(rationale), verdict=found)


def _table(rationale: Rationale) -> pd.DataFrame:
    # A verdict says no more than the other columns, and takes more room than all of them.
    table = rationale.to_frame().drop(columns="verdict").round(4)
    if not rationale.is_regression:
        for name in ("predicted", "target"):
            table[name] = table[name].map(rationale.name_of)
    table.columns = [name.replace("_", " ") for name in table]
    return table


def _settings(rationale: Rationale) -> str:
    about = rationale.about
    said = []
    if about.get("confidence") is not None:
        said.append(f"to a probability of {about['confidence']:g}")
    for name, text in (
        ("similarity_weight", "similarity weight γ\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}{:g}"),
        ("steps", "at most {} steps"),
    ):
        if name in about:
            said.append(text.format(about[name]))
    return "; ".join(said).capitalize() + "." if said else ""


def _of(shown: int, samples: int) -> str:
    return "" if shown == samples else f", the first {shown} of {samples}"
