"""The self-contained page of rationales."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from ... import plotting

if TYPE_CHECKING:
    from .rationale import Rationale

STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.55 system-ui, sans-serif; color: #1d2530; background: #fff; margin: 0 auto;
  max-width: 58rem; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .3rem; }
h2 { font-size: 1.15rem; margin: 2.6rem 0 .6rem; }
.settings, .note { color: #5b6675; max-width: 46rem; }
.note { font-size: .92rem; }
.verdict { border-left: 4px solid #0072B2; background: #f2f7fb; padding: .8rem 1.1rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .7rem; text-align: right; white-space: nowrap; border-bottom: 1px solid #e4e8ed; }
thead th { border-bottom: 2px solid #aab4c0; }
.figure { overflow-x: auto; margin: 1rem 0; break-inside: avoid; }
.figure img { max-width: 100%; min-width: 40rem; height: auto; display: block; }
""".strip()

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
        f"<h1>{escape(title)}</h1>",
        f'<p class="settings">{escape(_settings(rationale))}</p>',
        f'<p class="verdict">{escape(rationale.summary())}.</p>',
        f"<h2>Before and after{_of(shown, len(rationale))}</h2>",
        f'<p class="note">{NOTE}</p>',
        _figure(rationale.plot(most=shown), "Rationales"),
        "<h2>On the way</h2>",
        f'<p class="note">{PATH_NOTE}</p>',
    ]
    for index in range(min(shown, 4)):
        parts.append(_figure(rationale.plot_path(index), rationale.verdicts[index]))
    parts += ["<h2>All samples</h2>", f'<div class="scroll">{_table(rationale)}</div>']
    body = "\n".join(parts)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n<body>\n{body}\n</body></html>\n"
    )


def _table(rationale: Rationale) -> str:
    # A verdict says no more than the other columns, and takes more room than all of them.
    table = rationale.to_frame().drop(columns="verdict").round(4)
    if not rationale.is_regression:
        for name in ("predicted", "target"):
            table[name] = table[name].map(rationale.name_of)
    table.columns = [name.replace("_", " ") for name in table]
    return table.to_html(border=0, na_rep="-")


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


def _figure(figure: Figure, text: str) -> str:
    source = plotting.to_data_uri(figure)
    return f'<div class="figure"><img alt="{escape(text)}" src="{source}"></div>'
