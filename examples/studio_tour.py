"""A tour of the studio in a headless Chromium: its picture and an animation. Two minutes on two cores.

python examples/studio_tour.py --out runs/tour

Needs Playwright and an installed Chromium (`--chromium PATH` where it is not found). On scikit-learn's
digits the eights, which are rare, lie among the ones. The tour selects them, drags them aside, asks what the
move will meet, retrains, and shows what came of it.
"""

from __future__ import annotations

import argparse
import io
import json
import shutil
import time
from pathlib import Path

import keras
import numpy as np
from PIL import Image
from playwright.sync_api import Page, sync_playwright

from keras_pli.demo import prepare_digits
from keras_pli.studio import StudioData, StudioServer, StudioSession

SIZE = {"width": 1080, "height": 700}
BY = np.array([-8.0, 0.0])  # where the eights are dragged, in units of the map: nobody lives there
LONGEST = 180.0


class Film:
    """Pictures of a page, each with the time that it is shown, in milliseconds."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.frames: list[tuple[Image.Image, int]] = []

    def take(self, milliseconds: int) -> Image.Image:
        """Takes a picture, and returns it."""
        picture = Image.open(io.BytesIO(self.page.screenshot())).convert("RGB")
        self.frames.append((picture, milliseconds))
        return picture

    def save(self, path: Path) -> None:
        """Writes an animation with one palette, so that no colour flickers."""
        pictures, times = zip(*self.frames, strict=True)
        last = pictures[-1].quantize(128, dither=Image.Dither.NONE)
        reduced = [picture.quantize(palette=last, dither=Image.Dither.NONE) for picture in pictures]
        reduced[0].save(
            path,
            save_all=True,
            append_images=reduced[1:],
            duration=list(times),
            loop=0,
            optimize=True,
        )


def main() -> None:
    """Opens a studio on the digits, and films the tour."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/tour"))
    parser.add_argument(
        "--chromium", default=shutil.which("chromium") or shutil.which("google-chrome")
    )
    arguments = parser.parse_args()
    model, data = prepare_digits(arguments.out)
    with np.load(data) as digits:
        given = StudioData.of(
            keras.saving.load_model(model),
            digits["x_train"],
            digits["y_train"],
            test=(digits["x_test"], digits["y_test"]),
        )
    session = StudioSession(given, arguments.out / "studio")
    with StudioServer(session) as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=arguments.chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport=SIZE)
        page.goto(server.url)
        page.locator("[data-camera]").first.wait_for()
        page.wait_for_timeout(1500)
        film = Film(page)
        tour(film, session, arguments.out)
        browser.close()
    film.save(arguments.out / "studio.gif")
    print(f"Wrote {arguments.out / 'studio.gif'} and {arguments.out / 'studio.png'}.")


def tour(film: Film, session: StudioSession, out: Path) -> None:
    """Selects, drags, checks, retrains, compares."""
    page = film.page
    film.take(1200)
    page.locator(".kps-legend").get_by_role("button", name="8").click()
    page.wait_for_timeout(800)
    film.take(1000)
    page.get_by_role("radio", name="Move").click()
    eights = session.round.map[session.data.labels == 8]
    start = eights[np.linalg.norm(eights - np.median(eights, axis=0), axis=1).argmin()]
    page.mouse.move(*on_screen(page, start))
    page.wait_for_timeout(600)
    film.take(900)
    page.mouse.down()
    for share in np.linspace(0, 1, 9)[1:]:
        page.mouse.move(*on_screen(page, start + share * BY))
        page.wait_for_timeout(60)
        film.take(90)
    page.mouse.up()
    page.wait_for_timeout(900)
    film.take(900)
    page.get_by_role("button", name="Check the plan").click()
    wait_for_job(film, session)
    film.take(2600).save(out / "studio.png")
    page.get_by_role("button", name="Clear", exact=True).first.click()
    page.get_by_role("tab", name="Retrain").click()
    page.get_by_label("Weight λ").fill("0.5")
    film.take(900)
    page.get_by_role("button", name="Retrain", exact=True).click()
    wait_for_job(film, session, every=700)
    page.wait_for_timeout(2500)
    film.take(3500)
    page.mouse.move(SIZE["width"] / 3, SIZE["height"] / 2)
    page.mouse.wheel(0, 330)
    page.wait_for_timeout(500)
    film.take(5000)


def on_screen(page: Page, point: np.ndarray) -> tuple[float, float]:
    """Where a place of the map is on the page, in CSS pixels."""
    shown = page.locator("[data-camera]").first
    camera, box = json.loads(shown.get_attribute("data-camera")), shown.bounding_box()
    x = box["x"] + camera["width"] / 2 + (point[0] - camera["x"]) * camera["scale"]
    y = box["y"] + camera["height"] / 2 - (point[1] - camera["y"]) * camera["scale"]
    return float(x), float(y)


def wait_for_job(film: Film, session: StudioSession, *, every: int = 0) -> None:
    """Waits until the session's job has ended; takes a picture every so many milliseconds, if any."""
    end = time.monotonic() + LONGEST
    film.page.wait_for_timeout(300)
    while session.jobs.current is not None and session.jobs.current.runs:
        if time.monotonic() > end:
            raise TimeoutError(f"The job {session.jobs.current.name!r} takes over {LONGEST} s.")
        film.page.wait_for_timeout(every or 200)
        if every:
            film.take(220)
    film.page.wait_for_timeout(1200)


if __name__ == "__main__":
    main()
