"""What a method returns tells and shows itself, whatever it holds."""

import doctest

import numpy as np
import pytest
import tensorflow as tf
from slow_cases import slow

from keras_pli.attribution import Attribution, attribution
from keras_pli.attribution.attribution import PositionAttribution
from keras_pli.plotting import (
    attribution_grid,
    attribution_overlay,
    figure_to_png_bytes,
    volume_slices,
)

RNG = np.random.default_rng(0)


def found(*shape, delta=True, **details):
    samples = shape[0]
    return Attribution(
        RNG.normal(size=shape).astype(np.float32),
        np.linspace(-2, 3, samples),
        np.full(samples, 0.25) if delta else None,
        details,
    )


def test_examples_run():
    assert doctest.testmod(attribution).failed == 0


def test_a_repr_has_shapes_and_ranges_and_no_arrays():
    one = found(500, 28, 28, 1, chances=np.zeros(500))
    low, high = one.attributions.min(), one.attributions.max()
    span = f"{low:.3g} to {high:.3g}".replace("-", "−")
    assert repr(one).splitlines() == [
        f"Attribution of 500 samples: float32 (500, 28, 28, 1), from {span}",
        "  scores: −2 to 3; delta: 0.25; details: chances",
    ]
    assert repr(PositionAttribution(*one)).startswith("PositionAttribution of 500 samples: ")
    assert "delta" not in repr(found(3, 4, delta=False))


def test_several_inputs_nothing_and_nan():
    one = found(2, 4)
    several = one._replace(attributions={"image": np.zeros((2, 8, 8)), "age": None})
    assert "{'image': float64 (2, 8, 8), 'age': None}" in repr(several)
    assert repr(found(0, 4)).startswith("Attribution of 0 samples: float32 (0, 4)\n")
    lost = one._replace(attributions=np.full((2, 4), np.nan))
    assert "8 not finite" in repr(lost)
    for odd in (several, found(0, 4), lost, found(2), found(2, 1)):
        assert "data:image" not in odd._repr_html_()


def test_tensors_of_a_graph_tell_their_shapes():
    seen = []

    @tf.function(input_signature=[tf.TensorSpec((None, 8, 8, 1))])
    def explain(x):
        inside = Attribution(x, tf.reduce_sum(x, axis=(1, 2, 3)))
        seen.extend([repr(inside), inside._repr_html_()])
        with pytest.raises(ValueError, match=r"arrays.*float32 \(None, 8, 8, 1\)"):
            inside.plot()
        return inside._replace(details={})

    outside = explain(tf.zeros((2, 8, 8, 1)))
    assert seen[0] == "Attribution: float32 (None, 8, 8, 1)\n  scores: float32 (None,)"
    assert "(None, 8, 8, 1)" in seen[1] and "data:image" not in seen[1]
    assert isinstance(outside, Attribution) and "(2, 8, 8, 1)" in repr(outside)


@pytest.mark.parametrize(
    "shape",
    [*map(slow, ((16,), (40, 2), (8, 9), (8, 9, 1), (8, 9, 3))), (5, 6, 7, 1)],
)
def test_a_notebook_gets_a_table_and_a_picture(shape):
    for samples in (1, 6):
        page = found(samples, *shape)._repr_html_()
        assert page.count("data:image/png;base64,") == 1
        assert page.count("<tr") == 1 + min(samples, 4) and "<th>delta</th>" in page


def picture(figure):
    return figure_to_png_bytes(figure, dpi=60)


def headings(figure):
    return [" ".join(ax.get_title().split()) for ax in figure.axes]


@pytest.mark.slow
def test_plot_is_the_figure_that_the_samples_ask_for():
    x, maps = RNG.random((3, 8, 9, 1)), found(3, 8, 9, 1)
    titles = ["score −2", "score 0.5", "score 3"]
    grid = attribution_grid(x, {"attribution": maps.attributions}, row_labels=titles)
    assert picture(maps.plot(x)) == picture(grid)
    first = attribution_overlay(x[0], maps.attributions[0], title=titles[0])
    assert picture(maps.plot(x, most=1)) == picture(first) != picture(grid)
    volumes, of_volumes = RNG.random((1, 4, 5, 6)), found(1, 4, 5, 6)
    slices = volume_slices(volumes[0], of_volumes.attributions[0], title=titles[0])
    assert picture(of_volumes.plot(volumes)) == picture(slices)


def test_without_samples_the_maps_stand_alone_on_one_scale():
    maps = found(3, 8, 9)
    figure = maps.plot()
    assert headings(figure)[:3] == [
        "sample 0: score −2",
        "sample 1: score 0.5",
        "sample 2: score 3",
    ]
    (limit,) = {ax.images[-1].norm.vmax for ax in figure.axes[:3]}
    assert limit == pytest.approx(np.percentile(np.abs(maps.attributions), 99))
    assert not found(2, 16).plot().axes[0].lines  # there is no signal to draw
    assert not found(1, 16).plot().axes[0].lines


def test_samples_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"3 samples explained.*\(2, 8, 9\)"):
        found(3, 8, 9).plot(np.zeros((2, 8, 9)))
    with pytest.raises(ValueError, match="shape of its sample"):
        found(3, 8, 9).plot(np.zeros((3, 9, 9)))
    several = found(3, 8, 9)._replace(attributions=[np.zeros((3, 8, 9)), np.zeros((3, 2))])
    with pytest.raises(ValueError, match=r"one input at a time.*\[float64 \(3, 8, 9\), "):
        several.plot()


def test_maps_that_are_empty_are_counted():
    maps = np.zeros((3, 4, 4))
    assert "zero everywhere" in repr(Attribution(maps, np.ones(3)))
    maps[1, 2, 2] = 1
    assert "from 0 to 1; 2 maps zero everywhere" in repr(Attribution(maps, np.ones(3)))
