"""A worker is killed in the middle of an epoch, the job begins again, and ends as if nothing had been."""

import sys
from pathlib import Path

import numpy as np
import pytest

from keras_pli.distributed import run_workers

JOB = Path(__file__).with_name("job_of_workers.py")
ROOT = Path(__file__).parents[2]


@pytest.fixture
def environment(monkeypatch):
    for name, value in {
        "CUDA_VISIBLE_DEVICES": "-1",
        "OMP_NUM_THREADS": "1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "PYTHONPATH": str(ROOT),
    }.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def weights_of(path):
    with np.load(path) as found:
        return dict(found)


@pytest.mark.slow
@pytest.mark.parametrize("killed", [0, 1])
def test_a_job_whose_worker_was_killed_ends_as_it_would_have(killed, environment, tmp_path):
    whole, resumed = tmp_path / "whole.npz", tmp_path / "resumed.npz"
    run_workers([sys.executable, str(JOB), str(whole), str(tmp_path / "first")])
    environment.setenv("KILLED", str(killed))
    mark = tmp_path / "killed"
    command = [sys.executable, str(JOB), str(resumed), str(tmp_path / "second"), str(mark)]
    run_workers(command, max_failures=2)
    assert {file.name for file in tmp_path.glob("killed-*")} == {"killed-plain", "killed-pli"}
    expected, found = weights_of(whole), weights_of(resumed)
    for name, weights in expected.items():
        np.testing.assert_allclose(found[name], weights, atol=1e-6, err_msg=name)


@pytest.mark.slow
def test_the_number_of_workers_may_change(environment, tmp_path):
    mark = tmp_path / "killed"
    command = [
        sys.executable,
        str(JOB),
        str(tmp_path / "one.npz"),
        str(tmp_path / "backups"),
        str(mark),
    ]
    environment.setenv("KILLED", "0")
    with pytest.raises(RuntimeError, match="worker 0 of 2 ended with -9"):
        run_workers(command)
    run_workers(command, workers=1, max_failures=1)
    run_workers([sys.executable, str(JOB), str(tmp_path / "whole.npz"), str(tmp_path / "whole")])
    expected, found = weights_of(tmp_path / "whole.npz"), weights_of(tmp_path / "one.npz")
    for name, weights in expected.items():
        np.testing.assert_allclose(found[name], weights, atol=1e-5, err_msg=name)


def test_workers_know_of_each_other_and_begin_again(tmp_path):
    script = (
        "import json, os, sys, pathlib; told = json.loads(os.environ['TF_CONFIG'])\n"
        f"number, folder = told['task']['index'], pathlib.Path({str(tmp_path)!r})\n"
        "assert len(set(told['cluster']['worker'])) == 3\n"
        "first = not (folder / str(number)).exists(); (folder / str(number)).touch()\n"
        "sys.exit(5 if first and number == 1 else 0)"
    )
    run_workers([sys.executable, "-c", script], workers=3, max_failures=1)
    assert {file.name for file in tmp_path.iterdir()} == {"0", "1", "2"}


def test_workers_lost_too_often_are_an_error():
    with pytest.raises(RuntimeError, match=r"worker 0 of 1 ended with 7, and max_failures=1"):
        run_workers([sys.executable, "-c", "raise SystemExit(7)"], workers=1, max_failures=1)
    with pytest.raises(ValueError, match="workers"):
        run_workers(["true"], workers=0)
