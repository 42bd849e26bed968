"""What a report found, part by part, and its page."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..brief import counted
from ..files import write_text
from ..plotting.page import page
from .section import Section

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

_STYLE = (
    "<style>.belief{border-left:4px solid #E69F00;padding:.1rem 0 .1rem .9rem;max-width:46rem}"
    ".contents{columns:2 14rem;padding-left:1.2rem;margin:1.4rem 0 0}.failed{border-left:4px solid #D55E00;"
    "padding:.1rem 0 .1rem .9rem}h3{font-size:1rem;margin:1.6rem 0 .3rem}</style>"
)


@dataclass(frozen=True, eq=False)
class PartResult:
    """How one part of a report ended.

    Attributes:
        name: Of the part.
        section: What it found; None where it does not apply or failed.
        reason: Why there is no section, or nothing.
        error: What it failed of; None where it did not.
        seconds: How long it took.
    """

    name: str
    section: Section | None
    reason: str
    error: BaseException | None
    seconds: float

    @property
    def title(self) -> str:
        """Its heading."""
        plain = self.name.replace("_", " ").capitalize()
        return plain if self.section is None else self.section.title

    def html(self) -> list[str]:
        """Returns its pieces of a page."""
        pieces = [f'<h2 id="{escape(self.name)}">{escape(self.title, quote=False)}</h2>']
        if self.section is not None:
            return pieces + self.section.html()
        said = "This part failed" if self.error is not None else "Left out"
        kind = "failed" if self.error is not None else "note"
        return [*pieces, f'<p class="{kind}">{said}: {escape(self.reason, quote=False)}</p>']


@dataclass(frozen=True, eq=False)
class ModelReport:
    """What the package found out about a classifier.

    Attributes:
        title: Heading of the page.
        summary: What a reader must know, each a sentence or two.
        parts: How each part ended, by its name, in the page's order.
        settings: What the report was made from.
        path: Where its page lies; None if it was not written.
    """

    title: str
    summary: tuple[str, ...]
    parts: Mapping[str, PartResult]
    settings: Mapping[str, Any]
    path: Path | None = None

    @property
    def errors(self) -> dict[str, BaseException]:
        """What parts failed of, by their names."""
        return {name: part.error for name, part in self.parts.items() if part.error is not None}

    @property
    def figures(self) -> dict[str, dict[str, Figure]]:
        """The figures of each part, by name."""
        return {
            name: part.section.figures
            for name, part in self.parts.items()
            if part.section is not None
        }

    @property
    def tables(self) -> dict[str, dict[str, pd.DataFrame]]:
        """The tables of each part, by name."""
        return {
            name: part.section.tables
            for name, part in self.parts.items()
            if part.section is not None
        }

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Writes the page to a file, whole or not at all, and returns its path."""
        return write_text(path, self.html())

    def html(self) -> str:
        """Returns the page: one file with its figures inside, that needs nothing from elsewhere."""
        links = "".join(
            f'<li><a href="#{escape(name)}">{escape(part.title, quote=False)}</a></li>'
            for name, part in self.parts.items()
        )
        pieces = [_STYLE, f'<ol class="contents">{links}</ol>']
        pieces += [piece for part in self.parts.values() for piece in part.html()]
        return page(
            self.title,
            pieces,
            settings=str(self.settings["told"]),
            verdict="\n".join(self.summary),
        )

    def _repr_html_(self) -> str:
        lines = "".join(f"<p>{escape(line)}</p>" for line in self.summary)
        return f"<h3>{escape(self.title)}</h3>{lines}"

    def __repr__(self) -> str:
        made = sum(part.section is not None for part in self.parts.values())
        failed = f", {counted(len(self.errors), 'failed part')}" if self.errors else ""
        return f"ModelReport of {counted(made, 'part')}{failed}: {self.summary[0]}"
