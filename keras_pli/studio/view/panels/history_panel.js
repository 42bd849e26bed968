/** The rounds of a session, each with what it was, and the way back to it. */

import { button, element, refill, twiceButton } from "../elements/dom.js";
import { counted, percentage } from "../elements/formatting.js";
import { section } from "../elements/sections.js";

/**
 * Makes the section.
 *
 * @param {{store: Object, actions: Object}} view
 * @returns {HTMLElement}
 */
export function createHistoryPanel({ store, actions }) {
  const { state } = store;
  const list = element("ol", { class: "kps-rounds" });
  const renew = element("div", { class: "kps-renew" });
  const folder = element("p", { class: "kps-hint" });
  const damaged = element("p", { class: "kps-warning", hidden: true });

  function draw() {
    const { rounds, info } = state;
    const stored = `The session is stored in ${info?.folder}.`;
    folder.textContent = info?.folder
      ? `${stored} Close the page when you like: it is all there when you come back.`
      : "";
    damaged.textContent = info?.note ?? "";
    damaged.hidden = !info?.note;
    refill(list, rounds.map(entry).reverse());
  }

  function entry(round) {
    return element(
      "li",
      {
        class: round.current ? "kps-round kps-current" : "kps-round",
        "aria-current": round.current ? "true" : null,
      },
      element("div", { class: "kps-round-head" },
        element("b", {}, `Round ${round.number}`),
        Number.isFinite(round.accuracy) && element(
          "span",
          { class: "kps-muted" },
          `accuracy ${percentage(round.accuracy)}`,
        )),
      round.title && element("p", {}, round.title),
      round.sentence && element("p", {}, round.sentence),
      element("p", { class: "kps-muted" }, originOf(round)),
      element("p", { class: "kps-file" }, classifierFile(state.info?.folder, round.number)),
      element("div", { class: "kps-row" }, waysFrom(round)),
    );
  }

  function waysFrom({ number, current, report }) {
    const way = (label, press) => button(label, press, {
      class: "kps-small", "data-focus": `${label} ${number}`, "aria-label": `${label}: round ${number}`,
    });
    return [
      current
        ? element("span", { class: "kps-badge" }, "you are here")
        : button("Go to", () => actions.goTo(number), {
          class: "kps-small", "data-focus": `round ${number}`, "aria-label": `Go to round ${number}`,
        }),
      report && way("Comparison", () => actions.openComparison(number)),
      report && way("Report", () => actions.openReport(number)),
    ];
  }

  /** A refreshed map leaves moves behind, which is said before it is begun. */
  function drawRenew() {
    const { plan, job, deciding, round } = state;
    const moves = plan.entries.filter(({ on, kind }) => on && kind === "move").length;
    const busy = job?.state === "running" || Boolean(deciding);
    const begin = () => actions.start("refresh");
    const properties = {
      class: "kps-small",
      "aria-disabled": String(busy),
      title: busy ? "Something is being computed already" : null,
    };
    refill(renew, [
      moves
        ? twiceButton("Refresh the map", `Leave ${counted(moves, "move")} off and go on?`, begin, properties)
        : button("Refresh the map", begin, properties),
      element("p", { class: "kps-hint" },
        "The classifier stays; its map is trained on, with the points held near their places, as a round of its own. ",
        moves > 0 && `${counted(moves, "move")} of the plan, drawn on the present map, ${moves === 1 ? "is" : "are"} ` +
          "switched off in that round; changes of the data stay. " +
          `Round ${round?.number ?? 0} keeps its plan: you can come back to it.`),
    ]);
  }

  store.on(["rounds", "info"], draw);
  store.on(["plan", "job", "deciding", "round"], drawRenew);
  draw();
  drawRenew();
  return section("History", [damaged, list, renew, folder]);
}

function originOf({ parent, created }) {
  const from = parent === null || parent === undefined ? "as it was given" : `from round ${parent}`;
  return created ? `${from}, ${when(created)}` : from;
}

/** Where a round's classifier lies, within the session's folder. */
function classifierFile(folder, number) {
  return folder ? `rounds/${String(number).padStart(3, "0")}/classifier.keras` : "";
}

function when(text) {
  const date = new Date(typeof text === "number" ? text * 1000 : text);
  return Number.isNaN(date.getTime()) ? String(text) : date.toLocaleString(
    [],
    { dateStyle: "medium", timeStyle: "short" },
  );
}
