"""The examples with phantoms run as a user would run them, on little, and measure what they say they do."""

import runpy
import sys
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def run(monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(EXAMPLES))

    def runner(script, *arguments):
        monkeypatch.setattr(sys, "argv", [script, *map(str, arguments)])
        runpy.run_path(str(EXAMPLES / script), run_name="__main__")
        return capsys.readouterr().out

    return runner


@pytest.fixture
def functions(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return lambda script: runpy.run_path(str(EXAMPLES / script), run_name="example")


def table_after(printed, heading):
    """The rows of a printed table of two columns by their names."""
    lines = printed[printed.index(heading) :].splitlines()[2:]
    rows = [line.rsplit(maxsplit=2) for line in lines]
    end = next(i for i, row in enumerate(rows) if not row[-1].replace(".", "", 1).isdigit())
    return {name: (float(first), float(last)) for name, first, last in rows[:end]}


def is_drawn(path):
    """Whether a picture shows more than a blank page."""
    return matplotlib.image.imread(path)[..., :3].std() > 0.05


@pytest.mark.slow
def test_rationales_of_phantoms(run, tmp_path):
    options = ["--out", tmp_path, "--epochs", 2, "--width", 4, "--phantoms", 512, "--images", 2]
    options += ["--head-epochs", 12, "--labels", 40, "--draws", 1]
    printed = run("rationale_phantom.py", *options)
    table = table_after(printed, "Against the known truth")
    assert list(table) == [
        "Rationale",
        "Saliency",
        "Occlusion, 8 × 8",
        "Integrated gradients",
        "LIME",
        "(one value everywhere)",
    ]
    shares = np.array([share for _, share in table.values()])
    assert (shares > 0).all() and (shares < 1).all()
    assert all(abs(correlation) < 1 for correlation, _ in list(table.values())[:-1])
    auc = float(printed.split("other patients: AUC ")[1].split()[0])
    assert 0.7 < auc <= 1.0
    assert "images, convolutional" in printed.split("Scanner B, AUC of other patients")[1]
    for name in ("rationales", "path", "beside", "roc", "scanners"):
        assert is_drawn(tmp_path / f"{name}.png")
    assert (tmp_path / "rationales.html").read_text(encoding="utf-8").count("data:image/png") > 0
    assert {path.name for path in tmp_path.glob("*.keras")} >= {"generator.keras", "encoder.keras"}


@pytest.mark.filterwarnings("ignore:Mean of empty slice")
def test_a_map_is_scored_by_where_it_lies(functions):
    score = functions("rationale_phantom.py")["against_truth"]
    random = np.random.default_rng(0)
    borders = random.random((5, 8, 8)) < 0.25
    truths = random.uniform(0.1, 1, (5, 8, 8, 1)) * borders[..., None]
    maps = {"right": 3 * truths, "inverse": -truths, "flat": np.ones_like(truths)}
    maps["beside"] = 1.0 * ~borders[..., None]
    table = score(maps, truths, borders)
    assert table.loc["right"].tolist() == pytest.approx([1, 1])
    assert table.loc["inverse"].tolist() == pytest.approx([-1, 1])
    assert np.isnan(table.correlation["flat"]) and table["on the border"]["beside"] == 0
    assert table["on the border"]["flat"] == pytest.approx(borders.mean())
    assert table["on the border"].iloc[-1] == pytest.approx(borders.mean())


@pytest.mark.slow
def test_traversal_of_phantoms_goes_on_where_it_ended(run, tmp_path):
    options = ["--out", tmp_path, "--width", 4, "--phantoms", 512, "--structures", 20]
    options += ["--images", 4, "--epochs"]
    first = run("traversal_phantom.py", *options, 1)
    accuracy = float(first.split("held-out phantoms: ")[1].split()[0])
    assert 0.7 < accuracy <= 1.0
    assert "agreement: " in first
    assert " 80 " in next(line for line in first.splitlines() if line.startswith("all"))
    found = {
        name: float(first.split(f"true difference, {name}: ")[1].split()[0])
        for name in ("traversal", "Grad-CAM")
    }
    assert all(abs(value) < 1 for value in found.values()) and len(set(found.values())) == 2
    for name in ("samples", "inversion", "way_0", "differences", "truth"):
        assert is_drawn(tmp_path / f"{name}.png")
    more = run("traversal_phantom.py", *options, 2)
    assert "Epoch 2/2" in more and "Epoch 1/2" not in more
    # The classifier is the one that the folder holds.
    assert f"held-out phantoms: {accuracy:.3f}" in more
