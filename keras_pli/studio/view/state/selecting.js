/** What is selected: guessed at once from what the page knows, then told by the server. */

import { combinedMask, maskCount, maskIndices, maskOf, maskOfCodes, unpackedMask } from "./arrays.js";
import { classSelection, indicesSelection } from "./changes.js";

/**
 * Actions that select.
 *
 * @param {{ask: Function, store: Object, toasts: Object, loading: Object}} context
 */
export function selectingActions({ ask, store, toasts, loading }) {
  let asked = 0;

  /**
   * Selects.
   *
   * @param {Object} json As the plan stores it, or one of the studio's own.
   * @param {{guess?: Uint8Array, on?: string, labels?: Array, errors?: Object, points?: boolean}} options `labels`
   *   are the classes it was made of, `errors` which ones; `points`: the plan shall keep the points, not the rule.
   */
  async function select(json, { guess = null, on = "targets", labels = null, errors = null, points = false } = {}) {
    asked += 1;
    const mine = asked;
    const before = store.state.selection;
    const revision = store.state.plan.revision;
    const draft = { json, labels, errors, mask: guess, count: guess ? maskCount(guess) : null, classes: [], words: null };
    store.set({ selection: { ...draft, revision, pending: true } });
    const reply = await ask("select", { selection: json, on });
    if (mine !== asked) return;
    if (!reply) {
      store.set({ selection: guess && draft.count ? { ...draft, revision } : before });
      return;
    }
    const mask = unpackedMask(reply.buffers[0], store.state.info.points);
    const { count, classes, words } = reply.content;
    if (!count) {
      store.set({ selection: null });
      toasts.note("Nothing is selected: no point fits.");
      return;
    }
    const kept = points ? indicesSelection(maskIndices(mask)) : json;
    store.set({ selection: { json: kept, labels, errors, mask, count, classes, words, revision } });
  }

  function clear() {
    asked += 1;
    store.set({ selection: null });
  }

  function selectMask(mask, labels = null) {
    if (!maskCount(mask)) return clear();
    return select(indicesSelection(maskIndices(mask)), { guess: mask, labels });
  }

  /** A lasso or box, as the map tells it. */
  function selectDrawn({ polygon, add, subtract, guess }) {
    const { selection, shown, hidden } = store.state;
    const seen = hidden.size ? visibleOnly(guess) : guess;
    const how = subtract ? "subtract" : add ? "add" : "replace";
    if (how !== "replace" && selection?.mask) return selectMask(combinedMask(selection.mask, seen, how));
    if (!maskCount(seen)) return subtract ? undefined : clear();
    // Points that the legend hides are not taken along, which no polygon can say.
    if (seen !== guess || shown === "live") return selectMask(seen);
    const on = shown === "original" ? "map" : "targets";
    return select({ type: "Polygon", vertices: polygon }, { guess, on, points: on === "map" });
  }

  function visibleOnly(mask) {
    const { column, hidden } = store.state;
    if (!column?.codes) return mask;
    return mask.map((on, i) => (on && !hidden.has(column.codes[i]) ? 1 : 0));
  }

  /** One class, or several; `add` puts it to those selected, or takes it away again. */
  async function selectClass(label, add = false) {
    const { selection, info } = store.state;
    const before = add && selection?.labels ? selection.labels : [];
    const labels = before.includes(label) ? before.filter((other) => other !== label) : [...before, label];
    if (!labels.length) return clear();
    const codes = await loading.labelCodes();
    const wanted = new Set(labels.map((name) => info.classes.findIndex((entry) => entry.label === name)));
    const guess = codes ? maskOfCodes(codes, wanted) : null;
    const json = classSelection(labels);
    if (json) return select(json, { guess, labels });
    return guess ? selectMask(guess, labels) : undefined;
  }

  /** One category of the column that colours the map. */
  function selectCategory(code, add = false) {
    const { column, selection, info } = store.state;
    if (column.name === "label" && info.classes[code]) return selectClass(info.classes[code].label, add);
    const guess = maskOfCodes(column.codes, new Set([code]));
    if (add && selection?.mask) return selectMask(combinedMask(selection.mask, guess, "add"));
    return select({ type: "Column", column: column.name, code }, { guess, points: true });
  }

  function selectRange(least, most) {
    if (!(least <= most)) return toasts.error("A range needs two numbers, the smaller first.");
    return select({ type: "Column", column: store.state.column.name, least, most }, { points: true });
  }

  function selectErrors(label, predicted) {
    return select({ type: "ErrorsOf", label, predicted }, { errors: { label, predicted }, points: true });
  }

  function selectIndices(indices) {
    return select(indicesSelection(indices), { guess: maskOf(indices, store.state.info.points) });
  }

  function selectPoint(index, add) {
    const { selection, info } = store.state;
    const point = maskOf([index], info.points);
    if (!add || !selection?.mask) return selectMask(point);
    return selectMask(combinedMask(selection.mask, point, selection.mask[index] ? "subtract" : "add"));
  }

  function selectAll() {
    return selectMask(visibleOnly(new Uint8Array(store.state.info.points).fill(1)));
  }

  function invert() {
    const { selection, info } = store.state;
    if (!selection?.mask) return undefined;
    return selectMask(visibleOnly(combinedMask(new Uint8Array(info.points).fill(1), selection.mask, "subtract")));
  }

  return {
    select, clear, selectDrawn, selectClass, selectCategory, selectRange, selectErrors, selectIndices, selectPoint,
    selectAll, invert,
  };
}
