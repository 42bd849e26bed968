"use strict";
// Draws the volumes that the page holds. All arrays are upright: x to the right, y to the front, z up.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const at = (id) => document.getElementById(id);
  const SIDES = [[1, 2], [0, 2], [0, 1]]; // of each plane: the axes across and up
  const NAMES = ["Sagittal", "Coronal", "Axial"];
  const LETTERS = [["L", "R"], ["P", "A"], ["I", "S"]];
  const PAD = 20; // pixels around a slice, where its letters stand
  const BEYOND = 127; // what a map's value beyond the scale is stored as; its end is one less
  // Luminous, as they lie on black: dark to light.
  const RAMPS = {
    above: [[140, 40, 0], [230, 90, 0], [255, 170, 40]],
    below: [[0, 60, 130], [0, 120, 215], [70, 190, 255]],
    size: [[100, 30, 140], [190, 60, 190], [255, 120, 235]],
  };
  const OUTLINES = ["#5cf2c0", "#f0e442", "#ffffff", "#ff9ad5"];
  const [, Y, Z] = data.shape;
  const strides = [Y * Z, Z, 1];
  const cursor = data.start.slice();
  const shown = { map: data.maps.length ? 0 : -1, radiological: data.radiological };
  const figures = [...document.querySelectorAll("#planes figure")];
  const canvases = figures.map((figure) => figure.querySelector("canvas"));
  const sliders = figures.map((figure) => figure.querySelector("input"));
  let image, maps, outlines, colors, unit = 1, bar = 0;

  const unpack = async (id) => {
    const packed = Uint8Array.from(atob(at(id).textContent), (letter) => letter.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  };

  const number = (value, digits = 3) =>
    String(Number(value.toPrecision(digits))).replace("-", "\u2212");
  const millimetres = (voxel) =>
    data.affine.slice(0, 3).map((row) => row[3] + voxel.reduce((sum, v, i) => sum + v * row[i], 0));
  const written = (value) => (value.toFixed(data.digits) * 1 + 0).toFixed(data.digits).replace("-", "\u2212");
  const where = (axis) =>
    `${"xyz"[axis]} ${data.oblique ? "\u2248" : "="} ${written(millimetres(cursor)[axis])} mm`;
  const offset = (voxel) => voxel.reduce((sum, v, i) => sum + v * strides[i], 0);
  // Seen from the feet the right comes first, and seen from the right the face.
  const flipped = (axis) => shown.radiological && axis < 2;

  function ramp(name, share) {
    const place = share * 2, low = Math.min(Math.floor(place), 1);
    return RAMPS[name][low].map((from, i) => from + (RAMPS[name][low + 1][i] - from) * (place - low));
  }

  // Colour and opacity of each of a map's 256 stored values.
  function mapColors() {
    const table = new Float32Array(4 * 256);
    if (shown.map < 0 || !at("show").checked) return table;
    const { signed } = data.maps[shown.map];
    const opacity = at("opacity").value / 100, least = at("threshold").value / 100;
    for (let q = -BEYOND; q <= BEYOND; q++) {
      const strength = Math.min(Math.abs(q) / (BEYOND - 1), 1);
      if (q === 0 || strength < least) continue;
      const rgb = ramp(!signed ? "size" : q > 0 ? "above" : "below", strength);
      table.set([...rgb, opacity * strength ** 0.6], 4 * (q & 255));
    }
    return table;
  }

  function pixels(cut) {
    const [h, v] = SIDES[cut], width = data.shape[h], height = data.shape[v];
    const picture = new ImageData(width, height);
    const start = cursor[cut] * strides[cut], map = maps[shown.map];
    for (let row = 0, to = 0; row < height; row++) {
      const line = start + (height - 1 - row) * strides[v];
      for (let column = 0; column < width; column++, to += 4) {
        const from = line + (flipped(h) ? width - 1 - column : column) * strides[h];
        const color = map ? 4 * map[from] : 0, a = map ? colors[color + 3] : 0;
        for (let i = 0; i < 3; i++) picture.data[to + i] = image[from] * (1 - a) + (a ? colors[color + i] * a : 0);
        picture.data[to + 3] = 255;
      }
    }
    return picture;
  }

  function drawOutline(context, mask, cut, color) {
    const [h, v] = SIDES[cut], width = data.shape[h], height = data.shape[v];
    const [dx, dy] = [data.edges[h] * unit, data.edges[v] * unit], base = cursor[cut] * strides[cut];
    const inside = (i, j) => i >= 0 && j >= 0 && i < width && j < height &&
      mask[base + (flipped(h) ? width - 1 - i : i) * strides[h] + (height - 1 - j) * strides[v]] > 0;
    context.beginPath();
    for (let j = 0; j <= height; j++) for (let i = 0; i <= width; i++) {
      const here = inside(i, j), x = PAD + i * dx, y = PAD + j * dy;
      if (here !== inside(i - 1, j)) { context.moveTo(x, y); context.lineTo(x, y + dy); }
      if (here !== inside(i, j - 1)) { context.moveTo(x, y); context.lineTo(x + dx, y); }
    }
    context.lineWidth = 1.5;
    context.strokeStyle = color;
    context.stroke();
  }

  function place(cut) {
    const [h, v] = SIDES[cut];
    const across = flipped(h) ? data.shape[h] - 1 - cursor[h] : cursor[h];
    return [PAD + (across + 0.5) * data.edges[h] * unit,
            PAD + (data.shape[v] - cursor[v] - 0.5) * data.edges[v] * unit];
  }

  function drawCross(context, cut, width, height) {
    const [x, y] = place(cut), gap = 14;
    context.strokeStyle = "rgba(255, 214, 90, 0.75)";
    context.lineWidth = 1;
    context.beginPath();
    for (const [from, to] of [[PAD, x - gap], [x + gap, PAD + width]])
      if (to > from) { context.moveTo(from, y); context.lineTo(to, y); }
    for (const [from, to] of [[PAD, y - gap], [y + gap, PAD + height]])
      if (to > from) { context.moveTo(x, from); context.lineTo(x, to); }
    context.stroke();
  }

  function drawLetters(context, cut, width, height) {
    const [h, v] = SIDES[cut];
    const [left, right] = flipped(h) ? [...LETTERS[h]].reverse() : LETTERS[h];
    context.fillStyle = "#e8e8e8";
    context.font = "600 13px system-ui, sans-serif";
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.fillText(left, PAD / 2, PAD + height / 2);
    context.fillText(right, PAD * 1.5 + width, PAD + height / 2);
    context.fillText(LETTERS[v][1], PAD + width / 2, PAD / 2);
    context.fillText(LETTERS[v][0], PAD + width / 2, PAD * 1.5 + height);
    if (!bar || width < 150) return;
    context.fillRect(PAD + width - bar * unit, PAD * 1.5 + height, bar * unit, 2);
    context.font = "11px system-ui, sans-serif";
    context.textAlign = "right";
    context.fillText(`${bar} mm`, PAD + width - bar * unit - 5, PAD * 1.5 + height + 1);
  }

  function drawPlane(cut) {
    const [h, v] = SIDES[cut], canvas = canvases[cut], density = window.devicePixelRatio || 1;
    const width = data.shape[h] * data.edges[h] * unit, height = data.shape[v] * data.edges[v] * unit;
    canvas.style.width = `${width + 2 * PAD}px`;
    canvas.style.height = `${height + 2 * PAD}px`;
    canvas.width = Math.round((width + 2 * PAD) * density);
    canvas.height = Math.round((height + 2 * PAD) * density);
    const context = canvas.getContext("2d");
    context.scale(density, density);
    const small = new OffscreenCanvas(data.shape[h], data.shape[v]);
    small.getContext("2d").putImageData(pixels(cut), 0, 0);
    context.imageSmoothingEnabled = at("smooth").checked;
    context.drawImage(small, PAD, PAD, width, height);
    outlines.forEach((mask, i) => {
      if (at(`outline-${i}`).checked) drawOutline(context, mask, cut, OUTLINES[i % OUTLINES.length]);
    });
    if (at("cross").checked) drawCross(context, cut, width, height);
    drawLetters(context, cut, width, height);
    const text = `${NAMES[cut]}, ${where(cut)}`;
    figures[cut].querySelector("figcaption").textContent = text;
    canvas.setAttribute("aria-label", `${text}; crosshair at ${where(h)}, ${where(v)}`);
    sliders[cut].value = cursor[cut];
    sliders[cut].setAttribute("aria-valuetext", where(cut));
  }

  function mapValue(index) {
    const stored = (maps[index][offset(cursor)] << 24) >> 24, { limit } = data.maps[index];
    if (Math.abs(stored) === BEYOND) return `${stored < 0 ? "below \u2212" : "above "}${number(limit)}`;
    return number((stored / (BEYOND - 1)) * limit);
  }

  function draw() {
    colors = mapColors();
    for (let cut = 0; cut < 3; cut++) if (!figures[cut].hidden) drawPlane(cut);
    const [low, high] = data.window;
    const values = data.maps.map(({ name }, i) => `${name}: ${mapValue(i)}`);
    const parts = [`x, y, z: ${millimetres(cursor).map(written).join(", ")} mm`,
      `image: ${number(low + (image[offset(cursor)] / 255) * (high - low))}`,
      ...values.splice(Math.max(shown.map, 0), 1)];
    at("readout").textContent = parts.join("  \u00b7  ");
    at("others").textContent = values.length ? `Other maps here: ${values.join("  \u00b7  ")}` : "";
    drawScale();
  }

  function drawScale() {
    const map = data.maps[shown.map];
    at("scale").style.visibility = map && at("show").checked ? "visible" : "hidden";
    at("hidden").textContent = map ? number((at("threshold").value / 100) * map.limit, 2) : "";
    if (!map) return;
    at("low").textContent = map.signed ? number(-map.limit) : "0";
    at("high").textContent = number(map.limit);
    at("measure").textContent = map.measure;
    const context = at("colors").getContext("2d"), span = at("colors").width;
    for (let x = 0; x < span; x++) {
      const share = map.signed ? (2 * x) / (span - 1) - 1 : x / (span - 1);
      const color = 4 * (Math.round(share * (BEYOND - 1)) & 255), a = colors[color + 3];
      context.fillStyle = `rgb(${[0, 1, 2].map((i) => Math.round(40 * (1 - a) + colors[color + i] * a)).join()})`;
      context.fillRect(x, 0, 1, 10);
    }
  }

  // One scale of length in all planes, so that they fill the page side by side or, on a narrow one, its width.
  function layOut() {
    const view = at("view").value;
    const flat = (cut) => SIDES[cut].some((axis) => data.shape[axis] < 2);
    const lines = [0, 1, 2].filter(flat).length; // of a volume one voxel thick only its one plane is drawn
    figures.forEach((figure, cut) => {
      figure.hidden = view === "all" ? flat(cut) && lines < 3 : view !== String(cut);
    });
    const cuts = [0, 1, 2].filter((cut) => !figures[cut].hidden);
    const length = (axis) => data.shape[axis] * data.edges[axis];
    const widths = cuts.map((cut) => length(SIDES[cut][0])), room = at("planes").clientWidth;
    const beside = (room - cuts.length * 2 * PAD - (cuts.length - 1) * 16 - 1) / widths.reduce((a, b) => a + b);
    const alone = (room - 2 * PAD - 1) / Math.max(...widths);
    const tall = Math.max(0.72 * window.innerHeight, 260) / Math.max(...cuts.map((cut) => length(SIDES[cut][1])));
    unit = Math.min(room < 700 ? alone : beside, tall);
    bar = [200, 100, 50, 20, 10, 5, 2, 1].find((mm) => mm < Math.min(...widths) / 4);
    draw();
  }

  function move(axis, to) {
    cursor[axis] = Math.max(0, Math.min(data.shape[axis] - 1, to));
  }

  function follow(cut, event) {
    const box = canvases[cut].getBoundingClientRect(), [h, v] = SIDES[cut];
    const across = Math.floor((event.clientX - box.left - PAD) / (data.edges[h] * unit));
    move(h, flipped(h) ? data.shape[h] - 1 - across : across);
    move(v, data.shape[v] - 1 - Math.floor((event.clientY - box.top - PAD) / (data.edges[v] * unit)));
    draw();
  }

  function onKey(cut, event) {
    const [h, v] = SIDES[cut], right = flipped(h) ? -1 : 1;
    const steps = { ArrowLeft: [h, -right], ArrowRight: [h, right], ArrowUp: [v, 1], ArrowDown: [v, -1],
      PageUp: [cut, 1], PageDown: [cut, -1] };
    if (!(event.key in steps)) return;
    event.preventDefault();
    const [axis, step] = steps[event.key];
    move(axis, cursor[axis] + step);
    draw();
  }

  // A link may name a place and a map: page.html#mm=-24,-18,-16&map=Grad-CAM
  function readAddress() {
    const asked = new URLSearchParams(location.hash.slice(1));
    if (asked.has("mm")) {
      const mm = asked.get("mm").split(",").map(Number), back = data.inverse;
      mm.push(1);
      for (let axis = 0; axis < 3; axis++) move(axis, Math.round(back[axis].reduce((s, w, i) => s + w * mm[i], 0)));
    }
    const named = data.maps.findIndex(({ name }) => name === asked.get("map"));
    if (named >= 0) at("map").value = shown.map = named;
    if (["all", "0", "1", "2"].includes(asked.get("view"))) at("view").value = asked.get("view");
    layOut();
  }

  function connect() {
    const fill = (name, value) => at("map").add(new Option(name, value));
    data.maps.forEach(({ name }, i) => fill(name, i));
    if (!data.maps.length)
      for (const id of ["map", "opacity", "threshold", "show"]) at(id).closest("label").hidden = true;
    data.outlines.forEach((name, i) => {
      const label = document.createElement("label"), box = document.createElement("input"), swatch = document.createElement("span");
      label.className = "check";
      Object.assign(box, { type: "checkbox", id: `outline-${i}`, checked: true });
      swatch.style.cssText = `width:1rem;border-top:3px solid ${OUTLINES[i % OUTLINES.length]};outline:1px solid #0006`;
      label.append(box, swatch, ` ${name}`);
      at("outlines").append(label);
      box.addEventListener("change", draw);
    });
    at("convention").value = shown.radiological ? "radiological" : "neurological";
    at("map").addEventListener("change", () => { shown.map = Number(at("map").value); draw(); });
    at("convention").addEventListener("change", () => {
      shown.radiological = at("convention").value === "radiological";
      draw();
    });
    for (const id of ["opacity", "threshold", "show", "cross", "smooth"]) at(id).addEventListener("input", draw);
    at("view").addEventListener("change", layOut);
    canvases.forEach((canvas, cut) => {
      canvas.addEventListener("pointerdown", (event) => follow(cut, event));
      canvas.addEventListener("pointermove", (event) => {
        if (event.buttons & 1 && event.pointerType === "mouse") follow(cut, event);
      });
      canvas.addEventListener("keydown", (event) => onKey(cut, event));
      sliders[cut].max = data.shape[cut] - 1;
      sliders[cut].disabled = data.shape[cut] < 2;
      sliders[cut].addEventListener("input", () => { move(cut, Number(sliders[cut].value)); draw(); });
    });
    window.addEventListener("resize", layOut);
    window.addEventListener("hashchange", readAddress);
  }

  async function start() {
    image = await unpack("image");
    maps = await Promise.all(data.maps.map((_, i) => unpack(`map-${i}`)));
    outlines = await Promise.all(data.outlines.map((_, i) => unpack(`mask-${i}`)));
    connect();
    readAddress();
    document.body.dataset.ready = "true";
  }

  start().catch((error) => {
    at("trouble").hidden = false;
    at("readout").textContent = "";
    at("trouble").textContent = typeof DecompressionStream === "undefined"
      ? "This browser is too old for the page: it needs one of 2023 or later."
      : `The volumes cannot be drawn: ${error.message}`;
  });
})();
