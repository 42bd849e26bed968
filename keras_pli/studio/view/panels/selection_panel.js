/** What is selected, how else to select, and what to do with it. */

import { button, chooser, element, refill } from "../elements/dom.js";
import { counted, listed, typedIndices, wholeNumber } from "../elements/formatting.js";
import { classMark } from "../elements/icons.js";
import { section } from "../elements/sections.js";
import { createActionsForm } from "./selection_actions.js";

const MOST_CLASSES = 8;

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

  function selected({ count, classes, words, pending, json }) {
    const many = classes.length > MOST_CLASSES;
    return [
      element(
        "p",
        { class: "kps-selected-words" },
        element("b", {}, count === null ? "…" : counted(count, "point")),
        element("span", { class: "kps-muted" }, ` ${selectionKind(json, words, pending)}`),
      ),
      element(
        "ul",
        { class: "kps-chips" },
        classes.slice(0, MOST_CLASSES).map(({ name, count: some }) =>
          element("li", {}, markOf(name), `${name} `, element("span", { class: "kps-muted" }, wholeNumber(some)))),
        many && element(
          "li",
          { class: "kps-muted" },
          listed(classes.slice(MOST_CLASSES).map(({ name }) => name), 2),
        ),
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

function selectionKind(json, words, pending) {
  if (pending) return "…";
  if (json.type === "Polygon") return "in the shape you drew";
  if (json.type === "ClassLabel") return "of one class";
  return words && !/^[\d,]* ?points?$/.test(words) ? words : "";
}

/** Ways to select by words: a class, indices, errors. */
function createFinder({ store, actions, toasts }) {
  const body = element("div", { class: "kps-finder" });

  function draw() {
    const { info } = store.state;
    if (!info) return refill(body, []);
    const classes = info.classes.map(({ name }, i) => ({ value: String(i), label: name }));
    const any = { value: "", label: "any other" };
    const label = (value) => (value === "" ? null : info.classes[Number(value)].label);
    const kind = chooser([
      { value: "", label: "Choose…" },
      ...classes,
    ], "", (value) => value !== "" && actions.selectClass(label(value)), {
      "aria-label": "Select a class", "data-focus": "find class",
    });
    const truth = chooser(
      classes,
      "0",
      () => {},
      { "aria-label": "Class of the samples", "data-focus": "errors of" },
    );
    const taken = chooser(
      [any, ...classes],
      "",
      () => {},
      { "aria-label": "What they are taken for", "data-focus": "taken for" },
    );
    const indices = element("input", {
      type: "text", "aria-label": "Indices of points", placeholder: "3, 7, 10-12", "data-focus": "indices",
      on: { keydown: (event) => event.key === "Enter" && byIndices(indices.value) },
    });
    return refill(body, [
      row("Class", kind),
      row("Errors of", truth, element("span", {}, "taken for"), taken,
        button(
          "Select",
          () => actions.selectErrors(label(truth.value), label(taken.value)),
          { "data-focus": "select errors", class: "kps-small" },
        )),
      row(
        "By index",
        indices,
        button("Select", () => byIndices(indices.value), { "data-focus": "select indices", class: "kps-small" }),
      ),
    ]);
  }

  function byIndices(text) {
    try {
      actions.selectIndices(typedIndices(text, store.state.info.points));
    } catch (error) {
      toasts.error(error.message);
    }
  }

  store.on(["info"], draw);
  draw();
  return element(
    "details",
    { class: "kps-fold" },
    element("summary", {}, "Select by class, errors or index"),
    body,
  );
}

function row(name, ...parts) {
  return element("div", { class: "kps-find-row" }, element("span", { class: "kps-field-name" }, name), parts);
}
