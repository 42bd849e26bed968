"""A studio whose process is killed, in the middle of retraining as well: all of it is there again."""

import os
import re
import signal
import subprocess
import sys
import threading
from queue import Queue

import numpy as np
import pytest
from studio_page import SECONDS, StudioPage

from keras_pli.intervention import Contract, InterventionPlan, Weigh
from keras_pli.studio import StudioData, StudioSession

pytestmark = pytest.mark.slow
START_SECONDS = 120


class Process:
    """`keras-pli studio` in a process of its own."""

    def __init__(self, folder):
        files = ("--model", "classifier.keras", "--data", "data.npz", "--embedder", "map.keras")
        command = [sys.executable, "-m", "keras_pli", "studio", *files, "--out", "run"]
        self.process = subprocess.Popen(
            [*command, "--no-browser"],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        self._printed = []
        self._addresses = Queue()
        threading.Thread(target=self._read, daemon=True).start()
        self.url = self._addresses.get(timeout=START_SECONDS)
        if self.url is None:
            raise RuntimeError("The studio did not start: " + "".join(self._printed[-20:]))

    def _read(self):
        for line in self.process.stdout:
            self._printed.append(line)
            for address in re.findall(r"http://\S+", line):
                self._addresses.put(address)
        self._addresses.put(None)

    def kill(self):
        self.process.send_signal(getattr(signal, "SIGKILL", signal.SIGTERM))
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture
def folder(classifier, embedder, digits, tmp_path):
    (x, labels), (x_test, labels_test) = digits
    np.savez(tmp_path / "data.npz", x_train=x, y_train=labels, x_test=x_test, y_test=labels_test)
    classifier.save(tmp_path / "classifier.keras")
    embedder.save(tmp_path / "map.keras")
    return tmp_path


class Twin:
    """What a page of another process is told to be true: the digits, without a plan."""

    def __init__(self, session):
        self.session = session

    def __getattr__(self, name):
        return getattr(self.session, name)

    def class_name(self, label):
        return str(label)


def open_page(browser, session, url):
    context = browser.new_context(reduced_motion="reduce", viewport={"width": 1280, "height": 800})
    context.set_default_timeout(1000 * SECONDS)
    return StudioPage(context.new_page(), Twin(session)).open(url)


def test_killed_and_started_again(browser, session, folder, classifier, digits):
    stored = folder / "run" / "plan.json"
    first = Process(folder)
    try:
        page = open_page(browser, session, first.url)
        page.contract(3, 0.9)
        page.eventually(lambda: page.steps() == 1, "the first step")
        page.page.get_by_text("Weigh, relabel or exclude").click()
        page.button("Weigh by").click()
        page.eventually(lambda: page.steps() == 2, "the second step")
        page.page.keyboard.press("Control+z")
        page.eventually(lambda: page.steps() == 1, "the undoing")
        page.page.get_by_role("tab", name="Retrain").click()
        page.page.locator('input[name="epochs"]').fill("100000")
        page.button("Retrain").click()
        page.page.get_by_text(re.compile(r"epoch \d+ of")).first.wait_for(timeout=60_000)
    finally:
        first.kill()
    page.page.get_by_role("alert").get_by_text("Nothing is lost").wait_for()
    assert stored.read_text(encoding="utf-8") == InterventionPlan([Contract(3, 0.9)]).to_json()

    second = Process(folder)
    try:
        page = open_page(browser, session, second.url)
        page.eventually(lambda: page.steps() == 1, "the plan")
        page.page.keyboard.press("Control+Shift+z")  # what was undone is remembered too
        page.eventually(lambda: page.steps() == 2, "the redoing")
        page.page.get_by_role("tab", name="Retrain").click()
        assert page.button("Retrain").is_visible()  # nothing runs, nothing waits
    finally:
        second.kill()
    plan = InterventionPlan([Contract(3, 0.9), Weigh(3, factor=2)])
    assert stored.read_text(encoding="utf-8") == plan.to_json()

    (x, labels), test = digits
    third = StudioSession(StudioData.of(classifier, x, labels, test=test), folder / "run")
    assert third.plan.to_json() == plan.to_json()
    third.close()
