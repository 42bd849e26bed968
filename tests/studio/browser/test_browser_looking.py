"""Looking closer, and the smaller promises of the page: what is shown where, and what is kept."""

import numpy as np
import pytest
from map_places import lonely

from keras_pli.intervention import Shift

# What lies behind is tested by functions, and each page takes a second.
pytestmark = pytest.mark.slow


def test_a_large_picture_covers_the_map_until_escape(page, session):
    index = lonely(session.round.map)
    page.select_class(session.class_name(0))
    page.page.mouse.click(*page.on_screen(session.round.map[index]))
    page.page.get_by_role("img", name=f"Sample {index}").click()
    large = page.page.get_by_role("region", name="Large picture")
    width = "(image) => image.naturalWidth"
    page.eventually(lambda: large.locator("img").evaluate(width) > 300, "the large picture")
    page.page.keyboard.press("Escape")
    large.wait_for(state="hidden")
    # It closed the picture and nothing else.
    page.page.get_by_text(f"{(session.data.labels == 0).sum()} of 200 points selected").wait_for()


def test_presses_one_after_the_other_are_one_step(page, session):
    page.select_class(session.class_name(0))
    page.map.focus()
    for _ in range(4):
        page.page.keyboard.press("Alt+ArrowRight")
    assert page.steps() == 0
    page.eventually(lambda: page.steps() == 1, "the step, after a pause")
    (entry,) = session.editor.entries
    assert isinstance(entry.change, Shift)
    np.testing.assert_allclose(entry.change.by, (32 / page.scale, 0), rtol=1e-4)
    page.page.keyboard.press("Control+z")
    page.eventually(lambda: page.steps() == 0, "the undoing")


def test_a_drag_on_the_original_map_shows_the_one_that_steps_are_made_on(page, session):
    points = session.round.map
    start = points[session.data.labels == 0][0]
    page.select_class(session.class_name(0))
    page.button("Original").click()
    page.shift(start, by=(1.0, 0.5))  # nothing is moved yet, and both maps are one
    assert page.button("Edited").get_attribute("aria-pressed") == "true"
    page.button("Original").click()
    stored = page.plan()
    page.drag(page.on_screen(start + np.array([(0.0, 0.0), (1.0, 0.0), (2.0, 0.0)])))
    page.page.get_by_text("Steps are made on the map as edited").wait_for()
    assert page.button("Edited").get_attribute("aria-pressed") == "true"
    assert page.plan() == stored


def test_outlines_stay_as_they_were_set(page):
    page.button("Outlines and names of classes").click()
    page.page.reload()
    page.wait_for_map()
    shown = page.button("Outlines and names of classes")
    page.eventually(lambda: shown.get_attribute("aria-pressed") == "true", "the outlines")
