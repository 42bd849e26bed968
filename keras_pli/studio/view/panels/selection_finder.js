/** Ways to select by words: a class, indices, errors. */

import { codeCounts } from "../state/arrays.js";
import { errorCount } from "../state/confusions.js";
import { button, chooser, element, refill } from "../elements/dom.js";
import { typedIndices, wholeNumber } from "../elements/formatting.js";

/**
 * Makes the fold.
 *
 * @param {{store: Object, actions: Object, toasts: Object}} view
 * @returns {HTMLElement}
 */
export function createFinder({ store, actions, toasts }) {
  const { state } = store;
  const body = element("div", { class: "kps-finder" });
  let truth = "0"; // places in the list of classes
  let taken = "";

  function draw() {
    const { info, labelCodes, confusions } = state;
    if (!info) return refill(body, []);
    const { classes } = info;
    const sizes = labelCodes && codeCounts(labelCodes, classes.length);
    const label = (place) => (place === "" ? null : classes[Number(place)].label);
    const options = (countOf) => classes.map(({ name }, i) => ({ value: String(i), label: withCount(name, countOf(i)) }));
    const kind = chooser(
      [{ value: "", label: "Choose…" }, ...options((i) => sizes?.[i] ?? null)],
      "",
      (place) => place !== "" && actions.selectClass(label(place)),
      { "aria-label": "Select a class", "data-focus": "find class" },
    );
    const truths = chooser(
      options((i) => errorCount(confusions, classes[i].label)),
      truth,
      (place) => {
        truth = place;
        draw();
      },
      { "aria-label": "Class of the samples", "data-focus": "errors of" },
    );
    const others = options((i) => errorCount(confusions, label(truth), classes[i].label))
      .filter(({ value }) => value !== truth);
    const any = { value: "", label: withCount("any other", errorCount(confusions, label(truth))) };
    if (taken === truth) taken = "";
    const takens = chooser(
      [any, ...others],
      taken,
      (place) => { taken = place; },
      { "aria-label": "What they are taken for", "data-focus": "taken for" },
    );
    return refill(body, [
      row("Class", kind),
      row("Errors of", truths),
      row("taken for", takens, selectButton("select errors", () => actions.selectErrors(label(truth), label(taken)))),
      byIndexRow(),
    ]);
  }

  function byIndexRow() {
    const indices = element("input", {
      type: "text", "aria-label": "Indices of points", placeholder: "3, 7, 10-12", "data-focus": "indices",
      on: { keydown: (event) => event.key === "Enter" && byIndices(indices.value) },
    });
    return row("By index", indices, selectButton("select indices", () => byIndices(indices.value)));
  }

  function byIndices(text) {
    try {
      actions.selectIndices(typedIndices(text, state.info.points));
    } catch (error) {
      toasts.error(error.message);
    }
  }

  store.on(["info", "labelCodes", "confusions"], draw);
  draw();
  return element("details", { class: "kps-fold" }, element("summary", {}, "Select by class, errors or index"), body);
}

function selectButton(focus, press) {
  return button("Select", press, { "data-focus": focus, class: "kps-small" });
}

function withCount(name, count) {
  return count === null ? name : `${name} (${wholeNumber(count)})`;
}

function row(name, ...parts) {
  return element("div", { class: "kps-find-row" }, element("span", { class: "kps-field-name" }, name), parts);
}
