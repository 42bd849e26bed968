from itertools import pairwise

import nibabel as nib
import numpy as np
import pytest
from matplotlib.figure import Figure
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform
from scipy.spatial.transform import Rotation

from keras_pli.plotting import volume_mosaic, volume_slices
from keras_pli.plotting.body import body, body_range, box_around, surroundings

RNG = np.random.default_rng(11)
AFFINE = np.array([[2.0, 0, 0, -9], [0, 3.0, 0, -30], [0, 0, 4, 12], [0, 0, 0, 1]])
SHAPE = (8, 9, 10)
VOLUME = RNG.random(SHAPE)
MAP = RNG.normal(size=SHAPE)
MAP[2, 6, 3] = 9.0
# Sagittal, coronal and axial: axes across and up.
SIDES = [(1, 2), (0, 2), (0, 1)]


def stored_as(code, *arrays):
    """Arrays in another order and direction, and their affine."""
    images = [nib.Nifti1Image(array.astype(np.float64), AFFINE) for array in arrays]
    turn = ornt_transform(io_orientation(AFFINE), axcodes2ornt(code))
    turned = [image.as_reoriented(turn) for image in images]
    return [image.get_fdata() for image in turned], turned[0].affine


def seen(ax, image=-1):
    """What an axes shows of an image, as an eye sees it: rows from the top, columns from the left."""
    values = np.asarray(ax.images[image].get_array())
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    values = values if left < right else values[:, ::-1]
    return values[::-1] if bottom < top else values


def letters(ax):
    return [text.get_text() for text in ax.texts]


@pytest.mark.parametrize("code", ["RAS", "LAS", "PSR", "SLA"])
@pytest.mark.parametrize("convention", ["neurological", "radiological"])
def test_slices_are_upright_whatever_the_order_of_the_axes(code, convention):
    (volume, values), affine = stored_as(code, VOLUME, MAP)
    figure = volume_slices(volume, values, affine=affine, crop=False, convention=convention)
    titles = ["sagittal, x = −5 mm", "coronal, y = −12 mm", "axial, z = 24 mm"]
    assert [ax.get_title() for ax in figure.axes[:3]] == titles
    names = [list("PAIS"), list("LRIS"), list("LRPA")]
    radiological = convention == "radiological"
    for cut, (ax, expected) in enumerate(zip(figure.axes, names, strict=False)):
        upright = np.take(MAP, (2, 6, 3)[cut], axis=cut).T[::-1]
        np.testing.assert_allclose(seen(ax), upright[:, ::-1] if radiological else upright)
        expected = [expected[1], expected[0], *expected[2:]] if radiological else expected
        assert letters(ax) == expected
    note = "left is right (radiological)" if radiological else "left is left (neurological)"
    assert note in [text.get_text() for text in figure.texts]


def test_the_voxel_by_index_and_by_millimetres():
    (volume,), affine = stored_as("SLA", VOLUME)
    index = (1, 2, 3)
    by_index = volume_slices(volume, affine=affine, at=index)
    by_place = volume_slices(volume, affine=affine, at_mm=nib.affines.apply_affine(affine, index))
    titles = [[ax.get_title() for ax in figure.axes] for figure in (by_index, by_place)]
    assert titles[0] == titles[1]
    assert titles[0][2] == "axial, z = 16 mm"


def test_oblique_axes_are_named_as_approximate():
    affine = AFFINE.copy()
    affine[:3, :3] = Rotation.from_euler("x", 12, degrees=True).as_matrix() @ affine[:3, :3]
    figure = volume_slices(VOLUME, affine=affine)
    assert "≈" in figure.axes[0].get_title()
    assert any("oblique by 12°" in text.get_text() for text in figure.texts)


@pytest.mark.parametrize("code", ["RAS", "SLA"])
def test_one_scale_of_length_and_a_bar_of_it(code):
    (volume,), affine = stored_as(code, VOLUME)
    figure = volume_slices(volume, affine=affine)
    figure.draw_without_rendering()
    scales = []
    for ax, (across, up) in zip(figure.axes, SIDES, strict=True):
        step = np.abs(np.subtract(*ax.transData.transform([[0, 0], [1, 1]])))
        scales += [step[0] / (2, 3, 4)[across], step[1] / (2, 3, 4)[up]]
    np.testing.assert_allclose(scales, scales[0], rtol=1e-6)
    (bar,) = (line for line in figure.get_children() if hasattr(line, "get_xdata"))
    length = next(text.get_text() for text in figure.texts if text.get_text().endswith(" mm"))
    ends = bar.get_window_extent()
    assert (ends.x1 - ends.x0) / scales[0] == pytest.approx(float(length[:-3]), rel=0.01)


def test_empty_space_is_cropped_but_never_the_map_the_outline_or_the_voxel():
    volume = np.zeros((20, 20, 20))
    volume[6:12, 7:13, 8:14] = 1.0 + RNG.random((6, 6, 6))
    values, mask = np.zeros_like(volume), np.zeros(volume.shape, bool)
    affine = np.diag([2.0, 2, 2, 1])

    def shown(**arguments):
        axial = volume_slices(volume, affine=affine, **arguments).axes[2]
        return (*axial.get_xlim(), *axial.get_ylim())

    assert shown(at=(8, 8, 8)) == (4.5, 12.5, 5.5, 13.5)
    assert shown(at=(8, 8, 8), crop=False) == (-0.5, 19.5, -0.5, 19.5)
    values[17, 9, 9] = 1.0
    assert shown(attribution=values)[1] == 18.5
    mask[8, 2, 8] = True
    assert shown(at=(8, 8, 8), outline=mask)[2] == 0.5
    assert shown(at=(0, 8, 8))[0] == -0.5


def test_the_outline_runs_round_the_mask():
    mask = np.zeros(SHAPE)
    mask[2:5, 3:7, 4] = 1
    figure = volume_slices(VOLUME, MAP, affine=AFFINE, at=(3, 4, 4), outline=mask, crop=False)
    line = figure.axes[2].collections[0].get_paths()[0].vertices
    np.testing.assert_allclose([line.min(axis=0), line.max(axis=0)], [[1.5, 2.5], [4.5, 6.5]])
    assert not volume_slices(VOLUME, affine=AFFINE, at=(0, 0, 0), outline=mask).axes[2].collections


def test_marks_hide_nothing():
    figure = volume_slices(VOLUME, affine=AFFINE, at=(2, 6, 3))
    figure.draw_without_rendering()
    for ax in figure.axes:
        frame = ax.get_window_extent()
        for line in ax.lines:
            place = line.get_transform().transform(line.get_xydata()[0])
            outside = min(*(place - frame.min), *(frame.max - place))
            assert outside == pytest.approx(0.0, abs=1e-6)


def test_of_a_volume_one_voxel_thick_there_is_one_slice():
    figure = volume_slices(VOLUME[:, :, :1], affine=AFFINE)
    assert [ax.get_title() for ax in figure.axes] == ["axial, z = 12 mm"]
    assert len(volume_slices(VOLUME[:1, :1]).axes) == 3


def test_elongated_volumes_keep_their_names_apart(pixels):
    figure = volume_slices(RNG.random((6, 6, 24)), affine=np.eye(4), title="Spine")
    pixels(figure)
    boxes = [ax.title.get_window_extent() for ax in figure.axes]
    assert all(left.x1 < right.x0 for left, right in pairwise(boxes))


def test_what_surrounds_a_brain_is_white_below_a_map_and_black_alone():
    volume = np.zeros((12, 12, 12))
    volume[3:9, 3:9, 3:9] = RNG.normal(size=(6, 6, 6))
    affine = np.eye(4)
    alone = volume_slices(volume, affine=affine, at=(5, 5, 5)).axes[0]
    below = volume_slices(volume, np.ones_like(volume), affine=affine, at=(5, 5, 5)).axes[0]
    assert seen(alone)[0, 0] == 0.0
    assert seen(below, 0)[0, 0] == 1.0
    noise = volume + 0.2 * RNG.random(volume.shape)
    assert not surroundings(noise, body(noise)).any()


def test_body_and_its_box():
    volume = np.full((30, 10, 10), 7.0)
    volume[10:20, 2:8, 2:8] = 9.0 + RNG.random((10, 6, 6))
    inside = body(volume)
    assert inside.sum() == 360
    assert box_around(inside, (1, 1, 1), margin=0.0) == ((10, 19), (2, 7), (2, 7))
    assert box_around(inside, (1, 1, 0.1)) == ((9, 20), (1, 8), (0, 9))
    assert body(np.ones((3, 3, 3))).all()
    low, high = body_range(volume, inside)
    assert low == 7.0
    assert high == pytest.approx(np.quantile(volume[inside], 0.995))


def test_channels_and_colours():
    colours = RNG.random((*SHAPE, 3))
    (ax, *_) = volume_slices(colours, affine=AFFINE, at=(2, 6, 3), crop=False).axes
    np.testing.assert_allclose(seen(ax), colours[2].swapaxes(0, 1)[::-1])
    two = volume_slices(RNG.random((*SHAPE, 2)), MAP[..., None], affine=AFFINE)
    assert len(two.axes) == 4


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"at_mm": (0, 0, 0)}, "`at_mm` needs the `affine`"),
        ({"affine": AFFINE, "at_mm": (0, 0, 0), "at": (0, 0, 0)}, "not both"),
        ({"affine": AFFINE, "at": (8, 0, 0)}, r"\(8, 9, 10\).*\(8, 0, 0\)"),
        ({"affine": AFFINE, "at_mm": (99, 0, 20)}, "within the volume"),
        ({"affine": AFFINE, "voxel_size": (1, 1, 1)}, "leave out `voxel_size`"),
        ({"affine": AFFINE[:3]}, r"\(3, 4\)"),
        ({"outline": np.ones((2, 2, 2))}, r"`outline`.*\(8, 9, 10\).*\(2, 2, 2\)"),
        ({"outline": 2 * np.ones(SHAPE)}, "of 0 and 1"),
        ({"convention": "radiologic"}, "radiological"),
        ({"value_range": (1, 0)}, "increasing"),
    ],
)
def test_what_slices_refuse(arguments, message):
    with pytest.raises(ValueError, match=message):
        volume_slices(VOLUME, **arguments)


# Mosaics


def test_a_mosaic_is_spread_over_the_body():
    volume = np.zeros((12, 12, 30))
    volume[3:9, 3:9, 8:20] = 1.0
    figure = volume_mosaic(volume, slices=4, affine=np.diag([2, 2, 2, 1]), columns=2)
    assert isinstance(figure, Figure)
    # Middles of the four parts 8 to 10, 11 to 13, 14 to 16 and 17 to 19.
    assert [ax.get_title() for ax in figure.axes] == [
        f"z = {2 * place} mm" for place in (9, 12, 15, 18)
    ]
    for ax, place in zip(figure.axes, (9, 12, 15, 18), strict=True):
        np.testing.assert_array_equal(seen(ax), volume[:, :, place].T[::-1])
    sides = [[letter for letter in letters(ax) if letter] for ax in figure.axes]
    assert sides == [["L", "A"], ["R", "A"], ["L", "P"], ["R", "P"]]


def test_a_mosaic_over_the_map():
    values = np.zeros((10, 10, 10))
    values[4:7, 5, 5] = [1.0, 2.0, 1.0]
    figure = volume_mosaic(
        VOLUME[:, :, :, None].repeat(1, 3)[:8, :8, :8],
        values[:8, :8, :8],
        axis="sagittal",
        over="map",
        affine=np.eye(4),
        slices=9,
    )
    assert [ax.get_title() for ax in figure.axes[:-1]] == ["x = 4 mm", "x = 5 mm", "x = 6 mm"]
    assert figure.axes[-1].get_ylabel() == "attribution"


@pytest.mark.parametrize("count, columns", [(12, 4), (8, 4), (6, 3), (1, 1)])
def test_rows_of_a_mosaic_are_full(count, columns):
    figure = volume_mosaic(RNG.random((12, 12, 12)), slices=count)
    tops = [round(ax.get_position().y0, 6) for ax in figure.axes]
    assert len(tops) == count
    assert tops.count(tops[0]) == columns


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"axis": "axial"}, "not known which axis is 'axial'"),
        ({"axis": 3}, "one of 0, 1, 2"),
        ({"axis": "axal", "affine": AFFINE}, "'axial'"),
        ({"slices": 0}, "Received: 0"),
        ({"columns": 0}, "`columns`"),
        ({"over": "map"}, "needs an `attribution`"),
        ({"over": "head"}, "'body', 'map'"),
    ],
)
def test_what_mosaics_refuse(arguments, message):
    with pytest.raises(ValueError, match=message):
        volume_mosaic(VOLUME, **arguments)
