"""What a part of a report says: figures and tables, and how far to believe them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import pandas as pd

from ..plotting.page import page_figure, page_note, page_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class DoesNotApplyError(Exception):
    """Raised by a part that has nothing to say about a model or its data; the message says why."""


@dataclass(frozen=True, eq=False)
class Shown:
    """A figure, table or text of a part.

    Attributes:
        name: By which the result has it; also the text for those who cannot see a figure.
        what: A figure, a data frame or a text.
        heading: What stands above, or nothing.
        note: How to read it, or nothing.
    """

    name: str
    what: Any
    heading: str = ""
    note: str = ""

    def html(self) -> Iterable[str]:
        """Returns its pieces of a page."""
        if self.heading:
            yield f"<h3>{escape(self.heading, quote=False)}</h3>"
        if self.note:
            yield page_note(self.note)
        if isinstance(self.what, str):
            yield page_note(self.what)
        elif isinstance(self.what, pd.DataFrame):
            yield page_table(self.what)
        else:
            yield page_figure(self.what, self.name)


@dataclass(frozen=True, eq=False)
class Section:
    """What a part found.

    Attributes:
        title: Its heading.
        belief: How far to believe it, from figures where there are some.
        shown: Its figures, tables and texts, in their order.
        warnings: What a reader must not overlook, for the summary; each a sentence.
    """

    title: str
    belief: str
    shown: tuple[Shown, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def figures(self) -> dict[str, Figure]:
        """The figures by name."""
        return {
            one.name: one.what for one in self.shown if not isinstance(one.what, str | pd.DataFrame)
        }

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """The tables by name."""
        return {one.name: one.what for one in self.shown if isinstance(one.what, pd.DataFrame)}

    def html(self) -> list[str]:
        """Returns its pieces of a page, below the heading."""
        pieces = (
            [f'<p class="belief">{escape(self.belief, quote=False)}</p>'] if self.belief else []
        )
        return pieces + [piece for one in self.shown for piece in one.html()]


def share(value: float, digits: int = 3) -> str:
    """Writes a share of one, rounded down where rounding up would make it whole.

    Example:
        >>> share(0.97234), share(0.99999), share(1.0)
        ('0.972', '0.999', '1.000')
    """
    text = f"{value:.{digits}f}"
    if value < 1 and float(text) == 1:
        return f"{1 - 10.0**-digits:.{digits}f}"
    return text


def in_corner(table: pd.DataFrame) -> pd.DataFrame:
    """Returns a table whose index is named in the corner, and not on a line of its own.

    Example:
        >>> table = in_corner(pd.DataFrame({"F1": [0.9]}, index=pd.Index(["cat"], name="class")))
        >>> table.columns.name, table.index.name
        ('class', None)
    """
    return table.rename_axis(None).rename_axis(table.index.name, axis="columns")
