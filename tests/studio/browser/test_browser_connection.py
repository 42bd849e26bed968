"""Reloading, several pages, a slow network and a server that is gone: nothing is lost, and it is said."""

import numpy as np
import pytest
from studio_page import SECONDS, StudioPage, kind_of

from keras_pli.intervention import Contract, InterventionPlan
from keras_pli.studio.conversation import state_requests
from keras_pli.studio.server import StudioServer


@pytest.mark.slow
def test_after_reloading_the_plan_is_there(page, session):
    page.contract(3, 0.5)
    page.eventually(lambda: page.steps() == 1, "the step in the list")
    page.contract(5, 0.25)
    page.eventually(lambda: page.steps() == 2, "the second step")
    page.wait_for_answers()
    page.page.keyboard.press("Escape")
    page.page.keyboard.press("0")
    plan, seen = page.plan(), page.shown_map()
    page.page.reload()
    page.wait_for_map()
    page.eventually(lambda: page.steps() == 2, "the steps in the list")
    page.eventually(lambda: np.array_equal(page.shown_map(), seen), "the map as it was")
    page.page.keyboard.press("Control+z")
    page.eventually(lambda: page.steps() == 1, "the undoing of what was done before reloading")
    assert page.plan() == InterventionPlan([Contract(3, 0.5)]).to_json() != plan


@pytest.mark.slow
def test_two_pages_show_one_session(page, new_page, session):
    other = new_page()
    page.contract(3, 0.5)
    other.eventually(lambda: other.steps() == 1, "the step in the other page")
    other.contract(4, 0.5)
    page.eventually(lambda: page.steps() == 2, "the other page's step")
    assert page.plan() == InterventionPlan([Contract(3, 0.5), Contract(4, 0.5)]).to_json()
    for each in (page, other):
        each.page.keyboard.press("Escape")
    page.eventually(
        lambda: np.array_equal(page.shown_map(), other.shown_map()), "one map in both pages"
    )
    page.page.keyboard.press("Control+z")
    page.page.keyboard.press("Control+z")
    other.eventually(lambda: other.steps() == 0, "the undoing in the other page")


@pytest.mark.slow
def test_a_slow_network_changes_nothing_but_the_time(page, new_page, session):
    points = session.round.map
    label = 6
    start = points[session.data.labels == label][0]
    page.select_class(session.class_name(label))
    page.tool("Move")
    seen = page.shown_map()
    speed = 100_000  # bytes a second, with a fifth of a second on the way
    slow = {
        "offline": False,
        "latency": 200,
        "downloadThroughput": speed,
        "uploadThroughput": speed,
    }
    page.page.context.new_cdp_session(page.page).send("Network.emulateNetworkConditions", slow)
    held = []

    def hold(route):
        if held is not None and kind_of(route.request) == "change":
            held.append(route)
        else:
            route.continue_()

    page.page.route("**/messages", hold)
    way = np.array([2.0, 1.0])
    for step in range(2):
        page.drag(page.on_screen([start + step * way, start + (step + 1) * way]))
        page.eventually(lambda: held, "the request")
        assert not session.editor.entries  # nobody has heard of it
        seen = page.changed_map(seen)
    waiting, held = held, None
    for route in waiting:
        route.continue_()
    page.eventually(
        lambda: abs(session.edited.targets - points).max() > 1.5 * way[0], "both steps in the plan"
    )
    of_class = session.data.labels == label
    np.testing.assert_array_equal(session.edited.moved, of_class)
    steps = session.edited.targets[of_class] - points[of_class]
    np.testing.assert_allclose(steps, np.tile(2 * way, (len(steps), 1)), atol=3 / page.scale)
    page.wait_for_answers()
    page.page.keyboard.press("Escape")
    page.page.keyboard.press("v")
    page.page.keyboard.press("0")
    fresh = new_page()
    page.eventually(
        lambda: np.array_equal(page.shown_map(), fresh.shown_map()), "the map of a fresh page"
    )


def test_a_lost_connection_is_said_and_found_again(page, session):
    page.contract(3, 0.5)
    page.eventually(lambda: page.steps() == 1, "the step")
    page.page.context.set_offline(True)
    page.scale_to(0.9)
    alert = page.page.get_by_role("alert")
    alert.get_by_text("does not answer").first.wait_for()
    alert.get_by_text("Nothing is lost").wait_for()
    assert page.plan() == InterventionPlan([Contract(3, 0.5)]).to_json()
    alert.get_by_text("look there whether this step is in it").wait_for()
    for _ in range(3):
        page.button("Try now").click()
    alert.get_by_text("it has a new address").wait_for()
    page.page.context.set_offline(False)
    alert.get_by_text("does not answer").wait_for(state="hidden")
    alert.get_by_text("look there whether this step is in it").wait_for(state="hidden")
    page.eventually(lambda: page.steps() == 1, "the plan as it is")
    page.contract(4, 0.5)
    page.eventually(lambda: page.steps() == 2, "a step after the connection was found")


@pytest.mark.slow
def test_a_server_that_is_gone_is_said_and_nothing_is_lost(browser, session):
    context = browser.new_context(reduced_motion="reduce")
    context.set_default_timeout(1000 * SECONDS)
    try:
        with StudioServer(session) as server:
            page = StudioPage(context.new_page(), session).open(server.url)
            page.contract(3, 0.5)
            page.eventually(lambda: page.steps() == 1, "the step")
        page.page.get_by_role("alert").get_by_text("Nothing is lost").wait_for()
        plan = InterventionPlan([Contract(3, 0.5)]).to_json()
        assert page.plan() == plan
        with StudioServer(session) as server:
            page.open(server.url)
            page.eventually(lambda: page.steps() == 1, "the step in the page of the next server")
        assert page.plan() == plan
        assert page.faults == []
    finally:
        context.close()
        session.edit(lambda editor: editor.set(()))


@pytest.mark.slow
def test_a_page_of_another_version_is_told_to_reload(page, session, monkeypatch):
    monkeypatch.setattr(state_requests, "view_version", lambda: "another")
    page.page.context.set_offline(True)
    page.page.locator(".kps-legend").get_by_role("button").first.click()
    page.page.get_by_role("alert").get_by_text("does not answer").wait_for()
    page.page.context.set_offline(False)
    page.button("Try now").click()
    page.page.get_by_role("alert").get_by_text("another version").wait_for()
    monkeypatch.undo()
    page.button("Reload").click()
    page.wait_for_map()
    assert not page.page.get_by_role("alert").get_by_text("another version").is_visible()
