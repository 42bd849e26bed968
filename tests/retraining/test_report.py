import base64
import dataclasses
import html
import io
import re

import keras
import numpy as np
import pytest
from made_results import LABELS, TRAIN_LABELS, made, made_run
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from PIL import Image

from keras_pli import Exclude, InterventionPlan, Relabel, Shift, Weigh
from keras_pli.parts import digest
from keras_pli.version import __version__

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


@pytest.fixture
def blank(monkeypatch):
    """Pages with a blank in place of every picture, though all are laid out."""
    stream = io.BytesIO()
    Image.fromarray(np.eye(60, dtype=np.uint8) * 255).save(stream, "png")
    source = "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
    monkeypatch.setattr("keras_pli.plotting.page.screen_png_uri", lambda figure: (source, 60))


@pytest.fixture
def unseen(monkeypatch, blank):
    """Pages without maps too, for tests that look at their words; has what the maps were given."""
    panels = {}
    monkeypatch.setattr(
        "keras_pli.plotting.embedding_panels",
        lambda maps, *_, **options: panels.update(options) or dict.fromkeys(maps, Figure()),
    )
    return panels


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A made-up result and its page, without images."""
    result = made()
    return result, page_of(result, tmp_path_factory.mktemp("plain"))


def test_is_self_contained_and_says_it_all(plain):
    result, page = plain
    assert not plt.get_fignums()  # no figure stays open
    # Two maps of training samples, three of held-out ones, their displacement and two charts.
    assert len(assert_self_contained(page)) == 8
    text = page.replace("\N{NO-BREAK SPACE}", " ")
    for line in result.verdict().splitlines():
        assert line.removeprefix("Next: ") in text.replace("<code>", "`").replace("</code>", "`")
    assert f'<p class="answer">{result.answer()}</p>' in text
    for name in result.class_names:
        assert name in page
    for cell in result.table().to_numpy().ravel():
        assert cell in page
    for value in result.response()["achieved"]:
        assert f"{value:.3f}" in page
    assert "3 seeds, layer logits, λ = 0.1" in page
    assert page.startswith("<!doctype html>")


def test_names_are_escaped(tmp_path, unseen):
    run = dataclasses.replace(made_run(0), plan="shift <i>all</i>")
    page = page_of(made(class_names=NAMES, runs=(run,), groups={"<u>g</u>": [0]}), tmp_path)
    for text in ("<b>", "<i>", "<u>", "coat & tie"):
        assert text not in page
    for text in (*ESCAPED, "&lt;i&gt;all&lt;/i&gt;", "&lt;u&gt;g&lt;/u&gt;"):
        assert text in page


def test_one_seed(tmp_path, unseen):
    page = page_of(made(seeds=[4]), tmp_path)
    assert len(assert_self_contained(page)) == 7  # no paired differences
    assert "±" not in page and "interval" not in page
    assert "1 seed, " in page
    assert "seed 4" in page


# In `test_experiment.py` they are (samples, 8, 8).
@pytest.mark.parametrize(
    "shape", [pytest.param((60, 8, 8, 1), marks=pytest.mark.slow), (60, 8, 8, 3)]
)
def test_images_that_changed(plain, tmp_path, unseen, shape):
    result, page = plain
    images = np.random.default_rng(0).random(shape)
    with_images = assert_self_contained(page_of(result, tmp_path, images=images))
    assert len(with_images) == len(assert_self_contained(page)) + 2


@pytest.mark.slow
def test_a_baseline_that_is_one_for_all_seeds_has_no_interval(tmp_path, unseen):
    shared = made_run(0).outputs["baseline"]
    runs = [made_run(seed) for seed in range(3)]
    runs = [dataclasses.replace(r, outputs={**r.outputs, "baseline": shared}) for r in runs]
    result = made(runs=tuple(runs))
    summary = result.summary().set_index("run")
    assert summary.loc["baseline", ["low", "high"]].isna().all(axis=None)
    assert summary.loc["control", ["low", "high"]].notna().all(axis=None)
    assert not result.table().loc[("f1", "baseline")].str.contains("±").any()
    assert "The baseline is one classifier" in page_of(result, tmp_path)
    assert "The baseline is one classifier" not in page_of(made(), tmp_path)


def test_how_it_was_made(tmp_path, unseen, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    plan = InterventionPlan([Shift(2, by=(1, 1), reason="<why>")])
    run = dataclasses.replace(made_run(4), plan=repr(plan), plan_json=plan.to_json())
    page = page_of(made(runs=(run,), identity={"classifier.weights": "0123abc"}), tmp_path)
    for fact in ("1970-01-02 00:00 UTC", f"keras_pli {__version__}", keras.__version__, "0123abc"):
        assert fact in page
    assert digest(LABELS) in page and digest(TRAIN_LABELS) in page
    (text,) = re.findall(r"The plan as JSON.*?<pre>(.*?)</pre>", page, re.DOTALL)
    assert InterventionPlan.from_json(html.unescape(text)) == plan
    assert '<span class="why">because: &lt;why&gt;</span>' in page and "<why>" not in page


def edited_run(seed, plan, **changes):
    run = made_run(seed)
    edited = plan.edited_data(TRAIN_LABELS, run.train_map)
    changes = {"plan_json": plan.to_json(), "edited": edited.counts, **changes}
    return dataclasses.replace(run, plan=repr(plan), **changes)


def test_changes_of_the_training_data(tmp_path, unseen):
    plan = InterventionPlan([Shift(2, by=(1, 1)), Weigh([0, 3], 5), Relabel([1], 2), Exclude([9])])
    result = made(
        runs=tuple(edited_run(seed, plan) for seed in range(3)),
        subgroups=np.where(LABELS == 1, "red", "blue"),
    )
    page = page_of(result, tmp_path)
    assert "Of the training samples 2 weighed, 1 relabelled, 1 excluded." in page
    cells = [
        re.findall(r"<td>(.*?)</td>", row)
        for row in re.findall(r"<tr>(.*?)</tr>", page.partition("training data</h3>")[2], re.DOTALL)
    ]
    assert [row for row in cells if row][:3] == [
        ["10", "2", "0", "0", "1", "9", "1.89"],
        ["10", "0", "1", "0", "0", "9", "1"],
        ["10", "0", "0", "1", "0", "11", "1"],
    ]
    assert re.findall(r"<li>((?:shift|weigh|relabel|exclude) [^<]*)", page) == [
        "shift class 'bag' by (1, 1)",
        "weigh 2 points (0, 3) by 5",
        "relabel point 1 as class 'bag'",
        "exclude point 9",
    ]
    marks = unseen["signs"]["Edited (train)"]
    assert [np.flatnonzero(mask).tolist() for mask in marks.values()] == [[0, 3], [1], [9]]
    effects = result.subgroup_effects().set_index("group")
    assert list(effects.index) == ["blue", "red", "worst"]
    for group, effect in effects.iterrows():
        assert f"<th>{group}</th>\n      <td>{effect['mean']:+.3f}" in page
    assert result.answer().startswith("Yes: accuracy of the worst group rose")


@pytest.mark.slow
def test_a_plan_that_moves_nothing_and_needs_no_map(tmp_path, unseen):
    plan = InterventionPlan([Weigh(2, 5)])
    none = dict.fromkeys(("train_map", "train_targets", "train_moved", "test_targets"))
    none |= {"test_moved": None, "test_maps": {}, "classes_moved": ()}
    runs = [edited_run(seed, plan, test_selected=LABELS == 2, **none) for seed in range(2)]
    result = made(runs=tuple(runs))
    page = page_of(result, tmp_path)
    assert re.findall(r"<tr>\s*<th>(\w+)</th>\s*<td>10</td>", page) == [
        "bag"
    ]  # the others are as before
    assert "Map:" not in page and "Embedding response" not in page
    assert "λ = 0 as nothing moves" in page and "The plan moves no point" in page
    assert "samples that the plan selects" in result.answer()
    assert result.plot().axes[0].get_xlabel() == "F₁ score"
    with pytest.raises(ValueError, match="There are no maps"):
        result.plot_maps()


@pytest.mark.parametrize("components", [1, pytest.param(5, marks=pytest.mark.slow)])
def test_maps_that_cannot_be_drawn(tmp_path, unseen, components):
    result = made(components=components)
    page = page_of(result, tmp_path)
    assert f"Maps of {components} component" in page and "Map:" not in page
    assert (
        "Embedding response" in page
        and "PLI 50\N{NO-BREAK SPACE}% (95\N{NO-BREAK SPACE}% interval" in page
    )
    assert result.plot().axes[0].get_xlabel() == "F₁ score"
    with pytest.raises(ValueError, match=rf"2 or 3 components.*\(60, {components}\)"):
        result.plot_maps()


def test_counts_of_samples_that_changed(plain):
    result, page = plain
    gained = result.changed()["gained"]
    assert f"wrong on {gained.sum()} of 60 held-out" in page
    assert f"the other way round on {(~gained).sum()}." in page


@pytest.mark.slow
def test_inputs_that_are_no_images(tmp_path, unseen):
    assert_self_contained(page_of(made(seeds=[0]), tmp_path, images=np.zeros((60, 64))))


@pytest.mark.slow
def test_nothing_changed(tmp_path, unseen):
    outputs = {arm: np.eye(3)[LABELS] for arm in ("baseline", "control", "PLI")}
    result = made(runs=(made_run(0, outputs=outputs),))
    page = page_of(result, tmp_path, images=np.zeros((60, 8, 8)))
    assert_self_contained(page)
    assert "wrong on 0 of 60" in page


@pytest.mark.slow
def test_a_plan_without_held_out_targets(tmp_path, unseen):
    page = page_of(made(held_out=False), tmp_path)
    assert_self_contained(page)
    assert "no held-out measure" in page


@pytest.mark.slow
def test_maps_of_three_components(tmp_path, blank):
    assert_self_contained(page_of(made(seeds=[0, 1], components=3), tmp_path))


@pytest.mark.slow
def test_without_class_names(tmp_path, unseen):
    assert_self_contained(page_of(made(class_names=None, seeds=[0]), tmp_path))


@pytest.mark.slow
def test_a_class_named_as_a_group(tmp_path, unseen):
    page = page_of(made(class_names=["shirt", "other", "bag"], seeds=[0]), tmp_path)
    assert_self_contained(page)
    assert "(other)" in page


def test_an_unknown_seed(tmp_path):
    with pytest.raises(ValueError, match="Received: 7"):
        page_of(made(), tmp_path, seed=7)
    assert not list(tmp_path.iterdir())
