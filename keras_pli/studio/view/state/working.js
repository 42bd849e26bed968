/** Jobs, what comes of them, and rounds. */

import { maskCentre, typedArray, unpackedMask, withRowsAt } from "./arrays.js";
import { checkMark, movedSelection } from "./check_marks.js";

/**
 * Actions that start, stop and take over work.
 *
 * @param {{ask: Function, store: Object, toasts: Object, loading: Object, planning: Object}} context
 */
export function workingActions({ ask, store, toasts, loading, planning }) {
  async function start(job, options = {}) {
    if (job === "retrain") store.set({ live: { ...store.state.live, arms: {} } });
    const reply = await ask("start", { job, options });
    if (reply) takeJob(reply.content.job);
    return Boolean(reply);
  }

  async function stop() {
    const reply = await ask("stop", {});
    if (reply?.content.job) takeJob(reply.content.job);
  }

  function takeJob(job) {
    const before = store.state.job;
    store.set({ job });
    if (!job || job.state === "running") return;
    const known = before && before.id === job.id;
    if (known && before.state === job.state) return;
    // What ended before this page came: only lists of proposals are of use now.
    if (!known && (job.state !== "done" || !["suggest", "propose"].includes(job.job))) return;
    finish(job);
  }

  function finish(job) {
    if (job.state === "failed") return toasts.error(job.error ?? `“${job.job}” failed.`);
    if (job.state === "stopped") toasts.note(`${job.words || job.job}: stopped.`);
    if (job.job === "retrain" || job.job === "refresh") showLive(null);
    if (job.state !== "done") return undefined;
    return takeResult(job);
  }

  function takeResult({ job, result }) {
    if (job === "suggest") store.set(
      { suggestions: { kind: "suggest", entries: result?.changes ?? [], words: result?.words } },
    );
    if (job === "propose") store.set(
      { suggestions: { kind: "propose", entries: result?.proposals ?? [], words: result?.words } },
    );
    if (job === "check") {
      store.set({ check: { ...result, revision: store.state.plan.revision } });
      return markCheck();
    }
    if (job === "retrain") return openComparison();
    return undefined;
  }

  /** Puts what a check found to where the points of each move arrive. */
  async function markCheck() {
    const { check, plan, info } = store.state;
    const marks = [];
    for (const move of check.moves ?? []) {
      const selection = movedSelection(plan.entries.find(({ id }) => id === move.entry)?.change ?? {});
      const on = selection?.type === "Polygon" ? "map" : "targets";
      const reply = selection && (await ask("select", { selection, on }, { quiet: true }));
      if (store.state.check !== check) return;
      if (!reply) continue;
      const at = maskCentre(store.state.positions.targets, unpackedMask(reply.buffers[0], info.points));
      if (at) marks.push(checkMark(move, at));
    }
    store.set({ check: { ...check, marks } });
  }

  /** After an epoch: curves go on, and the map shows where points are now. */
  function takeEpoch(content, buffers) {
    const { live, positions } = store.state;
    const { arm, epoch, epochs, logs, scores } = content;
    const known = live.arms[arm]?.epochs.filter((entry) => entry.epoch < epoch) ?? [];
    const arms = { ...live.arms, [arm]: { total: epochs, epochs: [...known, { epoch, logs, scores }] } };
    store.set({ live: { ...live, arms } });
    if (!buffers[0] || arm !== live.watch || !positions.map) return;
    const xy = typedArray(buffers[0], Float32Array);
    const rows = buffers[1]?.byteLength ? typedArray(buffers[1], Int32Array) : null;
    showLive(rows ? withRowsAt(positions.live ?? positions.map, rows, xy) : xy);
  }

  function showLive(xy) {
    const { positions, shown } = store.state;
    const back = !xy && shown === "live";
    store.set({ positions: { ...positions, live: xy }, shown: xy ? "live" : back ? "edited" : shown });
  }

  function watch(arm) {
    store.set({ live: { ...store.state.live, watch: arm } });
    if (!arm) showLive(null);
  }

  async function openComparison() {
    const reply = await ask("comparison", {});
    if (!reply) return;
    if (reply.content.none) {
      store.set({ comparison: false, compared: null, comparing: false });
      return;
    }
    const compared = reply.content;
    store.set(
      { comparison: true, compared: { ...compared, positions: {} }, comparing: true, tab: "retrain", sheet: "low" },
    );
    for (const of of compared.maps) {
      const told = await ask("positions", { of });
      if (!store.state.compared) return;
      if (!told) continue;
      const xy = typedArray(told.buffers[0], Float32Array);
      const positions = { ...store.state.compared.positions, [of]: xy };
      store.set({ compared: { ...store.state.compared, positions } });
    }
  }

  function closeComparison() {
    store.set({ comparing: false });
  }

  async function keep() {
    const reply = await ask("keep", {});
    if (!reply) return;
    toasts.note("Kept. The classifier, the plan and a report are in the session's folder.");
    endComparison();
  }

  async function discard() {
    const reply = await ask("discard", {});
    if (!reply) return;
    toasts.note("Discarded. Your plan is as it was.");
    endComparison();
  }

  function endComparison() {
    store.set({ comparison: false, compared: null, comparing: false, live: { ...store.state.live, arms: {} } });
  }

  async function goTo(round) {
    const reply = await ask("go_to", { round });
    if (reply?.content.round) takeRound(reply.content);
  }

  async function takeRound({ round, rounds }) {
    store.set({ round, rounds: rounds ?? store.state.rounds, selection: null, inspected: null });
    store.set({ suggestions: null, check: null, ghosts: null });
    await loading.hello();
  }

  async function openReport() {
    const reply = await ask("report", {});
    if (!reply) return;
    const address = URL.createObjectURL(new Blob([reply.content.html], { type: "text/html" }));
    window.open(address, "_blank", "noopener");
  }

  async function takeSuggestion(entry) {
    await planning.showGhosts(null);
    const reply = await planning.addWhole({ ...entry.change, reason: entry.change.reason ?? entry.reason });
    if (!reply) return;
    const { suggestions } = store.state;
    const entries = suggestions.entries.map((other) => (other === entry ? { ...other, taken: true } : other));
    store.set({ suggestions: { ...suggestions, entries } });
  }

  return {
    start, stop, takeJob, takeEpoch, watch, openComparison, closeComparison, keep, discard, goTo, takeRound,
    openReport, takeSuggestion,
  };
}
