// Pictures of numbers: the histogram of a tensor's error, and the losses of training.

/** How many elements of a tensor differ by which share of its scale; null where they were not counted. */
function histogram(check) {
  if (!check.histogram.length) return null;
  const [first, last] = DATA.decades;
  const wide = 520, high = 150, left = 8, bottom = 34, top = 18;
  const counts = check.histogram;
  const names = ["equal", `< 1e${first}`];
  for (let decade = first; decade < last; decade++) names.push(`1e${decade} … 1e${decade + 1}`);
  names.push(`≥ 1e${last}`);
  const step = (wide - 2 * left) / counts.length;
  const most = Math.log10(1 + Math.max(...counts));
  const bound = real(check.tol);
  const at = bound > 0 ? Math.log10(bound) - first + 2 : null;
  const svg = shape("svg", { class: "chart", viewBox: `0 0 ${wide} ${high}`, width: wide, height: high, role: "img" });
  const told = counts.flatMap((number, index) => (number ? [`${names[index]}: ${count(number)}`] : []));
  svg.setAttribute("aria-label", `Elements by error as a share of the scale. ${told.join("; ")}`);
  svg.append(shape("path", { class: "axis", d: `M${left} ${high - bottom}H${wide - left}` }));
  counts.forEach((number, index) => {
    if (!number) return;
    const tall = Math.max(2, ((high - bottom - top) * Math.log10(1 + number)) / most);
    const kind = index < 1 ? "none" : at === null || index >= at ? "beyond" : index + 1 > at ? "near" : "";
    svg.append(shape("rect", { class: `bin ${kind}`, x: left + index * step + 1, width: step - 2, rx: 1.5,
      y: high - bottom - tall, height: tall }, shape("title", {}, told.find((text) => text.startsWith(names[index])))));
  });
  svg.append(shape("text", { x: left + step / 2, y: high - 20, "text-anchor": "middle" }, "="));
  for (let decade = first + 1; decade <= last; decade += 3) {
    const x = left + (decade - first + 2) * step;
    svg.append(shape("text", { x, y: high - 20, "text-anchor": "middle" }, `1e${decade}`),
      shape("path", { class: "axis", d: `M${x} ${high - bottom}v4` }));
  }
  if (at !== null && at > 1 && at < counts.length) {
    const x = left + at * step;
    svg.append(shape("path", { class: "limit", d: `M${x} ${top - 4}V${high - bottom}` }),
      shape("text", { class: "limit-text", x, y: 10, "text-anchor": x > wide / 2 ? "end" : "start" }, "bound"));
  }
  svg.append(shape("text", { x: wide / 2, y: high - 4, "text-anchor": "middle" },
    "|difference| / scale; heights are logarithmic"));
  return make("figure", {}, make("figcaption", {}, `Error of ${count(check.size)} elements`), svg);
}

/** Draw the losses of training, and how far each side is from the first. */
function drawCurves() {
  const sides = Object.entries(DATA.curves).map(([name, losses]) => [name, losses.map(real)]);
  if (!sides.length || !sides.some(([, losses]) => losses.length)) return;
  const [[reference, expected]] = sides;
  const peak = largest(expected.filter(Number.isFinite).map(Math.abs), 0) || 1;
  const charts = byId("training").querySelector(".charts");
  charts.append(curves("Loss of each step", sides, false));
  const apart = sides.slice(1).map(([name, losses]) =>
    [name, losses.map((loss, index) => Math.abs(loss - expected[index]) / peak)]);
  if (apart.length) charts.append(curves(`Difference from ${reference}, as a share of its largest loss`, apart, true, 1));
  byId("training").hidden = false;
}

function curves(caption, series, logarithmic, tone = 0) {
  const wide = 560, high = 230, left = 62, right = 14, top = 10, bottom = 28;
  const shown = series.flatMap(([, numbers]) => numbers.filter((n) => Number.isFinite(n) && (!logarithmic || n > 0)));
  const scaled = (value) => (logarithmic ? Math.log10(value) : value);
  let low = -largest(shown.map((value) => -scaled(value))), up = largest(shown.map(scaled));
  if (!shown.length) [low, up] = logarithmic ? [-17, -16] : [0, 1];
  const zeros = logarithmic && series.some(([, numbers]) => numbers.includes(0));
  if (logarithmic) [low, up] = [Math.floor(low) - zeros, Math.max(Math.ceil(up), Math.floor(low) + 1)];
  else if (low === up) [low, up] = [low - Math.abs(low || 1) / 2, up + Math.abs(up || 1) / 2];
  const steps = largest(series.map(([, numbers]) => numbers.length));
  const x = (index) => left + (steps > 1 ? index / (steps - 1) : 0.5) * (wide - left - right);
  const y = (value) => {
    const place = logarithmic && value === 0 ? low : scaled(value);
    return high - bottom - ((place - low) / (up - low)) * (high - bottom - top);
  };
  const svg = shape("svg", { class: "chart", viewBox: `0 0 ${wide} ${high}`, width: wide, height: high, role: "img" });
  svg.setAttribute("aria-label", `${caption}: ` +
    series.map(([name, numbers]) => `${name} ${numbers.map(brief).join(", ")}`).join("; "));
  const stride = logarithmic ? Math.ceil((up - low) / 5) : (up - low) / 4;
  for (let value = low; value <= up + stride / 2; value += stride) {
    const height = high - bottom - ((value - low) / (up - low)) * (high - bottom - top);
    if (height < top - 1) break;
    const text = !logarithmic ? brief(value) : zeros && value === low ? "0" : `1e${value}`;
    svg.append(shape("path", { class: "axis", d: `M${left} ${height}H${wide - right}` }),
      shape("text", { x: left - 6, y: height + 4, "text-anchor": "end" }, text));
  }
  const every = Math.ceil(steps / 10);
  for (let index = 0; index < steps; index += every) {
    svg.append(shape("text", { x: x(index), y: high - 8, "text-anchor": "middle" }, String(index + 1)));
  }
  series.forEach(([name, numbers], place) => {
    const group = shape("g", { class: `tone${(place + tone) % 5}` });
    let path = "";
    numbers.forEach((value, index) => {
      if (!Number.isFinite(value)) return;
      path += `${index && Number.isFinite(numbers[index - 1]) ? "L" : "M"}${x(index).toFixed(1)} ${y(value).toFixed(1)}`;
      if (steps <= 100) {
        group.append(shape("circle", { class: "point", cx: x(index), cy: y(value), r: 3 },
          shape("title", {}, `${name}, step ${index + 1}: ${full(value)}`)));
      }
    });
    group.prepend(shape("path", { class: `curve ${["reference", "", "later"][Math.min(place + tone, 2)]}`, d: path }));
    svg.append(group);
  });
  const keys = series.map(([name], place) => make("li", { class: `tone${(place + tone) % 5}` }, name));
  return make("figure", {}, make("figcaption", {}, caption), svg, make("ul", { class: "keys" }, ...keys));
}
