"""What the package says of itself agrees with what it is."""

import re
from pathlib import Path

import pytest

from keras_pli import __version__

ROOT = Path(__file__).parents[1]
tomllib = pytest.importorskip("tomllib")  # from Python 3.11 on


@pytest.fixture(scope="module")
def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_the_citation_is_of_this_version_and_place(project):
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {__version__}\n" in citation
    assert f"\nrepository-code: {project['urls']['Repository']}\n" in citation
    assert f"- name: {project['authors'][0]['name']}\n" in citation
    assert citation.count("  - type: ") == 5  # the papers that it cites


def test_each_python_that_is_supported_is_named(project):
    named = re.findall(r"Python :: 3\.(\d+)", "\n".join(project["classifiers"]))
    least = int(re.fullmatch(r">=3\.(\d+)", project["requires-python"])[1])
    assert [int(minor) for minor in named] == list(range(least, least + len(named)))


def test_the_command_is_there(project):
    module, _, function = project["scripts"]["keras-pli"].partition(":")
    assert callable(getattr(__import__(module, fromlist=[function]), function))
