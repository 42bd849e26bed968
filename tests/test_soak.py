"""Minutes of kills and restarts, two writers at once: nothing is lost, doubled or of other work.

`KERAS_PLI_SOAK_SECONDS` sets how long; ten minutes by default.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from soak_jobs import JOBS

SECONDS = float(os.environ.get("KERAS_PLI_SOAK_SECONDS", 600))
SCRIPT = Path(__file__).with_name("soak_jobs.py")
BUSY = 3


def started(job, folder, result):
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(SCRIPT), job, str(folder), str(result)]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def ended(process, seconds=None):
    """The exit code of a process, which is killed some seconds after its work began; None where it was."""
    process.stdout.readline()
    if seconds is not None:
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            return None
    _, errors = process.communicate()
    assert process.returncode in (0, BUSY), errors[-3000:]
    return process.returncode


def check(job, result, expected, folder):
    with np.load(result) as found:
        if job == "export":  # every version that there is answers as the model does
            assert sorted(found) == [f"version {n}" for n in range(1, len(found.files) + 1)]
            for name in found:
                np.testing.assert_allclose(found[name], expected["version 1"], atol=1e-6)
        else:
            assert sorted(found) == sorted(expected)
            for name in found:
                np.testing.assert_array_equal(found[name], expected[name], err_msg=name)
    left = [path.name for path in folder.iterdir() if path.name.startswith(".writing-")]
    assert not left, left


@pytest.mark.slow
def test_kills_and_restarts(tmp_path):
    draw = random.Random(0)
    expected, counts = {}, Counter()
    for job in JOBS:
        process = started(job, tmp_path / "whole" / job, tmp_path / f"{job}.npz")
        assert ended(process) == 0
        with np.load(tmp_path / f"{job}.npz") as found:
            expected[job] = dict(found)
    end = time.monotonic() + SECONDS
    rounds = 0
    while time.monotonic() < end or rounds % len(JOBS):
        job = list(JOBS)[rounds % len(JOBS)]
        folder, rounds = tmp_path / job, rounds + 1
        done = False
        while not done:
            results = [tmp_path / f"{job}-{number}.npz" for number in range(2)]
            pair = [started(job, folder, result) for result in results]
            waits = [draw.uniform(0, 4) if time.monotonic() < end and draw.random() < 0.7 else None]
            waits.append(draw.uniform(0, 4) if waits[0] is None and draw.random() < 0.5 else None)
            codes = [ended(one, wait) for one, wait in zip(pair, waits, strict=True)]
            counts.update((job, code) for code in codes)
            for code, result in zip(codes, results, strict=True):
                if code == 0:
                    check(job, result, expected[job], folder)
                    done = True
        shutil.rmtree(folder)
    print({f"{job}: {code}": count for (job, code), count in sorted(counts.items(), key=str)})
    assert all(counts[job, 0] for job in JOBS)
    assert any(counts[job, None] for job in JOBS)
