"""The page is read back as a browser reads it; a real browser draws it in the slow test."""

import base64
import gzip
import html
import json
import re
import shutil
import subprocess
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest

from keras_pli.volume import subject_page

RNG = np.random.default_rng(8)
SHAPE = (9, 8, 7)
# Stored from left to right reversed, and with two axes exchanged.
AFFINE = np.array([[0, -2.0, 0, 12], [3.0, 0, 0, -20], [0, 0, 4.0, -8], [0, 0, 0, 1]])
IMAGE = RNG.uniform(0, 900, SHAPE)
MAPS = {"Grad-CAM": RNG.random(SHAPE), "a <b> & c": RNG.normal(size=(*SHAPE, 1))}
MASK = MAPS["Grad-CAM"] > 0.7


def upright(values):
    return nib.as_closest_canonical(nib.Nifti1Image(values, AFFINE)).get_fdata()


UPRIGHT_AFFINE = nib.as_closest_canonical(nib.Nifti1Image(IMAGE, AFFINE)).affine


class Page:
    """What a page holds."""

    def __init__(self, path):
        self.text = path.read_text(encoding="utf-8")
        self.data = json.loads(self.element("data"))

    def element(self, name):
        return re.search(rf'<script type="[^"]+" id="{name}">(.*?)</script>', self.text, re.S)[1]

    def volume(self, name, dtype=np.uint8):
        stored = gzip.decompress(base64.b64decode(self.element(name)))
        return np.frombuffer(stored, dtype).reshape(self.data["shape"])

    def map(self, index):
        """Values within the scale; NaN beyond."""
        stored = self.volume(f"map-{index}", np.int8).astype(float)
        stored[np.abs(stored) == 127] = np.nan
        return stored / 126 * self.data["maps"][index]["limit"]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "sub-01.html"
    assert path == subject_page(
        path,
        nib.Nifti1Image(IMAGE, AFFINE),
        MAPS,
        title="sub-01 </script> & more",
        prediction="patient",
        truth="control",
        probabilities={"patient": 0.75, "control": 0.25},
        verdicts="Grad-CAM passes.\nThe other <fails>.",
        outlines={"planted": MASK},
    )
    return Page(path)


def test_volumes_are_upright_and_within_eight_bits(page):
    low, high = page.data["window"]
    shown = low + page.volume("image") / 255 * (high - low)
    np.testing.assert_allclose(shown, np.clip(upright(IMAGE), low, high), atol=(high - low) / 509)
    np.testing.assert_allclose(page.data["affine"], UPRIGHT_AFFINE)
    np.testing.assert_allclose(
        np.array(page.data["affine"]) @ page.data["inverse"], np.eye(4), atol=1e-9
    )
    for index, values in enumerate(MAPS.values()):
        limit = page.data["maps"][index]["limit"]
        given = upright(values.reshape(SHAPE))
        given = np.where(np.abs(given) > limit, np.nan, given)
        np.testing.assert_allclose(page.map(index), given, atol=limit / 251)
        assert limit == pytest.approx(np.percentile(np.abs(values), 99.9))
    assert [one["signed"] for one in page.data["maps"]] == [False, True]
    np.testing.assert_array_equal(page.volume("mask-0"), upright(MASK.astype(float)))


def test_the_page_opens_at_the_peak_of_the_first_map(page):
    peak = np.unravel_index(upright(MAPS["Grad-CAM"]).argmax(), page.data["shape"])
    assert tuple(page.data["start"]) == peak


def test_names_are_written_and_never_run(page):
    assert "<h1>sub-01 &lt;/script&gt; &amp; more</h1>" in page.text
    assert "The other &lt;fails&gt;." in page.text
    assert page.data["maps"][1]["name"] == "a <b> & c"
    assert "a <b>" not in page.text
    assert "width:75.0%" in page.text
    for text in ("<dt>Prediction</dt><dd>patient</dd>", "<dt>Truth</dt><dd>control</dd>"):
        assert text in page.text


def test_nothing_comes_from_elsewhere(page):
    assert not re.search(
        r"https?://|src=|<link|@import|\$\w", re.sub(r"id=\"(image|ma).*", "", page.text)
    )


def test_the_same_volumes_give_the_same_page(tmp_path):
    pages = [
        subject_page(tmp_path / name, IMAGE, MAPS, affine=AFFINE) for name in ("a.html", "b.html")
    ]
    assert pages[0].read_bytes() == pages[1].read_bytes()


def test_empty_space_is_cropped_and_the_affine_follows(tmp_path):
    image, values = np.zeros((20, 20, 20)), np.zeros((20, 20, 20))
    image[6:12, 7:13, 8:14] = 1.0
    values[3, 9, 9] = 1.0
    found = Page(
        subject_page(tmp_path / "a.html", image, {"m": values}, affine=np.diag([2, 2, 2, 1]))
    )
    assert found.data["shape"] == [11, 8, 8]
    place = np.array(found.data["affine"]) @ [*found.data["start"], 1]
    np.testing.assert_allclose(place[:3], [6, 18, 18])
    assert found.map(0)[tuple(found.data["start"])] == 1.0


def test_what_is_too_large_is_shown_as_means_of_blocks_at_their_places(tmp_path):
    image = RNG.random((9, 8, 7))
    kilobytes = 4 * image.size / 3e3
    small = subject_page(
        tmp_path / "a.html", image, {}, affine=UPRIGHT_AFFINE, megabytes=kilobytes / 2e3
    )
    found = Page(small)
    assert found.data["shape"] == [5, 4, 4]
    low, high = found.data["window"]
    clipped = np.clip(image, low, high)
    block = clipped[2:4, 4:6, 0:2].mean()
    shown = low + found.volume("image")[1, 2, 0] / 255 * (high - low)
    assert shown == pytest.approx(block, abs=1 / 500)
    middle = nib.affines.apply_affine(UPRIGHT_AFFINE, [2.5, 4.5, 0.5])
    np.testing.assert_allclose(nib.affines.apply_affine(found.data["affine"], [1, 2, 0]), middle)
    assert "mean of 2 × 2 × 2" in found.text


def test_a_brain_of_the_usual_size_is_small(tmp_path):
    shape = (40, 48, 40)
    maps = {name: RNG.normal(size=shape) for name in "abc"}
    path = subject_page(tmp_path / "a.html", RNG.random(shape), maps, affine=np.eye(4))
    assert path.stat().st_size < 1.5e6


def test_images_that_know_their_place(tmp_path):
    own = SimpleNamespace(values=IMAGE, affine=AFFINE)
    of_object = subject_page(tmp_path / "a.html", own, MAPS, at_mm=(0, 0, 0))
    of_array = subject_page(tmp_path / "b.html", IMAGE, MAPS, affine=AFFINE, at_mm=(0, 0, 0))
    assert of_object.read_bytes() == of_array.read_bytes()
    start = Page(of_array).data["start"]
    assert np.abs(nib.affines.apply_affine(UPRIGHT_AFFINE, start)).max() <= 2.0


def test_an_oblique_grid_is_said_to_be(tmp_path):
    affine = np.eye(4)
    affine[:2, :2] = [[0.96, -0.28], [0.28, 0.96]]
    found = Page(
        subject_page(tmp_path / "a.html", IMAGE, {}, affine=affine, convention="radiological")
    )
    assert found.data["oblique"] and found.data["radiological"]
    assert "oblique to the body by 16°" in html.unescape(found.text)


@pytest.mark.parametrize(
    "image, maps, arguments, message",
    [
        (IMAGE, MAPS, {}, "needs the `affine`.*ndarray"),
        (IMAGE[0], {}, {"affine": AFFINE}, r"\(8, 7\)"),
        (IMAGE * np.nan, {}, {"affine": AFFINE}, "`image`"),
        (IMAGE, {"m": IMAGE[1:]}, {"affine": AFFINE}, r"maps\['m'\].*\(8, 8, 7\)"),
        (IMAGE, MAPS, {"affine": AFFINE, "outlines": {"o": IMAGE}}, r"outlines\['o'\]"),
        (IMAGE, MAPS, {"affine": AFFINE, "at_mm": (500, 0, 0)}, "within the volume"),
        (IMAGE, MAPS, {"affine": AFFINE, "probabilities": {"a": 1.2}}, "1.2 of 'a'"),
        (IMAGE, MAPS, {"affine": AFFINE, "convention": "left"}, "neurological"),
        (IMAGE, MAPS, {"affine": AFFINE, "megabytes": -1}, "`megabytes`"),
    ],
)
def test_what_is_refused(tmp_path, image, maps, arguments, message):
    with pytest.raises(ValueError, match=message):
        subject_page(tmp_path / "a.html", image, maps, **arguments)
    assert not list(tmp_path.iterdir())


def test_a_list_of_maps_is_refused(tmp_path):
    with pytest.raises(TypeError, match="maps by name"):
        subject_page(tmp_path / "a.html", IMAGE, [IMAGE], affine=AFFINE)


# A real browser

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)

# What a person does, and what a canvas shows at the middle of each voxel, row by row from the top.
DRIVE = """
<script>
const at = (id) => document.getElementById(id);
const say = (node, type) => node.dispatchEvent(new Event(type, {bubbles: true}));
function shown(cut) {
  const data = JSON.parse(at("data").textContent);
  const canvas = document.querySelectorAll("canvas[tabindex]")[cut];
  const [h, v] = [[1, 2], [0, 2], [0, 1]][cut], density = window.devicePixelRatio;
  const unit = (parseFloat(canvas.style.width) - 40) / (data.shape[h] * data.edges[h]);
  const context = canvas.getContext("2d"), rows = [];
  for (let j = 0; j < data.shape[v]; j++) {
    rows.push([]);
    for (let i = 0; i < data.shape[h]; i++) {
      const x = 20 + (i + .5) * data.edges[h] * unit, y = 20 + (j + .5) * data.edges[v] * unit;
      rows[j].push([...context.getImageData(x * density, y * density, 1, 1).data.slice(0, 3)]);
    }
  }
  return rows;
}
const told = [];
function note() {
  const text = at("readout").textContent + " " + at("others").textContent;
  told.push({readout: text, planes: [0, 1, 2].map(shown),
    captions: [...document.querySelectorAll("figcaption")].map((one) => one.textContent)});
}
function drive() {
  if (document.body.dataset.ready !== "true") return setTimeout(drive, 20);
  for (const id of ["cross", "show", "smooth", "outline-0"]) {
    at(id).checked = false;
    say(at(id), "input");
    say(at(id), "change");
  }
  const sliders = document.querySelectorAll(".planes input");
  const canvases = document.querySelectorAll("canvas[tabindex]");
  [5, 2, 4].forEach((place, axis) => { sliders[axis].value = place; say(sliders[axis], "input"); });
  note();
  canvases[2].dispatchEvent(new KeyboardEvent("keydown", {key: "ArrowRight"}));
  canvases[0].dispatchEvent(new KeyboardEvent("keydown", {key: "ArrowUp"}));
  canvases[1].dispatchEvent(new KeyboardEvent("keydown", {key: "PageDown"}));
  note();
  at("convention").value = "radiological"; say(at("convention"), "change");
  note();
  canvases[2].dispatchEvent(new KeyboardEvent("keydown", {key: "ArrowRight"}));
  at("show").checked = true; at("opacity").value = 100; say(at("show"), "input");
  at("map").value = "1"; say(at("map"), "change");
  at("convention").value = "neurological"; say(at("convention"), "change");
  note();
  document.body.dataset.told = JSON.stringify(told);
}
drive();
</script>
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    if BROWSER is None:
        pytest.skip("no browser here")
    folder = tmp_path_factory.mktemp("browser")
    path = folder / "driven.html"
    subject_page(path, IMAGE, MAPS, affine=AFFINE, outlines={"planted": MASK})
    path.write_text(path.read_text("utf-8").replace("</body>", DRIVE + "</body>"), "utf-8")
    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--virtual-time-budget=20000",
        "--dump-dom",
    ]
    command = [BROWSER, *options, f"--user-data-dir={folder / 'profile'}", path.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    found = re.search(r'data-told="([^"]*)"', done.stdout)
    assert found, done.stdout[-2000:] + done.stderr[-2000:]
    return json.loads(html.unescape(found[1]))


def slices(values, cursor):
    """The three slices as an eye sees them: superior or anterior up, left on the left."""
    x, y, z = cursor
    return [plane.T[::-1] for plane in (values[x], values[:, y], values[:, :, z])]


@pytest.mark.slow
def test_a_browser_draws_the_slices_where_the_arrays_have_them(told):
    image = upright(IMAGE)
    low, high = np.percentile(IMAGE, (0.5, 99.5))
    greys = 255 * np.clip((image - low) / (high - low), 0, 1)
    for step, cursor, mirrored in (
        (0, (5, 2, 4), False),
        (1, (6, 1, 5), False),
        (2, (6, 1, 5), True),
    ):
        for plane, expected in zip(told[step]["planes"], slices(greys, cursor), strict=True):
            drawn = np.array(plane)[..., 0]
            np.testing.assert_allclose(drawn[:, ::-1] if mirrored else drawn, expected, atol=2)


@pytest.mark.slow
def test_a_browser_writes_positions_and_values(told):
    for step, cursor in ((0, (5, 2, 4)), (1, (6, 1, 5)), (3, (5, 1, 5))):
        readout = told[step]["readout"].replace("\N{MINUS SIGN}", "-")
        position = [float(number) for number in re.search(r"z: (.*) mm", readout)[1].split(",")]
        np.testing.assert_allclose(position, nib.affines.apply_affine(UPRIGHT_AFFINE, cursor))
        for name, values in MAPS.items():
            number = float(
                re.search(rf"{re.escape(name)}: (?:above |below )?(-?[\d.]+)", readout)[1]
            )
            given = upright(values.reshape(SHAPE))[cursor]
            assert number == pytest.approx(given, abs=np.abs(values).max() / 120)
        names = ["Sagittal, x", "Coronal, y", "Axial, z"]
        expected = [f"{name} = {place:g} mm" for name, place in zip(names, position, strict=True)]
        assert [text.replace("\N{MINUS SIGN}", "-") for text in told[step]["captions"]] == expected


@pytest.mark.slow
def test_a_browser_colours_by_sign(told):
    values = upright(MAPS["a <b> & c"].reshape(SHAPE))
    for plane, expected in zip(told[3]["planes"], slices(values, (5, 1, 5)), strict=True):
        red, _, blue = np.moveaxis(np.array(plane, float), -1, 0)
        strong = np.abs(expected) > 1.0
        assert (np.sign(red - blue)[strong] == np.sign(expected)[strong]).all()
