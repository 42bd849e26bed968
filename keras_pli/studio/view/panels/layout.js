/** Where everything stands: the map takes the room, one column of panels is beside it. */

import { createCompareView } from "./compare_view.js";
import { createConfusionsPanel } from "./confusions_panel.js";
import { createConnectionBar } from "./connection_bar.js";
import { element } from "../elements/dom.js";
import { createGalleryPanel } from "./gallery_panel.js";
import { createHistoryPanel } from "./history_panel.js";
import { createHoverCard } from "./hover_card.js";
import { createInspector } from "./inspector.js";
import { createLargePicture } from "./large_picture.js";
import { createLegend } from "./legend.js";
import { createMapView } from "./map_view.js";
import { createPlanPanel } from "./plan_panel.js";
import { createRetrainPanel } from "./retrain_panel.js";
import { createTabs } from "../elements/sections.js";
import { createSelectionPanel } from "./selection_panel.js";
import { attachShortcuts, createShortcutHelp } from "./shortcuts.js";
import { createStatusLine } from "./status_line.js";
import { createSuggestionsPanel } from "./suggestions_panel.js";
import { createToolbar } from "./toolbar.js";

/**
 * Builds the view.
 *
 * @param {HTMLElement} root
 * @param {{store: Object, actions: Object, toasts: Object}} view
 * @returns {function(): void} Takes it away.
 */
export function createLayout(root, view) {
  const { store, toasts } = view;
  const stage = element("div", { class: "kps-stage" });
  const place = element("main", { class: "kps-place" }, stage);
  const side = createTabs(store, {
    edit: [
      createSelectionPanel(view), createGalleryPanel(view), createConfusionsPanel(view), createPlanPanel(view), createSuggestionsPanel(view),
    ],
    sample: createInspector(view),
    retrain: createRetrainPanel(view),
    history: [createHistoryPanel(view)],
  });
  const help = createShortcutHelp();
  const fit = () => map.scatter.fit();
  const toolbar = createToolbar({ ...view, fit, help: help.toggle });
  const compare = createCompareView(view);
  root.append(
    toolbar,
    createConnectionBar(view),
    element("div", { class: "kps-body" }, place, side, createLargePicture(root, store)),
    createStatusLine(view),
    toasts.node,
  );
  const map = createMapView(stage, view);
  place.append(createLegend(view), compare.node, help.node);
  createHoverCard(stage, store);

  const drawSheet = () => { root.dataset.sheet = store.state.sheet; };
  store.on(["sheet"], drawSheet);
  drawSheet();
  const endShortcuts = attachShortcuts(root, { ...view, fit, help });
  return () => {
    endShortcuts();
    compare.end();
    map.end();
  };
}
