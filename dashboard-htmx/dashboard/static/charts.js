// Draw the charts of a page from their tables. A table that comes anew (htmx) changes the chart that is there.

import { always } from "./app.js";

const HEIGHT = 220; // pixels; .plot has the same, so that nothing moves when a chart is drawn
const LABEL = 62; // pixels that a label of the time axis wants
const charts = new Set();

const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const colour = (name) => token(`series-${name}`);
const font = () => `11px ${token("font")}`;

// Reading

/** The figure's table, oldest row first. */
function read(figure) {
  const columns = [...figure.querySelectorAll("thead th[data-colour]")].map((one) => ({ label: one.textContent, colour: one.dataset.colour }));
  const rows = [...figure.querySelectorAll("tbody tr")].reverse().map((row) => ({
    label: row.querySelector("th").textContent,
    tick: row.dataset.tick,
    place: Number(row.dataset.place),
    cells: [...row.querySelectorAll("data")].map((one) => ({ value: one.value === "" ? null : Number(one.value), text: one.textContent })),
  }));
  const { chart: kind, unit, minor, symbol, lakhs } = figure.dataset;
  return { kind, unit, minor: Number(minor), symbol, lakhs: lakhs !== undefined, columns, rows, title: figure.querySelector("h3").textContent };
}

/** Columns that are drawn, in the order in which uPlot draws: of a stack the highest first, the others over it. */
function drawn(table) {
  const series = table.columns.map((column, at) => ({ ...column, at })).filter((column) => column.colour);
  if (table.kind !== "stack") return series.map((one) => ({ ...one, values: table.rows.map((row) => row.cells[one.at].value) }));
  const sums = table.rows.map(() => 0);
  return series.map((one) => ({ ...one, values: table.rows.map((row, n) => (sums[n] += row.cells[one.at].value)) })).reverse();
}

const data = (table, series) => [table.rows.map((_, n) => n), ...series.map((one) => one.values)];

// Numbers on the axis

const SCALES = { true: [[1e7, " Cr"], [1e5, " L"], [1e3, "k"]], false: [[1e9, "B"], [1e6, "M"], [1e3, "k"]] };
function short(table, value) {
  if (table.unit === "rate") return `${Math.round(value * 100)} %`;
  const units = value / table.minor;
  const [size, sign] = SCALES[table.unit === "money" && table.lakhs].find(([from]) => units >= from) ?? [1, ""];
  return `${table.symbol}${Number((units / size).toFixed(2))}${sign}`;
}
/** From nothing up; rates from a round number below the worst, since they differ far from nothing. */
function range(table, low, high) {
  if (table.unit !== "rate") return [0, high > 0 ? high * 1.06 : table.unit === "money" ? table.minor : 1];
  return [low === null ? 0 : Math.max(0, Math.min(0.8, Math.floor(low * 10) / 10)), 1.015];
}
const STEPS = [1, 2, 2.5, 5];
function steps(table) {
  if (table.unit === "rate") return [0.05, 0.1, 0.2, 0.25, 0.5];
  const from = table.unit === "money" ? table.minor : 1;
  return Array.from({ length: 16 }, (_, power) => STEPS.map((step) => step * 10 ** power * from)).flat().filter((one) => one % 1 === 0);
}
/** Which rows have a label: all that want one, or every second, third … hour or day. */
function labelled(table, width) {
  const all = table.rows.flatMap((row, n) => (row.tick ? [n] : []));
  const room = Math.max(1, Math.floor(width / LABEL));
  const every = [1, 2, 3, 4, 6, 8, 12].find((step) => all.length / step <= room) ?? 24;
  return all.filter((n) => table.rows[n].place % every === 0);
}

// Drawing

function options(chart, width) {
  const { table } = chart;
  const axis = { font: font(), stroke: () => token("ink-faint"), ticks: { show: false } };
  const bars = uPlot.paths.bars({ size: [0.68, 34], radius: table.kind === "bars" ? 0.12 : 0 });
  return {
    width,
    height: HEIGHT,
    padding: [8, 20, 0, 0],
    legend: { show: false },
    cursor: {
      y: false,
      drag: { x: false, y: false, setScale: false },
      points: { show: table.kind === "lines", size: 8, width: 2, fill: (u, i) => colour(chart.series[i - 1].colour), stroke: () => token("panel") },
      move: (u, left, top) => (left < 0 ? [left, top] : [u.valToPos(u.posToIdx(left), "x"), top]),
    },
    scales: { x: { time: false, range: () => [-0.5, chart.table.rows.length - 0.5] }, y: { range: (u, low, high) => range(chart.table, low, high) } },
    axes: [
      {
        ...axis,
        size: 28,
        gap: 6,
        grid: { show: false },
        splits: (u) => labelled(chart.table, u.width - 50),
        values: (u, splits) => splits.map((n) => chart.table.rows[n].tick),
      },
      {
        ...axis,
        gap: 6,
        size: (u, values) => 14 + 6.5 * Math.max(2, ...(values ?? []).map((one) => one.length)),
        grid: { stroke: () => token("line"), width: 1 },
        space: 44,
        incrs: steps(table),
        values: (u, splits) => splits.map((value) => short(chart.table, value)),
      },
    ],
    series: [
      {},
      ...chart.series.map((one) => ({
        label: one.label,
        stroke: () => colour(one.colour),
        ...(table.kind === "lines"
          ? { width: 2, spanGaps: true, points: { show: true, size: 5, fill: () => colour(one.colour), width: 0 } }
          : { width: 0, fill: () => colour(one.colour), paths: bars, points: { show: false } }),
      })),
    ],
    hooks: { setCursor: [() => tell(chart)], setSize: [(u) => band(u, chart)], ready: [(u) => band(u, chart)] },
  };
}

/** The cursor is as wide as what it points at. */
function band(u, chart) {
  const width = u.over.clientWidth / chart.table.rows.length;
  const line = u.over.querySelector(".u-cursor-x");
  line.style.width = `${width}px`;
  line.style.marginLeft = `${-width / 2}px`;
}

/** Say what the cursor points at: in a box beside it, and to a screen reader that moves it by the arrow keys. */
function tell(chart) {
  const { plot, u, table, box } = chart;
  const at = u?.cursor.idx ?? null;
  box.hidden = at === null || u.cursor.left < 0;
  chart.at = box.hidden ? null : at;
  if (box.hidden) return;
  const row = table.rows[at];
  const title = document.createElement("p");
  title.textContent = row.label;
  const lines = row.cells.map((cell, n) => {
    const line = document.createElement("div");
    const swatch = document.createElement("span");
    swatch.className = `swatch s-${table.columns[n].colour}`;
    const text = document.createElement("strong");
    text.textContent = cell.text;
    line.append(swatch, table.columns[n].label, text);
    return line;
  });
  box.replaceChildren(title, ...lines);
  const x = u.over.offsetLeft + u.valToPos(at, "x");
  const half = u.over.clientWidth / table.rows.length / 2 + 6;
  const right = x + half + box.offsetWidth <= plot.clientWidth;
  box.style.transform = `translateX(${Math.max(0, right ? x + half : x - half - box.offsetWidth)}px)`;
  plot.setAttribute("aria-valuenow", at);
  plot.setAttribute("aria-valuetext", `${row.label}: ${row.cells.map((cell, n) => `${table.columns[n].label} ${cell.text}`).join(", ")}`);
}

const point = (chart, at) => chart.u.setCursor({ left: chart.u.valToPos(at, "x"), top: 0 });
const leave = (chart) => chart.u?.setCursor({ left: -10, top: -10 });

function draw(chart) {
  chart.u?.destroy();
  chart.u = null; // uPlot speaks of its cursor before it is there
  chart.u = new uPlot(options(chart, chart.plot.clientWidth), data(chart.table, chart.series), chart.plot);
  chart.plot.append(chart.box);
  // uPlot knows mice; a finger reads while it moves sideways, and scrolls the page otherwise.
  for (const name of ["pointerdown", "pointermove"]) {
    chart.u.over.addEventListener(name, (event) => {
      if (event.pointerType !== "mouse") chart.u.setCursor({ left: event.clientX - chart.u.over.getBoundingClientRect().left, top: 0 });
    });
  }
}

function attach(plot) {
  const box = document.createElement("div");
  box.className = "readout";
  box.hidden = true;
  box.setAttribute("aria-hidden", "true");
  const chart = { plot, box, u: null, table: null, series: [], at: null };
  plot.tabIndex = 0;
  plot.setAttribute("role", "slider");
  plot.setAttribute("aria-valuemin", 0);
  plot.addEventListener("keydown", (event) => {
    const last = chart.table.rows.length - 1;
    const now = chart.at ?? last + 1;
    const to = { ArrowLeft: now - 1, ArrowDown: now - 1, ArrowRight: now + 1, ArrowUp: now + 1, Home: 0, End: last, Escape: -1 }[event.key];
    if (to === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    if (to === -1 && event.key === "Escape") leave(chart);
    else point(chart, Math.min(last, Math.max(0, to)));
  });
  plot.addEventListener("focus", () => { if (plot.matches(":focus-visible") && chart.at === null) point(chart, chart.table.rows.length - 1); });
  plot.addEventListener("blur", () => leave(chart));
  new ResizeObserver(() => {
    if (!chart.u || !plot.clientWidth || Math.abs(plot.clientWidth - chart.u.width) < 1) return;
    chart.u.setSize({ width: plot.clientWidth, height: HEIGHT });
    tell(chart);
  }).observe(plot);
  return chart;
}

const alike = (one, other) => one?.kind === other.kind && one.rows.length === other.rows.length && one.columns.map((column) => column.label + column.colour).join() === other.columns.map((column) => column.label + column.colour).join();

function show(figure) {
  const plot = figure.querySelector(".plot");
  const table = read(figure);
  const chart = (plot.chart ??= attach(plot));
  charts.add(chart);
  const stays = alike(chart.table, table);
  chart.table = table;
  chart.series = drawn(table);
  plot.setAttribute("aria-label", `${table.title}: a chart; the arrow keys read it point by point`);
  plot.setAttribute("aria-valuemax", table.rows.length - 1);
  const last = table.rows.length - 1;
  const words = table.rows[last].cells.map((cell, n) => `${table.columns[n].label} ${cell.text}`).join(", ");
  if (chart.at === null) {
    plot.setAttribute("aria-valuenow", last);
    plot.setAttribute("aria-valuetext", `${table.rows[last].label}: ${words}`);
  }
  if (chart.series.some((one) => one.values.some(Boolean))) delete plot.dataset.empty;
  else plot.dataset.empty = "Nothing in this time";
  if (stays && chart.u) {
    chart.u.setData(data(table, chart.series));
    tell(chart);
  } else draw(chart);
}

function showAll(root) {
  for (const chart of charts) if (!chart.plot.isConnected) { chart.u?.destroy(); charts.delete(chart); }
  for (const figure of root.querySelectorAll("[data-chart]")) show(figure);
}
always(showAll);
showAll(document);

// Colours and letters

const again = () => { for (const chart of charts) draw(chart); };
document.addEventListener("theme", again);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
document.fonts?.load(font()).then((found) => { if (found.length) again(); });
document.addEventListener("pointerdown", (event) => { for (const chart of charts) if (!chart.plot.contains(event.target)) leave(chart); });
