from itertools import combinations

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from keras_pli.plotting.style import class_labels, class_styles, contrast_on_white, run_colors

# Machado, Oliveira and Fernandes 2009: a protanope's and a deuteranope's view of linear RGB, severity 1.
PROTANOPIA = np.array(
    [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ]
)
DEUTERANOPIA = np.array(
    [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ]
)
TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.072175],
        [0.0193339, 0.119192, 0.9503041],
    ]
)


def linear(color):
    rgb = np.array(to_rgb(color))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    xyz = TO_XYZ @ np.clip(rgb, 0, 1) / (0.95047, 1.0, 1.08883)
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def test_first_eight_colours_differ_for_every_eye():
    colors = [style.color for style in class_styles(np.arange(8)).values()]
    for first, second in combinations(colors, 2):
        for sight, least in ((np.eye(3), 25), (DEUTERANOPIA, 15), (PROTANOPIA, 14)):
            difference = np.linalg.norm(lab(sight @ linear(first)) - lab(sight @ linear(second)))
            assert difference > least, (first, second)


def test_deuteranopia_check_rejects_a_known_bad_pair():
    red, green = (lab(DEUTERANOPIA @ linear(color)) for color in ("#B36B00", "#7A8000"))
    assert np.linalg.norm(red - green) < 15


def test_colours_are_legible_on_white():
    styles = class_styles(np.arange(8)).values()
    assert min(contrast_on_white(to_rgb(style.color)) for style in styles) >= 3
    many = class_styles(np.arange(40)).values()
    assert min(contrast_on_white(to_rgb(style.ink)) for style in many) >= 4.4


@pytest.mark.parametrize("count", [20, 160, 192])
def test_colour_and_marker_tell_all_classes_apart(count):
    looks = [(style.color, style.marker) for style in class_styles(np.arange(count)).values()]
    assert len(set(looks)) == count


def test_a_missing_class_leaves_the_others_alone():
    full, part = class_styles([0, 1, 2, 3]), class_styles([3, 1])
    assert part == {1: full[1], 3: full[3]}


def test_names_by_position_mapping_and_string_labels():
    names = ["cat", "dog", "owl"]
    assert class_styles([2], names)[2].name == "owl"
    assert class_styles(["owl"], names)["owl"] == class_styles([2], names)[2]
    assert class_styles([5], {4: "cat", 5: "dog"})[5] == class_styles([1], names)[1]
    assert list(class_styles([-1, 3])) == [-1, 3]
    assert list(class_styles(np.array(["b", "a"], dtype=object))) == ["a", "b"]


def test_samples_without_a_label_are_grey_and_leave_the_others_alone():
    styles = class_styles([-1, 0, 2], ["cat", "dog", "owl"])
    assert list(styles) == [0, 2, -1] and styles[-1].name == "no label"
    assert {label: styles[label] for label in (0, 2)} == class_styles([0, 2], ["cat", "dog", "owl"])
    assert class_styles([-1, 0, 1], {-1: "left", 0: "none", 1: "right"})[-1].name == "left"


def test_too_few_names_are_quoted():
    with pytest.raises(ValueError, match=r"No name for the labels 2, 3.*'cat', 'dog'"):
        class_styles([0, 2, 3], ["cat", "dog"])


def test_labels_become_classes():
    assert class_labels([1.0, 0.0], 2).tolist() == [1, 0]
    assert class_labels([[1], [0]], 2).tolist() == [1, 0]
    assert class_labels(None, 2).tolist() == [0, 0]
    assert class_labels([True, False], 2).dtype == np.int64
    with pytest.raises(ValueError, match=r"0\.5"):
        class_labels([0.5, 1.0], 2)
    with pytest.raises(ValueError, match=r"\(3,\)"):
        class_labels([0, 1, 2], 2)


def test_runs_keep_their_colours():
    two, three = run_colors(["control", "PLI"]), run_colors(["baseline", "control", "PLI"])
    assert two == {run: three[run] for run in two}
    assert len(set(run_colors(["control", "PLI", "a", "b", "c"]).values())) == 5
