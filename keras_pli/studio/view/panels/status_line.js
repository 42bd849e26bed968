/** The line below the map: what is selected, what was found, and who is computing. */

import { button, element, refill } from "../elements/dom.js";
import { counted, wholeNumber } from "../elements/formatting.js";
import { JOB_NAMES } from "../state/job_words.js";
import { progressBar } from "./job_line.js";

/**
 * Makes the line.
 *
 * @param {{store: Object, actions: Object}} view
 * @returns {HTMLElement}
 */
export function createStatusLine({ store, actions }) {
  const { state } = store;
  const left = element("span", { class: "kps-status-selected" });
  const middle = element("span", { class: "kps-status-busy" });
  const news = element("span", { class: "kps-status-news", role: "status" });
  const job = element("span", { class: "kps-status-job" });

  function drawSelected() {
    const { info, selection, hidden, column } = state;
    if (!info) return refill(left, ["Connecting…"]);
    const some = selection?.count ? `${wholeNumber(selection.count)} of ` : "";
    const unseen = hidden.size && column?.categories ? `, ${counted(hidden.size, "class", "classes")} hidden` : "";
    const text = `${some}${counted(info.points, "point")}${some ? " selected" : ""}${unseen}`;
    return refill(left, [text]);
  }

  function drawBusy() {
    const { busy, plan, picking } = state;
    if (picking) return refill(middle, ["Click the place on the map; Escape gives up."]);
    const edits = plan.entries.filter(({ on }) => on).length;
    const words = edits ? `${counted(edits, "step")} on` : "";
    return refill(
      middle,
      [
        words,
        busy ? element("span", { class: "kps-answering" }, `${words ? " · " : ""}the server is answering…`) : null,
      ],
    );
  }

  function drawNews() {
    refill(news, state.news ? [
      element("span", {}, state.news.sentence),
      button("Show", actions.showNews, { class: "kps-small", "data-focus": "show news" }),
    ] : []);
  }

  function drawJob() {
    const { job: current, deciding } = state;
    if (deciding) {
      return refill(job, [element("span", {}, "Working on your decision"), progressBar(null, "Progress")]);
    }
    const waits = state.comparison && !state.comparing && current?.state !== "running";
    return refill(job, current?.state === "running" ? running(current) : waits ? waiting() : []);
  }

  function waiting() {
    return [element("span", {}, "A retraining waits for your decision"), button(
      "Compare",
      () => actions.openComparison(),
      { class: "kps-small", "data-focus": "compare below" },
    )];
  }

  function running(current) {
    return [
      element("span", { class: "kps-job-words" }, current.words || JOB_NAMES[current.job] || current.job),
      progressBar(current.progress, JOB_NAMES[current.job] ?? current.job),
      button("Stop", actions.stop, { class: "kps-small", "data-focus": "stop job" }),
    ];
  }

  store.on(["info", "selection", "hidden", "column"], drawSelected);
  store.on(["busy", "plan", "picking"], drawBusy);
  store.on(["news"], drawNews);
  store.on(["job", "comparison", "comparing", "deciding"], drawJob);
  [drawSelected, drawBusy, drawJob].forEach((draw) => draw());
  return element("footer", { class: "kps-status" }, left, middle, news, job);
}
