// Draws the charts of a report with uPlot, each below the heading that has its title.
'use strict';

/**
 * By title: what the y axis shows, the `unit` of its values, their `scale` ("linear", "log", "asinh", which is a log with a zero, or
 * "mirrored", whose negative values are counts, too); `x` in seconds after the opening (mirrored: in ms); `marks`, upright lines at
 * an x with a text; `series`, each with a `label`, a `colour`, a `style` of those below, and `values` beside each x, null where
 * nothing is known.
 */
const CHARTS = JSON.parse(document.getElementById('charts').textContent);
const PHONE = 500;
const STYLES = {
  area: (hue) => ({ stroke: hue, fill: `${hue}55`, width: 1, paths: uPlot.paths.stepped({ align: 1 }) }),
  steps: (hue) => ({ stroke: hue, width: 2, paths: uPlot.paths.stepped({ align: 1 }) }),
  line: (hue) => ({ stroke: hue, width: 2.5 }),
  dashed: (hue) => ({ stroke: hue, width: 1.25, dash: [5, 3] }),
};
/** From which to which value a scale is drawn; those that are not here are uPlot's own. */
const RANGES = {
  linear: (_, least, most) => [Math.min(0, least), Math.max(1, most * 1.05)],
  mirrored: (_, least, most) => [Math.min(-5, least * 1.1), Math.max(5, most * 1.1)],
  asinh: (_, least, most) => [0, 10 ** Math.ceil(Math.log10(Math.max(10, most)))],
};

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

/** The unit that suits the length of time: how many of the chart's there are in it, and its name. */
function unitOf({ scale, x }) {
  const length = x.at(-1) - x[0];
  if (scale === 'mirrored') return [1, 'milliseconds'];
  return length <= 300 ? [1, 'seconds'] : length <= 3 * 3600 ? [60, 'minutes'] : [3600, 'hours'];
}

/** Draws upright lines; of two, the first has its text on its left. */
function drawMarks(plot, marks) {
  const { ctx, bbox } = plot;
  const pixels = devicePixelRatio;
  ctx.save();
  ctx.strokeStyle = ctx.fillStyle = colour('text');
  ctx.lineWidth = pixels;
  ctx.font = `${12 * pixels}px system-ui, sans-serif`;
  marks.forEach(([at, text], n) => {
    const x = Math.round(plot.valToPos(at, 'x', true));
    if (x < bbox.left || x > bbox.left + bbox.width) return;
    const isLeft = n < marks.length - 1 || x > bbox.left + bbox.width * 0.8;
    ctx.setLineDash([4 * pixels, 4 * pixels]);
    ctx.beginPath();
    ctx.moveTo(x, bbox.top - 12 * pixels);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    ctx.textAlign = isLeft ? 'right' : 'left';
    ctx.fillText(text, x + (isLeft ? -5 : 5) * pixels, bbox.top - 5 * pixels);
  });
  ctx.restore();
}

function draw(chart, figure) {
  const { scale, unit, series } = chart;
  const [seconds, word] = unitOf(chart);
  const write = (value, rest = '') => {
    if (value === null || value === undefined) return '';
    const size = Math.abs(value);
    const digits = { maximumFractionDigits: size < 10 ? 2 : size < 100 ? 1 : 0 };
    return value.toLocaleString('en', digits) + rest;
  };
  const writeValue = (value, rest) => write(scale === 'mirrored' && value !== null ? Math.abs(value) : value, rest);
  const axis = {
    stroke: colour('text'), font: '12px system-ui, sans-serif', labelFont: '12px system-ui, sans-serif',
    grid: { stroke: colour('line'), width: 1 }, ticks: { stroke: colour('line'), width: 1, size: 5 },
  };
  // Below 0 is nothing, and a logarithmic scale has lines where it has numbers only.
  const visible = (plot, at) => at.map((n) => (n < plot.scales.y.min ? null : n));
  const filter = (plot, at, n, ...rest) => visible(plot, plot.axes[n].filter(plot, at, n, ...rest));
  const isAlone = (values, n) => values[n] !== null && (values[n - 1] ?? null) === null && (values[n + 1] ?? null) === null;
  const points = { show: true, size: 7, filter: (plot, n) => plot.data[n].flatMap((_, at, all) => (isAlone(all, at) ? [at] : [])) };
  const fillOf = (plot, n) => (plot.series[n].dash ? 'transparent' : colour(series[n - 1].colour));
  return new uPlot({
    width: figure.clientWidth,
    height: figure.clientWidth < PHONE ? 240 : 300,
    padding: [20, 12, 0, 0],
    cursor: { y: false },
    legend: { markers: { dash: (plot, n) => (plot.series[n].dash ? 'dashed' : 'solid'), fill: fillOf } },
    scales: {
      x: { time: false, range: (_, from, to) => (from < to ? [from, to] : [from - 1, to + 1]) },
      y: { distr: { log: 3, asinh: 4 }[scale] ?? 1, range: RANGES[scale] },
    },
    axes: [
      { ...axis, label: `${word} after the opening`, size: 32, labelSize: 20, space: 60, values: (_, at) => at.map((n) => write(n)) },
      {
        ...axis, grid: { ...axis.grid, filter }, ticks: { ...axis.ticks, filter }, size: 56,
        values: (plot, at) => visible(plot, at).map((n) => writeValue(n)),
      },
    ],
    series: [
      { label: 'at the cursor:', value: (_, at) => write(at, ` ${word}`) },
      ...series.map(({ label, style, colour: hue }) => ({
        label, value: (_, at) => writeValue(at, unit), points: { ...points, fill: colour(style === 'dashed' ? 'ground' : hue) }, ...STYLES[style](colour(hue)),
      })),
    ],
    hooks: { draw: [(plot) => drawMarks(plot, chart.marks.map(([at, text]) => [at / seconds, text]))] },
  }, [chart.x.map((at) => at / seconds), ...series.map(({ values }) => values)], figure);
}

const drawn = Object.entries(CHARTS).map(([title, chart]) => {
  const heading = [...document.querySelectorAll('h2')].find(({ textContent }) => textContent === title);
  const figure = document.createElement('figure');
  const caption = document.createElement('figcaption');
  caption.textContent = typeof uPlot === 'undefined'
    ? 'Built without charts: run npm ci --omit=dev in dashboards/live, and build loadtest again.' : chart.y;
  figure.append(caption);
  heading.after(figure);
  return { chart, figure, plot: null };
});

/** Anew, when the width or the colours have changed. */
function drawAll() {
  if (typeof uPlot === 'undefined') return;
  for (const each of drawn) {
    each.plot?.destroy();
    each.plot = draw(each.chart, each.figure);
  }
}

/** Paper is light. */
function print(isPrinted) {
  document.documentElement.classList.toggle('printed', isPrinted);
  drawAll();
}

drawAll();
addEventListener('resize', drawAll);
addEventListener('beforeprint', () => print(true));
addEventListener('afterprint', () => print(false));
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', drawAll);
