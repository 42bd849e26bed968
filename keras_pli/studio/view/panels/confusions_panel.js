/** Which classes are taken for which, the worst first: each line selects these errors. */

import { button, element, refill } from "../elements/dom.js";
import { counted, percentage, wholeNumber } from "../elements/formatting.js";
import { classMark } from "../elements/icons.js";
import { section } from "../elements/sections.js";

const FEW_PAIRS = 5;
const MORE_PAIRS = 20;

/**
 * Makes the section.
 *
 * @param {{store: Object, actions: Object}} view
 * @returns {HTMLElement}
 */
export function createConfusionsPanel({ store, actions }) {
  const { state } = store;
  const body = element("div", { class: "kps-confusions" });
  const side = element("span", { class: "kps-side-words" });
  const node = section("Most confused", [body], { side });
  let shown = FEW_PAIRS;

  function draw() {
    const { confusions } = state;
    node.hidden = !confusions;
    if (!confusions) return undefined;
    const { pairs, complete } = confusions;
    side.textContent = complete ? counted(pairs.reduce((sum, { count }) => sum + count, 0), "error") : "";
    if (!pairs.length) return refill(body, [element("p", { class: "kps-hint" }, "No sample is taken for another class.")]);
    return refill(body, [
      element("ul", {}, pairs.slice(0, shown).map(line)),
      pairs.length > FEW_PAIRS && button(shown < pairs.length ? "More pairs" : "Fewer pairs", extend, { class: "kps-link", "data-focus": "pairs" }),
    ]);
  }

  function extend() {
    shown = shown < state.confusions.pairs.length ? shown + MORE_PAIRS : FEW_PAIRS;
    draw();
  }

  function line({ label, predicted, name, predicted_name: taken, count, share }) {
    const chosen = state.selection?.errors;
    return element("li", {}, element(
      "button",
      {
        type: "button",
        class: "kps-pair",
        "data-focus": `pair ${label} ${predicted}`,
        "aria-pressed": String(chosen?.label === label && chosen.predicted === predicted),
        title: `Select the ${counted(count, "sample")} of ${name} taken for ${taken}: ${percentage(share)} of the class`,
        on: { click: () => actions.selectErrors(label, predicted) },
      },
      markOf(label),
      element("span", { class: "kps-name" }, name),
      element("span", { class: "kps-muted" }, "taken for"),
      markOf(predicted),
      element("span", { class: "kps-name" }, taken),
      element("b", {}, wholeNumber(count)),
      element("span", { class: "kps-muted" }, percentage(share)),
    ));
  }

  function markOf(label) {
    const kind = state.info.classes.find((entry) => entry.label === label);
    return kind ? classMark(kind, state.theme) : null;
  }

  store.on(["confusions", "selection", "theme"], draw);
  draw();
  return node;
}
