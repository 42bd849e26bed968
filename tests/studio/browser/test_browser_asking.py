"""Asking the page: errors of one kind, why a sample is decided so, and what could be moved."""

import io

import numpy as np
import pytest
from map_places import lonely
from PIL import Image
from sklearn.metrics import confusion_matrix

from keras_pli.intervention import InterventionPlan, suggest

# What lies behind is tested by functions, and each page takes seconds.
pytestmark = pytest.mark.slow


def test_errors_of_one_kind_are_selected(page, session):
    labels, said = session.data.labels, session.round.predictions
    counts = confusion_matrix(labels, said, labels=range(10))
    np.fill_diagonal(counts, 0)
    label, taken = np.unravel_index(counts.argmax(), counts.shape)
    page.page.get_by_text("Select by class, errors or index").click()
    names = session.data.class_names
    page.page.get_by_label("Class of the samples").select_option(
        label=f"{names[label]} ({counts[label].sum()})"
    )
    page.page.get_by_label("What they are taken for").select_option(
        label=f"{names[taken]} ({counts[label, taken]})"
    )
    page.button("Select").first.click()
    page.page.get_by_text(f"{counts[label, taken]} of {len(labels)} points selected").wait_for()
    page.scale_to(0.5)
    page.eventually(lambda: "Contract" in page.plan(), "the step in the plan")
    (entry,) = session.editor.entries
    expected = np.flatnonzero((labels == label) & (said == taken))
    np.testing.assert_array_equal(entry.change.selection.indices, expected)


def test_the_worst_confusion_is_selected_and_its_samples_are_shown(page, session):
    labels, said = session.data.labels, session.round.predictions
    counts = confusion_matrix(labels, said, labels=range(10))
    shares = counts / counts.sum(axis=1, keepdims=True)
    np.fill_diagonal(shares, 0)
    label, taken = np.unravel_index(shares.argmax(), shares.shape)
    page.page.locator(".kps-pair").first.click()
    wrong = np.flatnonzero((labels == label) & (said == taken))
    page.page.get_by_text(f"{len(wrong)} of {len(labels)} points selected").wait_for()
    gallery = page.page.locator(".kps-gallery")
    gallery.locator("img").first.wait_for()
    shown = [button.get_attribute("title") for button in gallery.locator("button").all()]
    names = session.data.class_names
    assert shown == [f"Sample {index}: {names[label]}, taken for {names[taken]}" for index in wrong]
    gallery.locator("button").first.click()
    page.page.get_by_text(f"sample {wrong[0]}", exact=True).wait_for()


def test_a_click_shows_the_sample_and_its_neighbours(page, session):
    index = lonely(session.round.map)
    page.page.mouse.click(*page.on_screen(session.round.map[index]))
    panel = page.page.get_by_role("tabpanel", name="Sample")
    panel.locator(".kps-picture").wait_for()
    assert f"Sample {index}" in panel.locator(".kps-picture").get_attribute("alt")
    near = np.linalg.norm(session.round.activations - session.round.activations[index], axis=1)
    nearest = np.argsort(near)[1]
    panel.locator(".kps-strip button").first.wait_for()
    told = panel.locator(".kps-strip button").first.get_attribute("title")
    assert told.startswith(f"Sample {nearest}:")


def test_what_decided_is_shown(page, session):
    index = lonely(session.round.map)
    page.page.mouse.click(*page.on_screen(session.round.map[index]))
    panel = page.page.get_by_role("tabpanel", name="Sample")
    panel.locator(".kps-picture").wait_for()
    for box in panel.get_by_role("checkbox").all():
        box.set_checked(box.get_attribute("data-focus") == "method saliency")
    panel.get_by_role("button", name="Explain", exact=True).click()
    picture = panel.locator("figure img")
    picture.first.wait_for()
    assert picture.count() == 1  # of the one method chosen
    assert np.ptp(page.picture(picture)[..., :3]) > 100
    # The session's own answer, drawn once more.
    explanations = session.samples.of(session.round).explanations
    target = int(session.round.predictions[index])
    (drawn,) = explanations.of(index, ["saliency"], target=target).maps
    again = np.asarray(Image.open(io.BytesIO(drawn.png)).convert("RGBA"))
    np.testing.assert_array_equal(page.picture(picture), again)


def test_a_suggestion_is_shown_and_taken(page, session):
    expected = suggest(
        session.round.outputs,
        session.data.labels,
        session.round.map,
        pairs=2,
        class_names=session.data.class_names,
    )
    page.button("Suggest moves").click()
    page.button("Take").first.wait_for()
    page.wait_for_answers()
    seen = page.shown_map()
    page.button("Show on the map").first.click()
    page.changed_map(seen, "ghosts on the map")
    assert page.plan() == InterventionPlan().to_json()
    page.button("Take").first.click()
    page.eventually(lambda: page.steps() == 1, "the step")
    assert page.plan() == InterventionPlan(expected.changes[:1]).to_json()
