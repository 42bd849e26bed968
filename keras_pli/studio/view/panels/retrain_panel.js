/** Retraining: what is asked for, how both arms get on, and the way to what came of it. */

import { lineChart, scoreTable } from "../elements/charts.js";
import { button, chooser, element, field, refill } from "../elements/dom.js";
import { counted } from "../elements/formatting.js";
import { armCurve, firstOptions, lastScores, OPTIMIZERS, retrainOptions } from "../state/retrain_options.js";
import { section } from "../elements/sections.js";
import { jobLine } from "./suggestions_panel.js";

const ARMS = ["control", "PLI"];

/**
 * Makes the sections of the tab "Retrain".
 *
 * @param {{store: Object, actions: Object, toasts: Object}} view
 * @returns {HTMLElement[]}
 */
export function createRetrainPanel({ store, actions, toasts }) {
  const { state } = store;
  const head = element("div", { class: "kps-retrain-head", "aria-live": "polite" });
  const form = element("form", { class: "kps-form", on: { submit } });
  const running = element("div", { class: "kps-running" });
  const progress = section("Progress", [running]);
  let typed = null;

  function drawForm() {
    if (!state.info || typed) return;
    typed = firstOptions(state.info.weight);
    store.set({ retrain: typed });
    refill(form, [
      element("div", { class: "kps-form-grid" },
        text("weight", "Weight λ of the map", "0 to 1, or auto: what costs at most 1\u00a0% accuracy"),
        text("epochs", "Epochs"),
        text("batch_size", "Batch size"),
        text("learning_rate", "Learning rate", null, "the model's own"),
        field(
          "Optimiser",
          chooser(
            [{ value: "", label: "the model's own" }, ...OPTIMIZERS.map((name) => ({ value: name, label: name }))],
            "",
            (value) => { typed.optimizer = value; },
          ),
        ),
        text("seed", "First seed"),
        text("seeds", "Seeds")),
      element("label", { class: "kps-check" },
        element(
          "input",
          { type: "checkbox", on: { change: (event) => { typed.moved_only = event.target.checked; } } },
        ),
        "Pull only the points that the plan moves"),
      element("button", { type: "submit", class: "kps-primary" }, "Retrain"),
    ]);
  }

  function text(name, label, hint = null, placeholder = null) {
    const input = element("input", { type: "text", name, value: typed[name], placeholder, autocomplete: "off",
      on: { input: () => { typed[name] = input.value; input.removeAttribute("aria-invalid"); } } });
    return field(label, input, hint);
  }

  function submit(event) {
    event.preventDefault();
    if (state.job?.state === "running") return toasts.error(
      "Something is being computed already. Stop it, or wait until it is done.",
    );
    const { options, wrong } = retrainOptions(typed);
    if (wrong) {
      const input = form.elements[wrong.name];
      input.setAttribute("aria-invalid", "true");
      input.focus();
      return toasts.error(wrong.sentence);
    }
    return actions.start("retrain", options);
  }

  function drawHead() {
    const { plan, job, comparison, comparing } = state;
    const on = plan.entries.filter((entry) => entry.on).length;
    const busy = job?.state === "running" && job.job === "retrain";
    form.hidden = busy;
    refill(head, [
      busy && jobLine(job, actions),
      comparison && !busy && element("div", { class: "kps-callout" },
        element("p", {}, "A retraining waits for your decision; another one would take its place."),
        element("div", { class: "kps-row" },
          button(
            comparing ? "Back to the map" : "Compare",
            comparing ? actions.closeComparison : actions.openComparison,
            { class: "kps-primary kps-small", "data-focus": "compare" },
          ))),
      !busy && !comparison && element("p", { class: "kps-hint" },
        on ? `The classifier is trained twice from the same weights: once without the plan (control), once with its ${counted(on, "step")} (PLI).`
          : "The plan is empty: both arms would be trained alike. Make a step first."),
    ]);
  }

  function drawRunning() {
    const { live, info } = state;
    const arms = ARMS.filter((arm) => live.arms[arm]?.epochs.length);
    progress.hidden = !arms.length;
    if (!arms.length || !info) return;
    const total = Math.max(...arms.map((arm) => live.arms[arm].total ?? 0));
    const scores = lastScores(live.arms, info.classes);
    refill(running, [
      element("label", { class: "kps-row" }, "The map follows",
        chooser(
          [...ARMS.map((arm) => ({ value: arm, label: arm })), { value: "", label: "neither" }],
          live.watch ?? "",
          (value) => actions.watch(value || null),
          { "data-focus": "watch" },
        )),
      chart("Loss", "loss", arms, live, total),
      arms.some(
        (arm) => live.arms[arm].epochs.some(({ logs }) => logs?.val_loss !== undefined),
      ) && chart("Held-out loss", "val_loss", arms, live, total),
      chartOfScores(arms, live, total),
      scores.length > 0 && scoreTable(scores),
    ]);
  }

  function chart(title, key, arms, live, total) {
    const curves = arms.map(
      (arm) => ({ name: arm, style: `kps-${arm.toLowerCase()}`, values: armCurve(live.arms[arm].epochs, key) }),
    );
    return curves.some(({ values }) => values.some(Number.isFinite)) ? lineChart(
      title,
      curves,
      { epochs: total, first: firstEpoch(arms, live) },
    ) : null;
  }

  function chartOfScores(arms, live, total) {
    const curves = arms.map((arm) => ({
      name: arm, style: `kps-${arm.toLowerCase()}`, values: live.arms[arm].epochs.map(
        ({ scores }) => scores?.accuracy ?? Number.NaN,
      ),
    }));
    return curves.some(({ values }) => values.some(Number.isFinite)) ? lineChart(
      "Held-out accuracy",
      curves,
      { epochs: total, first: firstEpoch(arms, live) },
    ) : null;
  }

  function firstEpoch(arms, live) {
    return Math.min(...arms.map((arm) => live.arms[arm].epochs[0].epoch));
  }

  store.on(["info"], drawForm);
  store.on(["plan", "job", "comparison", "comparing"], drawHead);
  store.on(["live", "info"], drawRunning);
  drawForm();
  drawHead();
  drawRunning();
  progress.hidden = true;
  return [section("Retrain", [head, form]), progress];
}
