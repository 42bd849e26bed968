/** Steps of the plan: shown at once, then stored and told by the server. */

import { maskCentre, maskIndices, movedMask } from "./arrays.js";
import { guessedTargets, indicesSelection, isIdle, mergedChange } from "./changes.js";

/**
 * Actions on the plan.
 *
 * @param {{ask: Function, store: Object, toasts: Object, loading: Object}} context
 */
export function planningActions({ ask, store, toasts, loading }) {
  let pending = 0;

  /** The selection as a change shall hold it. */
  function heldSelection() {
    const { selection, plan } = store.state;
    // A polygon is laid over the map as the plan leaves it, so it holds other points once that has changed.
    const stale = selection.json.type === "Polygon" && selection.revision !== plan.revision;
    return stale ? indicesSelection(maskIndices(selection.mask)) : selection.json;
  }

  /** Adds a change; one that goes on with the last, of the same selection, becomes one with it. */
  async function addChange(change) {
    if (isIdle(change)) return;
    const last = lastEntry();
    const goesOn = last && last.id === store.state.selection?.entry && pending === 0;
    const merged = goesOn ? mergedChange(last.change, change) : null;
    showGuess(change);
    const reply = merged
      ? await send("edit_change", { entry: last.id, change: merged })
      : await send("change", { change });
    if (reply) holdPoints();
  }

  function lastEntry() {
    const entry = store.state.plan.entries.at(-1);
    return entry?.on ? entry : null;
  }

  /** After a step the selection is its points, wherever they are now, and may be moved on. */
  function holdPoints() {
    const { selection, plan } = store.state;
    if (!selection?.mask) return;
    const json = selection.json.type === "ClassLabel" ? selection.json : indicesSelection(maskIndices(selection.mask));
    const entry = plan.entries.at(-1)?.id ?? null;
    store.set({ selection: { ...selection, json, entry, revision: plan.revision } });
  }

  function showGuess(change) {
    const { positions, selection } = store.state;
    if (!selection?.mask || !positions.targets || !change.selection) return;
    const centre = maskCentre(positions.targets, selection.mask);
    const targets = guessedTargets(positions.targets, selection.mask, centre, change);
    if (targets === positions.targets) return;
    loading.forgetTargets();
    store.set({ positions: { ...positions, targets, moved: movedMask(positions.map, targets), guessed: true } });
  }

  async function send(kind, fields) {
    pending += 1;
    const reply = await ask(kind, fields, { consequence: "The step was taken back." });
    pending -= 1;
    if (reply) takePlan(reply.content.plan);
    else if (pending === 0) takeBack();
    return reply;
  }

  function takeBack() {
    const { positions } = store.state;
    if (positions.told) store.set({ positions: { ...positions, targets: positions.told, guessed: false } });
    if (store.state.connection === "up") loading.loadTargets();
  }

  /** The plan as the server tells it, in an answer or because another page has changed it. */
  function takePlan(plan) {
    const { plan: known, positions } = store.state;
    if (plan.revision < known.revision && pending) return;
    if (plan.revision !== known.revision) store.set({ plan });
    if (plan.error && plan.error !== known.error) toasts.error(plan.error);
    if (pending === 0 && plan.revision !== positions.revision) loading.loadTargets();
  }

  async function importPlan(file) {
    const text = await file.text();
    const reply = await send("import_plan", { text });
    if (reply) toasts.note(`The plan of ${file.name} is here. Undo brings the one before back.`);
  }

  async function exportPlan() {
    const reply = await ask("export_plan", {});
    if (reply) saveText(reply.content.text, "plan.json");
  }

  /** Shows where points would go, without a change of the plan; null shows it no more. */
  async function showGhosts(changes, key = null) {
    if (!changes) {
      store.set({ ghosts: null });
      return;
    }
    store.set({ ghosts: { key, xy: null, pending: true } });
    const reply = await ask("preview", { changes });
    if (store.state.ghosts?.key !== key) return;
    if (!reply) return store.set({ ghosts: null });
    const { buffer, byteOffset, byteLength } = reply.buffers[0];
    const xy = new Float32Array(buffer.slice(byteOffset, byteOffset + byteLength));
    store.set({ ghosts: { key, xy } });
  }

  return {
    addChange,
    heldSelection,
    takePlan,
    importPlan,
    exportPlan,
    showGhosts,
    addWhole: (change) => send("change", { change }),
    editChange: (entry, change) => send("edit_change", { entry, change }),
    removeChange: (entry) => send("remove_change", { entry }),
    toggleChange: (entry, on) => send("toggle_change", { entry, on }),
    orderChanges: (entries) => send("order_changes", { entries }),
    undo: () => (store.state.plan.can_undo ? send("undo", {}) : undefined),
    redo: () => (store.state.plan.can_redo ? send("redo", {}) : undefined),
    clearPlan: () => send("clear_plan", {}),
  };
}

function saveText(text, name) {
  const address = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}
