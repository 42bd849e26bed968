/** All that the view can do, over one client and one store. */

import { confusionActions } from "./confusions.js";
import { decidingActions } from "./deciding.js";
import { loadingActions } from "./loading.js";
import { planningActions } from "./planning.js";
import { samplingActions } from "./sampling.js";
import { selectingActions } from "./selecting.js";
import { startOf, workingActions } from "./working.js";

const CONNECTION = "connection"; // what the client calls the failure of a request that nobody answered
const MAP_TABS = ["edit", "sample"];

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
    const about = fields.job ? startOf(fields.job) : kind;
    store.set({ busy: store.state.busy + 1 });
    try {
      const reply = await client.request(kind, fields, [], patience);
      toasts.solved(about);
      toasts.solved(CONNECTION);
      return reply;
    } catch (error) {
      tell(error, { about, quiet, consequence, report: error.kind === CONNECTION ? report : refused ?? report });
      return null;
    } finally {
      store.set({ busy: store.state.busy - 1 });
    }
  }

  function tell(error, { about, quiet, consequence, report }) {
    if (error.message === "superseded") return undefined;
    if (error.kind === CONNECTION) {
      if (consequence) toasts.error(`The server did not answer. ${consequence}`, CONNECTION);
      if (report) report("The server did not answer.");
      return undefined;
    }
    if (report) return report(error.message);
    return quiet ? undefined : toasts.error(error.message, about);
  }

  let noteTold = null;

  function welcomed(job) {
    const { note } = store.state.info;
    if (note && note !== noteTold) toasts.error(note); // a file is damaged; it is asked for anew with each hello
    noteTold = note;
    working.takeJob(job ?? null);
    deciding.learnOptions();
    confusing.loadConfusions();
  }

  const context = { ask, store, toasts, version };
  const confusing = confusionActions(context);
  const loading = loadingActions({ ...context, welcomed });
  const planning = planningActions({ ...context, loading });
  const deciding = decidingActions({ ...context, loading });
  const working = workingActions({ ...context, planning, deciding });
  const selecting = selectingActions({ ...context, loading });
  const sampling = samplingActions(context);

  const offs = [
    // These work on the map, which a comparison hides.
    store.on(["tab", "tool"], ({ tab, comparing }) => comparing && MAP_TABS.includes(tab) && deciding.closeComparison()),
    store.on(["plan"], () => deciding.renewChanged()),
    store.on(["shown"], ({ outlines, shown }) => outlines && shown !== "live" && loading.loadOutlines()),
    store.on(["plan"], () => confusing.recount()),
    client.on("connection", ({ up, again }) => {
      if (!up) loading.tryAgain();
      else if (again || store.state.connection === "down") loading.hello();
    }),
    client.on("plan", ({ plan }) => planning.takePlan(plan)),
    client.on("job", ({ job }) => working.takeJob(job)),
    client.on("epoch", (content, buffers) => working.takeEpoch(content, buffers)),
    client.on("round", (content) => deciding.takeRound(content)),
  ];

  return {
    ...loading,
    ...confusing,
    ...planning,
    ...working,
    ...deciding,
    ...selecting,
    ...sampling,
    end() {
      offs.forEach((off) => off());
      loading.endLoading();
      sampling.forgetPictures();
    },
  };
}
