"""Web pages in one file, with their figures inside, that need nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

import pandas as pd
from matplotlib.figure import Figure

from .export import to_data_uri

STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.55 system-ui, sans-serif; color: #1d2530; background: #fff; margin: 0 auto;
  max-width: 62rem; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .3rem; }
h2 { font-size: 1.15rem; margin: 2.6rem 0 .6rem; }
.settings { color: #5b6675; margin: 0 0 1.6rem; }
.verdict { border-left: 4px solid #0072B2; background: #f2f7fb; padding: .8rem 1.1rem; }
.verdict p { margin: .25rem 0; }
.note { color: #5b6675; font-size: .92rem; max-width: 46rem; }
.scroll, .figure { overflow-x: auto; }
table { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .7rem; text-align: right; white-space: nowrap; border-bottom: 1px solid #e4e8ed; }
thead th { border-bottom: 2px solid #aab4c0; }
.scroll { margin: 1rem 0; }
caption { text-align: left; color: #5b6675; padding: 0 0 .4rem; white-space: nowrap; }
thead th:first-child { text-align: left; }
tbody th { text-align: left; font-weight: 600; }
.figure { margin: 1rem 0; break-inside: avoid; }
.figure img { max-width: max(100%, 40rem); height: auto; display: block; }
pre { background: #f6f7f9; padding: .8rem 1rem; overflow-x: auto; font-size: .85rem; }
""".strip()


def page(title: str, parts: Iterable[str], *, settings: str, verdict: str) -> str:
    """Returns a page as HTML.

    Args:
        title: Its heading.
        parts: What follows in HTML, such as `page_figure` and `page_table` return.
        settings: A line below the heading on how things were made.
        verdict: What was found, set off; each line is a paragraph.

    Example:
        >>> text = page("Cats & dogs", ["<h2>Tables</h2>"], settings="3 seeds", verdict="None differ.")
        >>> text[:15], "<h1>Cats &amp; dogs</h1>" in text
        ('<!doctype html>', True)
    """
    paragraphs = "".join(f"<p>{escape(line)}</p>" for line in verdict.splitlines())
    body = "\n".join(
        [
            f"<h1>{escape(title)}</h1>",
            f'<p class="settings">{escape(settings)}</p>',
            f'<div class="verdict">{paragraphs}</div>',
            *parts,
        ]
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n<body>\n{body}\n</body></html>\n"
    )


def page_note(text: str) -> str:
    """Returns a paragraph that explains what stands beside it."""
    return f'<p class="note">{escape(text, quote=False)}</p>'


def page_figure(figure: Figure, text: str) -> str:
    """Returns a figure as part of a page, with a text for those who cannot see it."""
    return f'<div class="figure"><img alt="{escape(text)}" src="{to_data_uri(figure)}"></div>'


def page_table(table: pd.DataFrame, caption: str | None = None) -> str:
    """Returns a table as part of a page; the name of its index heads the first column."""
    if table.index.name is not None and table.columns.nlevels == 1:
        table = table.rename_axis(index=None, columns=str(table.index.name))
    text = table.to_html(border=0, na_rep="-")
    if caption is not None:
        start = text.index(">") + 1  # behind <table …>
        text = f"{text[:start]}<caption>{escape(caption, quote=False)}</caption>{text[start:]}"
    return f'<div class="scroll">{text}</div>'
