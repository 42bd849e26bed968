/** The form of a retraining: its settings, what is wrong with each, and the button that begins it. */

import { button, chooser, element, field, refill } from "../elements/dom.js";
import { firstOptions, OPTIMIZERS, retrainOptions } from "../state/retrain_options.js";

const FIELDS = [
  { name: "weight", label: "Weight λ of the map", hint: "0 to 1, or auto: what costs at most 1\u00a0% accuracy" },
  { name: "epochs", label: "Epochs" },
  { name: "batch_size", label: "Batch size" },
  { name: "learning_rate", label: "Learning rate", placeholder: "the model's own" },
  { name: "optimizer", label: "Optimiser" },
  { name: "seed", label: "First seed" },
  { name: "seeds", label: "Seeds" },
];

/**
 * Makes the form.
 *
 * @param {{store: Object, actions: Object}} view
 * @returns {HTMLFormElement}
 */
export function createRetrainForm({ store, actions }) {
  const { state } = store;
  const mark = `kps-${Math.random().toString(36).slice(2, 10)}`;
  const fields = element("div", {});
  const foot = element("div", { class: "kps-form-foot" });
  const form = element("form", { class: "kps-form", novalidate: true, on: { submit } }, fields, foot);
  let typed = {};
  let isTouched = false;
  const places = new Map(); // of what is wrong, by field

  /** As the last retraining was told, unless a person has begun to write. */
  function drawFields() {
    if (!state.info || isTouched) return;
    typed = firstOptions(state.lastOptions, state.info.weight);
    store.set({ retrain: typed });
    refill(fields, [
      element("div", { class: "kps-form-grid" }, FIELDS.map(fieldOf)),
      element("label", { class: "kps-check" },
        element("input", {
          type: "checkbox",
          checked: typed.moved_only,
          "data-focus": "moved_only",
          on: { change: (event) => write("moved_only", event.target.checked) },
        }),
        "Pull only the points that the plan moves"),
    ]);
  }

  function fieldOf({ name, label, hint = null, placeholder = null }) {
    const id = `${mark}-${name}`;
    const input = name === "optimizer" ? optimizerInput() : element("input", {
      type: "text", name, value: typed[name], placeholder, autocomplete: "off", "data-focus": name,
      on: { input: () => write(name, input.value) },
    });
    input.setAttribute("aria-describedby", id);
    const wrong = element("span", { class: "kps-field-wrong", id });
    places.set(name, { input, wrong });
    return element("div", {}, field(label, input, hint), wrong);
  }

  function optimizerInput() {
    const named = OPTIMIZERS.map((name) => ({ value: name, label: name }));
    const options = [{ value: "", label: "the model's own" }, ...named];
    return chooser(options, typed.optimizer, (value) => write("optimizer", value), { "data-focus": "optimizer" });
  }

  function write(name, value) {
    typed[name] = value;
    isTouched = true;
    if (places.has(name)) say(name, null);
  }

  function say(name, sentence) {
    const { input, wrong } = places.get(name);
    wrong.textContent = sentence ?? "";
    if (sentence) input.setAttribute("aria-invalid", "true");
    else input.removeAttribute("aria-invalid");
  }

  function submit(event) {
    event.preventDefault();
    if (reasonNot()) return undefined;
    const { options, wrong } = retrainOptions(typed);
    wrong.forEach(({ name, sentence }) => say(name, sentence));
    if (wrong.length) return places.get(wrong[0].name).input.focus();
    isTouched = false;
    return actions.start("retrain", options);
  }

  /** Why a retraining cannot begin, or null. */
  function reasonNot() {
    const { job, plan, deciding } = state;
    const busy = job?.state === "running" || deciding;
    if (busy) return "Something is being computed. Stop it, or wait until it is done.";
    if (plan.entries.some((entry) => entry.on)) return null;
    return plan.entries.length
      ? "All steps of the plan are switched off, so both arms would be trained alike. Switch one on first."
      : "The plan is empty, so both arms would be trained alike. Make a step first.";
  }

  function drawFoot() {
    const reason = reasonNot();
    refill(foot, [
      button("Retrain", () => {}, {
        type: "submit",
        class: "kps-primary",
        "aria-disabled": String(Boolean(reason)),
        "aria-describedby": reason ? `${mark}-reason` : null,
      }),
      reason && element("p", { class: "kps-hint", id: `${mark}-reason` }, reason),
    ]);
  }

  store.on(["info", "lastOptions"], drawFields);
  store.on(["job", "plan", "deciding"], drawFoot);
  drawFields();
  drawFoot();
  return form;
}
