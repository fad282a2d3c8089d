// The charts of the engine's page in the admin. Their figures stand in tables too.

const data = JSON.parse(document.getElementById("engine-charts").textContent);
const still = matchMedia("(prefers-reduced-motion: reduce)");
const dark = matchMedia("(prefers-color-scheme: dark)");
const language = document.documentElement.lang;
const whole = new Intl.NumberFormat(language);
const moment = new Intl.DateTimeFormat(language, {
  timeZone: "UTC",
  ...(data.grain === "day"
    ? { month: "short", day: "numeric" }
    : { hour: "2-digit", minute: "2-digit", hourCycle: "h23" }),
  ...(data.grain === "hour" && data.at.length > 24 ? { month: "short", day: "numeric" } : {}),
});

const UNITS = [
  ["day", 86_400_000],
  ["hour", 3_600_000],
  ["minute", 60_000],
  ["second", 1000],
  ["millisecond", 1],
];

function duration(ms) {
  const [unit, size] = UNITS.find(([, size]) => ms >= size) ?? UNITS.at(-1);
  const shown = { style: "unit", unit, unitDisplay: "narrow", maximumFractionDigits: 1 };
  return new Intl.NumberFormat(language, shown).format(ms / size);
}

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const present = (format) => (value) => (value === null || value === undefined ? "–" : format(value));

function frame(format, extra) {
  const text = colour("--body-quiet-color");
  const line = colour("--border-color");
  const axis = {
    axisLabel: { color: text, hideOverlap: true },
    axisLine: { lineStyle: { color: line } },
    splitLine: { lineStyle: { color: line } },
    axisTick: { show: false },
  };
  return {
    animation: !still.matches,
    aria: { enabled: false },
    textStyle: { fontFamily: getComputedStyle(document.body).fontFamily },
    grid: { left: 8, right: 16, top: 40, bottom: 4, containLabel: true },
    legend: { type: "scroll", top: 0, left: 0, textStyle: { color: text }, pageTextStyle: { color: text } },
    // Drawn on the canvas: a tooltip of HTML would need style attributes, which the page's policy forbids.
    tooltip: {
      trigger: "axis",
      renderMode: "richText",
      confine: true,
      backgroundColor: colour("--body-bg"),
      borderColor: line,
      textStyle: { color: colour("--body-fg") },
      valueFormatter: present(format),
    },
    ...extra(axis),
  };
}

function overTime(format, series) {
  return frame(format, (axis) => ({
    xAxis: { type: "category", data: data.at.map((at) => moment.format(new Date(at))), ...axis },
    yAxis: { type: "value", minInterval: format === duration ? 0 : 1, ...axis, axisLabel: { ...axis.axisLabel, formatter: format } },
    series,
  }));
}

const bar = (name, values, tint) => ({
  name,
  type: "bar",
  stack: "ended",
  data: values,
  barMaxWidth: 24,
  itemStyle: { color: colour(tint) },
});
const line = (name, values, tint) => ({
  name,
  type: "line",
  data: values,
  showSymbol: false,
  connectNulls: true,
  lineStyle: { width: 2, color: colour(tint) },
  itemStyle: { color: colour(tint) },
});

const format = (value) => whole.format(value);

const KINDS = {
  runs: (words) =>
    overTime(format, [
      bar(words.completed, data.completed, "--engine-completed"),
      bar(words.failed, data.failed, "--engine-failed"),
      bar(words.cancelled, data.cancelled, "--engine-cancelled"),
      line(words.created, data.created, "--engine-created"),
    ]),
  steps: (words) =>
    overTime(format, [
      bar(words.completed, data.steps, "--engine-completed"),
      bar(words.failed, data.steps_failed, "--engine-failed"),
    ]),
  durations: (words) =>
    overTime(duration, [
      { ...line(words.median, data.p50, "--engine-median"), showSymbol: true },
      { ...line(words.within, data.p95, "--engine-within"), showSymbol: true },
    ]),
  slow: (words) =>
    frame(duration, (axis) => ({
      xAxis: { type: "value", ...axis, axisLabel: { ...axis.axisLabel, formatter: duration } },
      yAxis: {
        type: "category",
        inverse: true,
        data: data.slow.map(({ name }) => name),
        ...axis,
        axisLabel: { ...axis.axisLabel, width: 150, overflow: "truncate" },
      },
      series: ["p50", "p95"].map((key) => ({
        ...bar(key === "p50" ? words.median : words.within, data.slow.map((step) => step[key]), `--engine-${key === "p50" ? "median" : "within"}`),
        stack: undefined,
        barMaxWidth: 10,
      })),
    })),
};

const charts = [...document.querySelectorAll("[data-engine-chart]")].map((element) => ({
  element,
  chart: window.echarts.init(element, null, { renderer: "canvas" }),
}));

function draw() {
  for (const { element, chart } of charts) {
    chart.setOption(KINDS[element.dataset.engineChart](element.dataset), true);
    element.dataset.drawn = "true";
  }
}

draw();
new MutationObserver(draw).observe(document.documentElement, { attributeFilter: ["data-theme"] });
dark.addEventListener("change", draw);
const sizes = new ResizeObserver(() => charts.forEach(({ chart }) => chart.resize()));
for (const { element } of charts) sizes.observe(element);
