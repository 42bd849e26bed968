/** One sample looked at closely: its card, its picture, its neighbours, why it was classified as it was. */

const PICTURE_SIZE = 96;
const LARGE_SIZE = 512;
const NEIGHBOR_SIZE = 48;
const MOST_PICTURES = 64; // in one request
// Some methods take a thousand passes through the classifier, and a search for a rationale some thousand steps.
const EXPLAINING_MILLISECONDS = 600000;
const REST_MILLISECONDS = 40; // on a point, before anything is asked about it

/**
 * Actions on samples. Pictures are kept, as addresses of images, until the view ends.
 *
 * @param {{ask: Function, store: Object, toasts: Object}} context
 */
export function samplingActions({ ask, store, toasts }) {
  const known = new Map();
  let hovered = 0;

  /** The picture of a sample, as the address of an image; null where samples cannot be shown. */
  async function picture(index, size = PICTURE_SIZE) {
    const [address] = await pictures([index], size);
    return address;
  }

  async function pictures(indices, size = NEIGHBOR_SIZE) {
    const missing = indices.filter((index) => !known.has(`${index} ${size}`));
    if (store.state.info.kind !== "other") {
      for (let i = 0; i < missing.length; i += MOST_PICTURES) await fetchPictures(missing.slice(i, i + MOST_PICTURES), size);
    }
    return indices.map((index) => known.get(`${index} ${size}`) ?? null);
  }

  async function fetchPictures(indices, size) {
    const reply = await ask("pictures", { indices, size }, { quiet: true });
    // Without bytes: that one cannot be shown.
    reply?.buffers.forEach((bytes, i) => bytes.byteLength && known.set(`${indices[i]} ${size}`, imageAddress(bytes)));
  }

  /**
   * Shows a picture large.
   *
   * @param {{source: string, title: string, index?: number}} shown With `index` it is that sample's, which is fetched
   *   in a size for that.
   */
  async function enlarge(shown) {
    store.set({ enlarged: shown });
    if (shown.index === undefined) return;
    const large = await picture(shown.index, LARGE_SIZE);
    if (large && store.state.enlarged === shown) store.set({ enlarged: { ...shown, source: large } });
  }

  /** What the map's card tells of the point under the pointer. */
  async function hover(index) {
    hovered += 1;
    const mine = hovered;
    if (index === null) return store.set({ hover: null });
    if (store.state.hover?.index === index) return undefined;
    store.set({ hover: { index, card: null, picture: null } });
    await new Promise((resolve) => setTimeout(resolve, REST_MILLISECONDS));
    if (mine !== hovered) return undefined;
    const [card, image] = await Promise.all([ask("card", { index }, { quiet: true }), picture(index)]);
    if (mine !== hovered || !store.state.hover) return undefined;
    return store.set({ hover: { index, card: card?.content ?? null, picture: image } });
  }

  async function inspect(index) {
    store.set({ inspected: { index, card: null, picture: null, strip: [] }, explanation: null, rationale: null });
    store.set({ explaining: { ...store.state.explaining, target: null } });
    const [reply, image] = await Promise.all([ask("card", { index }), picture(index)]);
    if (store.state.inspected?.index !== index) return;
    if (!reply) {
      store.set({ inspected: null });
      return;
    }
    store.set({ inspected: { index, card: reply.content, picture: image, strip: [] } });
    const strip = await pictures(reply.content.neighbors.map((entry) => entry.index));
    if (store.state.inspected?.index !== index) return;
    store.set({ inspected: { ...store.state.inspected, strip } });
  }

  /** Asks why, by the methods and for the class that were chosen. */
  async function explain() {
    const { inspected, explaining: { methods, target } } = store.state;
    if (!inspected?.card) return toasts.note("Click a point first: what is explained is one sample.");
    if (!methods?.length) return toasts.error("Choose at least one method of attribution.");
    const { index } = inspected;
    const about = { index, methods, target };
    store.set({ explanation: { ...about, pending: true, titles: [], images: [] } });
    const reply = await ask("explain", about, { patience: EXPLAINING_MILLISECONDS, report: explanationFailed });
    if (!reply || store.state.inspected?.index !== index) return undefined;
    const { titles, notes, refused, target_name: targetName } = reply.content;
    const images = reply.buffers.map(imageAddress);
    return store.set({ explanation: { ...about, titles, notes, refused, targetName, images } });
  }

  function explanationFailed(error) {
    if (store.state.explanation) store.set({ explanation: { ...store.state.explanation, pending: false, error } });
  }

  async function rationalise() {
    const { inspected: { index }, explaining: { target } } = store.state;
    store.set({ rationale: { index, target, pending: true, images: [] } });
    const report = (error) => store.set({ rationale: { index, target, images: [], error } });
    const reply = await ask("rationalise", { index, target }, { patience: EXPLAINING_MILLISECONDS, report });
    if (!reply || store.state.inspected?.index !== index) return;
    store.set({ rationale: { index, target, ...reply.content, images: reply.buffers.map(imageAddress) } });
  }

  function forget() {
    for (const address of known.values()) URL.revokeObjectURL(address);
    known.clear();
  }

  return { picture, pictures, enlarge, hover, inspect, explain, rationalise, forgetPictures: forget };
}

function imageAddress(bytes) {
  return URL.createObjectURL(new Blob([bytes], { type: "image/png" }));
}
