"""The studio's widget in a notebook: a real kernel, a real page, and a comm between them."""

import numpy as np
import pytest
from matplotlib.path import Path as Outline

pytestmark = pytest.mark.slow
for needed in ("anywidget", "nbclient", "ipykernel"):
    pytest.importorskip(needed)

from map_places import lonely, star  # noqa: E402
from notebook_page import Comm, Notebook, NotebookPage  # noqa: E402
from studio_page import SECONDS  # noqa: E402

from keras_pli.intervention import InterventionPlan  # noqa: E402
from keras_pli.intervention.storage import change_of  # noqa: E402
from keras_pli.studio.view_source import module_source, view_version  # noqa: E402

CELL = """
import keras
import numpy as np
import keras_pli as kp

given = np.load("digits.npz")
widget = kp.studio(
    keras.saving.load_model("classifier.keras"),
    given["x"],
    given["labels"],
    test=(given["x_test"], given["labels_test"]),
    embedder=keras.saving.load_model("map.keras"),
    class_names=[f"digit {number}" for number in range(10)],
    out="run",
)
widget
"""


@pytest.fixture(scope="module")
def folder(classifier, embedder, digits, tmp_path_factory):
    folder = tmp_path_factory.mktemp("notebook")
    (x, labels), (x_test, labels_test) = digits
    np.savez(folder / "digits.npz", x=x, labels=labels, x_test=x_test, labels_test=labels_test)
    classifier.save(folder / "classifier.keras")
    embedder.save(folder / "map.keras")
    return folder


@pytest.fixture(scope="module")
def notebook(folder):
    notebook = Notebook([CELL], folder)
    yield notebook
    notebook.close()


@pytest.fixture
def page(browser, notebook):
    comm_id, state = notebook.widget(0)
    comm = Comm(notebook.connection_file, comm_id)
    context = browser.new_context(reduced_motion="reduce", viewport={"width": 1100, "height": 800})
    context.set_default_timeout(1000 * SECONDS)
    page = NotebookPage(context.new_page(), comm, state)
    yield page.open()
    context.close()
    comm.close()
    assert page.faults == []


def floats(buffer):
    return np.frombuffer(buffer, "<f4").reshape(-1, 2)


def flags(buffer):
    return np.frombuffer(buffer, np.uint8).astype(bool)


def test_the_widget_is_what_the_cell_shows(notebook):
    (output,) = (found for found in notebook.cells[0].outputs if found["output_type"] != "stream")
    assert output["output_type"] == "execute_result"
    _, state = notebook.widget(0)
    assert state["_esm"] == module_source() and view_version() in state["_esm"]


def test_a_lasso_selects_a_drag_moves_and_undo_brings_it_back(page, folder):
    """The same as in the page of the server, where the session is in another process."""
    ((_, hello, _),) = page.eventually(lambda: page.answers("hello"), "the answer to hello")
    assert hello["points"] == 200 and hello["classes"][3]["name"] == "digit 3"
    page.eventually(lambda: page.answers("positions", of="targets"), "the map")
    (_, _, (data, moved, _)) = page.answers("positions", of="targets")[-1]
    points = floats(data)
    assert not flags(moved).any()
    page.eventually(lambda: settled(page) is not None, "the picture of the map")
    seen = page.shown_map()

    corners = star(points)
    asked, answer, (bits,) = page.lasso(corners)
    inside = Outline(asked["selection"]["vertices"]).contains_points(points)
    mask = np.unpackbits(np.frombuffer(bits, np.uint8), bitorder="little")[: len(points)] == 1
    np.testing.assert_array_equal(mask, inside)
    assert answer["count"] == inside.sum() and 20 < inside.sum() < 150
    assert np.count_nonzero(Outline(corners).contains_points(points) != inside) <= 3

    asked, answer, _ = page.shift(points[np.flatnonzero(mask)[0]], by=(3.0, -1.5))
    by = np.array(asked["change"]["by"])
    np.testing.assert_allclose(by, (3.0, -1.5), atol=1.5 / page.scale)
    (entry,) = answer["plan"]["entries"]
    assert entry["count"] == mask.sum()
    page.eventually(lambda: flags(last_targets(page)[1]).any(), "the new places")
    data, moved, _ = last_targets(page)
    np.testing.assert_array_equal(flags(moved), mask)
    np.testing.assert_array_equal(floats(data)[~mask], points[~mask])
    np.testing.assert_allclose(floats(data)[mask], points[mask] + by, rtol=1e-5, atol=1e-5)
    assert page.events("plan")
    # The plan that lies in the folder is what the API makes of what was done.
    plan = InterventionPlan.load(folder / "run" / "plan.json")
    assert plan == InterventionPlan([change_of(asked["change"], "the change")])
    page.changed_map(seen)

    before = points.tobytes()
    page.answer_to(lambda: page.page.get_by_role("button", name="Undo").click(), "undo")
    page.eventually(lambda: last_targets(page)[0] == before, "the old places")
    assert len(InterventionPlan.load(folder / "run" / "plan.json")) == 0


def test_pictures_come_over_the_kernel(page, digits):
    points, ((images, _), _) = page.session.round.map, digits
    index = lonely(points)
    page.page.mouse.move(*page.on_screen(points[index]))
    picture = page.page.locator(".kps-hover img")
    picture.wait_for()
    pixels = page.picture(picture)
    block = len(pixels) // 8
    expected = np.kron(np.rint(255 * images[index, :, :, 0]), np.ones((block, block)))
    np.testing.assert_array_equal(pixels.reshape(*expected.shape, -1)[..., 0], expected)


def last_targets(page):
    return page.answers("positions", of="targets")[-1][2]


def settled(page):
    """The pixels of the map, once they are those of all points and stay."""
    before = page.shown_map()
    page.page.wait_for_timeout(100)
    after = page.shown_map()
    colours = np.unique(after.reshape(-1, after.shape[-1]), axis=0)
    return after if len(colours) > 10 and np.array_equal(before, after) else None
