"""Retraining in a browser: the map moves, what is kept is what the API trains, and one can go back."""

import keras
import numpy as np
import pytest

from keras_pli.intervention import Contract, Exclude, InterventionPlan, Shift
from keras_pli.retraining import pli_experiment

pytestmark = pytest.mark.usefixtures("without_tracing")
SETTINGS = {"embedding_weight": 0.5, "epochs": 2, "batch_size": 50}
PLAN = InterventionPlan([Shift(3, by=(4.0, 4.0)), Contract(8, factor=0.5)])
# Notes which maps could be looked at, for some are there as long as it trains only.
WATCH = """() => {
  window.seenMaps = new Set();
  const look = () => document.querySelectorAll(".kps-switch button").forEach(
    (button) => window.seenMaps.add(button.textContent));
  new MutationObserver(look).observe(document.body, { childList: true, subtree: true });
}"""


def fill(page, **fields):
    page.page.get_by_role("tab", name="Retrain").click()
    for name, value in fields.items():
        page.page.locator(f'input[name="{name}"]').fill(str(value))


@pytest.fixture(scope="module")
def of_the_api(classifier, digits, embedder):
    """The weights and outputs of the same experiment by `pli_experiment`."""
    weights = {}
    before = classifier.get_weights()
    pli_experiment(
        classifier,
        *digits,
        PLAN,
        embedder=embedder,
        seeds=[3],
        on_trained=lambda seed, arm, model: weights.update({arm: model.get_weights()}),
        verbose=0,
        **SETTINGS,
    )
    classifier.set_weights(before)
    return weights


def test_a_round_of_retraining(page, session, of_the_api, tmp_path):
    session.edit(lambda editor: editor.set(PLAN.changes))
    page.eventually(lambda: page.steps() == 2, "the plan in the page")
    page.page.evaluate(WATCH)
    fill(page, weight=0.5, epochs=2, batch_size=50, seed=3)
    page.button("Retrain").click()
    compared = page.page.get_by_role("region", name="Comparison of the retraining")
    compared.wait_for(timeout=60_000)
    assert "Training" in page.page.evaluate("() => [...window.seenMaps]")
    for title in ("Before", "As edited", "Control", "PLI"):
        compared.get_by_text(title, exact=True).first.wait_for()
    compared.get_by_text("displacement", exact=False).first.wait_for()
    compared.get_by_text("Trained with λ = 0.5 · 2 epochs · batches of 50 · seed 3").wait_for()
    session.edit(lambda editor: editor.add(Exclude(9)))
    page.eventually(lambda: page.steps() == 3, "the step made since")
    page.page.get_by_role("tab", name="Edit").click()  # what works on the map takes one to it
    compared.wait_for(state="hidden")
    page.button("Compare").click()
    compared.get_by_text("Your plan has changed since").wait_for()
    assert compared.locator(".kps-trained-plan li").count() == len(PLAN)
    assert page.button("Keep the control").is_visible()
    page.check_accessibility()
    page.page.emulate_media(color_scheme="dark")
    page.page.locator('[data-theme="dark"]').wait_for()
    page.check_accessibility()

    map_before = session.round.map
    page.button("Keep").click()
    page.eventually(lambda: session.round.number == 1, "the next round")
    compared.wait_for(state="hidden")
    page.page.get_by_text("Kept: ").wait_for()
    kept = keras.saving.load_model(session.round.folder / "classifier.keras")
    for found, expected in zip(kept.get_weights(), of_the_api["PLI"], strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert any(
        np.abs(found - other).max() > 1e-4
        for found, other in zip(kept.get_weights(), of_the_api["control"], strict=True)
    )
    moved = session.round.map - map_before
    asked = PLAN.apply(map_before, session.data.labels)[0] - map_before
    of_three = session.data.labels == 3
    assert moved[of_three].mean(axis=0) @ asked[of_three].mean(axis=0) > 0
    of_before = InterventionPlan.load(session.folder.round(0) / "plan.json")
    assert of_before.changes[:2] == PLAN.changes
    (carried,) = session.plan
    assert isinstance(carried, Exclude)

    page.page.get_by_role("tab", name="History").click()
    page.page.get_by_text("rounds/001/classifier.keras").wait_for()
    page.button("Comparison: round 1").click()
    compared.get_by_text("How round 1 was made").wait_for()
    assert not page.button("Keep").is_visible()
    page.page.keyboard.press("Escape")
    compared.wait_for(state="hidden")
    page.button("Go to round 0").click()
    page.eventually(lambda: session.round.number == 0, "the first round again")
    page.eventually(lambda: page.steps() == 3, "its plan")
    np.testing.assert_array_equal(session.round.map, map_before)


@pytest.mark.slow
def test_a_retraining_is_stopped(page, session):
    session.edit(lambda editor: editor.set(PLAN.changes))
    page.eventually(lambda: page.steps() == 2, "the plan in the page")
    fill(page, weight=0.5, epochs=10_000, batch_size=50, seed=4)
    page.button("Retrain").click()
    page.page.get_by_text("Held-out accuracy").first.wait_for(timeout=60_000)
    page.check_accessibility()
    page.button("Stop").first.click()
    page.eventually(lambda: session.jobs.current.state == "stopped", "the end of the job")
    page.page.get_by_text("stopped").first.wait_for()
    page.eventually(lambda: page.button("Retrain").is_visible(), "the form, for another try")
    assert page.plan() == PLAN.to_json()


@pytest.mark.slow
def test_a_form_says_what_it_lacks_and_what_is_wrong_where_it_is(page, session):
    fill(page, weight=7, epochs="x", seeds="")
    retrain = page.button("Retrain")
    assert retrain.get_attribute("aria-disabled") == "true"
    page.page.get_by_text("The plan is empty").wait_for()
    page.page.keyboard.press("Enter")
    assert session.jobs.current is None or not session.jobs.current.runs
    session.edit(lambda editor: editor.set([Exclude(4)]))
    page.page.get_by_text("The plan is empty").wait_for(state="hidden")
    retrain.click()
    wrong = [node.inner_text() for node in page.page.locator(".kps-field-wrong").all()]
    assert [text.split(" ")[0] for text in wrong if text] == ["λ", "Epochs", "Seeds"]
    assert page.page.evaluate("() => document.activeElement.name") == "weight"
    assert page.page.locator(".kps-toast").count() == 0
    page.page.get_by_role("tab", name="Edit").click()
    page.page.get_by_text("A check needs a move").wait_for()
    assert page.button("Check the plan").get_attribute("aria-disabled") == "true"
    page.check_accessibility()


@pytest.mark.slow
def test_messages_go_when_what_they_were_about_works_or_after_a_while(page, session):
    clock, toasts = page.page.clock, page.page.locator(".kps-toast")
    clock.install()

    def take(text):
        file = {"name": "plan.json", "mimeType": "application/json", "buffer": text.encode()}
        page.page.locator('input[type="file"]').set_input_files(file)

    take("{")
    toasts.first.wait_for()
    take(InterventionPlan([Contract(3, 0.5)]).to_json())
    page.eventually(lambda: page.steps() == 1, "the plan of the file")
    page.eventually(
        lambda: [text[:9] for text in toasts.all_inner_texts()] == ["The plan "],
        "the note in the error's place",
    )
    factor = page.page.get_by_label("factor", exact=True)
    for typed in ("a", "b", "c", "d"):
        factor.fill(typed)
        factor.press("Enter")
        page.page.get_by_text(f"Received “{typed}”").wait_for()
    places = sorted((node.bounding_box()["y"], node.inner_text()[-3]) for node in toasts.all())
    assert [letter for _, letter in places] == ["b", "c", "d"]
    toasts.last.hover()
    clock.fast_forward(12_500)
    page.eventually(lambda: toasts.count() == 1, "the end of those that nobody points at")
    page.page.mouse.move(1, 1)
    clock.fast_forward(12_500)
    page.eventually(lambda: toasts.count() == 0, "the end of the last")
