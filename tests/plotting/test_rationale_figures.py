import numpy as np
import pytest
from PIL import Image

from keras_pli.plotting import animate_morphs, morph_strip, rationale_grid

RNG = np.random.default_rng(1)


def images(samples=3, channels=1):
    return [RNG.uniform(-1, 1, size=(samples, 8, 10, channels)) for _ in range(3)]


@pytest.mark.parametrize("channels", [1, 3])
def test_grid_shows_the_differences_on_one_scale(channels):
    before, start, after = images(channels=channels)
    figure = rationale_grid(before, start, after, captions=["a", "b", "c $1"], title="why")
    assert len(figure.axes) == 3 * 5 + 1
    names = [ax.get_title() for ax in figure.axes[:5]]
    assert names == ["original", "reconstruction", "changed", "rationale", "residual"]
    limit = np.percentile(np.abs((start - after).mean(axis=-1)), 99.5)
    for row in range(3):
        for column, pair in ((3, (start, after)), (4, (before, start))):
            drawn = figure.axes[5 * row + column].images[-1]
            np.testing.assert_allclose(drawn.get_array(), (pair[0] - pair[1])[row].mean(axis=-1))
            assert drawn.norm.vmax == -drawn.norm.vmin == pytest.approx(limit)
    texts = [text.get_text() for text in figure.texts]
    assert {"a", "b", r"c \$1", "why"} <= set(texts)
    labels = [text.get_text() for text in figure.axes[-1].get_xticklabels()]
    assert labels[0].startswith("added") and labels[-1].startswith("removed")


@pytest.mark.slow
def test_all_images_share_black_and_white():
    before, start, after = images()
    shown = rationale_grid(before, start, after / 2, value_range=(-1, 1)).axes[2].images[0]
    np.testing.assert_allclose(shown.get_array(), (after[0, ..., 0] / 2 + 1) / 2)


def test_no_change_draws_an_empty_rationale():
    before = images()[0]
    heat = rationale_grid(before, before, before).axes[3].images[-1]
    assert (heat.get_array() == 0).all() and heat.norm.vmax == 1.0


def test_grid_errors():
    before, start, after = images()
    with pytest.raises(ValueError, match="one shape"):
        rationale_grid(before, start[:2], after)
    with pytest.raises(ValueError, match="captions"):
        rationale_grid(before, start, after, captions=["a"])
    with pytest.raises(ValueError, match="finite"):
        rationale_grid(before, start, np.full_like(after, np.nan))


def test_strip_draws_frames_and_curves():
    frames, outputs = RNG.random((6, 8, 8, 1)), RNG.random((6, 4))
    figure = morph_strip(frames, outputs, columns={3: "owl", 0: "cat"}, level=0.9)
    assert len(figure.axes) == 7
    chart = figure.axes[-1]
    np.testing.assert_allclose(chart.lines[0].get_ydata(), outputs[:, 3])
    np.testing.assert_allclose(chart.lines[1].get_ydata(), outputs[:, 0])
    assert set(chart.lines[2].get_ydata()) == {0.9}
    centres = [np.mean(ax.get_position().intervalx) for ax in figure.axes[:6]]
    figure.draw_without_rendering()
    places = chart.transData.transform([(i, 0) for i in range(6)])[:, 0] / figure.bbox.width
    np.testing.assert_allclose(places, centres, atol=1e-3)  # each point below its frame
    names = {text.get_text() for text in chart.texts}
    assert {"owl", "cat", "aim 0.9"} <= names


def test_strip_chooses_the_outputs_that_change():
    outputs = np.array([[0.9, 0.05, 0.05], [0.1, 0.85, 0.05]])
    names = {
        text.get_text() for text in morph_strip(np.zeros((2, 4, 4, 1)), outputs).axes[-1].texts
    }
    assert names == {"0", "1"}
    with pytest.raises(ValueError, match="frames"):
        morph_strip(np.zeros((3, 4, 4, 1)), outputs)


def test_animation_goes_there_and_back(tmp_path):
    frames = np.linspace(0, 1, 5).reshape(1, 5, 1, 1, 1) * np.ones((2, 5, 8, 8, 1))
    captions = [[str(i) for i in range(5)]] * 2
    path = animate_morphs(frames, tmp_path / "way.gif", captions=captions, dpi=40)
    film = Image.open(path)
    centre = []
    for index in range(film.n_frames):
        film.seek(index)
        grey = np.asarray(film.convert("L"))
        centre.append(int(grey[grey.shape[0] // 3, grey.shape[1] // 4]))
    peak = int(np.argmax(centre))
    assert centre[0] < 20 and centre[peak] > 235 and centre[-1] < 20
    assert (np.diff(centre[: peak + 1]) >= 0).all() and (np.diff(centre[peak:]) <= 0).all()
    assert [file.name for file in tmp_path.iterdir()] == ["way.gif"]


@pytest.mark.parametrize(
    "path, changes, message",
    [
        ("way.png", {}, "end in .gif"),
        ("way.gif", {"fps": 0}, "positive"),
        ("way.gif", {"captions": [["a"]]}, "captions"),
    ],
)
def test_animation_errors(tmp_path, path, changes, message):
    with pytest.raises(ValueError, match=message):
        animate_morphs(np.zeros((2, 3, 4, 4, 1)), tmp_path / path, **changes)
