/** Jobs, and what comes of them. */

import { maskCentre, typedArray, unpackedMask, withRowsAt } from "./arrays.js";
import { checkMark, movedSelection } from "./check_marks.js";
import { checkNews } from "./job_words.js";

// Jobs that look for changes to choose from: where these are in the state, and in the job's result.
const LISTS = {
  suggest: { list: "suggestions", entries: "changes" },
  propose: { list: "proposals", entries: "proposals" },
};

/** Whether an answer tells less than an event that came before it: the two take ways of their own. */
function isOvertaken(job, known) {
  if (!known || !job) return Boolean(known);
  return job.id === known.id && job.state === "running" && known.state !== "running";
}

/** What fails, or works again, where a job is started; see `toasts`. */
export function startOf(job) {
  return `start ${job}`;
}

/**
 * Actions that start, stop and take over work.
 *
 * @param {{ask: Function, store: Object, toasts: Object, planning: Object, deciding: Object}} context
 */
export function workingActions({ ask, store, toasts, planning, deciding }) {
  async function start(job, options = {}) {
    if (job === "retrain") store.set({ live: { ...store.state.live, arms: {} } });
    store.set({ news: null });
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
    if (isOvertaken(job, before)) return;
    store.set({ job });
    if (job?.job === "retrain") store.set({ lastOptions: job.options });
    if (job?.job === "retrain" && job.state === "running") store.set({ unfinished: null }); // it takes its place
    if (!job || job.state === "running") return;
    const known = before && before.id === job.id;
    if (known && before.state === job.state) return;
    if (known) finish(job);
    else if (job.state === "done") takeList(job, null); // before this page came, of whatever plan
  }

  function finish(job) {
    if (job.state === "failed") return toasts.error(job.error ?? `“${job.job}” failed.`, startOf(job.job));
    if (job.state === "stopped") toasts.note(`${job.words || job.job}: stopped.`);
    if (job.job === "retrain" || job.job === "refresh") showLive(null);
    if (job.state !== "done") return undefined;
    return takeResult(job);
  }

  function takeResult(ended) {
    const { job, result } = ended;
    const { revision } = store.state.plan;
    const tell = (sentence) => store.set({ news: { sentence, of: job, tab: "edit" } });
    if (takeList(ended, revision)) return tell(result.words);
    if (job === "check") {
      store.set({ check: { ...result, revision } });
      tell(checkNews(result));
      return markCheck();
    }
    if (job === "refresh") {
      return toasts.note([`The map was refreshed: round ${result.round}.`, result.note].join(" ").trim());
    }
    return job === "retrain" ? deciding.openComparison() : undefined;
  }

  /**
   * Takes over what was found to choose from; returns whether the job looked for that.
   *
   * @param {Object} ended The job.
   * @param {number|null} revision Of the plan that it is about; null where this page does not know.
   */
  function takeList({ job, result }, revision) {
    const found = LISTS[job];
    if (!found) return false;
    store.set({ [found.list]: { entries: result[found.entries], words: result.words, revision } });
    return true;
  }

  /** Opens what the news is about. */
  function showNews() {
    const { news, sheet } = store.state;
    store.set({ tab: news.tab, sheet: sheet === "low" ? "half" : sheet, comparing: false });
    store.set({ news: { ...news, asked: true } });
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

  /** @param {string} list "suggestions" or "proposals". */
  async function takeSuggestion(list, entry) {
    await planning.showGhosts(null);
    const current = store.state[list].revision === store.state.plan.revision;
    const reply = await planning.addWhole({ ...entry.change, reason: entry.change.reason ?? entry.reason });
    const known = store.state[list];
    if (!reply || !known) return;
    const entries = known.entries.map((other) => (other === entry ? { ...other, taken: true } : other));
    // With one of them taken, the others are as good as before.
    store.set({ [list]: { ...known, entries, revision: current ? store.state.plan.revision : known.revision } });
  }

  return { start, stop, takeJob, takeEpoch, watch, showNews, takeSuggestion };
}
