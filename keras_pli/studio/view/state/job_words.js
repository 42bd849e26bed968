/** What jobs and their results are called on the page. */

import { counted } from "../elements/formatting.js";

export const JOB_NAMES = {
  suggest: "Looking for moves",
  check: "Checking the plan",
  propose: "Looking for labels",
  retrain: "Retraining",
  refresh: "Refreshing the map",
};

/** What a check found, in a few words. */
export function checkNews({ moves = [] }) {
  if (!moves.length) return "The plan is checked: it has no move";
  const passing = moves.filter(({ passes }) => passes).length;
  const verb = passing === 1 || moves.length === 1 ? "passes" : "pass";
  return `The plan is checked: ${passing} of ${counted(moves.length, "move")} ${verb}`;
}
