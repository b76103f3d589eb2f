"use strict";
// The series of the report: a list with search, and one chart, drawn from the block of numbers when it is in view.
// Whatever comes from a file becomes text, never markup.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  if (!data.series.length) return;
  const at = (id) => document.getElementById(id);
  const PAGE = 50, ROWS = 200, NEAR = 10;                    // horizons that are in view at first
  const levels = data.levels;
  document.documentElement.classList.add("js");
  at("live").hidden = false;

  // numbers: whole ones, each as its step from the one before; null is missing
  const summed = (steps, unit = 1) => {
    let sum = 0;
    return steps.map((step) => (step === null ? null : (sum += step) * unit));
  };
  const xs = (() => {
    const scale = data.x.time ? 1e-6 : 1, found = [data.x.at * scale];
    let now = data.x.at;
    for (const [step, count] of data.x.steps)
      for (let k = 0; k < count; k++) found.push((now += step * data.x.unit) * scale);
    return found;
  })();
  const clock = data.x.time && data.x.zone !== "UTC" ? new Intl.DateTimeFormat("sv-SE", {
    timeZone: data.x.zone, year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit",
    second: "2-digit" }) : null;
  const whole = (x) => (clock ? clock.format(new Date(x * 1e3)) : new Date(x * 1e3).toISOString().slice(0, 19).replace("T", " "));
  const named = (x) => (data.x.time ? whole(x).slice(0, data.x.letters) : String(x));

  const spread = (places, steps, from, unit) => {               // numbers laid on the axis of a series
    const out = new Array(from.size).fill(null), values = summed(steps, unit);
    let place = 0;
    values.forEach((value, k) => {
      place = Array.isArray(places) ? place + places[k] : places + k;
      out[place - from.at] = value;
    });
    return out;
  };
  const reach = (said) => (Array.isArray(said.o) ? said.o.reduce((a, b) => a + b, 0) : said.o + said.p.length - 1);
  const unpacked = (s) => {
    const end = Math.max(s.o + s.y.length - 1, ...[...(s.b || []), ...(s.f ? [s.f] : [])].map(reach));
    const from = { at: s.o, size: end - s.o + 1 }, unit = Math.pow(10, s.e);
    const said = (f) => ({ point: spread(f.o, f.p, from, unit), bands: f.b.map((b) => spread(f.o, b, from, unit)) });
    const found = { x: xs.slice(s.o, end + 1), y: spread(s.o, s.y, from, unit), before: (s.b || []).map(said),
      filled: new Set(s.z ? summed(s.z) : []), ahead: s.f ? said(s.f) : null, last: s.y.length - 1 };
    if (found.ahead && found.y[found.last] !== null && s.f.o === s.o + s.y.length)
      for (const line of [found.ahead.point, ...found.ahead.bands]) line[found.last] = found.y[found.last];
    return found;
  };

  // the chart
  let chosen = 0, now = null, chart = null, inView = false;
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
  const text = (value, e) => (value === null ? "–" : value.toLocaleString("en", { maximumFractionDigits: Math.min(20, Math.max(0, -e)) }));
  const pathsOf = (from) => {
    const series = [{}, { stroke: colour("history"), width: 1.5, points: { show: from.x.length < 60 } }], bands = [], values = [from.x, from.y];
    const add = (line, style) => (series.push({ points: { show: false }, ...style }), values.push(line) - 1);
    const fan = (said, fill) => {
      for (let k = said.bands.length - 2; k >= 0; k -= 2) {
        const low = add(said.bands[k], { stroke: "transparent" }), high = add(said.bands[k + 1], { stroke: "transparent" });
        bands.push({ series: [high, low], fill: fill(k / 2) });
      }
    };
    if (at("before").checked)
      for (const said of from.before) {
        fan(said, () => colour("was"));
        add(said.point, { stroke: colour("before"), width: 1.5, dash: [5, 3], points: { show: said.point.filter((v) => v !== null).length === 1 } });
      }
    if (from.ahead) {
      fan(from.ahead, (k) => colour(k === levels.length - 1 && k > 0 ? "band0" : "band1"));
      add(from.ahead.point, { stroke: colour("forecast"), width: 2 });
    }
    return { series, bands, values };
  };
  const DAY = 86400;
  const ticks = (u, splits, axis, space, step) => splits.map((x, k) => {
    if (!data.x.time) return String(x);
    const shown = whole(x);
    if (step >= 360 * DAY) return shown.slice(0, 4);
    if (step >= 28 * DAY) return shown.slice(0, 7);
    if (step >= DAY) return shown.slice(0, 10);
    const day = shown.slice(0, 10), new_day = k === 0 || whole(splits[k - 1]).slice(0, 10) !== day;
    return (step >= 60 ? shown.slice(11, 16) : shown.slice(11)) + (new_day ? "\n" + day : "");
  });
  const shiftMove = (u, target, handler) => (event) => {       // Shift and drag: the range moves along
    if (!event.shiftKey || event.button !== 0) return handler(event);
    event.preventDefault();
    const { min, max } = u.scales.x, start = event.clientX;
    const move = (e) => {
      const by = (max - min) * (start - e.clientX) / u.over.clientWidth;
      u.setScale("x", within(min + by, max + by));
    };
    const end = () => (document.removeEventListener("mousemove", move), document.removeEventListener("mouseup", end));
    document.addEventListener("mousemove", move);
    document.addEventListener("mouseup", end);
  };
  const within = (min, max) => {
    const low = now.x[0], high = now.x[now.x.length - 1], size = Math.min(max - min, high - low);
    const begin = Math.min(Math.max(min, low), high - size);
    return { min: begin, max: begin + size };
  };
  const draw = (keep) => {
    if (!inView) return;
    const range = keep && chart ? { ...chart.scales.x } : null;
    if (chart) chart.destroy();
    const { series, bands, values } = pathsOf(now);
    const axis = { stroke: colour("soft"), grid: { stroke: colour("rule"), width: 1 }, ticks: { stroke: colour("rule") }, font: "12px system-ui, sans-serif" };
    const mark = (u) => {                                        // where the forecast begins
      if (!now.ahead) return;
      const x = Math.round(u.valToPos(now.x[now.last], "x", true));
      u.ctx.save();
      u.ctx.strokeStyle = colour("soft");
      u.ctx.setLineDash([3, 4]);
      u.ctx.beginPath();
      u.ctx.rect(u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height);
      u.ctx.clip();
      u.ctx.beginPath();
      u.ctx.moveTo(x, u.bbox.top);
      u.ctx.lineTo(x, u.bbox.top + u.bbox.height);
      u.ctx.stroke();
      u.ctx.restore();
    };
    const wide = (u, labels) => 22 + 7.5 * Math.max(3, ...(labels || []).map((label) => label.length));
    chart = new uPlot({
      width: at("chart").clientWidth, height: window.innerWidth < 600 ? 260 : 340, legend: { show: false },
      tzDate: clock ? (t) => uPlot.tzDate(new Date(t * 1e3), data.x.zone) : (t) => uPlot.tzDate(new Date(t * 1e3), "Etc/UTC"),
      scales: { x: { time: data.x.time } }, bands, series, padding: [null, data.x.time ? 36 : null, null, null],
      axes: [{ ...axis, size: data.x.time && data.x.letters > 10 ? 48 : 34, space: data.x.time ? 90 : 50, values: ticks, ...(data.x.time ? {} : { incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 1e6, 1e7, 1e8] }) },
        { ...axis, size: wide, values: (u, splits) => splits.map((v) => (v === null ? "" : Math.abs(v) >= 1e9 ? v.toExponential(1) : v.toLocaleString("en", { maximumFractionDigits: 12 }))) }],
      cursor: { y: false, points: { size: 7 }, bind: { mousedown: shiftMove } },
      hooks: { setCursor: [(u) => tell(u.cursor.idx)], draw: [mark], setScale: [(u, key) => key === "x" && values_shown()] },
    }, values, at("chart"));
    const size = now.x.length, near = NEAR * data.horizon;
    if (range) chart.setScale("x", range);
    else if (size > 1.6 * near) chart.setScale("x", { min: now.x[size - 1 - near], max: now.x[size - 1] });
  };
  const band = (said, k, i, e) => `${levels[k]} %: ${text(said.bands[2 * k][i], e)} to ${text(said.bands[2 * k + 1][i], e)}`;
  const sentence = (i) => {
    const e = data.series[chosen].e, y = now.y[i], parts = [];
    if (i > now.last) parts.push("not known yet");
    else parts.push(y === null ? "no value" : text(y, e) + (now.filled.has(i) ? " (filled in from its neighbours)" : ""));
    now.before.forEach((said) => {
      if (said.point[i] === null) return;
      let verdict = "";
      if (y !== null && said.bands.length) verdict = y >= said.bands[0][i] && y <= said.bands[1][i] ? ", the value lies inside" : ", the value lies outside";
      const after = named(now.x[Math.max(0, said.point.findIndex((v) => v !== null) - 1)]);
      parts.push(`a forecast made after ${after} said ${text(said.point[i], e)}` + (said.bands.length ? ` (${band(said, 0, i, e)}${verdict})` : ""));
    });
    if (now.ahead && i > now.last && now.ahead.point[i] !== null)
      parts.push(`forecast ${text(now.ahead.point[i], e)} (${levels.map((_, k) => band(now.ahead, k, i, e)).join("; ")})`);
    return `${named(now.x[i])}: ${parts.join("; ")}`;
  };
  let told = null;
  const tell = (i) => {
    if (i === null || i === undefined || !now || i >= now.x.length) return;
    told = i;
    at("tell").textContent = sentence(i);
  };
  const values_shown = () => {
    const box = at("values");
    if (!box.open || !now || !chart) return;
    const { min, max } = chart.scales.x, e = data.series[chosen].e;
    const inside = now.x.map((x, i) => i).filter((i) => now.x[i] >= min && now.x[i] <= max);
    const rows = inside.slice(-ROWS).map((i) => {
      const said = i > now.last ? now.ahead : now.before.find((b) => b.point[i] !== null);
      return [named(now.x[i]), i > now.last ? "" : text(now.y[i], e), said ? text(said.point[i], e) : "",
        said && said.bands.length ? text(said.bands[0][i], e) : "", said && said.bands.length ? text(said.bands[1][i], e) : ""];
    });
    const heads = ["time", "value", "forecast", ...(levels.length ? [`low ${levels[0]} %`, `high ${levels[0]} %`] : [])];
    box.lastElementChild.replaceChildren(tableOf(heads, rows));
    if (inside.length > ROWS) box.lastElementChild.append(`the last ${ROWS} of ${inside.length} rows in view`);
  };
  at("values").addEventListener("toggle", values_shown);

  // parts of the page
  const make = (kind, content, attributes = {}) => {
    const element = document.createElement(kind);
    if (typeof content === "string") element.textContent = content;
    else if (content) element.append(...content);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    return element;
  };
  const rowOf = (cells, first = null) => make("tr", cells.map((cell, k) => (k ? make("td", cell) : first || make("th", cell, { scope: "row" }))));
  const tableOf = (heads, rows) => make("table", [make("thead", [make("tr", heads.map((h) => make("th", h, { scope: "col" })))]),
    make("tbody", rows.map((cells) => rowOf(cells)))]);

  const choose = (k) => {
    chosen = k;
    now = unpacked(data.series[k]);
    at("name").textContent = data.series[k].n;
    at("tell").textContent = sentence(told = now.ahead ? Math.min(now.last + 1, now.x.length - 1) : now.last);
    at("aside").hidden = !now.before.length;
    draw(false);
    values_shown();
    list();
  };

  // the list
  const body = document.querySelector("table.list tbody");
  const orders = {
    worst: data.series.map((_, k) => k),
    size: data.series.map((_, k) => k).sort((a, b) => data.series[b].t - data.series[a].t),
    beside: data.series.map((_, k) => k).sort((a, b) => (data.series[a].k ?? 9) - (data.series[b].k ?? 9)),
    name: data.series.map((_, k) => k).sort((a, b) => data.series[a].n.localeCompare(data.series[b].n, "en", { numeric: true })),
  };
  let page = 0;
  const list = () => {
    if (!body) return;
    const wanted = at("search").value.trim().toLowerCase();
    const found = orders[at("order").value].filter((k) => data.series[k].n.toLowerCase().includes(wanted));
    const pages = Math.max(1, Math.ceil(found.length / PAGE));
    page = Math.min(Math.max(page, 0), pages - 1);
    body.replaceChildren(...found.slice(page * PAGE, (page + 1) * PAGE).map((k) => {
      const name = make("button", data.series[k].n, { type: "button", "data-k": k, "aria-pressed": k === chosen });
      const row = rowOf([null, ...data.series[k].c], make("th", [name], { scope: "row" }));
      if (k === chosen) row.className = "chosen";
      return row;
    }));
    at("found").textContent = wanted ? `${found.length} of ${data.series.length} found` : "";
    at("page").textContent = `page ${page + 1} of ${pages}`;
    at("previous").disabled = page === 0;
    at("next").disabled = page === pages - 1;
  };
  if (body) body.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    const k = Number(button.dataset.k);
    choose(k);
    body.querySelector(`button[data-k="${k}"]`)?.focus({ preventScroll: true });
    at("name").scrollIntoView({ block: "nearest" });
  });
  at("search").addEventListener("input", () => ((page = 0), list()));
  at("order").addEventListener("change", () => ((page = 0), list()));
  at("previous").addEventListener("click", () => (page--, list()));
  at("next").addEventListener("click", () => (page++, list()));
  if (data.series.length === 1) for (const id of ["search", "order", "previous"]) at(id).closest(".tools").hidden = true;

  // zoom, moves, dates
  const zoom = (factor, by) => {
    const { min, max } = chart.scales.x, middle = (min + max) / 2, half = (max - min) / 2 * factor;
    const least = (now.x[now.x.length - 1] - now.x[0]) / Math.max(1, now.x.length - 1) * 2;
    if (half > least || factor >= 1) chart.setScale("x", within(middle - half + by * half, middle + half + by * half));
  };
  const moves = { in: [0.5, 0], out: [2, 0], back: [1, -0.5], on: [1, 0.5], all: [1e9, 0] };
  for (const button of document.querySelectorAll("[data-move]"))
    button.addEventListener("click", () => chart && zoom(...moves[button.dataset.move]));
  const point = (i) => {
    tell(i);
    if (!chart) return;
    const { min, max } = chart.scales.x;
    if (now.x[i] < min || now.x[i] > max) chart.setScale("x", within(now.x[i] - (max - min) / 2, now.x[i] + (max - min) / 2));
    chart.setCursor({ left: chart.valToPos(now.x[i], "x"), top: 10 }, false);
    tell(i);
  };
  at("date").addEventListener("input", () => {
    const wanted = at("date").value.trim().replace("T", " ");
    if (!wanted) return;
    const i = now.x.findIndex((x) => named(x).startsWith(wanted) || (data.x.time && whole(x).startsWith(wanted)));
    if (i < 0) at("tell").textContent = `${wanted}: not in this chart, which shows ${named(now.x[0])} to ${named(now.x[now.x.length - 1])}`;
    else point(i);
  });
  at("chart").tabIndex = 0;
  at("chart").setAttribute("aria-label", "chart; the arrow keys move along it");
  at("chart").addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    point(Math.min(Math.max((told === null ? now.last : told) + step, 0), now.x.length - 1));
  });
  at("before").addEventListener("change", () => draw(true));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw(true));
  let width = 0;
  new ResizeObserver(() => {
    if (chart && at("chart").clientWidth !== width) chart.setSize({ width: (width = at("chart").clientWidth), height: chart.height });
  }).observe(at("chart"));
  new IntersectionObserver((entries) => {
    const seen = entries.some((entry) => entry.isIntersecting);
    if (seen && !inView) (inView = true), draw(false), tell(told);
  }).observe(at("chart"));
  choose(0);
})();
