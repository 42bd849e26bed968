/** The bar that says that the server is gone, and that nothing is lost. */

import { button, element, refill } from "../elements/dom.js";

// Tries after which a server that was stopped is likelier than a moment's disturbance.
const MANY_TRIES = 3;

/**
 * Makes the bar; it shows itself while there is no connection.
 *
 * @param {{store: Object, actions: Object}} view
 */
export function createConnectionBar({ store, actions }) {
  const bar = element("div", { class: "kps-connection", role: "alert" });

  function draw() {
    const { connection, info } = store.state;
    bar.hidden = connection === "up" || (connection === "connecting" && !info);
    refill(bar, bar.hidden ? [] : connection === "refused" ? refused() : lost());
  }

  function lost() {
    return [
      element(
        "span",
        {},
        "The server does not answer. Nothing is lost: every step was stored as it was made. Trying again…",
        store.state.tries >= MANY_TRIES && element("span", { class: "kps-elsewhere" },
          " If the studio was stopped and started again, it has a new address: look for it in the terminal or " +
          "the notebook where it was started, and open that."),
      ),
      button("Try now", actions.hello, { class: "kps-small" }),
    ];
  }

  function refused() {
    return [
      element("span", {}, store.state.refusal),
      button("Try again", actions.hello, { class: "kps-small" }),
      button("Reload", () => location.reload(), { class: "kps-small" }),
    ];
  }

  store.on(["connection", "info", "tries"], draw);
  draw();
  return bar;
}
