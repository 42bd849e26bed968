"""How every figure looks: one colour and marker a class, the same in all panels and figures."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure as MatplotlibFigure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.markers import MarkerStyle
from matplotlib.path import Path
from matplotlib.patheffects import AbstractPathEffect, withStroke
from numpy.typing import ArrayLike, NDArray

from ..checks import label_array, quoted
from .figure import Figure

ClassNames: TypeAlias = Sequence[str] | Mapping[Any, str]

# Chosen by search between Okabe and Ito's hues: all eight have a contrast of 3 or more on white and on
# the dark ground of a page (`plotting.page`), as they are and as that page redraws them, and stay apart
# for a deuteranope and a protanope (see the tests). That leaves out black, yellow and pale blue.
_PURE = ("#0072B2", "#C08500", "#009A5C", "#B94500", "#CA7895", "#32A0BE", "#9372E8", "#92873A")
_DARK = ("#003F66", "#6B4A00", "#005A36", "#6E2600", "#7B3F5A", "#0A5F75", "#4A2F96", "#4E4717")
_LIGHT = ("#6AAEDC", "#E0A93A", "#5FBF92", "#EC8A54", "#E59DB8", "#6DC0D8", "#BFA6F5", "#BDB25E")
_SHADES = (_PURE, _DARK, _LIGHT)
# Each of the first eight classes has a shape of its own. The next eight begin one shape later: eight shapes
# and three shades have no common factor, so 8 * 24 classes look different.
_MARKERS = ("o", "^", "s", "D", "v", "P", "X", "*")
# How much larger than a circle's box a marker's must be to weigh as much.
_AREAS = {"^": 1.25, "v": 1.25, "s": 0.8, "D": 0.72, "P": 1.3, "X": 1.3, "*": 1.9}
_RUNS = {"baseline": "#C4C4C4", "control": "#868686", "pli": _PURE[0]}

# What integer labels of -1 stand for, where there are two classes or more beside them.
NO_LABEL = "no label"
INK = "#222222"
MUTED = "#6B6B6B"
FRAME = "#CCCCCC"
PALE = "#D2D2D2"
_UNLABELLED = "#8A8A8A"
TITLE_SIZE = 11.0
TEXT_SIZE = 9.0
SMALL_SIZE = 8.0
_LONGEST = 26  # letters of a name in a legend or before a row


@dataclass(frozen=True)
class ClassStyle:
    """The name, colour and marker that stand for one class.

    Attributes:
        name: What labels and legends call the class.
        color: Colour of its points, a hexadecimal string.
        marker: Matplotlib marker of its points.
    """

    name: str
    color: str
    marker: str

    @property
    def area(self) -> float:
        """What to multiply a marker's area by, so that no class looks larger than others for its shape."""
        return _AREAS.get(self.marker, 1.0)

    @property
    def ink(self) -> str:
        """The colour darkened until it can be read as text on white (contrast 4.5 or more)."""
        rgb = np.array(to_rgb(self.color))
        while contrast_on_white(rgb) < 4.5:
            rgb = 0.93 * rgb
        return to_hex(tuple(rgb))


def class_styles(labels: ArrayLike, class_names: ClassNames | None = None) -> dict[Any, ClassStyle]:
    """Gives every class its name, colour and marker.

    The style belongs to the class and not to the figure: it follows from the position in
    `class_names` or from the integer label itself, so a class that is missing from one map leaves
    the colours of the others alone. Only string or negative labels without `class_names` are
    counted in sorted order. Samples with the label -1, beside two classes or more, have no label and are
    grey.

    Args:
        labels: Array-like of shape `(samples,)`, integers or strings.
        class_names: A sequence of names, which integer labels index and string labels are taken
            from, or a mapping from label to name.

    Returns:
        A dict from label to `ClassStyle`, in the order of the classes, for those that occur.

    Raises:
        ValueError: If a label has no entry in `class_names`.

    Example:
        >>> class_styles([2, 0, 2], ["cat", "dog", "owl"])[2].name
        'owl'
    """
    present = _sorted_classes(labels)
    if _some_unlabelled(present) and not (isinstance(class_names, Mapping) and -1 in class_names):
        known = class_styles(np.array(present[1:]), class_names)
        return {**known, -1: ClassStyle(NO_LABEL, _UNLABELLED, "o")}
    integers = all(isinstance(label, int) for label in present)
    if isinstance(class_names, Mapping):
        order, names = list(class_names), dict(class_names)
    elif class_names is not None:
        order = list(range(len(class_names))) if integers else list(class_names)
        names = dict(zip(order, class_names, strict=True))
    else:
        counted = integers and min(present, default=0) >= 0
        order = list(range(max(present, default=-1) + 1)) if counted else present
        names = {label: str(label) for label in present}
    missing = [label for label in present if label not in names]
    if missing:
        raise ValueError(
            f"`class_names` must name every class. No name for the labels {quoted(missing)}; "
            f"received {len(names)} names: {quoted(names.values())}."
        )
    rank = {label: position for position, label in enumerate(order)}
    present.sort(key=rank.__getitem__)
    return {label: _style(rank[label], str(names[label])) for label in present}


def class_labels(labels: ArrayLike | None, samples: int, name: str = "labels") -> NDArray[Any]:
    """Returns one label a sample; whole floats become integers, None becomes one class, 0.

    Raises:
        ValueError: If the shape is not `(samples,)` or a label is a fraction, NaN or infinite.
    """
    if labels is None:
        return np.zeros(samples, dtype=np.int64)
    array = label_array(labels, samples, name)
    if array.dtype.kind == "f":
        wrong = array[~np.isfinite(array) | (array % 1 != 0)]
        if len(wrong):
            raise ValueError(f"`{name}` must be classes. Received the values {quoted(wrong)}.")
        array = array.astype(np.int64)
    return array.astype(np.int64) if array.dtype.kind == "b" else array


def run_colors(runs: Sequence[str]) -> dict[str, str]:
    """Gives every run a colour: always the same for baseline, control and PLI, others in turn."""
    others = itertools.cycle(_PURE[1:])
    return {run: _RUNS.get(run.lower()) or next(others) for run in runs}


def new_figure(width: float, height: float, *, pad: float = 0.04) -> Figure:
    """Returns an empty figure, in inches, that pyplot does not know and so never keeps alive."""
    layout = ConstrainedLayoutEngine(w_pad=pad, h_pad=pad)
    return Figure(figsize=(width, height), layout=layout, facecolor="white")


def root_figure(ax: Axes) -> MatplotlibFigure:
    """Returns the figure that `ax` ends up in, also from within a subfigure."""
    return ax.figure.figure


def plain(text: str) -> str:
    """Keeps matplotlib from reading dollar signs in a name as mathematics."""
    return text.replace("$", r"\$")


def short(name: str) -> str:
    """Returns a name, or both ends of a longer one, for a place that must not grow with it.

    Example:
        >>> short("coat"), short("a name that would leave no room for the chart beside it")
        ('coat', 'a name that wou… beside it')
    """
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 11]}…{name[-10:]}"


def halo(width: float = 2.5) -> list[AbstractPathEffect]:
    """Returns the white outline that lifts text and arrows off the points below them."""
    return [withStroke(linewidth=width, foreground="white")]


def legend_handles(styles: Iterable[ClassStyle]) -> list[Line2D]:
    """Returns one legend entry a class, of a size that does not depend on the number of points."""
    return [
        Line2D(
            [],
            [],
            ls="",
            marker=s.marker,
            color=s.color,
            markersize=6 * s.area**0.5,
            markeredgewidth=0,
            label=plain(short(s.name)),
        )
        for s in styles
    ]


def marker_path(marker: str) -> Path:
    """Returns a marker's outline as scatter draws it at size 1."""
    style = MarkerStyle(marker)
    return style.get_path().transformed(style.get_transform())


def draw_title(ax: Axes, title: str | None) -> None:
    """Sets a title in the house's size and weight, or none."""
    if title:
        ax.set_title(plain(title), fontsize=TITLE_SIZE, color=INK, loc="left")


def quiet_axes(ax: Axes, *, grid: str = "x") -> None:
    """Takes the weight out of a chart's frame: no box, a light grid along one axis, small text."""
    for side in ("top", "right", "left"):
        ax.spines[side].set_visible(False)
    ax.spines["bottom"].set_color(FRAME)
    ax.grid(axis="y" if grid == "y" else "x", color="#E6E6E6", linewidth=0.8)
    ax.set_axisbelow(True)
    ax.tick_params(length=0, labelsize=TEXT_SIZE, labelcolor=INK)


def contrast_on_white(rgb: ArrayLike) -> float:
    """Returns the WCAG contrast ratio, 1 to 21, of an sRGB colour against white.

    Example:
        >>> round(contrast_on_white((0, 0, 0)))
        21
    """
    return contrast((1.0, 1.0, 1.0), rgb)


def contrast(one: ArrayLike, other: ArrayLike) -> float:
    """Returns the WCAG contrast ratio, 1 to 21, of two sRGB colours.

    Example:
        >>> contrast((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
        1.0
    """
    dark, light = sorted(_luminance(color) for color in (one, other))
    return (light + 0.05) / (dark + 0.05)


def _luminance(rgb: ArrayLike) -> float:
    channel = np.asarray(rgb, dtype=np.float64)
    linear = np.where(channel <= 0.04045, channel / 12.92, ((channel + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def _style(index: int, name: str) -> ClassStyle:
    column, row = index % len(_PURE), index // len(_PURE)
    marker = _MARKERS[(column + row) % len(_MARKERS)]
    return ClassStyle(name, _SHADES[row % len(_SHADES)][column], marker)


def _some_unlabelled(present: list[Any]) -> bool:
    """Whether -1 stands for no label: beside one other label it is a class of two."""
    return len(present) > 2 and isinstance(present[0], int) and present[0] == -1


def _sorted_classes(labels: ArrayLike) -> list[Any]:
    values = np.asarray(labels)
    if values.dtype.kind == "O":
        return sorted(set(values.tolist()), key=str)
    return np.unique(values).tolist()
