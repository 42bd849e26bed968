/** All that the view can do, over one client and one store. */

import { confusionActions } from "./confusions.js";
import { loadingActions } from "./loading.js";
import { planningActions } from "./planning.js";
import { samplingActions } from "./sampling.js";
import { selectingActions } from "./selecting.js";
import { workingActions } from "./working.js";

/**
 * Makes the actions and listens to what the session tells.
 *
 * @param {{client: Object, store: Object, toasts: Object, version: string}} parts
 * @returns {Object} One object with every action, and `end`.
 */
export function createViewActions({ client, store, toasts, version }) {
  /**
   * Asks the server; null where it could not answer, which is then said.
   *
   * @param {string} kind
   * @param {Object} fields
   * @param {{patience?: number, quiet?: boolean, consequence?: string, report?: function(string): void,
   *   refused?: function(string): void}} options `consequence` is what a lost connection means for what was asked;
   *   `report` takes the sentence in place of a toast, `refused` does so where the server itself said it.
   */
  async function ask(kind, fields, { patience, quiet = false, consequence = null, report = null, refused = null } = {}) {
    store.set({ busy: store.state.busy + 1 });
    try {
      return await client.request(kind, fields, [], patience);
    } catch (error) {
      tell(error, { quiet, consequence, report: error.kind === "connection" ? report : refused ?? report });
      return null;
    } finally {
      store.set({ busy: store.state.busy - 1 });
    }
  }

  function tell(error, { quiet, consequence, report }) {
    if (error.message === "superseded") return undefined;
    if (error.kind === "connection") {
      if (consequence) toasts.error(`The server did not answer. ${consequence} Try again once it is back.`);
      if (report) report("The server did not answer.");
      return undefined;
    }
    if (report) return report(error.message);
    return quiet ? undefined : toasts.error(error.message);
  }

  const context = { ask, store, toasts, version };
  const confusing = confusionActions(context);
  const loading = loadingActions({
    ...context, welcomed: (job) => working.takeJob(job ?? null), renewed: confusing.loadConfusions,
  });
  const planning = planningActions({ ...context, loading });
  const working = workingActions({ ...context, loading, planning });
  const selecting = selectingActions({ ...context, loading });
  const sampling = samplingActions(context);

  const offs = [
    store.on(["shown"], ({ outlines, shown }) => outlines && shown !== "live" && loading.loadOutlines()),
    store.on(["plan"], () => confusing.recount()),
    client.on("connection", ({ up, again }) => {
      if (!up) loading.tryAgain();
      else if (again || store.state.connection === "down") loading.hello();
    }),
    client.on("plan", ({ plan }) => planning.takePlan(plan)),
    client.on("job", ({ job }) => working.takeJob(job)),
    client.on("epoch", (content, buffers) => working.takeEpoch(content, buffers)),
    client.on("round", (content) => working.takeRound(content)),
  ];

  return {
    ...loading,
    ...confusing,
    ...planning,
    ...working,
    ...selecting,
    ...sampling,
    end() {
      offs.forEach((off) => off());
      loading.endLoading();
      sampling.forgetPictures();
    },
  };
}
