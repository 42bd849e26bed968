/** What can be done with a retraining that is compared, and what becomes of the plan then. */

import { button, element, refill, twiceButton } from "../elements/dom.js";
import { progressBar } from "./job_line.js";

const DECIDING = {
  PLI: "Keeping the PLI classifier: it is stored, and its map is drawn…",
  control: "Keeping the control: it is stored, and its map is drawn…",
  discard: "Discarding…",
};

/**
 * Makes the bar.
 *
 * @param {{store: Object, actions: Object}} view
 * @returns {HTMLElement}
 */
export function createDecisionBar({ store, actions }) {
  const { state } = store;
  const node = element("div", { class: "kps-decision" });

  function draw() {
    const { compared, deciding } = state;
    if (!compared) return refill(node, []);
    if (deciding) {
      return refill(node, [element("div", { class: "kps-row", role: "status" },
        progressBar(null, "Progress"), element("span", {}, DECIDING[deciding]))]);
    }
    const { round } = compared;
    return refill(node, [
      element("div", { class: "kps-row" },
        round === null && decisions(compared),
        button("Report", () => actions.openReport(round), { title: "The experiment's page, in a tab of its own" }),
        button(
          "Back to the map",
          actions.closeComparison,
          { title: round === null ? "The decision can wait" : null },
        )),
      round === null && whatBecomes(compared),
    ]);
  }

  function decisions({ maps }) {
    const busy = String(state.job?.state === "running");
    return [
      button("Keep", () => actions.keep("PLI"), {
        class: "kps-primary", "aria-disabled": busy, title: "The PLI classifier becomes the one you work on",
      }),
      maps.includes("control") && button("Keep the control", () => actions.keep("control"), {
        "aria-disabled": busy, title: "The classifier trained without the plan becomes the one you work on",
      }),
      twiceButton("Discard", "Discard this retraining?", actions.discard, {
        "aria-disabled": busy, title: "Goes back to the plan; the classifier stays as it was",
      }),
    ];
  }

  /** As the session carries a plan over into the round that is made. */
  function whatBecomes({ changed, maps }) {
    return element(
      "p",
      { class: "kps-hint" },
      "Keep makes a new round of the PLI classifier. Moves that it was trained with are done and leave the plan; " +
      "changes of the data stay in force. ",
      changed && "Steps made since go along, moves among them switched off: they were drawn on this map. ",
      maps.includes("control") &&
        "The control was trained without the plan: in its round, the plan's steps are switched off.",
    );
  }

  store.on(["compared", "deciding", "job"], draw);
  return node;
}
