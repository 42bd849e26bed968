/** What a check of the plan found, as marks on the map. */

import { listed, percentage } from "../elements/formatting.js";

/** The selection that a change moves; of two the first. */
export function movedSelection(change) {
  return change.selection ?? change.first ?? change.indices ?? change.polygon ?? null;
}

/**
 * The mark of one move, where its points arrive.
 *
 * @param {{collides: string[], passes: boolean, pilot_share: number|null}} move
 * @param {[number, number]} at In units of the map.
 * @returns {{at: [number, number], text: string, kind: "collision"|"note"}}
 */
export function checkMark({ collides, passes, pilot_share: share }, at) {
  if (collides?.length) return { at, text: `collides with ${listed(collides)}`, kind: "collision" };
  const text = Number.isFinite(share) ? `follows ${percentage(share)}` : passes ? "free" : "see the check";
  return { at, text, kind: passes ? "note" : "collision" };
}
