import base64
import dataclasses
import io
import re

import numpy as np
import pytest
from made_results import LABELS, made, made_run
from matplotlib import pyplot as plt
from PIL import Image

NAMES = ["<b>shirt</b>", "coat & tie", '"bag"']
ESCAPED = ["&lt;b&gt;shirt&lt;/b&gt;", "coat &amp; tie"]


def page_of(result, tmp_path, **arguments):
    path = result.to_html(tmp_path / "page.html", **arguments)
    assert path == tmp_path / "page.html"
    return path.read_text(encoding="utf-8")


def assert_self_contained(page):
    """Returns its figures, after making sure that nothing is fetched from elsewhere."""
    sources = re.findall(r"""(?:src|href|srcset|data)\s*=\s*["']([^"']*)["']""", page)
    assert sources
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert not re.search(r"<(script|link|iframe|object|embed)\b", page, re.IGNORECASE)
    assert "url(" not in page
    assert "@import" not in page
    figures = []
    for source in sources:
        image = Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2], validate=True)))
        image.load()
        assert image.format == "PNG"
        assert min(image.size) > 50
        assert np.asarray(image.convert("L")).std() > 1  # something is drawn
        figures.append(image)
    return figures


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A made-up result and its page, without images."""
    result = made()
    return result, page_of(result, tmp_path_factory.mktemp("plain"))


def test_is_self_contained_and_says_it_all(plain):
    result, page = plain
    assert not plt.get_fignums()  # no figure stays open
    assert len(assert_self_contained(page)) == 4
    for line in result.verdict().splitlines():
        assert line in page.replace("&#x27;", "'")
    for name in result.class_names:
        assert name in page
    for cell in result.table().to_numpy().ravel():
        assert cell in page
    for value in result.response()["achieved"]:
        assert f"{value:.3f}" in page
    assert "3 seeds, layer logits, λ = 0.1" in page
    assert page.startswith("<!doctype html>")


def test_names_are_escaped(tmp_path):
    run = dataclasses.replace(made_run(0), plan="shift <i>all</i>")
    page = page_of(made(class_names=NAMES, runs=(run,), groups={"<u>g</u>": [0]}), tmp_path)
    for text in ("<b>", "<i>", "<u>", "coat & tie"):
        assert text not in page
    for text in (*ESCAPED, "&lt;i&gt;all&lt;/i&gt;", "&lt;u&gt;g&lt;/u&gt;"):
        assert text in page


def test_one_seed(tmp_path):
    page = page_of(made(seeds=[4]), tmp_path)
    assert len(assert_self_contained(page)) == 3  # no paired differences
    assert "1 seed, " in page
    assert "seed 4" in page


# In `test_experiment.py` they are (samples, 8, 8).
@pytest.mark.parametrize("shape", [(60, 8, 8, 1), (60, 8, 8, 3)])
def test_images_that_changed(plain, tmp_path, shape):
    result, page = plain
    images = np.random.default_rng(0).random(shape)
    with_images = assert_self_contained(page_of(result, tmp_path, images=images))
    assert len(with_images) == len(assert_self_contained(page)) + 2


def test_counts_of_samples_that_changed(plain):
    result, page = plain
    gained = result.changed()["gained"]
    assert f"wrong on {gained.sum()} of 60 held-out" in page
    assert f"the other way round on {(~gained).sum()}." in page


def test_inputs_that_are_no_images(tmp_path):
    assert_self_contained(page_of(made(seeds=[0]), tmp_path, images=np.zeros((60, 64))))


def test_nothing_changed(tmp_path):
    outputs = {arm: np.eye(3)[LABELS] for arm in ("baseline", "control", "PLI")}
    result = made(runs=(made_run(0, outputs=outputs),))
    page = page_of(result, tmp_path, images=np.zeros((60, 8, 8)))
    assert_self_contained(page)
    assert "wrong on 0 of 60" in page


def test_a_plan_without_held_out_targets(tmp_path):
    page = page_of(made(held_out=False), tmp_path)
    assert_self_contained(page)
    assert "no held-out measure" in page


def test_maps_of_three_components(tmp_path):
    assert_self_contained(page_of(made(seeds=[0, 1], components=3), tmp_path))


def test_without_class_names(tmp_path):
    assert_self_contained(page_of(made(class_names=None, seeds=[0]), tmp_path))


def test_a_class_named_as_a_group(tmp_path):
    page = page_of(made(class_names=["shirt", "other", "bag"], seeds=[0]), tmp_path)
    assert_self_contained(page)
    assert "(other)" in page


def test_an_unknown_seed(tmp_path):
    with pytest.raises(ValueError, match="Received: 7"):
        page_of(made(), tmp_path, seed=7)
    assert not list(tmp_path.iterdir())
