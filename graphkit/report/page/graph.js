// The drawing of the model: colours, moving about, and the numbers of a node.

/** Units to a pixel from which text is too small to be read, and not drawn. */
const FAR = 4;
const graph = { svg: null, nodes: new Map(), places: new Map(), size: null, seen: null };

function startGraph() {
  graph.svg = byId("view").querySelector("svg");
  if (!graph.svg) return;
  const [x, y, wide, high] = graph.svg.getAttribute("viewBox").split(" ").map(Number);
  graph.size = { x, y, wide, high };
  graph.svg.setAttribute("role", "group");
  graph.svg.setAttribute("aria-label", "Nodes; arrow keys go from one to the next, Enter shows the numbers of one");
  for (const node of graph.svg.querySelectorAll(".node")) {
    const id = node.dataset.box;
    graph.nodes.set(id, node);
    node.setAttribute("role", "button");
    node.setAttribute("tabindex", "-1");
    graph.places.set(id, placeOf(node));
    node.addEventListener("keydown", (event) => keyOnNode(event, id));
    node.addEventListener("focus", () => centre(id, true));
  }
  byId("legend").replaceChildren(...LEVELS.map(([, text], level) => make("li", {},
    make("span", { class: `chip l${level}` }), text)), make("li", {}, make("span", { class: "chip none" }), "not compared"));
  colourGraph();
  const worst = worstNode();
  reach(worst || graph.nodes.keys().next().value);
  byId("worst").hidden = !worst;
  byId("worst").addEventListener("click", () => choose(worstNode()));
  byId("closer").addEventListener("click", () => zoom(1 / 1.4));
  byId("farther").addEventListener("click", () => zoom(1.4));
  byId("fit").addEventListener("click", fit);
  listen();
  new ResizeObserver(() => graph.seen ? show(graph.seen) : begin(worst)).observe(byId("view"));
}

/** Where a node stands, in the coordinates of the whole drawing. */
function placeOf(node) {
  const box = node.getBBox();
  const matrix = node.parentElement.transform.baseVal.consolidate()?.matrix ?? graph.svg.createSVGMatrix();
  return { x: matrix.a * box.x + matrix.e, y: matrix.d * box.y + matrix.f, wide: box.width, high: box.height };
}

/** The whole graph where that can be read, else its worst node or its beginning. */
function begin(worst) {
  const { clientWidth } = byId("view");
  if (!clientWidth) return;
  fit();
  if (graph.seen.wide <= 2 * clientWidth) return;
  const [first] = graph.nodes.keys();
  const scale = clientWidth * 1.25;
  graph.seen = { ...graph.seen, wide: scale };
  centre(worst || first);
}

const checksOn = (id) => (DATA.boxes[id] ?? []).map((index) => CHECKS[index]);
const nameOf = (id) => graph.nodes.get(id).querySelector("title")?.textContent ?? "";

/** Give every node the colour of its worst check that the filters let through. */
function colourGraph() {
  if (!graph.svg) return;
  for (const [id, node] of graph.nodes) {
    const level = levelOf(checksOn(id).filter(passesFilters));
    node.classList.remove("none", ...LEVELS.map((_, number) => `l${number}`));
    node.classList.add(level);
    const how = level === "none" ? "not compared" : LEVELS[Number(level[1])][1];
    node.setAttribute("aria-label", `${nameOf(id).split("\n")[0]}: ${how}`);
  }
  drawStrip();
}

function worstNode() {
  const ranked = [...graph.nodes.keys()].map((id) => [id, checksOn(id).filter(passesFilters).sort(worse)[0]])
    .filter(([, check]) => check && check.verdict !== "unavailable");
  return ranked.sort(([, one], [, two]) => worse(one, two))[0]?.[0] ?? "";
}

/** All nodes in small, where a few beyond their bounds are found among thousands. */
function drawStrip() {
  const { wide, high } = graph.size;
  const cells = [...graph.nodes].map(([id, node]) => {
    const place = graph.places.get(id);
    const level = [...node.classList].find((name) => /^(l\d|none)$/.test(name));
    return shape("rect", { class: `cell ${level}`, x: place.x, y: place.y, width: place.wide,
      height: Math.max(place.high, high / 300) });
  });
  cells.sort((one, two) => compare(one.classList[1] === "none" ? "" : one.classList[1],
    two.classList[1] === "none" ? "" : two.classList[1]));
  const strip = shape("svg", { viewBox: `0 0 ${wide} ${high}`, preserveAspectRatio: "none" }, ...cells,
    shape("rect", { class: "seen" }));
  byId("strip").replaceChildren(strip);
  if (graph.seen) show(graph.seen);
}

function show(seen) {
  const { clientWidth, clientHeight } = byId("view");
  if (!clientWidth || !clientHeight) return;
  const most = 1.2 * Math.max(graph.size.wide, (graph.size.high * clientWidth) / clientHeight);
  const wide = Math.min(Math.max(seen.wide, 120), Math.max(most, 120));
  const high = (wide * clientHeight) / clientWidth;
  const inside = (value, size, whole) => size >= whole ? (whole - size) / 2 : Math.min(Math.max(value, 0), whole - size);
  graph.seen = { x: inside(seen.x, wide, graph.size.wide), y: inside(seen.y, high, graph.size.high), wide, high };
  graph.svg.setAttribute("viewBox", `${graph.seen.x} ${graph.seen.y} ${wide} ${high}`);
  byId("view").classList.toggle("far", wide > FAR * clientWidth);
  const mark = byId("strip").querySelector(".seen");
  if (mark) filled(mark, { x: graph.seen.x, y: graph.seen.y, width: wide, height: high }, []);
}

function fit() {
  const { clientWidth, clientHeight } = byId("view");
  const wide = Math.max(graph.size.wide, (graph.size.high * clientWidth) / clientHeight, clientWidth / 1.3);
  show({ x: 0, y: 0, wide });
}

/** Change the scale around a point, the middle if none is given. */
function zoom(factor, at = null) {
  const { x, y, wide, high } = graph.seen;
  const middle = at ?? { x: x + wide / 2, y: y + high / 2 };
  show({ wide: wide * factor, x: middle.x - (middle.x - x) * factor, y: middle.y - (middle.y - y) * factor });
}

/** Bring a node into view; only if it is out of it where `gently`. */
function centre(id, gently = false) {
  const place = graph.places.get(id);
  if (!place || !graph.seen) return;
  const { x, y, wide, high } = graph.seen;
  const visible = place.x >= x && place.y >= y && place.x + place.wide <= x + wide && place.y + place.high <= y + high;
  if (gently && visible) return;
  const near = Math.min(wide, Math.max(byId("view").clientWidth * 1.25, place.wide * 1.5));
  const tall = (near * high) / wide;
  show({ wide: near, x: place.x + place.wide / 2 - near / 2, y: place.y + place.high / 2 - tall / 2 });
}

/** Select a node and show its numbers. */
function choose(id) {
  if (!graph.nodes.has(id)) return;
  byId("graph").classList.add("picked");
  mark([id]);
  centre(id, true);
  reach(id);
  const checks = checksOn(id).sort(worse);
  const [head, ...rest] = nameOf(id).split("\n");
  const rows = checks.slice(0, 50).map((check) => make("tr", {}, make("td", {}, badge(check)), make("td", {},
    make("button", { class: "opener", type: "button", click: () => reveal(check) }, titleOf(check)),
    make("span", { class: "kind" }, sidesOf(check))),
  numberCell(isJudged(check) ? `${brief(check.error)} of ${brief(check.tol)}` : ""), shareCell(check)));
  const more = checks.length > rows.length ? make("p", { class: "quiet" }, `and ${checks.length - rows.length} more`) : "";
  byId("node").replaceChildren(make("h3", {}, head), make("p", { class: "quiet" }, rest.join("\n")),
    ...(rows.length ? [make("table", {}, make("tbody", {}, ...rows)), more, ...detailsOf(checks[0])]
      : [make("p", {}, "Nothing was compared here.")]));
}

/** Highlight nodes in the drawing. */
function mark(ids) {
  for (const node of graph.svg.querySelectorAll(".chosen")) node.classList.remove("chosen");
  for (const id of ids) graph.nodes.get(id)?.classList.add("chosen");
  for (const row of document.querySelectorAll("tr.chosen")) row.classList.remove("chosen");
  for (const id of ids) {
    for (const check of DATA.boxes[id] ?? []) {
      byId("table").querySelector(`tr[data-check="${check}"]`)?.classList.add("chosen");
    }
  }
}

/** Highlight the nodes that a check is about. */
function markNode(check) {
  if (!graph.svg) return;
  const ids = Object.keys(DATA.boxes).filter((id) => DATA.boxes[id].includes(check.index));
  mark(ids);
  const [first] = ids;
  if (first) centre(first, true);
}

/** Make a node the one that the Tab key goes to. */
function reach(id) {
  graph.svg.querySelector('[tabindex="0"]')?.setAttribute("tabindex", "-1");
  graph.nodes.get(id)?.setAttribute("tabindex", "0");
}

function keyOnNode(event, id) {
  const ids = [...graph.nodes.keys()];
  const steps = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 };
  if (event.key === "Enter" || event.key === " ") choose(id);
  else if (event.key === "+") zoom(1 / 1.4);
  else if (event.key === "-") zoom(1.4);
  else if (steps[event.key]) {
    const next = ids[(ids.indexOf(id) + steps[event.key] + ids.length) % ids.length];
    reach(next);
    graph.nodes.get(next).focus({ preventScroll: true });
  } else return;
  event.preventDefault();
}

/** Moving with the mouse, a wheel, one finger or two. */
function listen() {
  const view = byId("view");
  const fingers = new Map();
  let moved = 0;
  const unit = () => graph.seen.wide / view.clientWidth;
  const point = (event) => {
    const box = view.getBoundingClientRect();
    return { x: graph.seen.x + (event.clientX - box.left) * unit(), y: graph.seen.y + (event.clientY - box.top) * unit() };
  };
  view.addEventListener("wheel", (event) => {
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 16 : 1;
    if (event.ctrlKey || event.metaKey) zoom(Math.exp(Math.max(-60, Math.min(60, event.deltaY * lines)) / 200), point(event));
    else show({ ...graph.seen, x: graph.seen.x + event.deltaX * lines * unit(), y: graph.seen.y + event.deltaY * lines * unit() });
  }, { passive: false });
  view.addEventListener("pointerdown", (event) => {
    fingers.set(event.pointerId, event);
    moved = fingers.size > 1 ? Infinity : 0;
  });
  view.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    if (!before) return;
    const [across, down] = [event.clientX - before.clientX, event.clientY - before.clientY];
    moved += Math.abs(across) + Math.abs(down);
    if (moved < 4) return;
    view.setPointerCapture(event.pointerId);
    view.classList.add("moving");
    const other = [...fingers.values()].find((finger) => finger.pointerId !== event.pointerId);
    if (other) {
      const apart = (finger) => Math.hypot(finger.clientX - other.clientX, finger.clientY - other.clientY) || 1;
      zoom(apart(before) / apart(event), point(other));
    } else show({ ...graph.seen, x: graph.seen.x - across * unit(), y: graph.seen.y - down * unit() });
    fingers.set(event.pointerId, event);
  });
  for (const name of ["pointerup", "pointercancel"]) {
    view.addEventListener(name, (event) => {
      fingers.delete(event.pointerId);
      view.classList.remove("moving");
    });
  }
  view.addEventListener("click", (event) => {
    const node = event.target.closest?.(".node");
    if (node && moved < 4) choose(node.dataset.box);
  });
  const jump = (event) => {
    if (!(event.buttons & 1)) return;
    const box = byId("strip").getBoundingClientRect();
    const y = ((event.clientY - box.top) / box.height) * graph.size.high;
    show({ ...graph.seen, y: y - graph.seen.high / 2 });
  };
  byId("strip").addEventListener("pointerdown", jump);
  byId("strip").addEventListener("pointermove", jump);
}
