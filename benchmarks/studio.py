"""The studio's map in a browser without a GPU, beside Bokeh's scatter on canvas and in WebGL.

Every gesture is made by a real mouse (Playwright moves it in headless Chromium): a pan, a lasso of 60
corners, a drag of a tenth of the points, a hover. `main` is the time for which the page's main thread is
busy for one event; `shown` the time from the event to the frame after the one that paints what changed,
which a display of 60 Hz rounds up to its frames. Medians. A selection is dimmed alike in both, Bokeh's
leaving out of points while it pans is switched off, and points have the same size. `page` is the memory of
the page's processes above an empty page's, `sent` what travels to the page before it can draw. `alone` are
the map's own functions without a browser's frames: drawing every point, the test of a lasso, the index that
finds the point below the pointer.

    python benchmarks/studio.py
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
from pathlib import Path

import numpy as np
import pandas as pd

WIDTH, HEIGHT = 1280, 800
CLASSES = 10
LASSO_CORNERS = 60
REPEATS = 7
SLOW_REPEATS = 3  # of a peer that takes seconds for a frame
COLORS = ["#0072B2", "#C08500", "#009A5C", "#B94500", "#CA7895"]
COLORS += ["#32A0BE", "#9372E8", "#92873A", "#003F66", "#6B4A00"]
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-sync",
]
OURS, CANVAS, WEBGL = "studio", "Bokeh canvas", "Bokeh WebGL"

# `watched` holds when the last event of interest came and when a frame was painted after it.
WATCH = """
window.watched = { start: 0, painted: null };
for (const kind of ["pointermove", "pointerup"]) {
  window.addEventListener(kind, () => { watched.start = performance.now(); watched.painted = null; }, true);
}
window.paintedNow = () => { watched.painted ??= performance.now(); };
window.shown = async () => {
  const frame = () => new Promise((go) => requestAnimationFrame(go));
  while (watched.painted === null && performance.now() - watched.start < 20000) await frame();
  await frame();
  return performance.now() - watched.start;
};
"""
OUR_PAGE = """<!doctype html><meta charset="utf-8"><body style="margin:0">
<div id="map" style="position:relative;width:WIDTHpx;height:HEIGHTpx"></div>
<script>WATCH</script><script type="module">MODULE
const bytes = async (name) => await (await fetch(name)).arrayBuffer();
const xy = new Float32Array(await bytes("xy"));
const codes = new Uint16Array(await bytes("codes"));
const map = createScatter(document.getElementById("map"), { label: "benchmark" });
map.setPoints(xy);
map.setStyle({ codes, colors: COLORS, shapes: ["o"] });
map.flush();
const { put } = map.stage.layers;
map.stage.layers.put = (layer) => { put(layer); paintedNow(); };
map.on("select", ({ guess }) => { map.setSelection(guess); });
Object.assign(window, {
  use(tool) { map.setTool(tool); },
  selectClass(code) {
    map.setSelection(code === null ? null : codes.map((own) => (own === code ? 1 : 0)));
    map.flush();
  },
  alone: {
    draw() { map.redraw(); map.flush(); },
    lasso(polygon) { pointsInPolygon(xy, polygon, { extent: map.stage.cloud.extent() }); },
    index() { map.stage.cloud.moved(); map.stage.cloud.nearest(0, 0, 1); },
  },
  selected: () => map.stage.cloud.selected.rows.length,
  ready: true,
});
</script>"""
BOKEH_HOOKS = """
(async () => {
  while (!(window.Bokeh && [...Bokeh.index.roots].length)) await new Promise((go) => setTimeout(go, 20));
  const [view] = [...Bokeh.index.roots];
  const paint = view._actual_paint.bind(view);
  view._actual_paint = (...given) => { paint(...given); paintedNow(); };
  const tools = Object.fromEntries(view.model.toolbar.tools.map((tool) => [tool.type, tool]));
  const names = { pan: "PanTool", lasso: "LassoSelectTool", move: "PointDrawTool" };
  const source = view.model.renderers[0].data_source;
  const code = Array.from(source.get_array("code"));
  Object.assign(window, {
    use(tool) { for (const [key, name] of Object.entries(names)) tools[name].active = key === tool; },
    selectClass(own) {
      source.selected.indices = own === null ? [] : code.flatMap((other, k) => (other === own ? [k] : []));
    },
    selected: () => source.selected.indices.length,
    ready: true,
  });
})();
"""


def points(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Ten clusters on a map, and whose each point is."""
    random = np.random.default_rng(0)
    codes = random.integers(CLASSES, size=count)
    angle, radius = 2.4 * np.arange(CLASSES), 8 + 16 * np.sqrt(np.arange(CLASSES) / CLASSES)
    centres = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return (centres[codes] + random.normal(size=(count, 2)) * (2.2, 1.4)).astype("float32"), codes


def diameter(count: int) -> float:
    """Of the points, in CSS pixels, as the studio draws them."""
    return min(8.0, max(1.0, 0.46 * np.sqrt(WIDTH * HEIGHT / count)))


def our_page(count: int, xy: np.ndarray, codes: np.ndarray) -> tuple[str, dict[str, bytes], int]:
    """The page, what it fetches, and how many bytes of data travel."""
    from keras_pli.studio.conversation.framing import framed
    from keras_pli.studio.view_source import FOLDER, joined

    page = OUR_PAGE.replace("MODULE", joined(FOLDER, "map/scatter.js")).replace("WATCH", WATCH)
    page = page.replace("WIDTH", str(WIDTH)).replace("HEIGHT", str(HEIGHT))
    page = page.replace("colors: COLORS", f"colors: {json.dumps(COLORS)}")
    files = {"xy": xy.tobytes(), "codes": codes.astype("<u2").tobytes()}
    sent = sum(len(framed({"id": 1, "ok": True}, [data])) for data in files.values())
    return page, files, sent


def bokeh_page(
    backend: str, count: int, xy: np.ndarray, codes: np.ndarray
) -> tuple[str, dict[str, bytes], int]:
    """The same for Bokeh: a page with all its scripts."""
    from bokeh.embed import file_html, json_item
    from bokeh.models import ColumnDataSource, PointDrawTool
    from bokeh.plotting import figure
    from bokeh.resources import INLINE
    from bokeh.transform import linear_cmap

    source = ColumnDataSource({"x": xy[:, 0], "y": xy[:, 1], "code": codes.astype("uint16")})
    plot = figure(
        width=WIDTH,
        height=HEIGHT,
        output_backend=backend,
        tools="pan,lasso_select,hover",
        toolbar_location=None,
        lod_threshold=None,
        active_drag="pan",
        match_aspect=True,
    )
    plot.axis.visible = False
    plot.grid.visible = False
    glyphs = plot.scatter(
        "x",
        "y",
        source=source,
        size=diameter(count),
        line_color=None,
        fill_color=linear_cmap("code", COLORS, -0.5, CLASSES - 0.5),
        nonselection_fill_alpha=0.2,
    )
    plot.add_tools(PointDrawTool(renderers=[glyphs], add=False))
    page = file_html(plot, INLINE).replace(
        "</body>", f"<script>{WATCH}{BOKEH_HOOKS}</script></body>"
    )
    page = page.replace("<head>", "<head><style>body { margin: 0 }</style>")
    return page, {}, len(json.dumps(json_item(plot)))


class Browser:
    """A fresh browser with one page of one system."""

    def __init__(self, playwright, executable: str | None):
        self.browser = playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        self.page = self.browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        self.tasks = self.page.context.new_cdp_session(self.page)
        self.tasks.send("Performance.enable")

    def open(self, page: str, files: dict[str, bytes]) -> None:
        def answer(route) -> None:
            name = route.request.url.rsplit("/", 1)[1]
            if name in files:
                route.fulfill(body=files[name], content_type="application/octet-stream")
            elif name == "page":
                route.fulfill(body=page, content_type="text/html; charset=utf-8")
            else:
                route.fulfill(status=404)

        self.page.route("**/*", answer)
        self.page.goto("http://benchmark.localhost/page")
        self.page.wait_for_function("window.ready", timeout=120_000)
        self.page.wait_for_timeout(1000)

    def busy(self) -> float:
        """Milliseconds for which the main thread has been busy so far."""
        metrics = self.tasks.send("Performance.getMetrics")["metrics"]
        return 1e3 * next(m["value"] for m in metrics if m["name"] == "TaskDuration")

    def megabytes(self) -> float:
        """What the browser's processes that draw hold for themselves."""
        import psutil

        total = 0
        for process in psutil.Process().children(recursive=True):
            kind = " ".join(process.cmdline())
            if "--type=renderer" in kind or "--type=gpu-process" in kind:
                total += process.memory_full_info().uss
        return total / 2**20

    def event(self, act) -> tuple[float, float]:
        """Busy and shown milliseconds of what `act` does with the mouse."""
        before = self.busy()
        act()
        shown = self.page.evaluate("shown()")
        return self.busy() - before, shown


def medians(pairs: list[tuple[float, float]]) -> tuple[float, float]:
    busy, shown = zip(*pairs, strict=True)
    return statistics.median(busy), statistics.median(shown)


def moves(browser: Browser, start: tuple[float, float], repeats: int) -> tuple[float, float]:
    """A drag from a place on, move by move; the first two moves begin it and do not count."""
    mouse = browser.page.mouse
    mouse.move(*start)
    mouse.down()
    x, y = start
    pairs = []
    for _ in range(repeats + 2):
        x, y = x + 9, y + 5
        pairs.append(browser.event(lambda x=x, y=y: mouse.move(x, y)))
    mouse.up()
    browser.page.wait_for_timeout(300)
    return medians(pairs[2:])


def lassos(browser: Browser, repeats: int) -> tuple[float, float]:
    """From letting go of the mouse to the selection shown."""
    mouse = browser.page.mouse
    angle = np.linspace(0, 2 * np.pi, LASSO_CORNERS, endpoint=False)
    radius = 230 * (1 + 0.2 * np.sin(5 * angle))
    corners = np.stack(
        [WIDTH / 2 + radius * np.cos(angle), HEIGHT / 2 + radius * np.sin(angle)], axis=1
    )
    pairs = []
    for _ in range(repeats // 2):
        browser.page.evaluate("selectClass(null)")
        browser.page.wait_for_timeout(200)
        mouse.move(*corners[0])
        mouse.down()
        for corner in corners[1:]:
            mouse.move(*corner)
        browser.page.wait_for_timeout(300)
        pairs.append(browser.event(mouse.up))
        if not browser.page.evaluate("selected()"):
            raise RuntimeError("The lasso selected no point.")
    return medians(pairs)


def hovers(browser: Browser, repeats: int) -> float:
    """Busy milliseconds of a move of the mouse over the points."""
    mouse, page = browser.page.mouse, browser.page
    mouse.move(WIDTH / 2, HEIGHT / 2)
    page.wait_for_timeout(500)
    found = []
    for k in range(3 * repeats):
        before = browser.busy()
        mouse.move(WIDTH / 2 + 9 * k, HEIGHT / 2 + 5 * k)
        page.evaluate("new Promise((go) => requestAnimationFrame(() => setTimeout(go)))")
        found.append(browser.busy() - before)
    return statistics.median(found)


def alone(browser: Browser, xy: np.ndarray) -> dict[str, float]:
    """The map's own functions without a browser's frames: drawing everything, the lasso's test, the index."""
    angle = np.linspace(0, 2 * np.pi, LASSO_CORNERS, endpoint=False)
    radius = 12 * (1 + 0.2 * np.sin(5 * angle))
    polygon = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).tolist()
    timed = """([name, given, repeats]) => Array.from({ length: repeats }, () => {
      const start = performance.now();
      alone[name](given);
      return performance.now() - start;
    })"""
    return {
        f"{name} alone, ms": statistics.median(
            browser.page.evaluate(timed, [name, polygon, 2 * REPEATS + 1])
        )
        for name in ("draw", "lasso", "index")
    }


def measured(playwright, executable: str | None, system: str, count: int) -> dict[str, object]:
    xy, codes = points(count)
    browser = Browser(playwright, executable)
    browser.page.goto("about:blank")
    browser.page.wait_for_timeout(500)
    empty = browser.megabytes()
    if system == OURS:
        page, files, sent = our_page(count, xy, codes)
    else:
        backend = "webgl" if system == WEBGL else "canvas"
        page, files, sent = bokeh_page(backend, count, xy, codes)
    browser.open(page, files)
    row: dict[str, object] = {"points": count, "system": system, "sent, MB": sent / 1e6}
    repeats = REPEATS if system == OURS or count < 50_000 else SLOW_REPEATS
    own = alone(browser, xy) if system == OURS else {}
    browser.page.evaluate("use('pan')")
    hover = hovers(browser, repeats)
    gestures = {"pan": moves(browser, (600, 300), repeats)}
    browser.page.evaluate("use('lasso')")
    gestures["lasso"] = lassos(browser, repeats)
    browser.page.evaluate("use('move')")
    browser.page.evaluate("selectClass(0)")
    browser.page.wait_for_timeout(500)
    gestures["drag"] = moves(browser, on_screen(browser, xy, codes, system), repeats)
    for name, (busy, shown) in gestures.items():
        row |= {f"{name} main, ms": busy, f"{name} shown, ms": shown}
    row |= {"hover main, ms": hover, "page, MB": browser.megabytes() - empty, **own}
    browser.browser.close()
    return row


def on_screen(
    browser: Browser, xy: np.ndarray, codes: np.ndarray, system: str
) -> tuple[float, float]:
    """Where the middle of the first class is seen, on its nearest point."""
    own = xy[codes == 0]
    x, y = own[np.square(own - own.mean(axis=0)).sum(axis=1).argmin()].tolist()
    if system == OURS:
        camera = json.loads(browser.page.locator("[data-camera]").get_attribute("data-camera"))
        return (
            camera["width"] / 2 + (x - camera["x"]) * camera["scale"],
            camera["height"] / 2 - (y - camera["y"]) * camera["scale"],
        )
    place = """([x, y]) => { const { frame } = [...Bokeh.index.roots][0];
      return [frame.x_scale.compute(x) + frame.bbox.left, frame.y_scale.compute(y) + frame.bbox.top]; }"""
    return tuple(browser.page.evaluate(place, [x, y]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--peer-points", type=int, nargs="*", default=[10_000, 100_000])
    parser.add_argument("--chromium", type=Path, help="an installed Chromium; else the first found")
    arguments = parser.parse_args()
    from playwright.sync_api import sync_playwright

    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
    executable = arguments.chromium or os.environ.get("KERAS_PLI_CHROMIUM")
    executable = executable or next(filter(None, map(shutil.which, names)), None)
    runs = [(OURS, count) for count in arguments.points]
    try:
        import bokeh

        print(f"Bokeh {bokeh.__version__}", flush=True)
        runs += [(system, count) for count in arguments.peer_points for system in (CANVAS, WEBGL)]
    except ImportError as error:
        print(f"Bokeh is left out: {type(error).__name__}: {error}", flush=True)
    rows = []
    with sync_playwright() as playwright:
        for system, count in runs:
            rows.append(measured(playwright, executable and str(executable), system, count))
            print(f"{system}, {count:,} points: measured", flush=True)
    table = (
        pd.DataFrame(rows)
        .sort_values(["points", "system"], kind="stable")
        .set_index(["points", "system"])
    )
    print(table.T.round(1).to_string(na_rep=""))


if __name__ == "__main__":
    main()
