// The charts of the spend page. Their figures stand in tables too, so a chart is a picture with a name.

const data = JSON.parse(document.getElementById("spend-charts").textContent);
const still = matchMedia("(prefers-reduced-motion: reduce)");
const language = document.documentElement.lang;
const money = new Intl.NumberFormat(language, { style: "currency", currency: "USD", maximumSignificantDigits: 4 });
const dayName = new Intl.DateTimeFormat(language, { month: "short", day: "numeric", timeZone: "UTC" });
const LAYERS = 7;

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const palette = () => Array.from({ length: LAYERS }, (_, number) => colour(`--chart-${number + 1}`));

function frame(extra) {
  const text = colour("--ds-muted");
  const line = colour("--ds-border");
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
    color: palette(),
    grid: { left: 8, right: 12, top: 44, bottom: 4, containLabel: true },
    legend: {
      type: "scroll",
      top: 0,
      left: 0,
      textStyle: { color: text },
      pageTextStyle: { color: text },
      pageIconColor: text,
      pageIconInactiveColor: line,
    },
    // Drawn on the canvas: a tooltip of HTML would need style attributes, which the page's policy forbids.
    tooltip: {
      trigger: "axis",
      renderMode: "richText",
      confine: true,
      backgroundColor: colour("--ds-surface"),
      borderColor: line,
      textStyle: { color: colour("--ds-text") },
      valueFormatter: (value) => (value === null || value === undefined ? "–" : money.format(value)),
    },
    yAxis: { type: "value", ...axis, axisLabel: { ...axis.axisLabel, formatter: (value) => money.format(value) } },
    ...extra(axis),
  };
}

function spending() {
  const { days, layers } = data.spending;
  return frame((axis) => ({
    xAxis: { type: "category", data: days.map((day) => dayName.format(new Date(`${day}T00:00:00Z`))), ...axis },
    series: layers.map(({ name, values }) => ({ name, type: "bar", stack: "paid", data: values, barMaxWidth: 28 })),
  }));
}

function pace(words) {
  const { days, now, last, today, end, projected } = data.pace;
  const ahead = days.map((day) => (day === today ? now.at(-1) : day === end ? projected : null));
  return frame((axis) => ({
    xAxis: { type: "category", data: days, ...axis },
    series: [
      { name: words.now, type: "line", data: now, showSymbol: false, lineStyle: { width: 3 }, areaStyle: { opacity: 0.12 } },
      { name: words.last, type: "line", data: last, showSymbol: false, lineStyle: { width: 2 } },
      {
        name: words.projected,
        type: "line",
        data: ahead,
        connectNulls: true,
        showSymbol: false,
        lineStyle: { width: 2, type: "dashed" },
      },
    ],
  }));
}

const KINDS = { spending, pace };
const charts = [...document.querySelectorAll("[data-spend-chart]")].map((element) => ({
  element,
  chart: window.echarts.init(element, null, { renderer: "canvas" }),
}));

function draw() {
  for (const { element, chart } of charts) {
    chart.setOption(KINDS[element.dataset.spendChart](element.dataset), true);
    element.dataset.drawn = "true";
  }
}

draw();
new MutationObserver(draw).observe(document.documentElement, { attributeFilter: ["data-bs-theme"] });
const sizes = new ResizeObserver(() => charts.forEach(({ chart }) => chart.resize()));
for (const { element } of charts) sizes.observe(element);
