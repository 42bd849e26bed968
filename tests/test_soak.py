"""Minutes of kills and restarts, two writers at once: nothing is lost, doubled or of other work.

`KERAS_PLI_SOAK_SECONDS` sets how long; ten minutes by default.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SECONDS = os.environ.get("KERAS_PLI_SOAK_SECONDS", "600")
SCRIPT = Path(__file__).with_name("soak_jobs.py")


@pytest.mark.slow
@pytest.mark.skipif(
    not hasattr(os, "fork"), reason="processes are forked, so that they begin at once"
)
def test_kills_and_restarts(tmp_path):
    command = [sys.executable, str(SCRIPT), str(tmp_path), SECONDS]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-4000:]
    counts = json.loads(done.stdout.splitlines()[-1])
    print(counts)
    for job in ("explain", "retrain", "rationale", "export"):
        assert counts[f"{job} 0"] >= 1
    assert sum(count for name, count in counts.items() if name.endswith(" -9")) >= 1
