/** Entries of a plan: made from what a hand did, merged with the one before, and their numbers to edit. */

const POINTS_TYPE = "Indices";

/** The selection of single points. */
export function indicesSelection(indices) {
  return { type: POINTS_TYPE, indices };
}

/**
 * A selection as the plan may store it: the classes of a legend, or points.
 *
 * @param {Array<number|string>} labels
 * @returns {Object|null} One class as such; null for several, which are points to the plan.
 */
export function classSelection(labels) {
  return labels.length === 1 ? { type: "ClassLabel", label: labels[0] } : null;
}

/** A Shift by a way in units of the map. */
export function shiftChange(selection, by) {
  return { type: "Shift", selection, by: by.map(rounded) };
}

/** A drop at a place: the mean goes there. */
export function moveToChange(selection, position) {
  return { type: "MoveTo", selection, position: position.map(rounded) };
}

/** Scaled about the mean: a Contract where it gets smaller, as the plan calls it. */
export function scaleChange(selection, factor) {
  const kept = rounded(Math.max(factor, 0));
  return { type: kept <= 1 ? "Contract" : "Scale", selection, factor: kept };
}

/** Turned about the mean, counter-clockwise. */
export function rotateChange(selection, degrees) {
  return { type: "Rotate", selection, degrees: rounded(degrees) };
}

/** Two selections to a distance between their means. */
export function separateChange(first, second, distance) {
  return { type: "Separate", first, second, distance: rounded(distance) };
}

/** Digits beyond what float32 can tell are of no use in a file that people read. */
function rounded(value) {
  return Number(value.toPrecision(6));
}

/** Whether a change does nothing at all, such as a drag that came back. */
export function isIdle(change) {
  if (change.type === "Shift") return change.by.every((step) => step === 0);
  if (change.type === "Contract" || change.type === "Scale") return change.factor === 1;
  if (change.type === "Rotate") return change.degrees % 360 === 0;
  return false;
}

/**
 * What two moves of one selection, one after the other, are together.
 *
 * @param {Object} before The last entry of the plan.
 * @param {Object} after The next; its selection may be written otherwise but means the same points.
 * @returns {Object|null} The one change that does both; null where there is none.
 */
export function mergedChange(before, after) {
  if (before.reason && after.reason) return null;
  const reason = before.reason ?? after.reason;
  const told = (change) => (reason ? { ...change, reason } : change);
  const { selection } = before;
  const kind = `${before.type} ${after.type}`;
  if (kind === "Shift Shift") return told(shiftChange(selection, before.by.map((step, i) => step + after.by[i])));
  if (kind === "MoveTo Shift") {
    return told(moveToChange(selection, before.position.map((step, i) => step + after.by[i])));
  }
  if (/^(Shift|MoveTo) MoveTo$/.test(kind)) return told(moveToChange(selection, after.position));
  if (kind === "Rotate Rotate") return told(rotateChange(selection, before.degrees + after.degrees));
  if (/^(Contract|Scale) (Contract|Scale)$/.test(kind) && typeof before.factor === "number" &&
      typeof after.factor === "number") {
    return told(scaleChange(selection, before.factor * after.factor));
  }
  return null;
}

/** The numbers of an entry that can be edited where it stands: path within the change, name, value, limits. */
const EDITABLE = {
  Shift: [["by", 0, "x"], ["by", 1, "y"]],
  MoveTo: [["position", 0, "x"], ["position", 1, "y"]],
  Separate: [["distance", null, "distance"]],
  Contract: [["factor", null, "factor"]],
  Scale: [["factor", null, "factor"]],
  Rotate: [["degrees", null, "degrees"]],
  Lasso: [["by", 0, "x"], ["by", 1, "y"], ["scale", null, "scale"]],
  Weigh: [["factor", null, "factor"]],
};

/**
 * The numbers of a change that a person may edit.
 *
 * @param {Object} change
 * @returns {Array<{name: string, value: number, key: string, place: number|null}>}
 */
export function editableNumbers(change) {
  const known = EDITABLE[change.type] ?? [];
  return known
    .map(([key, place, name]) => ({ key, place, name, value: readNumber(change, key, place) }))
    .filter(({ value }) => typeof value === "number");
}

function readNumber(change, key, place) {
  if (change[key] === undefined) return key === "scale" ? 1 : key === "by" ? 0 : undefined;
  return place === null ? change[key] : change[key][place];
}

/** A change with one of its numbers replaced. */
export function withNumber(change, { key, place }, value) {
  if (place === null) {
    if (change.type === "Contract" && value > 1) return { ...change, type: "Scale", [key]: value };
    return { ...change, [key]: value };
  }
  const pair = [...(change[key] ?? [0, 0])];
  pair[place] = value;
  return { ...change, [key]: pair };
}

/** A change with another reason; an empty one is none. */
export function withReason(change, reason) {
  const { reason: _, ...rest } = change;
  const text = reason.trim();
  return text ? { ...rest, reason: text } : rest;
}

/** The order of entries after one has gone up or down. */
export function reordered(ids, id, step) {
  const from = ids.indexOf(id);
  const to = Math.min(Math.max(from + step, 0), ids.length - 1);
  const order = ids.filter((other) => other !== id);
  order.splice(to, 0, id);
  return order;
}

/**
 * Where points go by a change, as a first guess until the server has said it.
 *
 * @param {Float32Array} xy
 * @param {Uint8Array} mask
 * @param {[number, number]} centre Mean of the selection.
 * @param {Object} change
 * @returns {Float32Array}
 */
export function guessedTargets(xy, mask, centre, change) {
  const step = guessedStep(centre, change);
  if (!step) return xy;
  const moved = Float32Array.from(xy);
  for (let i = 0; i < mask.length; i += 1) {
    if (!mask[i]) continue;
    const [x, y] = step(xy[2 * i], xy[2 * i + 1]);
    moved[2 * i] = x;
    moved[2 * i + 1] = y;
  }
  return moved;
}

function guessedStep([cx, cy], change) {
  if (change.type === "Shift") return (x, y) => [x + change.by[0], y + change.by[1]];
  if (change.type === "MoveTo") return (x, y) => [x + change.position[0] - cx, y + change.position[1] - cy];
  if (change.type === "Contract" || change.type === "Scale") {
    const f = change.factor;
    return (x, y) => [cx + f * (x - cx), cy + f * (y - cy)];
  }
  if (change.type === "Rotate") {
    const angle = (change.degrees * Math.PI) / 180;
    const [c, s] = [Math.cos(angle), Math.sin(angle)];
    return (x, y) => [cx + c * (x - cx) - s * (y - cy), cy + s * (x - cx) + c * (y - cy)];
  }
  return null;
}
