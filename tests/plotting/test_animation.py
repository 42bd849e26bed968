import numpy as np
import pytest
from PIL import Image

from keras_pli.plotting import animate_maps


def frames_of(path):
    with Image.open(path) as picture:
        frames = []
        for index in range(picture.n_frames):
            picture.seek(index)
            frames.append(np.asarray(picture.convert("RGB")))
        return frames, picture.info


@pytest.mark.slow
def test_one_frame_a_map_also_if_nothing_moves(tmp_path, clusters):
    points, labels = clusters
    path = animate_maps([points, points, points + 3], labels, tmp_path / "map.gif", fps=5, dpi=80)
    frames, info = frames_of(path)
    assert len(frames) == 3 and info["duration"] == 200
    # Each frame has a palette of its own, so colours of equal pixels differ a little.
    change = [np.abs(frames[i + 1].astype(int) - frames[i]).max(axis=2) > 40 for i in (0, 1)]
    assert 0 < change[0].sum() < 0.1 * change[1].sum()
    assert list(tmp_path.iterdir()) == [path]


def test_frame_and_legend_stand_still(tmp_path, clusters):
    points, labels = clusters
    titles = ["Epoch 1", "A much longer title of epoch two"]
    path = animate_maps([points, points * 0.5], labels, tmp_path / "a.gif", titles=titles, dpi=40)
    (first, second), _ = frames_of(path)
    # The rightmost columns hold the legend alone.
    legend = slice(int(0.9 * first.shape[1]), None)
    assert (first[:, legend] < 250).any()
    # A GIF's palette changes from frame to frame; black on white that moves would differ by far more.
    assert np.abs(first[:, legend].astype(int) - second[:, legend]).max() < 60


def test_a_failure_midway_leaves_no_file(tmp_path, clusters, monkeypatch):
    points, labels = clusters

    def fail(*_, **__):
        raise RuntimeError("interrupted")

    monkeypatch.setattr("keras_pli.plotting.animation._draw_counter", fail)
    with pytest.raises(RuntimeError, match="interrupted"):
        animate_maps([points], labels, tmp_path / "map.gif", dpi=30)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"path": "map.mp4"}, "'map.mp4'"),
        ({"frames": []}, "at least one"),
        ({"frames": [np.zeros((4, 2)), np.zeros((5, 2))]}, r"\(5, 2\)"),
        ({"frames": [np.zeros((4, 3))]}, r"\(4, 3\)"),
        ({"frames": [np.full((4, 2), np.nan)]}, r"frames\[0\]"),
        ({"titles": ["a", "b"]}, "1 entries. Received: 2"),
        ({"fps": 0}, "Received: 0"),
        ({"labels": [0]}, "4 samples"),
    ],
)
def test_errors(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    good = {"frames": [np.zeros((4, 2))], "labels": None, "path": "map.gif"}
    with pytest.raises(ValueError, match=message):
        animate_maps(**{**good, **arguments})
    assert not list(tmp_path.iterdir())
