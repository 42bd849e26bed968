"""The example of two workers, by processes and by Ray Train, on images as small as its network takes."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from test_lost_workers import ROOT


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    random, path = np.random.default_rng(0), tmp_path_factory.mktemp("data") / "images.npz"
    labels = np.arange(300) % 3
    images = random.integers(0, 60, (300, 12, 12)) + 60 * labels[:, None, None]
    images = images.astype(np.uint8)
    np.savez(path, x_train=images, y_train=labels, x_test=images[:90], y_test=labels[:90])
    return path


def run(out, data, *more):
    script = ROOT / "examples" / "train_on_workers.py"
    command = [sys.executable, script, "--out", out, "--data", data, "--epochs", "1", *more]
    own = {"PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": "-1", "OMP_NUM_THREADS": "1"}

    done = subprocess.run(
        list(map(str, command)), env=os.environ | own, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads((out / "accuracy.json").read_text()), np.load(out / "map.npy")


@pytest.mark.slow
def test_processes_and_ray_train_alike(data, tmp_path):
    accuracy, places = run(tmp_path / "processes", data)
    assert places.shape == (300, 2)
    assert accuracy.keys() == {"before", "after"}
    # The same command again takes all from the backups.
    again, same = run(tmp_path / "processes", data)
    assert again == accuracy
    np.testing.assert_allclose(same, places, atol=1e-5)
    by_ray, found = run(tmp_path / "ray", data, "--launcher", "ray")
    assert by_ray == accuracy
    np.testing.assert_allclose(found, places, atol=1e-4)
