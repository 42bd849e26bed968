import html
import re
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pandas as pd
import pytest
from linear_rationale_models import drawn, small_models
from PIL import Image

from keras_pli.rationale.search.rationale import STATUSES, Rationale
from keras_pli.rationale.search.rationale_generator import RationaleGenerator
from keras_pli.rationale.search.verdicts import probability_text


@pytest.fixture(scope="module")
def why():
    models = small_models()
    names = ["cat", "dog", "owl", "<b>&"]
    x, _ = drawn(models[0], 6)
    return RationaleGenerator(*models, class_names=names)(x)


def made(removed, added, regression=False, **changes):
    """One sample of 2 × 4 pixels, some of which lose or gain brightness."""
    start = np.zeros((1, 2, 4, 1))
    end = start.copy()
    end.reshape(-1)[:removed] -= 0.3
    end.reshape(-1)[removed : removed + added] += 0.3
    end.reshape(-1)[-1] += 0.05  # too little to be counted
    chances = np.array([[[0.98, 0.02, 0.0], [0.05, 0.93, 0.02]]])
    code = np.zeros((1, 3))
    values = {
        "originals": start + 0.01, "reconstructions": start, "images": end, "flips": end,
        "codes_start": code, "codes": code, "flip_codes": code,
        "path_images": np.stack([start, end], axis=1),
        "path_probabilities": chances[..., :1] if regression else chances,
        "original_probabilities": chances[:, 0], "predicted": np.array([0]),
        "target": np.array([0.25 if regression else 1]), "steps": np.array([41]),
        "reached": np.array([True]), "flipped": np.array([True]),
        "reconstruction_errors": np.array([0.009]), "status": np.array(STATUSES[:1]),
        "about": {
            "image_range": (-1.0, 1.0), "class_names": ("9", "4", "7"),
            "task": "regression" if regression else "classification",
        },
    }  # fmt: skip
    return Rationale(**{**values, **changes})


def test_verdicts():
    assert made(3, 2).verdicts == [
        "9 → 4: p .02 → .93 in 41 steps; 3 pixels removed, 2 added; reconstruction error .009"
    ]
    assert made(1, 0).verdicts[0].endswith("1 pixel removed, 0 added; reconstruction error .009")
    assert "→ .93 in 1 step; 3" in made(3, 2, steps=np.array([1])).verdicts[0]
    stopped = made(1, 0, reached=np.array([False]), status=np.array(STATUSES[1:2]))
    assert "in 41 steps; stopped at the limit; 1 pixel" in stopped.verdicts[0]
    far = made(1, 0, status=np.array(STATUSES[2:]))
    assert "; reconstruction too far; " in far.verdicts[0]
    other = made(1, 0, status=np.array(STATUSES[2:]), predicted=np.array([2]))
    assert other.verdicts[0].startswith("7 → 4: ")
    assert "; reconstruction too far (decided as 9); " in other.verdicts[0]
    value = made(0, 4, regression=True).verdicts[0]
    assert value.startswith("0.98 → 0.05 (cutoff 0.25) in 41 steps; 0 pixels removed, 4 added")


def test_probabilities_in_words():
    assert [probability_text(p) for p in (0.0, 0.1, 0.904, 0.9951, 1.0)] == [
        ".00", ".10", ".90", ">.99", "1.00",
    ]  # fmt: skip


def test_derived_arrays():
    why = made(3, 2)
    np.testing.assert_allclose(why.rationales.ravel(), [0.3] * 3 + [-0.3] * 2 + [0, 0, -0.05])
    np.testing.assert_allclose(why.residuals, 0.01)
    np.testing.assert_allclose(why.distances, (5 * 0.09 + 0.0025) / 8)
    np.testing.assert_allclose(why.target_outputs, [[0.02, 0.93]])
    assert (why.removed.tolist(), why.added.tolist()) == ([3], [2])
    assert why.path_positions.tolist() == [0.0, 1.0]


def test_table(why):
    table = why.to_frame()
    assert list(table) == [
        "predicted", "target", "status", "start", "end", "steps", "distance", "removed", "added",
        "reconstruction_error", "verdict",
    ]  # fmt: skip
    assert len(table) == len(why) == 6 and isinstance(table, pd.DataFrame)
    rows = np.arange(6)
    np.testing.assert_allclose(table["end"], why.path_probabilities[rows, -1, why.target])
    np.testing.assert_allclose(table["start"], why.path_probabilities[rows, 0, why.target])
    assert table["verdict"].tolist() == why.verdicts
    assert why.summary().startswith("6 images: ")


def test_parts(why):
    assert len(why[2]) == 1 and len(why[1:4]) == 3 and len(why[why.steps > 0]) <= 6
    assert why[[4, 1]].verdicts == [why.verdicts[4], why.verdicts[1]]
    np.testing.assert_array_equal(why[-1].codes[0], why.codes[5])
    with pytest.raises(FrozenInstanceError):
        why.codes = None


def test_save_and_load(why, tmp_path):
    path = why.save(tmp_path / "why.npz")
    with np.load(path, allow_pickle=False) as stored:
        assert all(stored[name].dtype.kind != "O" for name in stored)
    back = Rationale.load(path)
    for name, array in why._arrays().items():
        np.testing.assert_array_equal(getattr(back, name), array)
        assert getattr(back, name).dtype == array.dtype
    assert back.about == why.about and back.verdicts == why.verdicts
    np.savez(tmp_path / "other.npz", codes=np.zeros(3))
    with pytest.raises(ValueError, match="is not a stored Rationale"):
        Rationale.load(tmp_path / "other.npz")


def test_figures(why, tmp_path):
    assert len(why.plot(most=2).axes) == 11
    figure = why.plot_path(1)
    curves = figure.axes[-1].lines
    chances = why.path_probabilities[1]
    shown = sorted({*chances.argmax(axis=1), why.target[1]})
    for line, column in zip(curves, shown, strict=False):
        np.testing.assert_allclose(line.get_ydata(), chances[:, column])
    regressor = made(1, 1, regression=True)
    assert regressor.plot_path().axes[-1].get_ylabel() == "output"
    path = why.animate(tmp_path / "way.gif", most=2)
    assert Image.open(path).n_frames >= 11


def test_the_target_has_one_colour_and_the_aim_its_digits():
    chances = np.array([[[0.98, 0.01, 0.01], [0.1, 0.0, 0.9], [0.0, 0.9995, 0.0005]]])
    start = np.zeros((1, 3, 2, 4, 1))
    colours = []
    for target in (1, 2):
        why = made(1, 0, target=np.array([target]), path_probabilities=chances, path_images=start)
        why = replace(why, about={**why.about, "confidence": 0.999})
        curves = {line.get_label(): line for line in why.plot_path().axes[-1].lines}
        told = {text.get_text(): text for text in why.plot_path().axes[-1].texts}
        assert {"9", "4", "7", "aim 0.999"} <= set(told)
        curve = next(
            line for line in curves.values()
            if np.array_equal(line.get_ydata(), chances[0, :, target])
        )  # fmt: skip
        colours.append(curve.get_color())
    assert colours[0] == colours[1]


def test_the_page_needs_nothing_else(why, tmp_path):
    page = why.to_html(tmp_path / "why.html", title="Owls & cats", most=3).read_text("utf-8")
    sources = re.findall(r'src="([^"]{0,30})', page)
    assert len(sources) == 4 and all(src.startswith("data:image/png;base64,") for src in sources)
    text = re.sub(r'src="[^"]*"', "", page)
    assert "http" not in text and "url(" not in text and "<script" not in text
    assert "Owls &amp; cats" in text and "<b>&" not in text and "the first 3 of 6" in text
    assert text.count('<div class="figure ') == 4 and "γ\u00a0=\u00a010" in text
    heads = [name.replace("_", " ") for name in why.to_frame() if name != "verdict"]
    assert re.findall(r"<th>([^<\d]+)</th>", text) == heads
    row = re.search(r"<th>0</th>\s*<td>([^<]*)</td>\s*<td>([^<]*)</td>", text)
    names = [why.name_of(label) for label in (why.predicted[0], why.target[0])]
    assert [html.unescape(name) for name in row.groups()] == names
    assert why.summary() in text and "&lt;b&gt;&amp;" in text


@pytest.mark.slow
def test_shows_itself_in_few_words_and_a_picture(why):
    assert repr(why).splitlines() == [
        f"Rationale of {why.summary()}", f"  {why.verdicts[0]} …, and 5 more",
    ]  # fmt: skip
    assert repr(why[:0]).startswith("Rationale of 0 images: 0 reached")
    assert len(repr(why[0]).splitlines()) == 2 and "more" not in repr(why[0])
    for some in (why, why[:0], made(1, 1, regression=True)):
        page = some._repr_html_()
        assert page.count('src="data:image/png;base64,') == bool(len(some))
        assert "<b>&" not in page  # the name of a class
        assert html.escape(some.summary()) in page


def test_images_without_a_range_count_in_their_own(why):
    bright = made(2, 0)
    bright = replace(bright, about={**bright.about, "image_range": None})
    wide = replace(bright, originals=bright.originals * np.linspace(0, 1000, 8).reshape(1, 2, 4, 1))
    assert wide.removed.tolist() == [0]
