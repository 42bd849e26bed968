"""Starts the workers of one machine as processes, and starts them again where one of them was lost."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack

from ...checks import checked_number

# A worker that is asked to end has so many seconds, since TensorFlow may wait for one that is gone.
_GRACE = 2.0


def run_workers(command: Sequence[str], *, workers: int = 2, max_failures: int = 0) -> None:
    """Runs a command as the workers of one machine, each a process with its `TF_CONFIG`.

    TensorFlow cannot take a lost worker back: where one ends with an error, or is killed, the others are
    ended, and all begin again, on other ports. A script that trains with `BackupAndRestore` goes on where it
    was. On several machines, whatever runs jobs there does the same: Ray Train (`FailureConfig`), Kubernetes
    (a Job whose pods restart together), SLURM (`--requeue`).

    Args:
        command: The program and its arguments, such as `[sys.executable, "train.py"]`.
        workers: How many processes.
        max_failures: How often all may be started again.

    Raises:
        RuntimeError: If a worker was lost more often than `max_failures`.

    Example:
        >>> script = "import json, os; print(json.loads(os.environ['TF_CONFIG'])['task']['index'])"
        >>> run_workers([sys.executable, "-c", script], workers=2)
    """
    checked_number(workers, "workers", least=1, whole=True)
    checked_number(max_failures, "max_failures", least=0, whole=True)
    for failures in range(max_failures + 1):
        failed = _run_once(list(command), workers)
        if failed is None:
            return
        told = f"worker {failed[0]} of {workers} ended with {failed[1]}"
        if failures < max_failures:
            print(f"{told}; all begin again ({failures + 1} of {max_failures})", file=sys.stderr)
    raise RuntimeError(f"{told}, and max_failures={max_failures}. The command was {command}.")


def _run_once(command: list[str], workers: int) -> tuple[int, int] | None:
    """Runs the workers to their end; returns the first that failed and its exit status."""
    addresses = [f"127.0.0.1:{port}" for port in _free_ports(workers)]
    started: list[subprocess.Popen[bytes]] = []
    try:
        for number in range(workers):
            task = {"type": "worker", "index": number}
            told = json.dumps({"cluster": {"worker": addresses}, "task": task})
            started.append(subprocess.Popen(command, env=os.environ | {"TF_CONFIG": told}))
        while True:
            ended = [process.poll() for process in started]
            for number, status in enumerate(ended):
                if status:
                    return number, status
            if all(status == 0 for status in ended):
                return None
            time.sleep(0.1)
    finally:
        _end(started)


def _end(started: list[subprocess.Popen[bytes]]) -> None:
    for process in started:
        process.terminate()
    deadline = time.monotonic() + _GRACE
    for process in started:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _free_ports(count: int) -> list[int]:
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
