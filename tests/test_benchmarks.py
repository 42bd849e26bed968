"""A benchmark leaves out, with a line, a peer that cannot be imported."""

from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
SCRIPT = """
import argparse, sys
sys.path.insert(0, {folder!r})
from measure import figures_of
parser = argparse.ArgumentParser()
parser.add_argument("--only")
modules = {{"absent": "no_such_peer", "broken": "broken_peer", "there": "json"}}
print("what a peer prints itself")
print(figures_of(modules, parser.parse_args().only, lambda: {{"seconds": 2.0}}))
"""


@pytest.mark.parametrize(
    ("system", "figures", "said"),
    [
        ("ours", {"seconds": 2.0}, ""),
        ("there", {"seconds": 2.0}, ""),
        (
            "absent",
            None,
            "absent is left out: ModuleNotFoundError: No module named 'no_such_peer'\n",
        ),
        ("broken", None, "broken is left out: RuntimeError: made for TensorFlow 1\n"),
    ],
)
def test_a_peer_that_cannot_be_imported(tmp_path, monkeypatch, capsys, system, figures, said):
    monkeypatch.syspath_prepend(BENCHMARKS)
    from measure import in_fresh_process

    (tmp_path / "broken_peer.py").write_text("raise RuntimeError('made for TensorFlow 1\\nsorry')")
    script = tmp_path / "benchmark.py"
    script.write_text(SCRIPT.format(folder=str(BENCHMARKS)))
    assert in_fresh_process(str(script), system) == figures
    assert capsys.readouterr().out == said
