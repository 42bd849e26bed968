/** What the view fetches to draw the map: the session, positions, columns, outlines. */

import { typedArray } from "./arrays.js";
import { keepPreferences, readPreferences } from "./preferences.js";

const RETRY_MILLISECONDS = 3000;
const PATIENCE_MILLISECONDS = 10000;

/**
 * Actions that load.
 *
 * @param {{ask: Function, store: Object, version: string, welcomed: function(Object): void}} context `welcomed` is
 *   given what `hello` told of jobs.
 */
export function loadingActions({ ask, store, version, welcomed }) {
  let asked = 0;
  let columnAsked = 0;
  let outlinesAsked = 0;
  let retry = null;

  async function hello() {
    const refused = (sentence) => store.set({ connection: "refused", refusal: sentence });
    const reply = await ask("hello", { version }, { patience: PATIENCE_MILLISECONDS, refused });
    if (!reply) {
      tryAgain();
      return false;
    }
    const { plan, round, rounds, job, comparison, unfinished = null, ...info } = reply.content;
    const { outlines } = store.state.info ? store.state : readPreferences(info);
    store.set({
      connection: "up", tries: 0, info, plan, round, rounds, comparison, unfinished, outlines: Boolean(outlines),
      predictionCodes: null, confusions: null,
    });
    await Promise.all([loadMap(), loadTargets(), loadColumn(store.state.colour)]);
    welcomed(job);
    return true;
  }

  function tryAgain() {
    if (store.state.connection === "refused") return;
    store.set({ connection: store.state.info ? "down" : "connecting", tries: store.state.tries + 1 });
    if (retry !== null) return;
    retry = setTimeout(() => {
      retry = null;
      hello();
    }, RETRY_MILLISECONDS);
  }

  async function loadMap() {
    const reply = await ask("positions", { of: "map" });
    if (!reply) return;
    const map = typedArray(reply.buffers[0], Float32Array);
    store.set({ positions: { ...store.state.positions, map, live: null, round: store.state.round?.number } });
  }

  /** Fetches where the plan sends points; of several calls at once the last counts. */
  async function loadTargets() {
    asked += 1;
    const mine = asked;
    const reply = await ask("positions", { of: "targets" });
    if (!reply || mine !== asked) return;
    const [xy, moved, flags] = reply.buffers;
    const targets = typedArray(xy, Float32Array);
    store.set({
      positions: {
        ...store.state.positions,
        targets,
        told: targets,
        moved: moved ? typedArray(moved, Uint8Array) : null,
        flags: flags ? typedArray(flags, Uint8Array) : null,
        revision: reply.content.revision,
        guessed: false,
        round: store.state.round?.number,
      },
    });
    if (store.state.outlines) await loadOutlines();
  }

  /** What is on its way is of no use any more: points are about to go elsewhere. */
  function forgetTargets() {
    asked += 1;
  }

  async function loadColumn(name, changed = name !== store.state.colour) {
    columnAsked += 1;
    const mine = columnAsked;
    if (changed) store.set({ colour: name });
    const reply = await ask("column", { name });
    if (mine !== columnAsked) return;
    if (!reply) {
      store.set({ colour: store.state.column?.name ?? name }); // the map is coloured as before
      return;
    }
    const { content, buffers } = reply;
    if (content.pending) {
      await new Promise((done) => setTimeout(done, RETRY_MILLISECONDS));
      if (mine === columnAsked) await loadColumn(name, changed);
      return;
    }
    const numbers = content.type === "number";
    if (name === "label") store.set({ labelCodes: typedArray(buffers[0], Uint16Array) });
    store.set({
      column: {
        ...content,
        codes: numbers ? null : typedArray(buffers[0], Uint16Array),
        values: numbers ? typedArray(buffers[0], Float32Array) : null,
      },
      hidden: changed ? new Set() : store.state.hidden,
    });
  }

  async function loadOutlines() {
    const of = store.state.shown === "original" ? "map" : "targets";
    outlinesAsked += 1;
    const mine = outlinesAsked;
    const reply = await ask("outlines", { of });
    if (reply && store.state.outlines && mine === outlinesAsked) store.set({ outlined: reply.content.classes });
  }

  async function showOutlines(on) {
    store.set({ outlines: on, outlined: null });
    keepPreferences(store.state.info, { outlines: on });
    if (on) await loadOutlines();
  }

  /** The class of each point, as its place in the list of classes; null where it cannot be had. */
  const labelCodes = () => codesOf("label", "labelCodes");

  /** The same of what the classifier says. */
  const predictionCodes = () => codesOf("prediction", "predictionCodes");

  async function codesOf(name, key) {
    const { round } = store.state;
    if (!store.state[key]) {
      const reply = await ask("column", { name }, { quiet: true });
      if (reply && store.state.round === round) store.set({ [key]: typedArray(reply.buffers[0], Uint16Array) });
    }
    return store.state[key];
  }

  function end() {
    clearTimeout(retry);
    asked += 1;
    columnAsked += 1;
  }

  return {
    hello, tryAgain, loadMap, loadTargets, forgetTargets, loadColumn, loadOutlines, showOutlines, labelCodes,
    predictionCodes, endLoading: end,
  };
}
