/** What came of a retraining: maps side by side, one sentence, tables, and the decision. */

import { element, refill } from "../elements/dom.js";
import { counted } from "../elements/formatting.js";
import { optionWords } from "../state/retrain_options.js";
import { createCompareMaps } from "./compare_maps.js";
import { allScores, scoresAndCurves } from "./compare_tables.js";
import { createDecisionBar } from "./decision_bar.js";

const GROUPS = "‘moved’ are the classes whose points the plan moves, ‘other’ all others; F1 is of held-out samples.";

/**
 * Makes the view, which stands in the map's place while it is open.
 *
 * @param {{store: Object, actions: Object}} view
 * @returns {{node: HTMLElement, end: function(): void}}
 */
export function createCompareView(view) {
  const { store } = view;
  const { state } = store;
  const words = element("div", { class: "kps-verdict", tabindex: "-1" });
  const told = element("div", { class: "kps-told" });
  const findings = element("div", { class: "kps-findings" });
  const tables = element("div", { class: "kps-tables" });
  const figures = element("div", {});
  const maps = createCompareMaps(store);
  const node = element(
    "section",
    { class: "kps-compare", "aria-label": "Comparison of the retraining", hidden: true },
    words,
    createDecisionBar(view),
    told,
    maps.node,
    findings,
    tables,
    figures,
  );
  let drawn = null;

  function draw() {
    const { compared, comparing } = state;
    const open = Boolean(comparing && compared);
    const opened = open && node.hidden;
    node.hidden = !open;
    if (!open) return maps.end();
    if (compared.maps !== drawn?.maps) { // another answer of the server's
      maps.end();
      drawWords(compared);
    }
    if (compared.maps !== drawn?.maps || compared.changed !== drawn.changed) refill(told, trainedWith(compared));
    drawn = compared;
    maps.draw(compared);
    if (opened) {
      node.scrollTop = 0;
      words.focus({ preventScroll: true });
    }
  }

  function drawWords(compared) {
    const { answer, verdict, advice, table, round } = compared;
    refill(words, [
      round !== null && element("p", { class: "kps-muted" }, `How round ${round} was made`),
      element("p", { class: "kps-answer-sentence" }, answer),
    ]);
    refill(findings, [
      verdict && element(
        "div",
        {},
        element("h2", {}, "What was found"),
        verdict.split("\n").map((line) => element("p", {}, prose(line))),
        element("p", { class: "kps-hint" }, GROUPS),
      ),
      advice?.length > 0 && element("div", {}, element("h2", {}, "What to try next"),
        element("ul", { class: "kps-advice" }, advice.map((line) => element("li", {}, prose(line))))),
    ]);
    refill(tables, scoresAndCurves(compared));
    refill(figures, table ? [allScores(table)] : []);
  }

  store.on(["compared", "comparing"], draw);
  return { node, end: maps.end };
}

/** Settings and plan of the retraining, which may not be those of today. */
function trainedWith({ options, weight, plan, changed }) {
  return [
    element("p", { class: "kps-muted" }, `Trained with ${optionWords(options, weight)}`),
    plan.length > 0 && element(
      "details",
      { class: "kps-fold", open: plan.length <= 3 },
      element("summary", {}, `The plan it was trained with: ${counted(plan.length, "step")}`),
      element("ol", { class: "kps-trained-plan" }, plan.map((words) => element("li", {}, words))),
    ),
    changed && element("p", { class: "kps-wrong" },
      "Your plan has changed since. What is compared here, “As edited” too, is the plan of the retraining."),
  ];
}

/** A sentence in which names of code stand between backticks. */
function prose(text) {
  return text.split("`").map((part, i) => (i % 2 ? element("code", {}, part) : part));
}
