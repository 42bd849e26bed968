/** What the studio proposes and thinks of the plan: moves, labels, and whether the classifier will follow. */

import { button, element, refill } from "../elements/dom.js";
import { scrollToTop, section } from "../elements/sections.js";
import { retrainOptions } from "../state/retrain_options.js";
import { checkedPlan } from "./checked_plan.js";
import { jobLine } from "./job_line.js";
import { createProposals } from "./proposals.js";

const JOBS = ["suggest", "propose", "check"];

/**
 * Makes the section.
 *
 * @param {{store: Object, actions: Object}} view
 * @returns {HTMLElement}
 */
export function createSuggestionsPanel(view) {
  const { store, actions } = view;
  const { state } = store;
  const bar = element("div", { class: "kps-row" });
  const working = element("div", {});
  const checked = element("div", { tabindex: "-1" });
  const places = {
    check: checked,
    suggest: createProposals(view, { list: "suggestions", title: "Suggested moves" }),
    propose: createProposals(view, { list: "proposals", title: "Proposed changes of the data" }),
  };
  const node = section("Suggestions and checks", [bar, working, ...Object.values(places)]);

  function drawBar() {
    const busy = state.job?.state === "running" ? "Something is being computed already" : null;
    const moves = state.plan.entries.some(({ on, kind }) => on && kind === "move");
    const still = moves
      ? null
      : "A check needs a move that is on: what changes of the data do, only a retraining tells.";
    refill(bar, [
      asking("Suggest moves", "suggest", busy, "Moves for classes that are confused with each other"),
      asking("Propose data changes", "propose", busy,
        "Labels that look wrong, duplicates, unlabelled clusters, small groups"),
      asking("Check the plan", "check", busy ?? still,
        "How far the classifier is expected to follow, and which classes collide"),
      still && element("p", { class: "kps-hint" }, still),
    ]);
    const mine = state.job?.state === "running" && JOBS.includes(state.job.job);
    refill(working, mine ? [jobLine(state.job, actions)] : []);
  }

  function asking(label, job, reason, title) {
    return button(label, () => actions.start(job, optionsOf(job)), {
      class: "kps-small", "aria-disabled": String(Boolean(reason)), title: reason ?? title,
    });
  }

  /** A check is made as the retraining is meant, where its options are in order. */
  function optionsOf(job) {
    const { options } = job === "check" ? retrainOptions(state.retrain) : { options: null };
    return options ? { weight: options.weight, seed: options.seed } : {};
  }

  function drawCheck() {
    const { check, plan } = state;
    refill(checked, check ? [checkedPlan(check, check.revision === plan.revision)] : []);
  }

  /** Brings what a job found into view, unless a person is writing beside it or works elsewhere. */
  function showNews() {
    const { news, tab } = state;
    if (!news || tab !== news.tab) return;
    const { activeElement } = node.getRootNode();
    if (!news.asked && activeElement?.matches(".kps-side :is(textarea, input)")) return;
    node.open = true;
    scrollToTop(places[news.of]);
    if (news.asked) places[news.of].focus({ preventScroll: true });
  }

  store.on(["job", "plan"], drawBar);
  store.on(["check", "plan"], drawCheck);
  store.on(["news"], showNews);
  drawBar();
  return node;
}
