"""Simple models drawn: a decision tree with classes in its leaves, the weights of a linear model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike, NDArray

from .heatmaps import number
from .style import (
    FRAME,
    INK,
    MUTED,
    SMALL_SIZE,
    TEXT_SIZE,
    class_styles,
    draw_title,
    legend_handles,
    new_figure,
    plain,
    quiet_axes,
)

_LEAF, _LEVEL = 0.42, 1.75  # inches
_POSITIVE, _NEGATIVE = "#D55E00", "#0072B2"
_MOST_WEIGHTS = 12


def decision_tree(
    children: ArrayLike,
    questions: Sequence[str],
    thresholds: ArrayLike,
    shares: ArrayLike,
    samples: ArrayLike,
    *,
    class_names: Sequence[str],
    title: str | None = None,
) -> Figure:
    """Draws a decision tree from left to right, the upper branch where the answer is yes.

    A leaf is a bar of its class shares, named by the largest. Lines are as wide as the share of samples that
    goes along.

    Args:
        children: The two nodes that follow each node, `(nodes, 2)`; −1 in leaves.
        questions: What each node asks, up to the threshold.
        thresholds: The threshold of each node.
        shares: Class shares in each node, `(nodes, classes)`.
        samples: Number of samples in each node.
        class_names: Names of the classes.
        title: What stands above.

    Returns:
        A new figure with one axes.

    Example:
        >>> children, shares = [[1, 2], [-1, -1], [-1, -1]], [[1, 1], [1, 0], [0, 1]]
        >>> figure = decision_tree(children, ["size ≤ "] * 3, [0.5] * 3, shares, [4, 2, 2],
        ...                        class_names=["cat", "dog"])
        >>> [text.get_text() for text in figure.axes[0].texts if "size" in text.get_text()]
        ['size ≤ 0.5']
    """
    follow = np.asarray(children)
    parts = np.asarray(shares, np.float64)
    parts = parts / parts.sum(axis=1, keepdims=True)
    counts = np.asarray(samples, np.float64)
    places = _places(follow)
    leaves = int(np.sum(follow[:, 0] < 0))
    levels = max(level for level, _ in places.values())
    styles = class_styles(list(class_names), list(class_names))
    figure = new_figure(_LEVEL * (levels + 1) + 1.6, max(1.8, _LEAF * leaves + 0.9))
    ax = figure.add_subplot()
    ax.set(xlim=(-0.25, levels + 1.1), ylim=(leaves - 0.4, -0.6))
    ax.axis("off")
    draw_title(ax, title)
    colors = [style.color for style in styles.values()]
    for node, (level, height) in places.items():
        for child, answer in zip(follow[node], ("yes", "no"), strict=True):
            if child >= 0:
                share = counts[child] / counts[0]
                _draw_branch(ax, (level, height), places[int(child)], answer, share)
        if follow[node, 0] >= 0:
            asked = f"{questions[node]}{number(float(np.asarray(thresholds)[node]), digits=3)}"
            _draw_question(ax, level, height, asked)
        else:
            share = counts[node] / counts[0]
            _draw_leaf(ax, level, height, parts[node], colors, list(class_names), share)
    figure.legend(
        handles=legend_handles(styles.values()),
        loc="outside lower left",
        ncols=min(len(styles), 10),
        frameon=False,
        fontsize=SMALL_SIZE,
        labelcolor=INK,
    )
    return figure


def linear_weights(
    weights: Mapping[str, ArrayLike],
    names: Sequence[str],
    *,
    columns: int = 3,
    title: str | None = None,
) -> Figure:
    """Draws the weights of each class as bars, the strongest above, up to twelve, zeros left out.

    Args:
        weights: One weight a feature for each class.
        names: Names of the features.
        columns: Charts in a row.
        title: What stands above.

    Returns:
        A new figure with one axes a class.

    Example:
        >>> figure = linear_weights({"cat": [1.0, 0.0, -2.0]}, ["ear", "eye", "tail"])
        >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
        ['tail', 'ear']
    """
    rows = {name: np.asarray(row, np.float64) for name, row in weights.items()}
    shown = {
        name: [place for place in np.argsort(-np.abs(row), kind="stable") if row[place] != 0]
        for name, row in rows.items()
    }
    most = max(1, min(_MOST_WEIGHTS, max(map(len, shown.values()))))
    columns = min(columns, len(rows))
    lines = -(-len(rows) // columns)
    letters = max(map(len, names))
    figure = new_figure(
        columns * (2.1 + 0.07 * letters),
        lines * (0.24 * most + 0.65) + (0.35 if title else 0.0),
        pad=0.06,
    )
    limit = 1.05 * max(float(np.abs(row).max()) for row in rows.values()) or 1.0
    for index, (name, row) in enumerate(rows.items()):
        ax = figure.add_subplot(lines, columns, index + 1)
        places = shown[name][:_MOST_WEIGHTS]
        colors = [_POSITIVE if row[place] > 0 else _NEGATIVE for place in places]
        ax.barh(range(len(places)), row[places], color=colors, height=0.62)
        ax.axvline(0.0, color=FRAME, lw=0.8)
        quiet_axes(ax)
        ax.set(xlim=(-limit, limit), ylim=(most - 0.4, -0.6))
        ax.set_yticks(range(len(places)), [plain(names[place]) for place in places])
        left = len(shown[name]) - len(places)
        draw_title(ax, name if not left else f"{name}  ({left} smaller left out)")
    figure.supxlabel("weight for a standard deviation", fontsize=TEXT_SIZE, color=INK)
    if title:
        figure.suptitle(plain(title), fontsize=TEXT_SIZE + 2, color=INK, x=0.01, ha="left")
    return figure


def _places(children: NDArray[np.int64]) -> dict[int, tuple[int, float]]:
    """Each node's level and height: leaves stand evenly, others in the middle of what follows."""
    places: dict[int, tuple[int, float]] = {}
    leaves = 0

    def put(node: int, level: int) -> float:
        nonlocal leaves
        below = [put(int(child), level + 1) for child in children[node] if child >= 0]
        height = sum(below) / 2 if below else float(leaves)
        leaves += not below
        places[node] = (level, height)
        return height

    put(0, 0)
    return places


def _draw_branch(
    ax: Axes, start: tuple[float, float], end: tuple[float, float], answer: str, share: float
) -> None:
    """Draws the way to a child, as wide as its share of the samples."""
    xs = [start[0], start[0] + 0.3, end[0] - 0.3, end[0]]
    ys = [start[1], start[1], end[1], end[1]]
    ax.plot(xs, ys, color=FRAME, lw=0.6 + 6.0 * share, zorder=1, solid_joinstyle="round")
    below = answer == "no"
    ax.text(
        end[0] - 0.3,
        end[1] + (0.1 if below else -0.1),
        answer,
        fontsize=SMALL_SIZE,
        color=MUTED,
        va="top" if below else "bottom",
        ha="right",
    )


def _draw_question(ax: Axes, level: float, height: float, text: str) -> None:
    """Writes what a node asks on its branches."""
    ax.text(
        level - 0.2,
        height,
        plain(text),
        fontsize=TEXT_SIZE,
        color=INK,
        va="center",
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 2.5},
        zorder=3,
    )


def _draw_leaf(
    ax: Axes,
    level: float,
    height: float,
    shares: NDArray[np.float64],
    colors: Sequence[str],
    names: Sequence[str],
    part: float,
) -> None:
    start, width = float(level), 0.45
    for share, color in zip(shares, colors, strict=True):
        ax.add_patch(
            Rectangle((start, height - 0.2), width * share, 0.4, color=color, lw=0, zorder=2)
        )
        start += width * share
    best = int(shares.argmax())
    ax.text(
        level + width + 0.05,
        height,
        plain(f"{names[best]}  {shares[best]:.0%}"),
        fontsize=TEXT_SIZE,
        color=INK,
        va="center",
    )
    ax.text(
        level + width + 0.05,
        height + 0.36,
        f"{part:.0%} of samples",
        fontsize=SMALL_SIZE - 1.5,
        color=MUTED,
        va="center",
    )
