/** The studio's view, in the shape that anywidget takes; a page of our server gives it a model of the same shape. */

import { createViewActions } from "./state/view_actions.js";
import { createClient } from "./state/client.js";
import { element } from "./elements/dom.js";
import { createLayout } from "./panels/layout.js";
import { createStore, initialState } from "./state/store.js";
import { watchTheme } from "./elements/theme.js";
import { createToasts } from "./elements/toasts.js";

const VERSION = "%VIEW_VERSION%";

/**
 * Draws the view into an element.
 *
 * @param {{model: Object, el: HTMLElement}} host
 * @returns {function(): void} Takes the view away.
 */
function render({ model, el }) {
  const root = element("div", { class: "kps", "data-lm-suppress-shortcuts": "true" });
  el.append(root);
  const store = createStore(initialState());
  const client = createClient(model);
  const toasts = createToasts();
  const endTheme = watchTheme((theme) => {
    root.dataset.theme = theme;
    store.set({ theme });
  });
  const actions = createViewActions({ client, store, toasts, version: VERSION });
  const endLayout = createLayout(root, { store, actions, toasts });
  actions.hello();
  return () => {
    endLayout();
    endTheme();
    actions.end();
    client.close();
    root.remove();
  };
}

export default { render };
