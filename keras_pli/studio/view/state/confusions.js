/** Which classes are taken for which, and how often. */

const MOST_PAIRS = 400;

/**
 * Actions on confusions.
 *
 * @param {{ask: Function, store: Object}} context
 */
export function confusionActions({ ask, store }) {
  let asked = 0;
  let counted = null; // the steps on labels that the pairs were counted with

  /** Fetches the pairs of a round, with labels as the plan leaves them; the worst first. */
  async function loadConfusions() {
    asked += 1;
    const mine = asked;
    counted = relabellings(store.state.plan);
    const reply = await ask("confusions", { most: MOST_PAIRS }, { quiet: true });
    if (!reply || mine !== asked) return;
    const { pairs, left_out: leftOut } = reply.content;
    store.set({ confusions: { pairs, complete: !leftOut } });
  }

  /** Counts again where a step gives samples other labels, or does so no more. */
  function recount() {
    if (counted !== null && counted !== relabellings(store.state.plan)) loadConfusions();
  }

  return { loadConfusions, recount };
}

/**
 * How many samples of a class are taken for another, or for any other.
 *
 * @param {{pairs: Array<{label: *, predicted: *, count: number}>, complete: boolean}|null} confusions
 * @param {*} label
 * @param {*} [predicted] Any other where it is null.
 * @returns {number|null} null where it is not known.
 */
export function errorCount(confusions, label, predicted = null) {
  if (!confusions) return null;
  const found = confusions.pairs.filter(
    (pair) => pair.label === label && (predicted === null || pair.predicted === predicted),
  );
  if (!confusions.complete && (predicted === null || !found.length)) return null;
  return found.reduce((sum, { count }) => sum + count, 0);
}

/** What tells the steps of a plan that change labels from others. */
function relabellings({ entries }) {
  const found = entries.filter(({ on, change }) => on && change.type === "Relabel");
  return found.map(({ id, change: { label } }) => `${id} ${label}`).join();
}
