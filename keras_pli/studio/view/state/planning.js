/** Steps of the plan: shown at once, then stored and told by the server. */

import { maskCentre, maskIndices, movedMask } from "./arrays.js";
import { guessedTargets, indicesSelection, isIdle, mergedChange } from "./changes.js";

// It may have reached the server, or not.
const UNANSWERED = "Once it is back, the page shows the plan as it is stored: look there whether this step is in it.";

/**
 * Actions on the plan.
 *
 * @param {{ask: Function, store: Object, toasts: Object, loading: Object}} context
 */
export function planningActions({ ask, store, toasts, loading }) {
  let pending = 0; // steps on their way or waiting for those before
  let wrong = false; // a step failed
  let before = Promise.resolve();
  let made = { mask: null, entry: null }; // the last step, and of which points

  /** A selection as a change shall hold it. */
  function heldSelection(selection) {
    // A polygon is laid over the map as the plan leaves it, so it holds other points once that has changed.
    const stale = selection.json.type === "Polygon" && selection.revision !== store.state.plan.revision;
    return stale ? indicesSelection(maskIndices(selection.mask)) : selection.json;
  }

  /**
   * Adds a change of what is selected; one that goes on with the last, of the same points, becomes one with it.
   * It is shown at once; steps made faster than they are answered wait for each other.
   *
   * @param {function(Object): Object} make From the selection, as the plan stores it, to the change.
   */
  function addChange(make) {
    const { selection } = store.state;
    const guess = make(selection.json);
    if (isIdle(guess)) return undefined;
    showGuess(guess);
    return inTurn(() => addAfterOthers(make, selection));
  }

  /** Does what changes the plan once all that was asked for before has been answered. */
  function inTurn(act) {
    pending += 1;
    const done = before.then(act);
    before = done.catch((error) => toasts.error(error.message)).then(() => {
      pending -= 1;
      settle();
    });
    return done;
  }

  function edit(kind, fields = {}) {
    return inTurn(() => send(kind, fields));
  }

  async function addAfterOthers(make, selection) {
    const change = make(heldSelection(selection));
    const last = store.state.plan.entries.at(-1);
    const goesOn = last?.on && last.id === made.entry && selection.mask === made.mask;
    const merged = goesOn ? mergedChange(last.change, change) : null;
    const reply = merged
      ? await send("edit_change", { entry: last.id, change: merged })
      : await send("change", { change });
    if (!reply) return;
    made = { mask: selection.mask, entry: store.state.plan.entries.at(-1)?.id ?? null };
    holdPoints(selection);
  }

  /** After a step the selection is its points, wherever they are now. */
  function holdPoints({ mask }) {
    const { selection, plan } = store.state;
    if (!mask || selection?.mask !== mask || selection.json.type === "ClassLabel") return;
    store.set({ selection: { ...selection, json: indicesSelection(maskIndices(mask)), revision: plan.revision } });
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
    const reply = await ask(kind, fields, { consequence: UNANSWERED });
    pending -= 1;
    wrong ||= !reply;
    if (reply) takePlan(reply.content.plan);
    else settle();
    return reply;
  }

  /** Once nothing is on its way, the map is as the server says. */
  function settle() {
    if (pending) return;
    const { positions, plan, connection } = store.state;
    if (wrong && positions.told) store.set(
      { positions: { ...positions, targets: positions.told, guessed: false } },
    );
    if (connection === "up" && (wrong || plan.revision !== positions.revision)) loading.loadTargets();
    wrong = false;
  }

  /** The plan as the server tells it, in an answer or because another page has changed it. */
  function takePlan(plan) {
    const { plan: known } = store.state;
    if (plan.revision < known.revision && pending) return;
    if (plan.revision !== known.revision) {
      const isEmpty = !plan.entries.some(({ on }) => on);
      store.set({ plan, news: null, check: isEmpty ? null : store.state.check });
    }
    if (plan.error && plan.error !== known.error) toasts.error(plan.error);
    settle();
  }

  async function importPlan(file) {
    const text = await file.text();
    const reply = await edit("import_plan", { text });
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
    takePlan,
    importPlan,
    exportPlan,
    showGhosts,
    addWhole: (change) => edit("change", { change }),
    editChange: (entry, change) => edit("edit_change", { entry, change }),
    removeChange: (entry) => edit("remove_change", { entry }),
    toggleChange: (entry, on) => edit("toggle_change", { entry, on }),
    orderChanges: (entries) => edit("order_changes", { entries }),
    undo: () => inTurn(() => (store.state.plan.can_undo ? send("undo", {}) : null)),
    redo: () => inTurn(() => (store.state.plan.can_redo ? send("redo", {}) : null)),
    clearPlan: () => edit("clear_plan"),
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
