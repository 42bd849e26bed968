"""What a person does with the page of the studio, by mouse and keyboard, and what the page then shows."""

import io
import json
import time

import numpy as np
from PIL import Image

SECONDS = 60  # for what should take a moment, on a busy machine


def unframed(data):
    """The content and the buffers of a message, as they lie in it."""
    length = int.from_bytes(data[:4], "little")
    content = json.loads(data[4 : 4 + length])
    buffers, start = [], 4 + length
    for size in content.pop("buffers"):
        buffers.append(data[start : start + size])
        start += -(-size // 8) * 8
    return content, buffers


def kind_of(request):
    """What a request asks for, or None if it is no message to the session."""
    if request.method != "POST" or not request.url.endswith("/messages"):
        return None
    return unframed(request.post_data_buffer)[0]["kind"]


class StudioPage:
    """A page of the studio, and where points of the map are on it.

    Args:
        page: Playwright's page.
        session: The session of the server, for what is true.
    """

    def __init__(self, page, session):
        self.page, self.session = page, session
        self.faults = []
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("console", self._hear)

    def _hear(self, said):
        """A server that does not answer is no fault of the page, which says so itself."""
        if said.type == "error" and not said.text.startswith("Failed to load resource"):
            self.faults.append(said.text)

    def open(self, url):
        self.page.goto(url)
        self.wait_for_map()
        return self

    def wait_for_map(self):
        """Waits until the map shows all points, and what is told beside it is there."""
        self.map.wait_for()
        self.eventually(self._is_fitted, "the map of all points")
        self.wait_for_answers()

    def wait_for_answers(self):
        """Waits until the page has taken in the answers to all that it asked."""
        waiting = self.page.locator(".kps-answering")
        self.eventually(lambda: waiting.count() == 0, "the last answer in the page")

    def _is_fitted(self):
        places = self.on_screen(self.session.edited.targets)
        box = self.map.bounding_box()
        low = np.array([box["x"], box["y"]])
        size = np.array([box["width"], box["height"]])
        inside = (places >= low).all() and (places <= low + size).all()
        return inside and (np.ptp(places, axis=0) > 0.5 * size).any()

    def eventually(self, true, what="what was waited for"):
        """Waits until `true()` holds, and returns what it gave."""
        end = time.monotonic() + SECONDS
        while True:
            found = true()
            if found:
                return found
            assert time.monotonic() < end, f"{what} did not happen within {SECONDS} seconds"
            self.page.wait_for_timeout(20)

    @property
    def map(self):
        """The map's element; the first, where several are side by side."""
        return self.page.locator("[data-camera]").first

    def on_screen(self, points):
        """Where points of the map are on the page, in CSS pixels."""
        camera = json.loads(self.map.get_attribute("data-camera"))
        box = self.map.bounding_box()
        points = np.asarray(points, dtype=float)
        x = box["x"] + camera["width"] / 2 + (points[..., 0] - camera["x"]) * camera["scale"]
        y = box["y"] + camera["height"] / 2 - (points[..., 1] - camera["y"]) * camera["scale"]
        return np.stack([x, y], axis=-1)

    @property
    def scale(self):
        """CSS pixels a unit of the map."""
        return json.loads(self.map.get_attribute("data-camera"))["scale"]

    def button(self, name, **options):
        return self.page.get_by_role("button", name=name, exact=True, **options)

    def tool(self, name):
        self.page.get_by_role("radio", name=name).click()

    def select_class(self, name):
        """Selects a class by the legend."""
        with self.page.expect_response(lambda response: kind_of(response.request) == "select"):
            self.page.locator(".kps-legend").get_by_role("button", name=name).click()
        self.wait_for_answers()  # it has come, but the page may not have read it

    def shown_map(self):
        """The map as it is seen, but for what points at things."""
        self.page.mouse.move(1, 1)
        return np.asarray(Image.open(io.BytesIO(self.map.screenshot())))

    def changed_map(self, seen, what="what was done, on the map"):
        """Waits until the map is seen otherwise than before, and returns how."""

        def changed():
            shown = self.shown_map()
            return None if np.array_equal(shown, seen) else [shown]

        return self.eventually(changed, what)[0]

    def plan(self):
        """The plan as it is stored."""
        with self.session.lock:
            return self.session.folder.plan.read_text(encoding="utf-8")

    def lasso(self, corners):
        """Draws a lasso through places of the map; returns what was asked and answered."""
        self.tool("Lasso")
        path = self.on_screen(corners)
        with self.page.expect_response(
            lambda response: kind_of(response.request) == "select"
        ) as answer:
            self.drag([*path, path[0]])
        self.wait_for_answers()
        return unframed(answer.value.request.post_data_buffer), unframed(answer.value.body())

    def contract(self, label, factor):
        """Adds a step by numbers: a class is contracted."""
        self.select_class(self.session.class_name(label))
        self.scale_to(factor)

    def scale_to(self, factor):
        """Scales what is selected by numbers."""
        field = self.page.get_by_label("Factor of its size")
        if not field.is_visible():
            self.page.get_by_text("Move by numbers").click()
        field.fill(str(factor))
        self.button("Scale to").click()

    def steps(self):
        """The steps of the plan, as they are listed."""
        return self.page.locator("[data-entry]").count()

    def shift(self, start, by):
        """Drags what is selected by a way in units of the map, from a selected point on."""
        self.tool("Move")
        before = self.plan()
        self.drag(self.on_screen([start, np.add(start, np.divide(by, 2)), np.add(start, by)]))
        self.eventually(lambda: self.plan() != before, "the step in the plan")
        self.wait_for_answers()

    def drag(self, path, *, steps=1):
        """Presses the mouse at the first place of the page, moves along the others, and lets go."""
        (x, y), *others = np.asarray(path).tolist()
        self.page.mouse.move(x, y)
        self.page.mouse.down()
        for x, y in others:
            self.page.mouse.move(x, y, steps=steps)
        self.page.mouse.up()

    def check_accessibility(self):
        """Lets axe-core look at the page as it is."""
        from axe_playwright_python.sync_playwright import Axe

        found = Axe().run(self.page).response["violations"]
        told = [
            f"{one['id']} ({one['impact']}): {node['html'][:150]} {node['failureSummary']}"
            for one in found
            for node in one["nodes"]
        ]
        assert not told, "\n".join(told)

    def picture(self, locator):
        """The values of a picture in the page, uint8 `(height, width, 4)`."""
        width, height, values = locator.evaluate(
            """async (image) => {
              await image.decode();
              const canvas = document.createElement("canvas");
              [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
              const context = canvas.getContext("2d");
              context.drawImage(image, 0, 0);
              const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
              return [canvas.width, canvas.height, Array.from(data)];
            }"""
        )
        return np.array(values, np.uint8).reshape(height, width, 4)
