/** What a check of the plan found, move by move. */

import { element } from "../elements/dom.js";
import { counted, listed, percentage } from "../elements/formatting.js";

/**
 * A check as a list.
 *
 * @param {{moves: Object[], share: number|null}} check As the server tells it.
 * @param {boolean} isCurrent Whether the plan is still the one that was checked; else the list is folded away.
 */
export function checkedPlan({ moves = [], share }, isCurrent) {
  const found = [
    Number.isFinite(share) && element(
      "p",
      {},
      `All moves together are expected to go ${percentage(share)} of the way that you ask for.`,
    ),
    !moves.length && element("p", { class: "kps-hint" }, "There is no move to check."),
    element("ol", { class: "kps-checks" }, moves.map(checkedMove)),
  ];
  if (isCurrent) return element("div", {}, element("h3", {}, "Check of the plan"), found);
  return element(
    "details",
    { class: "kps-fold kps-earlier" },
    element("summary", {}, "Check of an earlier plan"),
    element("p", { class: "kps-hint" }, "The plan has changed since: check it again."),
    found,
  );
}

function checkedMove({ place, words, sentence, passes, collides, points }) {
  return element(
    "li",
    { class: passes ? "kps-passes" : "kps-fails" },
    element("p", {}, element("b", {}, `${passes ? "✓" : "✕"} Step ${place} ${verdictOf(passes, collides)}`)),
    element(
      "p",
      {},
      words,
      Number.isFinite(points) && element("span", { class: "kps-muted" }, ` · ${counted(points, "point")}`),
    ),
    element("p", { class: "kps-muted" }, sentence),
  );
}

function verdictOf(passes, collides) {
  if (passes) return "passes";
  return collides?.length ? `collides with ${listed(collides)}` : "costs accuracy";
}
