/** What is selected, how else to select, and what to do with it. */

import { button, element, refill } from "../elements/dom.js";
import { counted, wholeNumber } from "../elements/formatting.js";
import { classMark } from "../elements/icons.js";
import { section } from "../elements/sections.js";
import { createActionsForm } from "./selection_actions.js";
import { createFinder } from "./selection_finder.js";

/**
 * Makes the section.
 *
 * @param {{store: Object, actions: Object, toasts: Object}} view
 * @returns {HTMLElement}
 */
export function createSelectionPanel(view) {
  const { store, actions } = view;
  const told = element("div", { class: "kps-selected", "aria-live": "polite" });
  const side = element("span", { class: "kps-side-words" });
  const form = createActionsForm(view);

  function draw() {
    const { selection } = store.state;
    side.textContent = selection?.count ? wholeNumber(selection.count) : "";
    refill(told, selection ? selected(selection) : nothing());
    form.hidden = !selection?.mask;
  }

  function nothing() {
    return [
      element(
        "p",
        { class: "kps-hint" },
        "Nothing is selected. Draw a lasso on the map, press a class in the legend, or:",
      ),
    ];
  }

  function selected({ count, classes, words, pending, json, errors }) {
    return [
      element(
        "p",
        { class: "kps-selected-words" },
        element("b", {}, count === null ? "…" : counted(count, "point")),
        element("span", { class: "kps-muted" }, ` ${pending ? "…" : errors ? errorWords(errors) : selectionKind(json, words)}`),
      ),
      element(
        "ul",
        { class: "kps-chips" },
        classes.map(({ name, count: some }) => element(
          "li",
          {},
          markOf(name),
          element("span", { class: "kps-name" }, name),
          element("span", { class: "kps-count" }, wholeNumber(some)),
        )),
      ),
      element(
        "div",
        { class: "kps-row" },
        button("Clear", actions.clear, { class: "kps-small", title: "Select nothing (Esc)" }),
        button("Invert", actions.invert, { class: "kps-small" }),
        button("Drop at…", () => store.set({ picking: !store.state.picking, shown: "edited" }), {
          class: "kps-small", "aria-pressed": String(store.state.picking), title: "Then click the place on the map where the centre shall go",
        }),
        button("Isolate", showAlone, { class: "kps-small", title: "Hides what is coloured otherwise" }),
      ),
    ];
  }

  function errorWords({ label, predicted }) {
    const nameOf = (sought) => store.state.info.classes.find((entry) => entry.label === sought)?.name;
    return `of ${nameOf(label)}, taken for ${predicted === null ? "any other class" : nameOf(predicted)}`;
  }

  function markOf(name) {
    const kind = store.state.info.classes.find((entry) => entry.name === name);
    return kind ? classMark(kind, store.state.theme) : null;
  }

  function showAlone() {
    const { column, selection } = store.state;
    if (!column?.codes || !selection?.mask) return;
    const seen = new Set();
    column.codes.forEach((code, i) => selection.mask[i] && seen.add(code));
    store.set({ hidden: new Set(column.categories.map((_, i) => i).filter((i) => !seen.has(i))) });
  }

  store.on(["selection", "theme", "info", "picking"], draw);
  draw();
  return section("Selection", [told, createFinder(view), form], { side });
}

function selectionKind(json, words) {
  if (json.type === "Polygon") return "in the shape you drew";
  if (json.type === "ClassLabel") return "of one class";
  return words && !/^[\d,]* ?points?$/.test(words) ? words : "";
}
