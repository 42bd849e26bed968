"""What trainings give on one replica, on two of a machine, and on two workers; each runs once a session."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

SCRIPT = Path(__file__).parent / "trainings.py"
ROOT = Path(__file__).parents[2]
SECONDS = 400  # for what takes some twenty, on a busy machine


def free_port():
    """A port with a free one after it."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
            try:
                second.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port


def run(commands):
    """Runs processes side by side; fails with what one said that failed."""
    # Two replicas are two threads, and each worker has its core.
    own = {"OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(ROOT)}
    started = [
        subprocess.Popen(
            [sys.executable, SCRIPT, *map(str, command)],
            env=os.environ | own,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for command in commands
    ]
    try:
        said = [process.communicate(timeout=SECONDS)[0] for process in started]
    finally:
        for process in started:
            process.kill()
    for process, text in zip(started, said, strict=True):
        assert process.returncode == 0, text[-6000:]


@pytest.fixture(scope="session")
def trained(tmp_path_factory, worker_id):
    """A function from "one", "mirrored" or a worker's number to what its trainings gave, by name.

    With `slow=True`, to what the trainings of the slow tests gave.
    """
    shared = tmp_path_factory.getbasetemp()
    shared = shared if worker_id == "master" else shared.parent

    def of(kind, slow=False):
        stem = "trained-slow" if slow else "trained"
        files = {kind: shared / f"{stem}-{kind}.npz"}
        if kind in (0, 1):
            files = {worker: shared / f"{stem}-{worker}.npz" for worker in (0, 1)}
        with FileLock(shared / "trained.lock"):
            if not files[kind].exists():
                port = free_port()
                run(
                    [
                        [file, "--replicas", 2 if each == "mirrored" else 1, *["--slow"] * slow]
                        + (["--worker", each, "--port", port] if each in (0, 1) else [])
                        for each, file in files.items()
                    ]
                )
        with np.load(files[kind]) as found:
            return dict(found)

    return of
