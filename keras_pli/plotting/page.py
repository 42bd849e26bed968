"""Web pages in one file, with their figures inside, that need nothing from elsewhere.

They follow the browser's light or dark appearance and can be read on a phone. A figure stays what it is: on a
dark page a chart has its lightness turned round by the browser, its hues kept, while what holds images, of
which a negative would mislead, keeps its white ground.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from html import escape

import numpy as np
import pandas as pd
from matplotlib.collections import QuadMesh
from matplotlib.colors import to_hex, to_rgb
from matplotlib.contour import ContourSet
from matplotlib.figure import Figure
from matplotlib.image import _ImageBase
from matplotlib.transforms import Affine2D

from .export import screen_png_uri
from .style import ClassStyle, marker_path

DARK_GROUND = "#171717"
# What turns a chart's white into the dark ground, and keeps hues.
DARK_FILTER = "invert(.91) hue-rotate(180deg)"
# Weights of red, green and blue in the luma that the filter turns hues about (Filter Effects, section 4).
_LUMA = np.array([0.213, 0.715, 0.072])
# Wider charts, in inches, scroll on a phone: shrunk to its width their text could not be read.
_WIDE = 5.6
_LONG = 24  # letters, above which the heads of rows and columns are broken into lines

STYLE = (
    """
:root { color-scheme: light dark; --ground: #fff; --ink: #1d2530; --muted: #5b6675; --line: #e4e8ed;
  --rule: #aab4c0; --accent: #0072B2; --tint: #f2f7fb; --code: #f6f7f9; --link: #00598c; --turned: none; }
@media (prefers-color-scheme: dark) { :root { --ground: DARK_GROUND; --ink: #e6e8eb; --muted: #a3acb8;
  --line: #33373d; --rule: #5d6671; --accent: #4dabdf; --tint: #1c262e; --code: #212326; --link: #7cc4ee;
  --turned: DARK_FILTER; } }
* { box-sizing: border-box; }
body { font: 16px/1.55 system-ui, sans-serif; color: var(--ink); background: var(--ground); margin: 0 auto;
  max-width: 64rem; padding: 2.5rem 1.25rem 4rem; overflow-wrap: break-word; }
h1 { font-size: clamp(1.35rem, 5vw, 1.7rem); line-height: 1.25; margin: 0 0 .3rem; }
h2 { font-size: 1.2rem; line-height: 1.3; margin: 2.8rem 0 .6rem; }
h3 { font-size: 1rem; margin: 1.6rem 0 .3rem; }
a { color: var(--link); }
.settings { color: var(--muted); margin: 0 0 1.6rem; }
.verdict { border-left: 4px solid var(--accent); background: var(--tint); padding: .8rem 1.1rem; }
.verdict p { margin: .25rem 0; }
.verdict p.answer { font-size: clamp(1.08rem, 3.6vw, 1.25rem); line-height: 1.4; font-weight: 600;
  margin: .1rem 0 .7rem; }
.note { color: var(--muted); font-size: .92rem; max-width: 46rem; }
.steps { max-width: 50rem; padding-left: 1.3rem; }
.steps li { margin: .35rem 0; }
.why { color: var(--muted); font-size: .92rem; }
.scroll, .figure { overflow-x: auto; }
table { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .7rem; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }
thead th { border-bottom: 2px solid var(--rule); }
.scroll { margin: 1rem 0; }
caption { text-align: left; color: var(--muted); padding: 0 0 .4rem; }
thead th:first-child { text-align: left; }
tbody th { text-align: left; font-weight: 600; }
table.one tr > th:first-child { position: sticky; left: 0; background: var(--ground); }
table.long th { white-space: normal; max-width: min(16rem, 38vw); overflow-wrap: anywhere;
  min-width: 6rem; }
.facts { font-size: .88rem; margin: 1rem 0; }
.facts div { display: grid; grid-template-columns: minmax(11rem, 15rem) 1fr; gap: 0 1rem; padding: .3rem 0;
  border-bottom: 1px solid var(--line); }
.facts dt { color: var(--muted); }
.facts dd { margin: 0; overflow-wrap: anywhere; }
code { font-size: .92em; background: var(--code); padding: .08em .3em; border-radius: 3px; }
.figure { margin: 1rem 0; break-inside: avoid; }
.figure img { max-width: 100%; height: auto; display: block; }
.figure.wide img { max-width: max(100%, 40rem); }
.figure.chart img, .key svg { filter: var(--turned); }
@media (prefers-color-scheme: dark) { .figure.photo img { background: #fff; border-radius: 4px; } }
.panels { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 19rem), 1fr)); gap: 0 1rem;
  align-items: start; margin: 1rem 0; }
.panels .figure { margin: .4rem 0; }
.key { list-style: none; display: flex; flex-wrap: wrap; gap: .1rem 1rem; padding: 0; margin: .6rem 0;
  font-size: .88rem; }
.key li { display: flex; align-items: baseline; min-width: 0; overflow-wrap: anywhere; }
.key svg { flex: none; width: .85em; height: .85em; margin-right: .35em; vertical-align: -.06em; }
pre { background: var(--code); padding: .8rem 1rem; overflow-x: auto; font-size: .85rem; line-height: 1.5;
  white-space: pre-wrap; }
details { margin: .8rem 0; }
summary { cursor: pointer; color: var(--link); }
@media (max-width: 40rem) { body { padding: 1.4rem 1rem 3rem; } th, td { padding: .3rem .5rem; }
  table { font-size: .84rem; } .verdict { padding: .7rem .8rem; } pre { padding: .7rem; }
  .facts div { grid-template-columns: 1fr; } }
""".strip()
    .replace("DARK_GROUND", DARK_GROUND)
    .replace("DARK_FILTER", DARK_FILTER)
)


def page(
    title: str, parts: Iterable[str], *, settings: str, verdict: str, answer: str | None = None
) -> str:
    """Returns a page as HTML.

    Args:
        title: Its heading.
        parts: What follows in HTML, such as `page_figure` and `page_table` return.
        settings: A line below the heading on how things were made.
        verdict: What was found, set off; each line is a paragraph.
        answer: The whole in one sentence, large, above the verdict.

    Example:
        >>> text = page("Cats & dogs", ["<h2>Tables</h2>"], settings="3 seeds", verdict="None differ.")
        >>> text[:15], "<h1>Cats &amp; dogs</h1>" in text
        ('<!doctype html>', True)
    """
    paragraphs = "".join(f"<p>{_prose(line)}</p>" for line in verdict.splitlines())
    if answer is not None:
        paragraphs = f'<p class="answer">{_prose(answer)}</p>{paragraphs}'
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
        '<meta name="color-scheme" content="light dark">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n<body>\n{body}\n</body></html>\n"
    )


def dark_color(color: str) -> str:
    """Returns what a chart's colour becomes on a dark page: its lightness turned round, its hue kept.

    Example:
        >>> dark_color("#ffffff") == DARK_GROUND
        True
    """
    share = float(DARK_FILTER[len("invert(") : DARK_FILTER.index(")")])
    inverted = share * (1 - np.array(to_rgb(color))) + (1 - share) * np.array(to_rgb(color))
    # Turned by half a circle about the luma: sine 0, cosine -1.
    return to_hex(np.clip(2 * (_LUMA @ inverted) - inverted, 0.0, 1.0).tolist())


def page_note(text: str) -> str:
    """Returns a paragraph that explains what stands beside it."""
    return f'<p class="note">{_prose(text)}</p>'


def page_list(items: Iterable[str]) -> str:
    """Returns a numbered list of sentences; what stands between backticks is code.

    Example:
        >>> page_list(["Try `a < b`."])
        '<ol class="steps"><li>Try <code>a &lt; b</code>.</li></ol>'
    """
    lines = (re.sub("`([^`]+)`", r"<code>\1</code>", _prose(item)) for item in items)
    return f'<ol class="steps">{"".join(f"<li>{line}</li>" for line in lines)}</ol>'


def page_changes(changes: Iterable[tuple[str, str | None]]) -> str:
    """Returns a numbered list of what is done, each with why, if that is said."""
    lines = (
        f"<li>{escape(what, quote=False)}"
        + ("" if why is None else f'<br><span class="why">{escape(why, quote=False)}</span>')
        + "</li>"
        for what, why in changes
    )
    return f'<ol class="steps">{"".join(lines)}</ol>'


def page_facts(facts: Mapping[str, str]) -> str:
    """Returns names with what is said of each, such as settings, as lines that break on a phone."""
    entries = (
        f"<div><dt>{escape(name, quote=False)}</dt><dd>{escape(text, quote=False)}</dd></div>"
        for name, text in facts.items()
    )
    return f'<dl class="facts">{"".join(entries)}</dl>'


def page_details(summary: str, parts: Iterable[str]) -> str:
    """Returns parts of a page that are seen once a reader opens them."""
    body = "\n".join(parts)
    return f"<details><summary>{escape(summary, quote=False)}</summary>\n{body}\n</details>"


def page_code(text: str) -> str:
    """Returns a text that keeps its lines, such as a plan or JSON."""
    return f"<pre>{escape(text)}</pre>"


def page_figure(figure: Figure, text: str) -> str:
    """Returns a figure as part of a page, with a text for those who cannot see it.

    A chart takes the page's dark ground; a figure that holds images or a colour scale keeps its own.
    """
    source, width = screen_png_uri(figure)
    kind = "photo" if _holds_images(figure) else "chart"
    wide = " wide" if figure.get_figwidth() > _WIDE else ""
    return f'<div class="figure {kind}{wide}"><img alt="{escape(text)}" width="{width}" src="{source}"></div>'


def page_panels(figures: Mapping[str, Figure]) -> str:
    """Returns figures side by side where there is room, and below each other on a phone.

    Args:
        figures: Text for those who cannot see it to figure, in order.
    """
    return (
        f'<div class="panels">{"".join(page_figure(f, text) for text, f in figures.items())}</div>'
    )


def page_key(styles: Iterable[ClassStyle]) -> str:
    """Returns the legend of classes, which breaks into lines as the page's width asks."""
    entries = (
        f'<li><svg viewBox="-1 -1 2 2" aria-hidden="true"><path fill="{style.color}" d="{_outline(style)}"/>'
        f"</svg>{escape(style.name, quote=False)}</li>"
        for style in styles
    )
    return f'<ul class="key">{"".join(entries)}</ul>'


def page_table(table: pd.DataFrame, caption: str | None = None) -> str:
    """Returns a table as part of a page; the name of its index heads the first column."""
    if table.index.name is not None and table.columns.nlevels == 1:
        table = table.rename_axis(index=None, columns=str(table.index.name))
    # Where one column names the rows it stays in sight as the others scroll.
    classes = ["one"] if table.index.nlevels == 1 else []
    labels = [label for axis in (table.index, table.columns) for label in axis.to_flat_index()]
    parts = [part for label in labels for part in (label if isinstance(label, tuple) else [label])]
    if any(len(str(part)) > _LONG for part in parts):
        classes.append("long")
    text = table.to_html(border=0, na_rep="-", classes=classes)
    if caption is not None:
        start = text.index(">") + 1  # behind <table …>
        text = f"{text[:start]}<caption>{_prose(caption)}</caption>{text[start:]}"
    return f'<div class="scroll">{text}</div>'


def _prose(text: str) -> str:
    """A text as HTML, in which no line ends between a number and its per cent sign."""
    return re.sub(r"(?<=\d) %", "\N{NO-BREAK SPACE}%", escape(text, quote=False))


def _holds_images(figure: Figure) -> bool:
    """Whether a negative of a figure would say something else: it has images, or colours that are values."""

    def is_image(artist: object) -> bool:
        filled = isinstance(artist, ContourSet) and artist.filled
        return filled or isinstance(artist, _ImageBase | QuadMesh)

    return bool(figure.findobj(is_image))


def _outline(style: ClassStyle) -> str:
    """A class's marker as the path of an SVG, within a box from -1 to 1."""
    path = marker_path(style.marker)
    bounds = path.get_extents()
    scale = 0.95 / max(abs(value) for value in (*bounds.min, *bounds.max))
    path = path.transformed(Affine2D().scale(scale, -scale))
    letters = {1: "M", 2: "L", 3: "Q", 4: "C"}
    return "".join(
        "Z" if code == 79 else letters[int(code)] + " ".join(f"{v:.3g}" for v in values)
        for values, code in path.iter_segments(curves=True, simplify=False)
    )
