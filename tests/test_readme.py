"""The README's Python runs as it stands, from top to bottom, in one session."""

import re
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def test_readme_code_runs(tmp_path, monkeypatch, capsys):
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(blocks) >= 2
    monkeypatch.chdir(tmp_path)
    session: dict = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), session)
    assert {file.name for file in tmp_path.iterdir()} >= {
        "map.png",
        "classifier.keras",
        "report.html",
    }
    printed = capsys.readouterr().out
    assert "F1 of 'moved' classes, PLI less control" in printed
    assert "achieved" in printed  # the callbacks' numbers, in Keras's own line


def test_readme_names_what_the_makefile_offers():
    makefile = (README.parent / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"make ([\w-]+)", README.read_text(encoding="utf-8")):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE)
