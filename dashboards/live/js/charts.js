// The charts, drawn by uPlot. A gateway built without it has none: the tables have the same numbers, and the page shows
// how to add them.

import { by, make, setText } from './dom.js';
import { millis, rate, UNKNOWN } from './numbers.js';

/** Models that have a line of their own. */
export const MODELS = 8;

const DECADES = [0.1, 1, 10, 100, 1000, 10000];

const percentOf = (n) => (n === null ? UNKNOWN : `${n.toFixed(n < 10 ? 1 : 0)} %`);

/** What each chart shows: names of columns, labels, colours (of style.css), dashes, whether filled; what matters most is drawn last. */
const KINDS = {
  taps: {
    series: [
      ['unknown', 'unknown', '--unknown'], ['away', 'limited or shed', '--away'], ['early', 'too early', '--early'],
      ['lost', 'refused', '--lost', null, true], ['won', 'won', '--won', null, true],
    ],
    write: rate, axis: (n) => (n >= 1000 ? `${n / 1000}k` : String(n)), least: 5,
  },
  latency: {
    series: [
      ['lostP99', 'others p99', '--lost'], ['lostP50', 'others p50', '--lost', [4, 4]],
      ['wonP99', 'won p99', '--won'], ['wonP50', 'won p50', '--won', [4, 4]],
    ],
    write: millis, axis: (n) => String(n), isLog: true,
  },
  stock: { series: [['left', 'all models', '--ink', null, false]], write: percentOf, axis: (n) => String(n), most: 100 },
};

const MODEL_COLOURS = Array.from({ length: MODELS }, (_, n) => `--model-${n + 1}`);

/** The columns that the rings must have. */
export const COLUMNS = [
  'won', 'lost', 'early', 'away', 'unknown', 'wonP50', 'wonP99', 'lostP50', 'lostP99', 'left',
  ...Array.from({ length: MODELS }, (_, n) => `left${n}`),
];

const colour = (name) => getComputedStyle(document.body).getPropertyValue(name).trim();

/** Draws the opening as an upright line. */
function opening(t0) {
  return {
    hooks: {
      draw: (plot) => {
        const at = t0() / 1000;
        const { min, max } = plot.scales.x;
        if (!(at >= min && at <= max)) return;
        const { ctx, bbox } = plot;
        const x = Math.round(plot.valToPos(at, 'x', true));
        const pixels = devicePixelRatio;
        ctx.save();
        ctx.strokeStyle = ctx.fillStyle = colour('--t0');
        ctx.lineWidth = 1.5 * pixels;
        ctx.setLineDash([5 * pixels, 4 * pixels]);
        ctx.beginPath();
        ctx.moveTo(x, bbox.top);
        ctx.lineTo(x, bbox.top + bbox.height);
        ctx.stroke();
        ctx.font = `600 ${11 * pixels}px ${getComputedStyle(document.body).fontFamily}`;
        const isRight = x > bbox.left + bbox.width * 0.85;
        ctx.textAlign = isRight ? 'right' : 'left';
        ctx.fillText('T0', x + (isRight ? -1 : 1) * pixels, bbox.top - 4 * pixels);
        ctx.restore();
      },
    },
  };
}

class Chart {
  #kind;
  #box;
  #uPlot;
  #t0;
  #plot = null;
  #legend;
  #values = [];

  constructor(uPlot, id, kind, t0) {
    this.#uPlot = uPlot;
    this.#kind = kind;
    this.#t0 = t0;
    this.#box = by(id);
    // Its legend and the tables have the same content.
    this.#box.setAttribute('role', 'img');
    this.#box.setAttribute('aria-labelledby', `${id}-title`);
    this.#legend = make('ul', 'legend');
    this.#box.parentElement.querySelector('.head').append(this.#legend);
    this.build();
    new ResizeObserver(() => this.#fit()).observe(this.#box);
  }

  /** Anew, when colours or lines have changed. */
  build(series = this.#kind.series) {
    this.#kind = { ...this.#kind, series };
    const { axis, isLog, most, least } = this.#kind;
    this.#plot?.destroy();
    const ink = colour('--quiet');
    const grid = { stroke: colour('--line'), width: 1 };
    const font = `${getComputedStyle(this.#box).fontSize} ${getComputedStyle(document.body).fontFamily}`;
    const top = (max) => most ?? Math.max(least ?? 1, max * 1.08);
    const yRange = isLog ? (_, min, max) => [0.1, Math.max(100, 10 ** Math.ceil(Math.log10(Math.max(max ?? 1, 1))))]
      : (_, __, max) => [0, top(max ?? 0)];
    this.#plot = new this.#uPlot({
      ...this.#size(),
      padding: [18, 10, 0, 0],
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
      scales: { x: { time: true, range: (_, min, max) => [min, max] }, y: { distr: isLog ? 3 : 1, range: yRange } },
      axes: [
        {
          stroke: ink, grid: { show: false }, ticks: { show: false }, font, size: 24, gap: 2, space: 70,
          values: (_, at, __, ___, step) => at.map((second) => this.#time(second, step)),
        },
        {
          stroke: ink, grid, ticks: { show: false }, font, size: 44, gap: 4, space: 28,
          splits: isLog ? (_, __, min, max) => DECADES.filter((n) => n >= min && n <= max) : undefined,
          filter: (_, at) => at,
          values: (_, at) => at.map((n) => axis(n)),
        },
      ],
      series: [{}, ...series.map(([, label, name, dash, isFilled]) => ({
        label, stroke: colour(name), fill: isFilled ? `${colour(name)}24` : undefined, width: dash ? 1.25 : 2, dash: dash ?? undefined,
        points: { show: false }, spanGaps: false,
      }))],
      hooks: { setCursor: [() => this.#showResult()] },
      plugins: [opening(this.#t0)],
    }, this.#plot?.data ?? [[], ...series.map(() => [])], this.#box);
    // Models are in the table of the stock, with their colours.
    this.#values = series.map(([column, label, name, dash]) => {
      const key = make('span', dash ? 'key dashed' : 'key');
      key.style.setProperty('--key', `var(${name})`);
      return /^left\d/.test(column) ? null : make('li', '', key, `${label} `, make('b'));
    });
    this.#legend.replaceChildren(...this.#values.filter(Boolean).reverse());
  }

  #time = (at, step) => new Date(at * 1000).toLocaleTimeString('en-GB', step < 60 ? {} : { hour: '2-digit', minute: '2-digit' });

  #size() {
    return { width: Math.max(120, this.#box.clientWidth), height: Math.max(80, this.#box.clientHeight) };
  }

  #fit() {
    const { width, height } = this.#size();
    if (this.#plot && (this.#plot.width !== width || this.#plot.height !== height)) this.#plot.setSize({ width, height });
  }

  draw(rings, from, to) {
    const { columns } = rings;
    let first = columns.time.findIndex((at) => at >= from);
    if (first < 0) first = columns.time.length;
    const time = columns.time.slice(first).map((at) => at / 1000);
    const data = [time, ...this.#kind.series.map(([name]) => columns[name].slice(first))];
    this.#plot.batch(() => {
      this.#plot.setData(data, false);
      this.#plot.setScale('x', { min: from / 1000, max: to / 1000 });
    });
    this.#box.dataset.points = String(rings.length);
    this.#showResult();
  }

  /** The numbers where the pointer is, or the latest. */
  #showResult() {
    const { data, cursor } = this.#plot;
    const at = cursor.idx ?? data[0].length - 1;
    this.#values.forEach((item, n) => {
      if (item) setText(item.lastElementChild, this.#kind.write(data[n + 1]?.[at] ?? null));
    });
  }
}

export class Charts {
  #charts = null;
  #models = '';

  /** @param t0 returns the opening, in ms */
  static async load(t0) {
    const charts = new Charts();
    const uPlot = (await import('./uplot.js')).default;
    if (uPlot) {
      charts.#charts = Object.entries(KINDS).map(([name, kind]) => [name, new Chart(uPlot, `chart-${name}`, kind, t0)]);
    } else {
      for (const name of Object.keys(KINDS)) {
        by(`chart-${name}`).replaceChildren(make('p', 'missing',
          'This gateway was built without charts. Run ', make('code', '', 'npm ci --omit=dev'), ' in ', make('code', '', 'dashboards/live'),
          ' and build it again. The numbers stand below.'));
      }
    }
    return charts;
  }

  /** Gives each of the first models a line. */
  setModels(items) {
    const models = items.filter(({ item }) => item.startsWith('model:')).slice(0, MODELS);
    const names = models.map(({ name }) => name).join('\n');
    if (names === this.#models) return;
    this.#models = names;
    this.#of('stock')?.build([...models.map(({ name }, n) => [`left${n}`, name, MODEL_COLOURS[n]]), ...KINDS.stock.series]);
  }

  /** Colours have changed. */
  restyle() {
    this.#charts?.forEach(([, chart]) => chart.build());
  }

  draw(rings, from, to) {
    this.#charts?.forEach(([, chart]) => chart.draw(rings, from, to));
  }

  #of(name) {
    return this.#charts?.find(([kind]) => kind === name)?.[1];
  }
}
