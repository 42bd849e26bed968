/** The plan as a list to edit: what each step does, why, on or off, in which order. */

import { editableNumbers, reordered, withNumber, withReason } from "../state/changes.js";
import { button, element, iconButton, refill } from "../elements/dom.js";
import { counted, shortNumber, typedNumber } from "../elements/formatting.js";
import { icon } from "../elements/icons.js";
import { section } from "../elements/sections.js";

/**
 * Makes the section.
 *
 * @param {{store: Object, actions: Object, toasts: Object}} view
 * @returns {HTMLElement}
 */
export function createPlanPanel({ store, actions, toasts }) {
  const list = element("ol", { class: "kps-plan" });
  const note = element("div", { "aria-live": "polite" });
  const bar = element("div", { class: "kps-row" });
  const side = element("span", { class: "kps-side-words" });
  const file = element("input", {
    type: "file", accept: ".json,application/json", hidden: true,
    on: { change: () => file.files[0] && actions.importPlan(file.files[0]).then(() => { file.value = ""; }) },
  });

  function draw() {
    const { plan } = store.state;
    side.textContent = plan.entries.length ? String(plan.entries.length) : "";
    refill(list, plan.entries.map((entry, i) => item(entry, i, plan.entries)));
    refill(note, [
      plan.error && element("p", { class: "kps-wrong" }, plan.error),
      plan.warnings?.map((sentence) => element("p", { class: "kps-warning" }, sentence)),
      !plan.entries.length && element("p", { class: "kps-hint" },
        "No step yet. Select points and drag them with the tool Move: every step is listed here, and can be undone."),
    ]);
    refill(bar, [
      button(
        "Import…",
        () => file.click(),
        { class: "kps-small", title: "A plan.json, of this studio or of the command line" },
      ),
      button(
        "Export",
        actions.exportPlan,
        {
          class: "kps-small",
          title: "As plan.json, for the command line too",
          "aria-disabled": String(!plan.entries.length),
        },
      ),
      button(
        "Clear",
        actions.clearPlan,
        {
          class: "kps-small",
          "data-focus": "clear plan",
          title: "Takes all steps out; undo brings them back",
          "aria-disabled": String(!plan.entries.length),
        },
      ),
    ]);
  }

  function item(entry, place, entries) {
    const ids = entries.map(({ id }) => id);
    const move = (step) => actions.orderChanges(reordered(ids, entry.id, step));
    return element(
      "li",
      { class: `kps-entry kps-entry-${entry.kind}${entry.on ? "" : " kps-off"}`, "data-entry": entry.id },
      element(
        "div",
        { class: "kps-entry-head" },
        element("input", {
          type: "checkbox", checked: entry.on, "data-focus": `on ${entry.id}`, "aria-label": `Step ${place + 1} is on: ${entry.words}`,
          title: "On or off", on: { change: () => actions.toggleChange(entry.id, !entry.on) },
        }),
        element("span", { class: "kps-entry-words", title: entry.words }, entry.words),
        iconButton(
          `Step ${place + 1} earlier`,
          icon("up"),
          () => move(-1),
          { "aria-disabled": String(place === 0), "data-focus": `up ${entry.id}` },
        ),
        iconButton(
          `Step ${place + 1} later`,
          icon("down"),
          () => move(1),
          { "aria-disabled": String(place === ids.length - 1), "data-focus": `down ${entry.id}` },
        ),
        iconButton(
          `Remove step ${place + 1}`,
          icon("close"),
          () => actions.removeChange(entry.id),
          { "data-focus": `remove ${entry.id}` },
        ),
      ),
      element(
        "div",
        { class: "kps-entry-body" },
        editableNumbers(entry.change).map((number) => numberField(entry, number)),
        entry.count === null || entry.count === undefined ? null : element(
          "span",
          { class: "kps-muted" },
          counted(entry.count, "point"),
        ),
      ),
      reasonField(entry, place),
    );
  }

  function numberField(entry, number) {
    const shown = shortNumber(number.value);
    const input = element("input", {
      type: "text", inputmode: "decimal", value: shown, "data-focus": `${number.key} ${number.place} ${entry.id}`,
      on: { change: () => commit(input, entry, number, shown), keydown: onEscape(shown) },
    });
    return element("label", { class: "kps-number" }, element("span", {}, number.name), input);
  }

  async function commit(input, entry, number, shown) {
    if (input.value === shown) return;
    const value = typedNumber(input.value);
    if (!Number.isFinite(value)) {
      toasts.error(`A step needs a number. Received “${input.value}”.`);
      input.value = shown;
      return;
    }
    const reply = await actions.editChange(entry.id, withNumber(entry.change, number, value));
    if (!reply) input.value = shown;
  }

  function reasonField(entry, place) {
    const shown = entry.reason ?? "";
    const input = element("textarea", {
      rows: 1, class: "kps-reason", value: shown, placeholder: "Why? Add a reason", "aria-label": `Reason of step ${place + 1}`,
      "data-focus": `reason ${entry.id}`,
      on: {
        change: () => input.value !== shown && actions.editChange(entry.id, withReason(entry.change, input.value)),
        keydown: onEscape(shown),
      },
    });
    return input;
  }

  function onEscape(shown) {
    return (event) => {
      if (event.key === "Enter") {
        event.preventDefault();
        event.target.blur();
      }
      if (event.key !== "Escape") return;
      event.stopPropagation();
      event.target.value = shown;
      event.target.blur();
    };
  }

  store.on(["plan"], draw);
  draw();
  return section("Plan", [note, list, bar, file], { side });
}
