/** The rounds of a session, each with what it was, and the way back to it. */

import { button, element, refill } from "../elements/dom.js";
import { percentage } from "../elements/formatting.js";
import { section } from "../elements/sections.js";

/**
 * Makes the section.
 *
 * @param {{store: Object, actions: Object}} view
 * @returns {HTMLElement}
 */
export function createHistoryPanel({ store, actions }) {
  const list = element("ol", { class: "kps-rounds" });
  const folder = element("p", { class: "kps-hint" });

  function draw() {
    const { rounds, info } = store.state;
    folder.textContent = info?.folder ? `The session is stored in ${info.folder}. Close the page when you like: it is all there when you come back.` : "";
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
        element("b", {}, round.title ?? `Round ${round.number}`),
        element(
          "span",
          { class: "kps-muted" },
          round.accuracy === null || round.accuracy === undefined ? "" : `accuracy ${percentage(round.accuracy)}`,
        )),
      round.sentence && element("p", {}, round.sentence),
      element("p", { class: "kps-muted" }, [
        round.parent === null || round.parent === undefined ? "as it was given" : `from round ${round.parent}`,
        round.created ? `, ${when(round.created)}` : "",
      ].join("")),
      round.current
        ? element("span", { class: "kps-badge" }, "you are here")
        : button(
          "Go to",
          () => actions.goTo(round.number),
          {
            class: "kps-small",
            "data-focus": `round ${round.number}`,
            "aria-label": `Go to round ${round.number}`,
          },
        ),
    );
  }

  store.on(["rounds", "info"], draw);
  draw();
  const renew = button("Train a new map", () => actions.start("refresh"), {
    class: "kps-small", title: "A map made anew of this round's classifier, as a round of its own: the present one is of the classifier before",
  });
  return section("History", [list, renew, folder]);
}

function when(text) {
  const date = new Date(typeof text === "number" ? text * 1000 : text);
  return Number.isNaN(date.getTime()) ? String(text) : date.toLocaleString(
    [],
    { dateStyle: "medium", timeStyle: "short" },
  );
}
