/** What became of retrainings: compared, kept or discarded; and the rounds that they make. */

import { typedArray } from "./arrays.js";

const KEEPING_MILLISECONDS = 600000;

/**
 * Actions that compare and decide.
 *
 * @param {{ask: Function, store: Object, toasts: Object, loading: Object}} context
 */
export function decidingActions({ ask, store, toasts, loading }) {
  /**
   * Opens the comparison of a retraining.
   *
   * @param {number|null} round The round that it made; null for the one that waits for a decision.
   */
  async function openComparison(round = null) {
    const about = round === null ? {} : { round };
    const reply = await ask("comparison", about);
    if (!reply) return;
    if (reply.content.none) {
      store.set({ compared: null, comparing: false, ...(round === null ? { comparison: false } : {}) });
      return;
    }
    const compared = { ...reply.content, round, positions: {} };
    store.set({ compared, comparing: true, sheet: "low", news: null });
    if (round === null) store.set({ comparison: true, lastOptions: compared.options, tab: "retrain" });
    for (const of of compared.maps) {
      const told = await ask("positions", { of, ...about });
      if (store.state.compared?.maps !== compared.maps) return; // another one is looked at
      if (!told) continue;
      const positions = { ...store.state.compared.positions, [of]: typedArray(told.buffers[0], Float32Array) };
      store.set({ compared: { ...store.state.compared, positions } });
    }
  }

  /** Whether the plan is still the one that was trained: it may be edited beside the comparison. */
  async function renewChanged() {
    const { compared, comparing } = store.state;
    if (!comparing || compared?.round !== null) return;
    const reply = await ask("comparison", {}, { quiet: true });
    const now = store.state.compared;
    if (reply && now?.maps === compared.maps) store.set({ compared: { ...now, changed: reply.content.changed } });
  }

  function closeComparison() {
    store.set({ comparing: false });
  }

  /** What the last retraining was told, where no job of this server says it. */
  async function learnOptions() {
    const { comparison, lastOptions, round, unfinished } = store.state;
    if (lastOptions) return;
    if (unfinished) store.set({ lastOptions: unfinished.options });
    if (unfinished || !(comparison || round?.report)) return;
    const reply = await ask("comparison", comparison ? {} : { round: round.number }, { quiet: true });
    if (reply?.content.options && !store.state.lastOptions) store.set({ lastOptions: reply.content.options });
  }

  /**
   * Goes on from a retrained classifier.
   *
   * @param {string} arm "PLI" or "control".
   */
  async function keep(arm = "PLI") {
    const reply = await decide(arm, "keep", { arm });
    if (reply) tell("Kept: the classifier, the plan and a report are in the session's folder.", reply.content.note);
  }

  async function discard() {
    const reply = await decide("discard", "discard", {});
    if (reply) tell("Discarded. Your plan is as it was.");
  }

  /** What was done, and what became of the plan, which only the server knows. */
  function tell(sentence, note = null) {
    toasts.note(note ? `${sentence} ${note}` : sentence);
  }

  async function decide(deciding, kind, fields) {
    if (store.state.deciding) return null;
    store.set({ deciding });
    const reply = await ask(kind, fields, { patience: KEEPING_MILLISECONDS });
    store.set({ deciding: null });
    if (reply) endComparison();
    return reply;
  }

  function endComparison() {
    store.set({ comparison: false, compared: null, comparing: false, live: { ...store.state.live, arms: {} } });
  }

  async function goTo(round) {
    const reply = await ask("go_to", { round });
    if (!reply?.content.round) return;
    if (reply.content.note) toasts.note(reply.content.note);
    await takeRound(reply.content);
  }

  async function takeRound({ round, rounds }) {
    if (round?.number !== store.state.round?.number) store.set({ compared: null, comparing: false });
    store.set({ round, rounds: rounds ?? store.state.rounds, selection: null, inspected: null });
    store.set({ suggestions: null, proposals: null, check: null, ghosts: null, news: null });
    await loading.hello();
    const { compared, comparison } = store.state;
    if (compared?.round === null && !comparison) endComparison(); // another page has decided
  }

  /** The page of a retraining, in a tab of its own: of a round that was kept, or of the one that waits. */
  async function openReport(round = null) {
    const reply = await ask("report", round === null ? {} : { round });
    if (!reply) return;
    const address = URL.createObjectURL(new Blob([reply.content.html], { type: "text/html" }));
    window.open(address, "_blank", "noopener");
  }

  return {
    openComparison, renewChanged, closeComparison, learnOptions, keep, discard, goTo, takeRound, openReport,
  };
}
