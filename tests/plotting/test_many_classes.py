"""Maps of few to a hundred classes, apart, overlapping and without structure, stay readable."""

import warnings
from itertools import combinations

import numpy as np
import pytest
from matplotlib.contour import ContourSet
from matplotlib.legend import Legend
from matplotlib.path import Path
from matplotlib.transforms import Bbox
from PIL import Image

from keras_pli.plotting import (
    animate_maps,
    displacement_arrows,
    embedding_comparison,
    embedding_map,
)
from keras_pli.plotting.outlines import class_outlines, overlap

NAMES = ["Ankle boot", "Bag", "Coat", "Dress", "Pullover", "Left ventricle", "T-shirt/top", "Aorta"]


def named(classes):
    return [f"{NAMES[i % len(NAMES)]} {i}" for i in range(classes)]


def blobs(classes, spread, samples=1000):
    rng = np.random.default_rng(0)
    labels = np.arange(samples) % classes
    centres = rng.uniform(-30, 30, (classes, 2))
    return centres[labels] + spread * rng.normal(size=(samples, 2)), labels


def without_structure(classes, samples=1000):
    points = np.random.default_rng(0).normal(size=(samples, 2))
    return points, np.arange(samples) % classes


def wide(classes):
    """A map with a stray far to its right, and so half as high as wide."""
    points, labels = blobs(classes, 3)
    points[0] = 150, 0
    return points, labels


SCENES = {
    "apart": lambda classes: blobs(classes, 1.5),
    "overlapping": lambda classes: blobs(classes, 8),
    "no structure": without_structure,
    "wide": wide,
}
MORE = {**SCENES, "crowded": lambda classes: blobs(classes, 8, samples=4000)}


def rendered(figure):
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # such as axes that collapsed beside their legend
        figure.draw_without_rendering()
    return figure


def name_boxes(ax, names):
    texts = [text for text in ax.texts if text.get_text().replace("\n", " ") in names]
    return [text.get_window_extent() for text in texts]


def check_names(ax, names, least=1):
    boxes = name_boxes(ax, names)
    assert len(boxes) >= least
    assert not [pair for pair in combinations(boxes, 2) if pair[0].overlaps(pair[1])]
    frame = ax.get_window_extent().padded(0.5)
    assert all(frame.contains(*corner) for box in boxes for corner in box.corners())


def lines(ax):
    """The vertices of all contour lines, piece by piece."""
    sets = [artist for artist in ax.collections if isinstance(artist, ContourSet)]
    return [piece for found in sets for path in found.get_paths() for piece in path.to_polygons()]


def check_lines(ax):
    """All contour lines lie within the frame, and so are closed."""
    low, high = np.transpose([ax.get_xlim(), ax.get_ylim()])
    for piece in lines(ax):
        assert (piece > low).all() and (piece < high).all()
        np.testing.assert_array_equal(piece[0], piece[-1])


@pytest.mark.parametrize(
    ("scene", "classes"),
    [
        pytest.param(
            scene,
            classes,
            marks=() if classes < 25 else pytest.mark.slow,
        )
        for scene in SCENES
        for classes in (4, 10, 25, 100)
    ],
)
def test_names_lines_and_legend_have_their_places(scene, classes):
    names = named(classes)
    figure = rendered(embedding_map(*SCENES[scene](classes), class_names=names))
    (ax,) = figure.axes
    check_names(ax, names, least=classes if classes <= 10 else 12)
    check_lines(ax)
    width, height = figure.get_size_inches()
    frame = ax.get_window_extent()
    assert min(frame.width, frame.height) > 2.9 * figure.dpi and height < 7.5 and width < 14
    if classes > 6:
        legend = ax.get_legend()
        assert [text.get_text() for text in legend.get_texts()] == names
        page, box = figure.bbox.padded(3), legend.get_window_extent()
        assert page.contains(box.x0, box.y0) and page.contains(box.x1, box.y1)
        assert not box.overlaps(frame)


@pytest.mark.parametrize(
    "scene, classes, drawn",
    [
        pytest.param("apart", 40, True, marks=pytest.mark.slow),
        ("overlapping", 10, True),
        pytest.param("crowded", 40, False, marks=pytest.mark.slow),
        pytest.param("no structure", 4, True, marks=pytest.mark.slow),
        ("no structure", 10, False),
    ],
)
def test_contours_are_left_out_where_they_cannot_be_told_apart(scene, classes, drawn):
    points, labels = MORE[scene](classes)
    assert bool(lines(embedding_map(points, labels).axes[0])) == drawn
    assert lines(embedding_map(points, labels, contours=True).axes[0])
    assert not lines(embedding_map(points, labels, contours=False).axes[0])
    figure = embedding_comparison({"a": points, "b": 2 * points}, labels)
    assert [bool(lines(ax)) for ax in figure.axes] == [drawn, drawn]


def test_panels_have_contours_all_or_none():
    points, labels = blobs(10, 1.5)
    panels = {"apart": points, "mixed": without_structure(10)[0]}
    assert not any(lines(ax) for ax in embedding_comparison(panels, labels).axes)


def test_overlap_counts_the_lines_around_a_point():
    points, labels = blobs(10, 8)
    outlines = class_outlines(points, labels, width=100.0)
    ax = embedding_map(points, labels, contours=True, limits=(-90, 90, -90, 90)).axes[0]
    # A class is within its line where an odd number of its pieces encloses the point.
    sets = [artist for artist in ax.collections if isinstance(artist, ContourSet)]
    counts = [
        sum(Path(piece).contains_points(points) for piece in found.get_paths()[0].to_polygons()) % 2
        for found in sets
    ]
    assert overlap(outlines.values(), points) == pytest.approx(
        np.sum(counts, axis=0).mean(), rel=0.02
    )
    for label, outline in outlines.items():
        pieces = np.concatenate(sets[label].get_paths()[0].to_polygons())
        low, high = outline.corners
        assert (pieces >= low).all() and (pieces <= high).all()
        cell = outline.density.x[1] - outline.density.x[0]
        assert (pieces.min(axis=0) - low < 2 * cell).all() and (
            high - pieces.max(axis=0) < 2 * cell
        ).all()


@pytest.mark.parametrize("copies", [1, 3, 12])
def test_classes_that_coincide_overlap_as_often_as_they_are(copies):
    points = np.tile(np.random.default_rng(0).normal(size=(200, 2)), (copies, 1))
    outlines = class_outlines(points, np.repeat(np.arange(copies), 200), width=8.0)
    assert overlap(outlines.values(), points) == pytest.approx(copies, rel=0.05)


@pytest.mark.slow
def test_few_names_keep_lines_to_their_spots_and_many_have_none():
    def drawn_lines(classes):
        names = [f"Left ventricular outflow tract {i}" for i in range(classes)]
        ax = embedding_map(*without_structure(classes), class_names=names).axes[0]
        return [line for line in ax.lines if line.get_path_effects()]

    assert drawn_lines(12) and not drawn_lines(13)


@pytest.mark.parametrize("name", ["x" * 90, "Left ventricular outflow tract " * 4, "$" * 30])
def test_long_names_stay_inside(name):
    points, labels = blobs(3, 3)
    names = [f"{name}{i}" for i in range(3)]
    figure = rendered(embedding_map(points, labels, class_names=names))
    (ax,) = figure.axes
    boxes = [text.get_window_extent() for text in ax.texts if "\n" in text.get_text()]
    frame = ax.get_window_extent().padded(0.5)
    assert len(boxes) == 3
    assert all(frame.contains(*corner) for box in boxes for corner in box.corners())


@pytest.mark.slow
@pytest.mark.parametrize("dpi", [50, 220])
def test_places_hold_at_other_resolutions(dpi):
    names = named(25)
    figure = embedding_map(*blobs(25, 8), class_names=names)
    figure.set_dpi(dpi)
    check_names(rendered(figure).axes[0], names)


def test_limits_that_are_given_hold_and_names_stay_inside():
    names = named(25)
    figure = rendered(embedding_map(*blobs(25, 3), class_names=names, limits=(-10, 10, -10, 10)))
    (ax,) = figure.axes
    assert (ax.get_xlim(), ax.get_ylim()) == ((-10, 10), (-10, 10))
    check_names(ax, names)


@pytest.mark.parametrize("classes", [10, pytest.param(100, marks=pytest.mark.slow)])
def test_panels_and_arrows_of_many_classes(classes):
    points, labels = blobs(classes, 3)
    names = named(classes)
    figure = rendered(embedding_comparison({"a": points, "b": -points}, labels, class_names=names))
    for ax in figure.axes:
        check_names(ax, names, least=10 if classes == 10 else 0)
        check_lines(ax)
    below = figure.legends[0].get_window_extent()
    assert not any(below.overlaps(ax.get_window_extent()) for ax in figure.axes)
    figure = rendered(
        displacement_arrows(points, points + np.array([9, 0]), labels, class_names=names)
    )
    (ax,) = figure.axes
    check_names(ax, names)
    legends = [child for child in ax.get_children() if isinstance(child, Legend)]
    told = [text.get_text() for legend in legends[:-1] for text in legend.get_texts()]
    assert told == (names if classes == 100 else [])
    boxes = [legend.get_window_extent() for legend in legends] + [ax.get_window_extent()]
    assert not [pair for pair in combinations(boxes, 2) if pair[0].overlaps(pair[1])]
    page = Bbox.union(boxes)
    assert page.width <= figure.bbox.width and page.height <= figure.bbox.height


@pytest.mark.slow
def test_an_animation_has_the_contours_of_its_last_map(tmp_path):
    points, labels = blobs(10, 1.5, samples=300)
    mixed = 60 * (np.random.default_rng(0).random((300, 2)) - 0.5)

    def picture(name, frames, contours=None):
        path = animate_maps(frames, labels, tmp_path / name, contours=contours, dpi=30)
        return [frame.copy() for frame in frames_of(path)]

    def frames_of(path):
        with Image.open(path) as movie:
            for index in range(movie.n_frames):
                movie.seek(index)
                yield movie.convert("RGB")

    ordered, lined = picture("a.gif", [mixed, points]), picture("b.gif", [mixed, points], True)
    assert [one.tobytes() for one in ordered] == [one.tobytes() for one in lined]
    undone, bare = picture("c.gif", [points, mixed]), picture("d.gif", [points, mixed], False)
    assert [one.tobytes() for one in undone] == [one.tobytes() for one in bare]
