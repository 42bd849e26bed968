"""The page's lasso selects what the plan's polygon selects."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from keras_pli.intervention.selection import Polygon

VIEW = Path(__file__).parents[2] / "keras_pli" / "studio" / "view"
SCRIPT = """
import { readFileSync } from "node:fs";
const { pointsInPolygon } = await import(process.argv[1]);
const cases = JSON.parse(readFileSync(0, "utf8"));
console.log(JSON.stringify(cases.map(({ points, vertices }) =>
  Array.from(pointsInPolygon(Float32Array.from(points), vertices)))));
"""


def lassos(random):
    """Points and corners: round, self-crossing, thin and degenerate ones, on coarse and fine grids."""
    for corners in (3, 4, 7, 60):
        for unit in (1e-3, 1.0, 1e4):
            yield unit * random.normal(size=(400, 2)), unit * random.normal(size=(corners, 2))
    # Many points in every cell of the grid that the page lays over the polygon.
    yield random.normal(size=(12_000, 2)), 2 * random.normal(size=(9, 2))
    # On a coarse grid many points lie on edges and corners, and rays meet corners.
    for corners in (3, 5, 8, 24):
        yield random.integers(-4, 5, size=(300, 2)), random.integers(-4, 5, size=(corners, 2))
    square = np.array([(0, 0), (2, 0), (2, 2), (0, 2)])
    yield random.integers(-1, 4, size=(80, 2)), square[[0, 1, 2, 3, 0]]
    yield random.integers(-1, 4, size=(80, 2)), np.repeat(square, 2, axis=0)
    yield random.integers(-1, 4, size=(80, 2)), square[[0, 1, 2, 3, 0, 1, 2, 3]]


def near_outline(random):
    """Points a few float32 steps beside the edges of a polygon."""
    corners = random.normal(size=(9, 2)).astype(np.float32)
    along = random.random(size=(40, 1))
    starts = random.integers(9, size=40)
    on = corners[starts] + along * (corners[(starts + 1) % 9] - corners[starts])
    steps = random.integers(-4, 5, size=(40, 2)) * np.finfo(np.float32).eps
    return on + steps, corners


def test_the_lasso_of_the_page_is_the_polygon_of_the_plan():
    node = shutil.which("node")
    if node is None:
        pytest.skip("node, which runs the page's functions here, is not installed")
    random = np.random.default_rng(0)
    cases = [*lassos(random), *(near_outline(random) for _ in range(12))]
    cases = [(points.astype(np.float32), corners.astype(float)) for points, corners in cases]
    given = [
        {"points": points.ravel().tolist(), "vertices": corners.tolist()}
        for points, corners in cases
    ]
    done = subprocess.run(
        [node, "--input-type=module", "-e", SCRIPT, (VIEW / "map/polygon.js").as_uri()],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    page = [np.array(mask, dtype=bool) for mask in json.loads(done.stdout)]
    plan = [Polygon(corners).resolve(points) for points, corners in cases]
    assert [mask.tolist() for mask in page] == [mask.tolist() for mask in plan]
    shares = np.array([mask.mean() for mask in plan])
    assert ((shares > 0) & (shares < 1)).sum() >= 20
