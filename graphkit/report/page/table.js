// The table of tensors: filters, order, and the numbers of a row.

const PAGE = 200;
const filters = { text: "", kind: "", sides: "", step: "", found: "" };
const order = { key: "share", down: true };
let limit = PAGE;
let opened = new Set();

const COLUMNS = [
  { key: "verdict", title: "", cell: (check) => make("td", {}, badge(check)) },
  { key: "name", title: "tensor", cell: tensorCell },
  { key: "size", title: "shape", cell: (check) => make("td", {}, shapeOf(check)) },
  { key: "error", title: "error", number: true, cell: (check) => numberCell(isJudged(check) ? brief(check.error) : "") },
  { key: "tol", title: "bound", number: true, cell: (check) => numberCell(isJudged(check) ? brief(check.tol) : "") },
  { key: "share", title: "error / bound", number: true, cell: shareCell },
];

function badge(check) {
  const text = { pass: "pass", fail: "FAIL", unavailable: "n/a" }[check.verdict];
  return make("span", { class: `badge ${check.verdict}` }, text);
}

function numberCell(text) {
  return make("td", { class: "number" }, text);
}

function shareCell(check) {
  const share = real(check.share);
  const text = check.verdict === "unavailable" ? "" : share === Infinity ? "–" : brief(share);
  return make("td", { class: "number" }, make("span", { class: "share" }, text,
    make("span", { class: `chip ${levelOf([check])}` })));
}

function tensorCell(check) {
  const name = make("button", { class: "opener", type: "button", "aria-expanded": String(opened.has(check.index)) },
    check.name.trim() ? check.name : check.kind);
  const kind = check.kind + (check.step ? `, step ${check.step}` : "");
  return make("td", { class: "tensor" }, name,
    make("span", { class: "kind" }, [kind, sidesOf(check), check.sample].filter(Boolean).join(" · ")));
}

/** Whether the filters other than the words let a check through; they colour the graph as well. */
function passesFilters(check) {
  return (!filters.kind || check.kind === filters.kind) && (!filters.sides || sidesOf(check) === filters.sides) &&
    (!filters.step || String(check.step) === filters.step) && (!filters.found || check.verdict === filters.found);
}

/** What a search looks at. */
function textOf(check) {
  check.text ??= [titleOf(check), sidesOf(check), check.sample, check.dtype, shapeOf(check), ...check.told]
    .join("\n").toLowerCase();
  return check.text;
}

function found() {
  const words = filters.text.toLowerCase().split(/\s+/).filter(Boolean);
  const rows = CHECKS.filter((check) => isTensor(check) && passesFilters(check) &&
    words.every((word) => textOf(check).includes(word)));
  return rows.sort(order.key === "share" ? (one, two) => (order.down ? 1 : -1) * worse(one, two) : byColumn);
}

function byColumn(one, two) {
  const value = (check) => order.key === "verdict" ? ORDER[check.verdict] : order.key === "name" ? check.name : real(check[order.key]);
  return (order.down ? -1 : 1) * compare(value(one), value(two)) || worse(one, two);
}

function drawTable() {
  const rows = found();
  const all = CHECKS.filter(isTensor).length;
  const shown = rows.slice(0, limit);
  byId("count").textContent = rows.length === all ? `${count(all)} checks`
    : `${count(rows.length)} of ${count(all)} checks`;
  byId("table").tBodies[0].replaceChildren(...shown.flatMap((check) =>
    opened.has(check.index) ? [rowOf(check), detailRow(check)] : [rowOf(check)]));
  byId("more").hidden = rows.length <= limit;
  byId("more").textContent = `Show ${Math.min(PAGE, rows.length - limit)} more`;
  for (const head of byId("table").tHead.rows[0].cells) {
    const sorted = head.dataset.key === order.key;
    head.setAttribute("aria-sort", sorted ? (order.down ? "descending" : "ascending") : "none");
  }
}

function rowOf(check) {
  const row = make("tr", { class: `row ${check.verdict}${opened.has(check.index) ? " open" : ""}`,
    "data-check": check.index }, ...COLUMNS.map((column) => column.cell(check)));
  row.addEventListener("click", () => {
    if (!String(getSelection())) toggle(check);
  });
  return row;
}

function detailRow(check) {
  return make("tr", { class: "detail" }, make("td", { colspan: COLUMNS.length }, ...detailsOf(check)));
}

/** Open or close a row without drawing the others again, and show its node. */
function toggle(check, focus = true) {
  const row = byId("table").querySelector(`tr[data-check="${check.index}"]`);
  const opens = !opened.has(check.index);
  if (opens) {
    opened.add(check.index);
    row.after(detailRow(check));
    markNode(check);
  } else {
    opened.delete(check.index);
    row.nextElementSibling.remove();
  }
  row.classList.toggle("open", opens);
  const button = row.querySelector(".opener");
  button.setAttribute("aria-expanded", String(opens));
  if (focus) button.focus({ preventScroll: true });
}

/** Show a check's row, opened, whatever the filters and the order are. */
function reveal(check) {
  let place = found().indexOf(check);
  if (place < 0) {
    for (const name of Object.keys(filters)) filters[name] = "";
    showFilters();
    place = found().indexOf(check);
  }
  limit = Math.max(limit, Math.ceil((place + 1) / PAGE) * PAGE);
  opened.delete(check.index);
  drawTable();
  toggle(check);
  byId("table").querySelector(`tr[data-check="${check.index}"]`).scrollIntoView({ block: "center" });
}

/** Every number of a check, what is told of it, and its histogram. */
function detailsOf(check) {
  const pairs = [["kind", titleOf(check)], ["reference", check.left], ["under test", check.right]];
  if (check.dtype) {
    pairs.push(["shape", `${shapeOf(check)} ${check.dtype}`], ["error = max |d| / scale", fine(check.error)],
      ["bound", fine(check.tol)], ["noise floor", real(check.floor) ? fine(check.floor) : "not used"],
      ["max |d|", fine(check.max_abs)], ["max |d| / |reference| of an element", fine(check.max_rel)],
      ["ULPs", fine(check.ulps)], ["max |reference|", fine(check.peak)], ["l2 of d / l2 of reference", fine(check.l2)],
      ["1 − cosine", fine(1 - real(check.cosine))],
      ["elements beyond the bound", `${count(check.bad)} of ${count(check.size)}`],
      ["NaN or infinite in reference", count(check.nonfinite[0])],
      ["NaN or infinite under test", count(check.nonfinite[1])]);
    if (check.first) pairs.push(["first beyond the bound at", `[${check.first.join(", ")}]`]);
    if (check.values) pairs.push(["reference there", full(check.values[0])], ["under test there", full(check.values[1])]);
  }
  if (check.step) pairs.push(["step of training", String(check.step)]);
  if (check.sample) pairs.push(["sample", check.sample]);
  if (check.samples > 1) pairs.push(["samples", `${check.failures} of ${check.samples} failed`]);
  const list = make("dl", { class: "numbers" },
    ...pairs.map(([name, text]) => make("div", {}, make("dt", {}, name), make("dd", {}, text))));
  const told = check.told.length ? make("ul", { class: "told" }, ...check.told.map((text) => make("li", {}, text))) : "";
  return [told, histogram(check), list].filter((part) => part);
}

/** A card for each kind and pair of sides; pressing it filters. */
function drawCards() {
  const groups = new Map();
  for (const check of CHECKS.filter(isTensor)) {
    const key = `${check.kind}\n${sidesOf(check)}`;
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(check);
  }
  const kinds = Object.keys(DATA.headings);
  const bad = (checks) => checks.some((check) => check.verdict === "fail");
  const ranked = [...groups.values()].sort((one, two) => bad(two) - bad(one) ||
    kinds.indexOf(one[0].kind) - kinds.indexOf(two[0].kind) || one[0].index - two[0].index);
  const cards = ranked.map((checks) => {
    const [first] = checks;
    const failed = checks.filter((check) => check.verdict === "fail").length;
    const compared = checks.filter((check) => check.verdict !== "unavailable");
    const worst = largest(compared.map((check) => real(check.share)));
    const state = failed ? "fail" : compared.length ? "pass" : "unavailable";
    const how = { fail: `${count(failed)} of ${count(compared.length)} failed`,
      pass: `${count(compared.length)} within ${compared.length === 1 ? "its bound" : "bounds"}`,
      unavailable: "not available" }[state];
    const far = worst === 0 ? "equal to the last bit" : Number.isFinite(worst) ? `worst at ${brief(worst)} × its bound` : "";
    return make("button", { class: `card ${state}`, type: "button", "aria-pressed": "false", "data-kind": first.kind,
      "data-sides": sidesOf(first), click: () => pressCard(first) }, make("span", { class: "what" },
      DATA.headings[first.kind]), make("span", { class: "quiet" }, sidesOf(first)),
    make("span", { class: "how" }, how), make("span", { class: "quiet" }, far));
  });
  byId("cards").replaceChildren(...cards);
  byId("cards").hidden = false;
}

function pressCard(check) {
  const pressed = filters.kind === check.kind && filters.sides === sidesOf(check);
  filters.kind = pressed ? "" : check.kind;
  filters.sides = pressed ? "" : sidesOf(check);
  showFilters();
  filtered();
}

/** Put the filters' state into their controls. */
function showFilters() {
  byId("search").value = filters.text;
  for (const name of ["kind", "sides", "step", "found"]) byId(name).value = filters[name];
  for (const card of byId("cards").children) {
    const on = card.dataset.kind === filters.kind && card.dataset.sides === filters.sides;
    card.setAttribute("aria-pressed", String(on));
  }
}

function filtered() {
  limit = PAGE;
  showFilters();
  drawTable();
  colourGraph();
}

function startTable() {
  const tensors = CHECKS.filter(isTensor);
  const distinct = (of) => [...new Set(tensors.map(of))];
  const choices = {
    kind: ["All kinds", distinct((check) => check.kind).map((kind) => [kind, DATA.headings[kind]])],
    sides: ["All sides", distinct(sidesOf).map((sides) => [sides, sides])],
    step: ["All steps", distinct((check) => check.step).sort((one, two) => one - two)
      .map((step) => [String(step), step ? `step ${step}` : "no training"])],
    found: ["All verdicts", [["fail", "failed"], ["pass", "passed"], ["unavailable", "not available"]]],
  };
  for (const [id, [all, options]] of Object.entries(choices)) {
    byId(id).append(make("option", { value: "" }, all),
      ...options.map(([value, text]) => make("option", { value }, text)));
    byId(id).hidden = options.length < 2;
    byId(id).addEventListener("change", () => { filters[id] = byId(id).value; filtered(); });
  }
  byId("search").addEventListener("input", () => {
    filters.text = byId("search").value;
    limit = PAGE;
    drawTable();
  });
  byId("more").addEventListener("click", () => { limit += PAGE; drawTable(); });
  byId("table").tHead.rows[0].append(...COLUMNS.map((column) => make("th", { class: column.number ? "number" : null,
    "data-key": column.key, scope: "col" }, make("button", { type: "button", click: () => sortBy(column.key) },
    column.title || "verdict"))));
  drawCards();
  drawTable();
}

function sortBy(key) {
  order.down = order.key === key ? !order.down : ["share", "error", "tol", "size"].includes(key);
  order.key = key;
  drawTable();
}
