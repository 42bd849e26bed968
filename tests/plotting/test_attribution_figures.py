from collections import namedtuple
from itertools import combinations

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from slow_cases import slow

from keras_pli.plotting import attribution_grid, attribution_overlay, volume_slices
from keras_pli.plotting.heatmaps import faded

RNG = np.random.default_rng(3)
MINUS = "\N{MINUS SIGN}"
METHODS = [
    "Saliency", "GradientTimesInput", "SmoothGrad", "SmoothGrad squared", "IntegratedGradients",
    "InteriorGradients", "GuidedIntegratedGradients", "GuidedBackprop", "Deconvnet", "EpsilonLRP",
    "DeepLIFT", "CAM", "GradCAM", "GuidedGradCAM", "Occlusion", "LIME", "MeaningfulPerturbation",
]  # fmt: skip


def drawn(ax):
    """The map of an axes, its limits included."""
    image = ax.images[-1]
    return np.asarray(image.get_array()), image.norm.vmin, image.norm.vmax


def inside(ax, figure):
    """Rendered pixels of an axes without its frame."""
    box = ax.get_window_extent()
    height = int(figure.bbox.height)
    rows = slice(height - int(box.y1) + 3, height - int(box.y0) - 3)
    return rows, slice(int(box.x0) + 3, int(box.x1) - 3)


# Overlays


def test_rendered_colours_are_the_hand_blended_ones(pixels):
    image = np.zeros((4, 9))
    image[:, 6:] = 1.0
    values = np.repeat([[1.0, -1.0, 0.0]], 3, axis=1) * np.ones((4, 1))
    figure = attribution_overlay(image, values, percentile=100, alpha=0.8, color_bar=False)
    canvas = pixels(figure)[..., :3] / 255.0
    shown = canvas[inside(figure.axes[0], figure)]
    third = shown.shape[1] // 6
    pale = 0.66
    for place, color in ((1, "#7A1F00"), (3, "#003F66")):
        expected = 0.8 * np.array(to_rgb(color)) + 0.2 * pale
        np.testing.assert_allclose(shown[20, place * third], expected, atol=0.015)
    np.testing.assert_allclose(shown[20, 5 * third], 1.0, atol=0.01)


@pytest.mark.parametrize("shape", [(8, 6), (8, 6, 1), (8, 6, 3)])
@pytest.mark.parametrize("with_channels", [True, False])
def test_overlay_of_an_image(shape, with_channels):
    values = RNG.normal(size=shape if with_channels else (8, 6))
    figure = attribution_overlay(RNG.random(shape), values, title="cat $1")
    ax, bar = figure.axes
    by_hand = values.sum(axis=2) if values.ndim == 3 else values
    shown, low, high = drawn(ax)
    np.testing.assert_allclose(shown, by_hand)
    assert high == -low == pytest.approx(np.percentile(np.abs(by_hand), 99))
    assert ("3 channels" in bar.get_ylabel()) == (values.shape == (8, 6, 3))
    ticks = [text.get_text() for text in bar.get_yticklabels()]
    assert ticks == [f"{MINUS}{high:.2g}", "0", f"{high:.2g}"]
    assert ax.get_title(loc="left") == r"cat \$1"


def test_overlay_without_signs_and_bar():
    host = Figure()
    ax = host.add_subplot()
    figure = attribution_overlay(
        np.ones((4, 4)), -np.ones((4, 4)), signed=False, ax=ax, color_bar=False
    )
    assert figure is host and host.axes == [ax]
    shown, low, high = drawn(ax)
    assert (shown == 1).all() and (low, high) == (0.0, 1.0)
    bar = attribution_overlay(np.ones((4, 4)), -np.ones((4, 4)), signed=False, label="IG").axes[1]
    assert bar.get_ylabel() == "IG\n(absolute values)"


def test_overlay_of_a_signal_covers_every_position():
    signal, values = RNG.normal(size=50), RNG.normal(size=50)
    ax = attribution_overlay(signal, values).axes[0]
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), signal)
    shown, _, _ = drawn(ax)
    np.testing.assert_array_equal(shown, values[None])
    left, right, bottom, top = ax.images[0].get_extent()
    assert (left, right) == (-0.5, 49.5)
    assert bottom < signal.min() and top > signal.max()
    assert ax.get_xlim() == (-0.5, 49.5) and ax.get_ylim() == (bottom, top)


def test_channels_of_a_signal_keep_to_lanes_of_one_scale():
    signal = RNG.normal(size=(60, 4))
    ax = attribution_overlay(signal, RNG.normal(size=(60, 4))).axes[0]
    lines = np.stack([line.get_ydata() for line in ax.lines], axis=1)
    shifts = (lines - signal)[0]
    np.testing.assert_allclose(lines - signal, np.tile(shifts, (60, 1)), atol=1e-12)
    np.testing.assert_allclose(np.diff(shifts), -np.ptp(signal))
    assert [text.get_text() for text in ax.get_yticklabels()] == ["0", "1", "2", "3"]
    assert (lines.min(axis=0) < ax.get_yticks()).all()
    assert (ax.get_yticks() < lines.max(axis=0)).all()


GOOD = np.ones((8, 6, 3))


@pytest.mark.parametrize(
    "image, attribution, arguments, message",
    [
        (GOOD, np.ones((8, 5, 3)), {}, r"\(8, 6, 3\).*\(8, 6\).*\(8, 5, 3\)"),
        (GOOD, np.ones((7, 7)), {}, r"\(8, 6, 3\).*\(7, 7\)"),
        (GOOD, np.full((8, 6), np.nan), {}, r"`attribution`.*48 of 48.*\(0, 0\)"),
        (np.full((8, 6), np.inf), np.ones((8, 6)), {}, "`image`"),
        (np.ones((4, 5, 6)), np.ones((4, 5, 6)), {}, r"`volume_slices`.*\(4, 5, 6\)"),
        (np.ones((4, 5, 6, 7, 8)), np.ones((4,)), {}, r"\(4, 5, 6, 7, 8\)"),
        (np.ones((4, 5)), np.ones((4, 5)), {"dimensions": 3}, r"\(4, 5\) with 3"),
        (np.ones((0, 6)), np.ones((0, 6)), {}, r"\(0, 6\)"),
        (np.array([["a"]]), np.ones((1, 1)), {}, "real numbers"),
        (GOOD, GOOD, {"percentile": 0}, "Received: 0"),
        (GOOD, GOOD, {"alpha": 1.5}, "Received: 1.5"),
        (GOOD, GOOD, {"value_range": (1, 1)}, r"\(1, 1\)"),
    ],
)
def test_overlay_errors(image, attribution, arguments, message):
    with pytest.raises(ValueError, match=message):
        attribution_overlay(image, attribution, **arguments)


# Grids


def cells(figure):
    return [ax for ax in figure.axes if ax.get_window_extent().height > 20]


def test_grid_rows_are_samples_and_columns_methods():
    images = RNG.random((3, 8, 6, 1))
    maps = {"b": RNG.normal(size=(3, 8, 6, 1)), "a": RNG.random((3, 8, 6))}
    figure = attribution_grid(images, maps, row_labels=["x", "y", "z"], title="All")
    axes = cells(figure)
    assert [ax.get_title() for ax in axes] == ["image", "b", "a"] + [""] * 6
    assert [axes[i].get_ylabel() for i in (0, 3, 6)] == ["x", "y", "z"]
    for i in range(3):
        np.testing.assert_allclose(drawn(axes[3 * i])[0], images[i, ..., 0])
        for j, name in enumerate(maps, start=1):
            np.testing.assert_allclose(drawn(axes[3 * i + j])[0], maps[name][i].reshape(8, 6))
    width = axes[0].get_position().width
    corners = np.array([ax.get_position().p0 for ax in axes]).reshape(3, 3, 2)
    assert (np.ptp(corners[..., 0], axis=0) < 1e-9).all()
    assert (np.ptp(corners[..., 1], axis=1) < 1e-9).all()
    assert (np.diff(corners[..., 1], axis=0) < 0).all()
    assert (np.diff(corners[..., 0], axis=1) > 1.02 * width).all()


def test_every_map_of_a_grid_has_its_own_scale_and_says_which():
    maps = {"big": 1000 * RNG.normal(size=(2, 9, 9)), "small": 1e-3 * RNG.random((2, 9, 9))}
    figure = attribution_grid(RNG.random((2, 9, 9)), maps, percentile=95, scale="map")
    axes = cells(figure)
    for i in range(2):
        for ax, name in zip(axes[3 * i + 1 : 3 * i + 3], maps, strict=True):
            limit = np.percentile(np.abs(maps[name][i]), 95)
            _, low, high = drawn(ax)
            assert high == pytest.approx(limit)
            assert low == (-high if name == "big" else 0)
            start = "±" if name == "big" else "0 to "
            assert ax.get_xlabel() == start + f"{limit:.2g}".replace("-", MINUS)
    notes = [text.get_text() for text in figure.texts]
    assert any("own scale" in note and "95" in note for note in notes)
    bars = [ax for ax in figure.axes if ax not in axes]
    assert [[t.get_text() for t in bar.get_xticklabels()] for bar in bars] == [
        [f"{MINUS}limit", "0", "limit"],
        ["0", "limit"],
    ]


def scale_above(ax):
    return " ".join(text.get_text() for text in ax.texts)


def test_a_weak_map_looks_weak_beside_a_strong_one_of_its_method():
    ramp = np.linspace(0, 1, 64).reshape(8, 8)
    maps = {"m": np.stack([0.16 * ramp, -0.004 * ramp]), "other": np.stack([ramp, ramp])}
    pooled = np.concatenate([0.16 * ramp.ravel(), 0.004 * ramp.ravel()])
    limit = np.percentile(pooled, 99)
    axes = cells(attribution_grid(np.ones((2, 8, 8)), maps))
    for ax in (axes[1], axes[4]):
        assert drawn(ax)[1:] == pytest.approx((-limit, limit))
    assert drawn(axes[2])[2] == drawn(axes[5])[2] != pytest.approx(limit)
    peaks = ["", "peak 0.16", "peak 1", "", f"peak {MINUS}0.004", "peak 1"]
    assert [ax.get_xlabel() for ax in axes] == peaks
    assert scale_above(axes[1]) == f"±{limit:.2g}"
    together = attribution_grid(np.ones((2, 8, 8)), maps, scale="all")
    ends = [drawn(cells(together)[i])[2] for i in (1, 2, 4, 5)]
    every = np.concatenate([pooled, ramp.ravel(), ramp.ravel()])
    assert ends == pytest.approx([np.percentile(every, 99)] * 4)
    assert "All maps share one scale" in " ".join(text.get_text() for text in together.texts)
    with pytest.raises(ValueError, match="`scale` must be one of 'method', 'map', 'all'"):
        attribution_grid(np.ones((2, 8, 8)), maps, scale="row")


def test_channels_that_are_all_the_same_are_shown_once():
    """A mask of 0 to 1 that stands in each of three channels is no mask of 0 to 3."""
    image, mask = RNG.random((8, 8, 3)), RNG.random((8, 8))
    repeated = np.repeat(mask[..., None], 3, axis=-1)
    overlay = attribution_overlay(image, repeated, percentile=100, limit=2.0)
    np.testing.assert_array_equal(drawn(overlay.axes[0])[0], mask)
    assert drawn(overlay.axes[0])[2] == 2.0
    assert overlay.axes[1].get_ylabel() == "attribution"
    grid = attribution_grid(image[None], {"mask": repeated[None], "cam": mask[None]})
    first, second = (drawn(ax) for ax in cells(grid)[1:])
    np.testing.assert_array_equal(first[0], second[0])
    assert "Channels are summed" not in " ".join(text.get_text() for text in grid.texts)
    volume = np.ones((3, 4, 5, 2))
    heat = drawn(volume_slices(volume, 0.5 * volume, limit=4.0).axes[0])
    assert (heat[0] == 0.5).all() and heat[2] == 4.0
    with pytest.raises(ValueError, match=r"`limit` must be a number above 0. Received: 0"):
        attribution_overlay(image, mask, limit=0)


def test_a_list_of_maps_is_not_maps_by_name():
    maps = np.ones((2, 8, 8))
    with pytest.raises(TypeError, match=r"maps by name, such as .* Received: list"):
        attribution_grid(np.ones((2, 8, 8)), [maps])
    found = namedtuple("Attribution", "attributions scores")(maps, np.ones(2))
    with pytest.raises(TypeError, match="Received: Attribution"):
        attribution_grid(np.ones((2, 8, 8)), found)
    shown = drawn(cells(attribution_grid(np.ones((2, 8, 8)), {"m": found}))[1])
    np.testing.assert_array_equal(shown[0], maps[0])


def test_a_method_has_signs_in_all_samples_or_in_none():
    values = np.ones((2, 4, 4))
    values[1, 0, 0] = -0.5
    axes = cells(attribution_grid(np.ones((2, 4, 4)), {"m": values, "zero": 0 * values}))
    assert [ax.get_xlabel() for ax in axes] == ["", "peak 1", "all zero"] * 2
    assert [scale_above(ax) for ax in axes] == ["", "±1", "all zero", "", "", ""]
    plain = attribution_grid(np.ones((2, 4, 4)), {"m": values}, signed=False)
    assert scale_above(cells(plain)[1]) == "0 to 1"
    assert "Signs are dropped" in " ".join(text.get_text() for text in plain.texts)


@pytest.mark.parametrize(
    "methods, columns, rows",
    [
        slow(17, None, [6] * 3),
        (13, None, [7] * 2),
        slow(29, None, [6] * 5),
        (4, None, [5]),
        (7, 3, [3, 3, 2]),
    ],
)
def test_one_sample_is_wrapped_with_a_heading_for_each_map(methods, columns, rows):
    names = [*METHODS, *(f"Method {i}" for i in range(12))][:methods]
    maps = {name: RNG.normal(size=(1, 8, 8)) for name in names}
    figure = attribution_grid(RNG.random((1, 8, 8)), maps, columns=columns)
    axes = cells(figure)
    heights = np.array([ax.get_position().y0 for ax in axes]).round(6)
    assert [int((heights == y).sum()) for y in sorted(set(heights), reverse=True)] == rows
    headings = [ax.get_title().replace("\n", "").replace(" ", "") for ax in axes]
    assert headings == ["image", *(name.replace(" ", "") for name in names)]


@pytest.mark.parametrize("samples", [1, slow(2)])
def test_nothing_overlaps_in_a_grid_of_all_methods(samples):
    maps = {name: RNG.normal(size=(samples, 8, 8, 3)) for name in METHODS}
    labels = ["enlarged heart: p 0.01 → 1.00", "enlarged heart: p 0.20 → 1.00"][:samples]
    figure = attribution_grid(RNG.random((samples, 8, 8, 3)), maps, row_labels=labels, title="T")
    figure.draw_without_rendering()
    boxes = [ax.get_window_extent() for ax in figure.axes]
    for ax in cells(figure):
        texts = (ax.title, ax.xaxis.label, ax.yaxis.label, *ax.texts)
        boxes += [text.get_window_extent() for text in texts if text.get_text()]
    boxes += [text.get_window_extent() for text in figure.texts]
    boxes += [t.get_window_extent() for ax in figure.axes for t in ax.get_xticklabels()]
    # Boxes of text have a pixel or two of air below the letters.
    assert not any(first.padded(-1.5).overlaps(second) for first, second in combinations(boxes, 2))
    assert min(box.y0 for box in boxes) > -3 and max(box.y1 for box in boxes) < figure.bbox.y1 + 3


def test_grid_of_signals():
    # Short ones with many channels: only the map without channels tells them from images.
    signals = RNG.normal(size=(2, 12, 6))
    cam = RNG.random((2, 12))
    figure = attribution_grid(signals, {"cam": cam, "ig": RNG.normal(size=(2, 12, 6))})
    axes = cells(figure)
    assert [ax.get_title() for ax in axes[:3]] == ["signal", "cam", "ig"]
    assert all(len(ax.lines) == 6 for ax in axes) and not axes[0].images
    np.testing.assert_array_equal(drawn(axes[4])[0], cam[1:2])
    assert "Channels are summed" in " ".join(text.get_text() for text in figure.texts)


def test_grid_of_volumes_shows_the_most_attributed_slice_of_each_sample():
    volumes = RNG.random((2, 6, 7, 8, 1))
    # Spread over all slices: it must not decide, for all that its unit is small.
    first = 1000 * RNG.normal(size=(2, 6, 7, 8))
    second = 0.01 * RNG.normal(size=(2, 6, 7, 8))
    second[0, 4], second[1, 1] = 5.0, -RNG.uniform(4.0, 5.0, size=(7, 8))
    maps = {"first": first, "second": second}
    axes = cells(attribution_grid(volumes, maps))
    assert [axes[i].get_xlabel() for i in (0, 3)] == ["slice 4", "slice 1"]
    for row, place in ((0, 4), (1, 1)):
        np.testing.assert_allclose(drawn(axes[3 * row])[0], volumes[row, place, ..., 0])
        np.testing.assert_allclose(drawn(axes[3 * row + 2])[0], second[row, place])
        for ax, values in zip(axes[3 * row + 1 :], (first, second), strict=False):
            limit = np.percentile(np.abs(values), 99.9)
            assert drawn(ax)[1:] == pytest.approx((-limit, limit))
    chosen = cells(attribution_grid(volumes, maps, slice_index=0))
    np.testing.assert_allclose(drawn(chosen[5])[0], second[1, 0])
    middle = cells(attribution_grid(volumes, {"zero": 0 * first}))
    assert middle[0].get_xlabel() == "slice 3"


IMAGES = np.ones((2, 8, 8, 3))
MAPS = {"saliency": np.ones((2, 8, 8, 3))}


@pytest.mark.parametrize(
    "images, maps, arguments, message",
    [
        (IMAGES, {}, {}, "at least one method"),
        (IMAGES, {"cam": np.ones((1, 8, 8))}, {}, r"'cam'.*\(1, 8, 8\).*\(2, 8, 8, 3\)"),
        (IMAGES, {"cam": np.ones((2, 7, 7))}, {}, r"`cam`.*\(8, 8, 3\).*\(7, 7\)"),
        (IMAGES, {"cam": np.full((2, 8, 8), np.nan)}, {}, "`cam`.*128 of 128"),
        (IMAGES * np.nan, MAPS, {}, "`images`"),
        (IMAGES, MAPS, {"row_labels": ["a"]}, "2 samples. Received: 'a'"),
        (IMAGES, MAPS, {"columns": 2}, "Received: 2 for 2 samples"),
        (IMAGES[:1], {"m": np.ones((1, 8, 8))}, {"columns": 0}, "Received: 0"),
        (IMAGES, MAPS, {"slice_index": 2}, r"Received: 2.*\(8, 8, 3\)"),
        (np.ones((1, 4, 5, 6)), {"m": np.ones((1, 4, 5, 6))}, {"slice_index": 4}, r"\[0, 3\].*4"),
        (IMAGES, MAPS, {"alpha": 0}, "Received: 0"),
    ],
)
def test_grid_errors(images, maps, arguments, message):
    with pytest.raises(ValueError, match=message):
        attribution_grid(images, maps, **arguments)


# Volumes


def test_slices_meet_where_the_attribution_is_greatest():
    volume, values = RNG.random((5, 6, 7)), 0.1 * RNG.normal(size=(5, 6, 7))
    values[1, 4, 2] = -3.0
    figure = volume_slices(volume, values, percentile=50)
    limit = np.median(np.abs(values))
    planes = [(1, slice(None), slice(None)), np.s_[:, 4, :], np.s_[:, :, 2]]
    names = [("depth 1", "height", "width"), ("height 4", "depth", "width")]
    names.append(("width 2", "depth", "height"))
    for ax, plane, (title, down, across) in zip(figure.axes, planes, names, strict=False):
        np.testing.assert_allclose(ax.images[0].get_array(), faded(volume[plane]))
        np.testing.assert_allclose(drawn(ax)[0], values[plane])
        assert drawn(ax)[1:] == pytest.approx((-limit, limit))
        assert (ax.get_title(), ax.get_ylabel(), ax.get_xlabel()) == (title, down, across)
    ticks = [text.get_text() for text in figure.axes[3].get_yticklabels()]
    assert ticks == [f"{MINUS}{limit:.2g}", "0", f"{limit:.2g}"]


def test_marks_point_at_the_other_slices_from_outside_of_each():
    figure = volume_slices(RNG.random((20, 30, 40)), at=(3, 14, 25))
    for ax, (down, across) in zip(figure.axes, ((14, 25), (3, 25), (3, 14)), strict=True):
        below, above, left, right = (line.get_xydata()[0].tolist() for line in ax.lines)
        assert (below, above) == ([across, 0], [across, 1])
        assert (left, right) == ([0, down], [1, down])
        assert not ax.collections


@pytest.mark.parametrize("edges", [(1, 1, 1), (3.0, 1.0, 0.5)])
def test_all_slices_share_one_scale_of_length(edges):
    figure = volume_slices(RNG.random((6, 20, 30)), RNG.random((6, 20, 30)), voxel_size=edges)
    figure.draw_without_rendering()
    scales = []
    for ax, (down, across) in zip(figure.axes, ((1, 2), (0, 2), (0, 1)), strict=False):
        start, stop = ax.transData.transform([[0, 0], [1, 1]])
        step = np.abs(stop - start)
        scales += [step[0] / edges[across], step[1] / edges[down]]
    np.testing.assert_allclose(scales, scales[0], rtol=1e-6)


def test_without_attribution_the_centre_and_its_colours():
    volume = RNG.random((5, 6, 7, 3))
    figure = volume_slices(volume, axis_names="zyx", title="Head")
    assert [ax.get_title() for ax in figure.axes] == ["z 2", "y 3", "x 3"]
    np.testing.assert_allclose(figure.axes[1].images[0].get_array(), volume[:, 3])
    flat = volume_slices(volume, np.zeros((5, 6, 7)))
    assert flat.axes[0].get_title() == "depth 2"


VOLUME = np.ones((4, 5, 6))


@pytest.mark.parametrize(
    "volume, attribution, arguments, message",
    [
        (np.ones((4, 5)), None, {}, r"\(4, 5\)"),
        (VOLUME, np.ones((4, 5, 5)), {}, r"\(4, 5, 6\).*\(4, 5, 5\)"),
        (VOLUME, VOLUME * np.nan, {}, "120 of 120"),
        (VOLUME * np.inf, None, {}, "`volume`"),
        (VOLUME, None, {"at": (0, 5, 0)}, r"\(4, 5, 6\).*\(0, 5, 0\)"),
        (VOLUME, None, {"at": (0, 0)}, r"\(0, 0\)"),
        (VOLUME, None, {"voxel_size": (1, 0, 1)}, r"\(1, 0, 1\)"),
        (VOLUME, None, {"axis_names": ["a"]}, "'a'"),
        (VOLUME, None, {"alpha": -1}, "Received: -1"),
    ],
)
def test_volume_errors(volume, attribution, arguments, message):
    with pytest.raises(ValueError, match=message):
        volume_slices(volume, attribution, **arguments)
