"""All states of the page pass axe-core's checks, and all functions are reached without a mouse."""

import numpy as np
import pytest

from keras_pli.intervention import Exclude, InterventionPlan, Polygon, Shift

pytestmark = pytest.mark.slow

# All that answers to a key or a press and is to be seen.
INTERACTIVE = """() => [...document.querySelectorAll(
    'button, input, select, summary, a[href], [tabindex="0"]')].filter((node) =>
      node.checkVisibility({ visibilityProperty: true }) && node.tabIndex >= 0 && !node.disabled)"""
NAME_OF = """(node) => node === document.body ? null : (node.getAttribute("data-focus")
    ?? node.getAttribute("aria-label") ?? node.textContent.trim()).slice(0, 60)"""


def open_all(page):
    """Opens every panel of the first tab, with a class selected and a plan."""
    for place in range(page.page.locator(".kps-panels details:not([open]) > summary").count()):
        found = page.page.locator(".kps-panels details:not([open]) > summary")
        visible = [node for node in found.all() if node.is_visible()]
        if not visible:
            return place
        visible[0].click()
    return None


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing_wrong(new_page, session, width, scheme):
    page = new_page(width=width, scheme=scheme)
    page.check_accessibility()
    plan = InterventionPlan([Shift(3, by=(1, 1), reason="A reason."), Exclude(4)])
    session.edit(lambda editor: editor.set(plan.changes))
    page.eventually(lambda: page.steps() == 2, "the plan in the page")
    page.page.keyboard.press("Control+a")
    points = len(session.data.labels)
    page.page.get_by_text(f"{points} of {points} points selected").wait_for()
    page.wait_for_answers()
    if width < 600:
        page.page.get_by_role("tab", name="Edit").click()
    open_all(page)
    page.check_accessibility()
    page.page.get_by_role("tab", name="Retrain").click()
    page.check_accessibility()


def test_every_control_is_reached_by_tab(page, session):
    page.select_class(session.class_name(3))
    page.page.locator(".kps-gallery img").first.wait_for()  # it comes a moment after the rest
    page.wait_for_answers()
    open_all(page)
    wanted = page.page.evaluate(f"() => ({INTERACTIVE})().map({NAME_OF})")
    assert len(wanted) > 40
    page.page.evaluate("() => document.activeElement.blur()")
    reached = []
    for _ in range(2 * len(wanted)):
        page.page.keyboard.press("Tab")
        reached.append(page.page.evaluate(f"() => ({NAME_OF})(document.activeElement)"))
    assert set(wanted) <= set(reached)


def test_points_are_selected_moved_and_brought_back_by_keys(page, session):
    keys = page.page.keyboard
    page.map.focus()
    keys.press("l")  # the lasso
    keys.press("c")  # a cross in the middle
    for arrow in ("ArrowLeft", "ArrowUp", "ArrowRight", "ArrowDown"):
        for _ in range(2 if arrow in ("ArrowLeft", "ArrowUp") else 4):
            keys.press(f"Shift+{arrow}")
        keys.press(" ")
    keys.press("Enter")
    page.page.get_by_text("in the shape you drew").wait_for()
    keys.press("Escape")
    keys.down("Alt")
    for _ in range(3):
        keys.press("ArrowRight")
    keys.up("Alt")  # keeps it, as Enter would
    page.eventually(lambda: "Shift" in page.plan(), "the step in the plan")
    page.wait_for_answers()
    (entry,) = session.editor.entries
    assert isinstance(entry.change.selection, Polygon)
    inside = entry.change.selection.resolve(session.round.map)
    np.testing.assert_array_equal(session.edited.moved, inside)
    x, y = entry.change.by
    assert x == pytest.approx(24 / page.scale, rel=1e-3) and y == 0
    keys.press("Delete")
    keys.press("Backspace")
    assert len(session.editor.entries) == 1 and not session.edited.data.excluded.any()
    keys.press("Control+z")
    page.eventually(lambda: "Shift" not in page.plan(), "the undoing")


def test_a_class_is_weighed_by_keys(page, session):
    keys = page.page.keyboard
    page.page.get_by_text("Select by class, errors or index").focus()
    keys.press("Enter")
    page.page.get_by_label("Select a class").focus()
    keys.type(session.class_name(7))
    keys.press("Enter")
    page.page.get_by_text("of one class").wait_for()
    page.page.get_by_text("Weigh, relabel or exclude").focus()
    keys.press("Enter")
    page.page.get_by_label("Factor of the weight").focus()
    keys.press("Control+a")
    keys.type("3")
    keys.press("Enter")
    page.eventually(lambda: "Weigh" in page.plan(), "the step in the plan")
    weighed = session.edited.data.weighed
    np.testing.assert_array_equal(weighed, session.data.labels == 7)
