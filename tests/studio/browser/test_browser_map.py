"""Looking, selecting and changing on the map, in a browser, against NumPy and the API."""

import numpy as np
import pytest
from map_places import lonely, star
from matplotlib.path import Path as Outline

from keras_pli.intervention import Contract, InterventionPlan, Polygon, Shift


@pytest.mark.slow
def test_the_page_says_what_it_shows(page, session):
    page.page.get_by_text(f"{len(session.data.labels)} points").first.wait_for()
    assert page.page.title()
    for name in session.data.class_names:
        assert page.page.get_by_role("checkbox", name=f"Show {name}", exact=True).is_checked()


@pytest.mark.slow
def test_hovering_shows_the_picture_of_the_point(page, session):
    index = lonely(session.round.map)
    page.page.mouse.move(*page.on_screen(session.round.map[index]))
    card = page.page.locator(".kps-hover")
    card.get_by_text(session.class_name(session.data.labels[index])).first.wait_for()
    picture = card.locator("img")
    picture.wait_for()
    pixels = page.picture(picture)
    block = len(pixels) // 8
    assert pixels.shape[:2] == (8 * block, 8 * block)
    expected = np.rint(255 * session.data.train[0][index, :, :, 0])
    pixels = pixels[..., :3].reshape(8, block, 8, block, 3)
    np.testing.assert_array_equal(pixels.min(axis=(1, 3, 4)), expected)
    np.testing.assert_array_equal(pixels.max(axis=(1, 3, 4)), expected)


@pytest.mark.slow
def test_a_lasso_selects_what_lies_inside(page, session):
    points = session.round.map
    corners = star(points)
    (asked, _), (answer, (bits,)) = page.lasso(corners)
    polygon = np.array(asked["selection"]["vertices"])
    mask = np.unpackbits(np.frombuffer(bits, np.uint8), bitorder="little")[: len(points)]
    inside = Outline(polygon).contains_points(points)
    np.testing.assert_array_equal(mask, inside)
    assert answer["count"] == inside.sum() and 20 < inside.sum() < 150
    # And it is the star that was drawn, but for the pixels of a screen.
    drawn = Outline(corners)
    apart = np.count_nonzero(drawn.contains_points(points) != inside)
    assert apart <= 3
    page.page.get_by_text(f"{inside.sum()} of {len(points)} points selected").wait_for()


def test_a_drag_moves_what_is_selected_and_undo_brings_it_back(page, session):
    before = session.edited.targets.copy()
    _, (_, (bits,)) = page.lasso(star(before))
    mask = np.unpackbits(np.frombuffer(bits, np.uint8), bitorder="little")[: len(before)] == 1
    page.tool("Move")
    seen = page.shown_map()
    start = before[np.flatnonzero(mask)[0]]
    page.shift(start, by=(3.0, -1.5))
    (entry,) = session.editor.entries
    assert isinstance(entry.change, Shift)
    np.testing.assert_allclose(entry.change.by, (3.0, -1.5), atol=1.5 / page.scale)
    targets = session.edited.targets
    np.testing.assert_array_equal(session.edited.moved, mask)
    np.testing.assert_array_equal(targets[~mask], before[~mask])
    np.testing.assert_allclose(targets[mask], before[mask] + entry.change.by, rtol=1e-5, atol=1e-5)
    page.changed_map(seen)

    page.page.keyboard.press("Control+z")
    page.eventually(lambda: "Shift" not in page.plan(), "the undoing")
    assert session.edited.targets.tobytes() == before.tobytes()
    page.eventually(lambda: np.array_equal(page.shown_map(), seen), "the old picture of the map")
    page.page.keyboard.press("Control+Shift+z")
    page.eventually(lambda: "Shift" in page.plan(), "the redoing")
    assert session.edited.targets.tobytes() == targets.tobytes()


@pytest.mark.slow
def test_contracting_by_a_handle_keeps_the_centroid(page, session):
    before = session.round.map
    label = int(session.data.labels[0])
    of_class = session.data.labels == label
    page.select_class(session.class_name(label))
    page.tool("Scale and rotate")
    handle = page.page.get_by_role("slider", name="Size of the selection")
    handle.hover(trial=True)  # waits until it is where it stays
    box = handle.bounding_box()
    corner = np.array([box["x"] + box["width"] / 2, box["y"] + box["height"] / 2])
    centre = page.on_screen(before[of_class].mean(axis=0))
    page.drag([corner, (corner + centre) / 2])
    page.eventually(lambda: "Contract" in page.plan(), "the step in the plan")
    (entry,) = session.editor.entries
    assert isinstance(entry.change, Contract)
    assert entry.change.factor == pytest.approx(0.5, abs=0.02)
    targets = session.edited.targets
    np.testing.assert_allclose(targets[of_class].mean(0), before[of_class].mean(0), atol=1e-4)
    np.testing.assert_allclose(
        targets[of_class].std(0), entry.change.factor * before[of_class].std(0), rtol=1e-4
    )
    np.testing.assert_array_equal(targets[~of_class], before[~of_class])


@pytest.mark.slow
def test_the_stored_plan_is_what_the_api_writes(page, session, tmp_path):
    points = session.round.map
    (asked, _), _ = page.lasso(star(points))
    polygon = asked["selection"]["vertices"]
    start = points[Polygon(polygon).resolve(points)][0]
    page.shift(start, by=(2.0, 2.0))
    page.page.get_by_label("Reason of the next step").fill("They are one digit.")
    page.contract(3, 0.25)
    page.eventually(lambda: "one digit" in page.plan(), "the second step")
    by = session.editor.entries[0].change.by
    plan = InterventionPlan(
        [
            Shift(Polygon(polygon), by=by),
            Contract(3, factor=0.25, reason="They are one digit."),
        ]
    )
    assert page.plan() == plan.to_json()
    with page.page.expect_download() as download:
        page.button("Export").click()
    download.value.save_as(tmp_path / "plan.json")
    assert InterventionPlan.load(tmp_path / "plan.json").to_json() == plan.to_json()
    targets, moved = plan.apply(points, session.data.labels)
    np.testing.assert_array_equal(session.edited.targets, targets)
    np.testing.assert_array_equal(session.edited.moved, moved)
