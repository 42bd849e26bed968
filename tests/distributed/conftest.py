"""What trainings give on one replica, on two of a machine, and on two workers; each runs once a session."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from trainings import all_trainings, in_every_run

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
    """A function from "one", "mirrored" or a worker's number, and a training, to the arrays it gave there."""
    shared = tmp_path_factory.getbasetemp()
    shared = shared if worker_id == "master" else shared.parent

    def of(kind, training):
        quick = in_every_run(training, kind)
        together = (0, 1) if kind in (0, 1) else (kind,)
        files = {each: shared / f"trained-{quick}-{each}.npz" for each in together}
        with FileLock(shared / "trained.lock"):
            if not files[kind].exists():
                port = free_port()
                names = [name for name in all_trainings() if in_every_run(name, kind) == quick]
                run([[file, *names, *_options(each, port)] for each, file in files.items()])
        with np.load(files[kind]) as found:
            start = f"{training}/"
            return {
                name.removeprefix(start): found[name] for name in found if name.startswith(start)
            }

    return of


def _options(kind, port):
    if kind in (0, 1):
        return ["--worker", kind, "--port", port]
    return ["--replicas", 2 if kind == "mirrored" else 1]
