"""What a notebook shows of a result: its words, a small table and a picture, in one piece of HTML."""

from __future__ import annotations

import base64
from html import escape

import pandas as pd
from matplotlib.figure import Figure

from .export import screen_png


def notebook_html(
    text: str, *, table: pd.DataFrame | None = None, figure: Figure | None = None
) -> str:
    """Returns HTML that needs nothing from elsewhere.

    Args:
        text: What was found, the first line as a heading; also the picture's text for those who cannot
            see it.
        table: A small table below.
        figure: A picture below that.

    Example:
        >>> notebook_html("2 maps < 3" + chr(10) + "  scores: 1")
        '<div><p><b>2 maps &lt; 3</b><br>scores: 1</p></div>'
    """
    head, *lines = text.splitlines() or [""]
    parts = ["<br>".join([f"<b>{escape(head)}</b>", *(escape(line.strip()) for line in lines)])]
    parts[0] = f"<p>{parts[0]}</p>"
    if table is not None:
        parts.append(table.to_html(border=0, na_rep="-"))
    if figure is not None:
        png, size = screen_png(figure)
        source = base64.b64encode(png).decode("ascii")
        parts.append(
            f'<img alt="{escape(head)}" width="{size["width"]}" style="max-width: 100%; height: auto" '
            f'src="data:image/png;base64,{source}">'
        )
    return f"<div>{''.join(parts)}</div>"
