"""The README's Python runs as it stands, from top to bottom, in one session."""

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

README = Path(__file__).parents[1] / "README.md"


def test_readme_code_runs(tmp_path, monkeypatch, capsys):
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(blocks) >= 2
    (tmp_path / "saved_models").symlink_to(README.parent / "saved_models")
    monkeypatch.chdir(tmp_path)
    session: dict = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), session)
    assert {file.name for file in tmp_path.iterdir()} >= {
        "map.png",
        "classifier.keras",
        "report.html",
        "rationales.png",
    }
    printed = capsys.readouterr().out
    assert "F1 of 'moved' classes, PLI less control" in printed
    assert "9 → 4" in printed
    assert "achieved" in printed  # the callbacks' numbers, in Keras's own line

    _check_served(tmp_path, session)


def _check_served(folder, session):
    """The curl line, sent to a local server on another port."""
    pytest.importorskip("starlette")
    from keras_pli.serving.server import LocalServer

    command = re.search(r"^\$ (curl .*)$", README.read_text(encoding="utf-8"), flags=re.MULTILINE)[
        1
    ]
    with LocalServer(folder / "models", rest_port=0, grpc_port=None) as server:
        asked = shlex.split(command.replace("127.0.0.1:8501", f"127.0.0.1:{server.rest_port}"))
        if shutil.which("curl") is None:
            pytest.skip("the README's last line needs curl")
        done = subprocess.run(asked, cwd=folder, capture_output=True, text=True, check=True)
    (found,) = json.loads(done.stdout)["predictions"]
    expected = session["GradCAM"](session["classifier"])(session["x"][:1], 0).attributions[0]
    np.testing.assert_allclose(found["attributions"], expected, atol=1e-5)


def test_readme_names_what_the_makefile_offers():
    makefile = (README.parent / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"make ([\w-]+)", README.read_text(encoding="utf-8")):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE)
