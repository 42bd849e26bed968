"""Web pages: their dark appearance, what they do to figures, and their small parts."""

import re

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb

from keras_pli.plotting.page import (
    DARK_FILTER,
    DARK_GROUND,
    STYLE,
    dark_color,
    page,
    page_details,
    page_facts,
    page_figure,
    page_key,
    page_list,
    page_panels,
    page_table,
)
from keras_pli.plotting.style import class_styles, contrast, new_figure


def filtered(color):
    """What a browser makes of a colour by `invert(a) hue-rotate(180deg)` (Filter Effects, section 4)."""
    share = float(re.match(r"invert\((\.\d+)\) hue-rotate\(180deg\)$", DARK_FILTER).group(1))
    rgb = np.array(to_rgb(color))
    inverted = share * (1 - rgb) + (1 - share) * rgb
    # Turned by half a circle about its luma: sine 0, cosine -1.
    luma = np.array([0.213, 0.715, 0.072])
    return np.clip(2 * (luma @ inverted) - inverted, 0, 1)


def wcag(one, other):
    """The formula of WCAG 2.1: relative luminance of sRGB, and the ratio with .05 for flare."""

    def luminance(color):
        parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in color]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    low, high = sorted(map(luminance, (one, other)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_that_of_the_guidelines():
    # Pairs as https://webaim.org/resources/contrastchecker gives them.
    assert contrast((0, 0, 0), (1, 1, 1)) == pytest.approx(21)
    assert round(contrast(to_rgb("#777777"), (1, 1, 1)), 2) == 4.48
    for one, other in np.random.default_rng(0).random((20, 2, 3)):
        assert contrast(one, other) == pytest.approx(wcag(one, other))


def test_a_white_figure_meets_the_dark_ground():
    np.testing.assert_allclose(filtered("#ffffff"), to_rgb(DARK_GROUND), atol=0.5 / 255)


@pytest.mark.parametrize("color", ["#0072B2", "#B94500", "#8a8a8a", "#000000", "#00FF00"])
def test_a_colour_on_a_dark_page_is_what_the_browser_makes_of_it(color):
    np.testing.assert_allclose(to_rgb(dark_color(color)), filtered(color), atol=0.51 / 255)


def test_first_eight_classes_can_be_told_on_light_and_dark_grounds():
    styles = list(class_styles(np.arange(8)).values())
    assert len({style.marker for style in styles}) == 8
    for style in styles:
        color, dark = to_rgb(style.color), to_rgb(DARK_GROUND)
        assert wcag(color, (1, 1, 1)) >= 3
        assert wcag(color, dark) >= 3
        assert wcag(filtered(style.color), dark) >= 3
        assert wcag(filtered(style.ink), dark) >= 4.5


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read(scheme):
    light, dark = (
        dict(re.findall(r"--(\w+): (#\w+)", part)) for part in STYLE.split("@media (prefers", 1)
    )
    colors = {name: to_rgb(text) for name, text in (light if scheme == "light" else dark).items()}
    for ground in ("ground", "tint", "code"):
        for text in ("ink", "muted", "link"):
            assert wcag(colors[text], colors[ground]) >= 4.5, (text, ground)
    assert wcag(colors["accent"], colors["ground"]) >= 3


def test_charts_turn_dark_and_images_do_not():
    chart, photo, values = (new_figure(3, 2) for _ in range(3))
    chart.add_subplot().contour(np.eye(3))
    photo.add_subplot().imshow(np.eye(3))
    values.add_subplot().pcolormesh(np.eye(3))
    kinds = [page_figure(figure, "x") for figure in (chart, photo, values)]
    assert ["chart" in kind for kind in kinds] == [True, False, False]
    assert ["photo" in kind for kind in kinds] == [False, True, True]


def test_wide_figures_scroll_and_narrow_ones_fit():
    narrow, wide = new_figure(3, 2), new_figure(9, 2)
    for figure in (narrow, wide):
        figure.add_subplot()
    html = page_panels({"one": narrow, "two": wide})
    assert html.count('class="figure chart"') == 1 and html.count('class="figure chart wide"') == 1
    assert 250 < int(re.search(r'width="(\d+)"', html).group(1)) <= 3 * 112 + 20


def test_parts_escape_what_they_say():
    said = "<b> & `x < 1`"
    assert page_list([said]).count("<b>") == 0
    assert "&lt;b&gt; &amp; <code>x &lt; 1</code>" in page_list([said])
    assert "<dt>&lt;i&gt;</dt><dd>&lt;b&gt;" in page_facts({"<i>": said})
    assert "<summary>&lt;b&gt;" in page_details(said, ["<p>kept</p>"])
    html = page("t", [], settings="s", verdict="one\ntwo", answer="<b>")
    assert '<p class="answer">&lt;b&gt;</p><p>one</p>' in html


def test_key_draws_each_shape():
    html = page_key(class_styles(np.arange(8), [f"<{i}>" for i in range(8)]).values())
    paths = re.findall(r'fill="(#\w+)" d="([^"]+)"', html)
    assert len(dict(paths)) == len({path for _, path in paths}) == 8
    for _, path in paths:
        numbers = np.array([float(n) for n in re.findall(r"-?\d*\.?\d+(?:e-?\d+)?", path)])
        assert 0.9 < np.abs(numbers).max() <= 0.96
    assert "&lt;7&gt;" in html


def test_the_column_that_names_rows_stays_in_sight():
    table = pd.DataFrame({"a": [1.0]}, index=pd.Index(["x"], name="class"))
    assert 'class="dataframe one"' in page_table(table)
    two = pd.DataFrame({"a": [1.0]}, index=pd.MultiIndex.from_tuples([("x", "y")]))
    assert 'class="dataframe"' in page_table(two)


def test_long_heads_are_broken_into_lines():
    assert "long" not in page_table(pd.DataFrame({"a": [1]}, index=["x" * 20]))
    index = pd.MultiIndex.from_product([["f1"], ["x" * 60]])
    for table in (
        pd.DataFrame({"a": [1]}, index=["x" * 60]),
        pd.DataFrame({"a": [1]}, index=index).T,
    ):
        assert re.search(r'<table[^>]* class="[^"]*\blong\b', page_table(table))


def test_no_line_ends_before_a_per_cent_sign():
    body = page("", [page_list(["22 %"])], settings="", verdict="a 5 %", answer="9 %").split(
        "<body>"
    )[1]
    assert re.findall(r"\d.%", body) == [f"{n}\N{NO-BREAK SPACE}%" for n in (9, 5, 2)]
