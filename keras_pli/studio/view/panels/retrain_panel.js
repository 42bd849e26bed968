/** Retraining: what is asked for, how both arms get on, and the way to what came of it. */

import { lineChart, scoreTable } from "../elements/charts.js";
import { button, chooser, element, refill } from "../elements/dom.js";
import { counted } from "../elements/formatting.js";
import { section } from "../elements/sections.js";
import { classificationLoss, lastScores } from "../state/retrain_options.js";
import { jobLine } from "./job_line.js";
import { createRetrainForm } from "./retrain_form.js";

const ARMS = ["control", "PLI"];
const CHARTS = [
  { title: "Classification loss", valueOf: ({ logs }, arm) => classificationLoss(logs, arm) },
  { title: "Held-out loss", valueOf: ({ logs }) => logs?.val_loss ?? Number.NaN },
  { title: "Held-out accuracy", valueOf: ({ scores }) => scores?.accuracy ?? Number.NaN },
];

/**
 * Makes the sections of the tab "Retrain".
 *
 * @param {{store: Object, actions: Object}} view
 * @returns {HTMLElement[]}
 */
export function createRetrainPanel(view) {
  const { store, actions } = view;
  const { state } = store;
  const head = element("div", { class: "kps-retrain-head", "aria-live": "polite" });
  const form = createRetrainForm(view);
  const running = element("div", { class: "kps-running" });
  const progress = section("Progress", [running]);

  function drawHead() {
    const { plan, job, comparison, unfinished } = state;
    const on = plan.entries.filter((entry) => entry.on).length;
    const busy = job?.state === "running" && job.job === "retrain";
    form.hidden = busy;
    refill(head, [
      busy && jobLine(job, actions),
      !busy && unfinished && interrupted(unfinished),
      !busy && comparison && waiting(),
      !busy && !comparison && on > 0 && element("p", { class: "kps-hint" },
        "The classifier is trained twice from the same weights: once without the plan (control), once with its " +
        `${counted(on, "step")} (PLI).`),
    ]);
  }

  function waiting() {
    const { comparing, compared } = state;
    const open = comparing && compared?.round === null;
    return element("div", { class: "kps-callout" },
      element("p", {}, "A retraining waits for your decision; another one would take its place."),
      element("div", { class: "kps-row" },
        button(
          open ? "Back to the map" : "Compare",
          () => (open ? actions.closeComparison() : actions.openComparison()),
          { class: "kps-primary kps-small", "data-focus": "compare" },
        )));
  }

  /** The server says what going on would mean. */
  function interrupted({ words, options, same_plan: same }) {
    const busy = state.job?.state === "running";
    return element("div", { class: "kps-callout" },
      element("p", {}, words),
      same && element("div", { class: "kps-row" },
        button("Retrain with its settings", () => actions.start("retrain", options), {
          class: "kps-primary kps-small", "aria-disabled": String(busy),
        })));
  }

  function drawRunning() {
    const { live, info } = state;
    const arms = ARMS.filter((arm) => live.arms[arm]?.epochs.length);
    progress.hidden = !arms.length || !info;
    if (progress.hidden) return;
    const scores = lastScores(live.arms, info.classes);
    refill(running, [
      element("label", { class: "kps-row" }, "The map follows",
        chooser(
          [...ARMS.map((arm) => ({ value: arm, label: arm })), { value: "", label: "neither" }],
          live.watch ?? "",
          (value) => actions.watch(value || null),
          { "data-focus": "watch" },
        )),
      CHARTS.map((chart) => chartOf(chart, arms, live)),
      scores.length > 0 && scoreTable(scores),
    ]);
  }

  store.on(["plan", "job", "comparison", "comparing", "unfinished"], drawHead);
  store.on(["live", "info"], drawRunning);
  drawHead();
  drawRunning();
  return [section("Retrain", [head, form]), progress];
}

/** A curve an arm; null where nothing of it was told. */
function chartOf({ title, valueOf }, arms, live) {
  const curves = arms.map((arm) => ({
    name: arm, style: `kps-${arm.toLowerCase()}`, values: live.arms[arm].epochs.map((epoch) => valueOf(epoch, arm)),
  }));
  if (!curves.some(({ values }) => values.some(Number.isFinite))) return null;
  const epochs = Math.max(...arms.map((arm) => live.arms[arm].total ?? 0));
  return lineChart(title, curves, { epochs, first: Math.min(...arms.map((arm) => live.arms[arm].epochs[0].epoch)) });
}
