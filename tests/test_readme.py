"""The README's Python runs as it stands, from top to bottom, in one session."""

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from keras_pli.parquet import read_columns

README = Path(__file__).parents[1] / "README.md"
IMAGES = "https://raw.githubusercontent.com/keras-pli/keras-pli/main/"
PAGES = "https://github.com/keras-pli/keras-pli/blob/main/"
# What trains for long and nothing else on the page hangs on, with less to do.
SHORTER = {
    "embedding.fit(z, epochs=1": "embedding.fit(z[:200], epochs=1",
    "perplexity=[10, 200]": "perplexity=[10, 60]",
    "brain_phantoms(40": "brain_phantoms(12",
    "concurrency=2": "concurrency=1",
    "    seeds=3,\n)\nprint(result": "    seeds=2,\n)\nprint(result",
    "    epochs=3,\n    seeds=2,\n)\nprint(weighed": "    epochs=1,\n    seeds=1,\n)\nprint(weighed",
    "    epochs=8,\n)\nprint(trained)": "    epochs=1,\n)\nprint(trained)",
}


def shortened(text):
    for part, shorter in SHORTER.items():
        assert text.count(part) == 1
        text = text.replace(part, shorter)
    return text


@pytest.mark.parametrize(
    "changed", [shortened, pytest.param(str, id="as it stands", marks=pytest.mark.slow)]
)
def test_readme_code_runs(tmp_path, monkeypatch, capsys, changed):
    text = changed(README.read_text(encoding="utf-8"))
    blocks = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    assert len(blocks) >= 2
    monkeypatch.chdir(tmp_path)
    session: dict = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), session)
    assert {file.name for file in tmp_path.iterdir()} >= {
        "map.png",
        "classifier.keras",
        "report.html",
        "attributions.png",
        "rationales.png",
    }
    printed = capsys.readouterr().out
    assert "F1 of 'moved' classes, PLI less control" in printed
    assert "9 → 4" in printed
    assert "achieved" in printed  # the callbacks' numbers, in Keras's own line
    assert "Attribution of 4 samples" in printed
    _check_shown(session)
    _check_means(tmp_path, session)
    _check_served(tmp_path, session)


def _check_shown(session):
    """What the pictures and verdicts show is what the page says of them."""
    seen = {image.tobytes() for image in session["x"]}
    held_out = [image for image in session["x_test"] if image.tobytes() not in seen]
    assert len(held_out) > 0.99 * len(session["x_test"])  # the digits hold a few of them twice
    response = session["result"].response().groupby("run")["achieved"].mean()
    assert response["PLI"] > response["control"]
    for name, found in session["maps"].items():
        assert found.attributions.reshape(4, -1).any(axis=1).all(), name
    conclusions = {name: found.conclusion for name, found in session["test"].verdicts.items()}
    assert conclusions == {
        "saliency": "sensitive", "Grad-CAM": "sensitive", "guided backprop": "insensitive",
    }  # fmt: skip


def _check_means(folder, session):
    """Means by Ray are those of NumPy, of what Ray wrote."""
    parts = [read_columns(path) for path in sorted((folder / "attributions").glob("*.parquet"))]
    maps, labels = (
        np.concatenate([part[name] for part in parts]) for name in ("attributions", "label")
    )
    assert len(maps) == 64
    for label in np.unique(labels):
        mean = maps[labels == label].mean(axis=0, dtype="float64")
        np.testing.assert_allclose(session["means"][label], mean, atol=1e-12)


def test_readme_links_hold_outside_of_the_repository():
    text = README.read_text(encoding="utf-8")
    images = re.findall(r"!\[[^\]]*\]\(([^)]*)\)", text)
    pages = set(re.findall(r"\]\(([^)]*)\)", text)) - set(images)
    assert len(images) >= 3 and all(image.startswith(IMAGES) for image in images)
    assert len(pages) >= 2 and all(page.startswith(PAGES) for page in pages)
    for link in (*images, *pages):
        path, _, heading = link.removeprefix(IMAGES).removeprefix(PAGES).partition("#")
        target = README.parent / path
        assert target.exists()
        if heading:
            lines = target.read_text(encoding="utf-8").splitlines()
            found = {line.lstrip("# ") for line in lines if line.startswith("#")}
            assert heading in {
                re.sub(r"[^\w -]", "", one).lower().replace(" ", "-") for one in found
            }
    for page in README.parent.glob("docs/*.md"):
        for image in re.findall(r"!\[[^\]]*\]\(([^)]*)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / image).exists()


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
