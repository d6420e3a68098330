// The page's life: ask for the token, read the stream, show what it says. The token is in this module's memory and nowhere
// else.

import { forgetAlarms, showAlarms } from './alarms.js';
import { Charts, COLUMNS, MODELS } from './charts.js';
import { Clock } from './clock.js';
import { by, fill, make, mark, say } from './dom.js';
import { Levers } from './levers.js';
import { span, timeOfDay } from './numbers.js';
import { showClock, showNumbers, showSale } from './panels.js';
import { Rings } from './rings.js';
import { Stream } from './stream.js';

/** Between two looks at the clock. */
const TICK_MS = 200;
/** Seconds over which the page averages what it says in short. */
const RECENT = 10;

const state = { about: null, now: null, charts: null, levers: null, stream: null, link: { live: false, since: null }, span: 600_000 };
let rings = new Rings(COLUMNS);
let clock = new Clock();

/** How much is left, in percent of what there is. */
const left = (free, total) => (free === null || !(total > 0) ? null : (100 * free) / total);

function secondOf(now) {
  const { taps, latency, sale } = now;
  const second = {
    ...(taps ? taps.per_second : {}),
    wonP50: latency.winners.p50_ms, wonP99: latency.winners.p99_ms, lostP50: latency.losers.p50_ms, lostP99: latency.losers.p99_ms,
    left: sale ? left(sale.ledger.free, sale.ledger.total) : null,
  };
  sale?.items.slice(0, MODELS).forEach((item, n) => { second[`left${n}`] = left(item.free, item.total); });
  return second;
}

/** The history in this page's columns; stock is told in pieces, and drawn in percent of what there is now. */
function historyOf(history, now) {
  const totals = now.sale?.items.map(({ total }) => total) ?? [];
  const columns = {
    ...history,
    wonP50: history.won_p50, wonP99: history.won_p99, lostP50: history.lost_p50, lostP99: history.lost_p99,
    left: history.left.map((n) => left(n, now.sale?.ledger.total)),
  };
  history.left_of.forEach((column, n) => { columns[`left${n}`] = column.map((free) => left(free, totals[n])); });
  return columns;
}

/** Averages of the last seconds: of taps that were decided and that were not. */
function recent() {
  const { won, lost, early, away, unknown } = rings.columns;
  const mean = (column) => {
    const known = column.slice(-RECENT).filter((n) => n !== null);
    return known.length > 0 ? known.reduce((sum, n) => sum + n, 0) / known.length : null;
  };
  const means = [won, lost, early, away, unknown].map(mean);
  if (means.includes(null)) return null;
  return { decided: means[0] + means[1] + means[2], undecided: means[3] + means[4], away: means[3], unknown: means[4] };
}

function take(lines) {
  let history = null;
  for (const line of lines) {
    if (line.kind === 'hello') {
      say(by('who'), line.who);
      clock = new Clock();
      clock.read(line.server_time);
      const isOutdated = line.edition !== document.querySelector('meta[name=launchgate-edition]').content;
      by('outdated').hidden = !isOutdated;
      say(by('outdated'), isOutdated ? 'The gateway has another version of this page: reload it before you believe it.' : '');
    } else if (line.kind === 'history') {
      history = line;
    } else if (line.kind === 'sale') {
      if (state.about && state.about.sale !== line.sale) rings = new Rings(COLUMNS);
      state.about = line;
      showSale(line);
      state.charts?.setModels(line.items);
    } else if (line.kind === 'now') {
      state.now = line;
      clock.read(line.server_time);
      if (history) rings.merge(historyOf(history, line));
      history = null;
      rings.push(Date.parse(line.server_time), secondOf(line));
    }
  }
  if (state.now) show();
}

function show() {
  const { about, now } = state;
  const shown = now.sale ? about : null;
  showNumbers(shown, now, recent());
  const faults = showAlarms(now.alarms, about?.sale);
  state.levers.update(shown, now);
  showSales(now.sales);
  const phase = by('phase').textContent;
  say(document.querySelector('title'), `${faults > 0 ? 'FAULT – ' : ''}${phase} – ${shown?.name ?? 'Launchgate'}`);
  draw();
  tick();
  // A gateway that knew no sale knows one now.
  if (!now.sale && now.sales.length > 0) choose(now.sales[0].sale);
}

function draw() {
  const to = clock.now() ?? Date.now();
  state.charts?.draw(rings, to - state.span, to);
}

function tick() {
  if (state.link.live) showClock(state.about, state.now?.sale ?? null, clock.now());
  // Seen, and not said aloud again and again.
  else if (state.link.since) say(by('stale-age'), `(${span(Date.now() - state.link.since)} ago)`);
}

/** This gateway may be dead for good; the others know all that it knew. */
const ELSEWHERE = 'Meanwhile any other gateway’s page tells of the whole fleet: open one.';

function staleText({ since, why }) {
  if (!since) return `Nothing has come yet. ${why ?? ''} It is tried again by itself. ${ELSEWHERE}`;
  return `Stale since ${timeOfDay(since)}: all that stands here is of then. ${why ?? 'No line has come since.'} It goes on by itself. ${ELSEWHERE}`;
}

function showLink(link) {
  if (link.live === state.link.live && link.since === state.link.since && link.why === undefined) return;
  state.link = { ...link, why: link.why ?? (link.live ? undefined : state.link.why) };
  mark(document.body, 'data-link', link.live ? 'live' : 'stale');
  say(by('link'), link.live ? 'live' : 'stale');
  by('stale').hidden = link.live;
  if (!link.live) say(by('stale-text'), staleText(state.link));
}

function showSales(sales) {
  by('sales-label').hidden = sales.length < 2;
  const select = by('sales');
  fill(select, sales, () => make('option'), (option, { sale, name }) => {
    if (option.value !== sale) option.value = sale;
    say(option, name);
  });
  const watched = state.about?.sale ?? '';
  if (select.value !== watched && document.activeElement !== select) select.value = watched;
}

function choose(sale) {
  const url = new URL(location.href);
  url.searchParams.set('sale', sale);
  history.replaceState(null, '', url);
  state.stream.choose(sale);
}

function door(message) {
  state.stream?.stop();
  by('live').hidden = true;
  by('door').hidden = false;
  mark(document.body, 'data-view', 'door');
  forgetAlarms();
  say(by('door-error'), message);
  by('token').focus();
}

/** As every ops token is: no other text can go in a header, so that it could not even be refused. */
const isToken = (text) => /^[\x21-\x7e]+$/.test(text);

async function enter(token) {
  say(by('door-error'), '');
  by('door').hidden = true;
  by('live').hidden = false;
  mark(document.body, 'data-view', 'live');
  mark(document.body, 'data-link', 'stale');
  say(by('link'), 'connecting');
  state.charts ??= await Charts.load(() => Date.parse(state.about?.opens_at));
  state.levers ??= new Levers();
  state.levers.token = token;
  state.stream = new Stream(token, new URL(location.href).searchParams.get('sale'), {
    lines: take,
    state: showLink,
    refused: (error) => {
      // A sale that is not there is not asked for again.
      if (error.status === 404) history.replaceState(null, '', location.pathname);
      door(error.status === 401 ? 'This is none of the ops tokens of this gateway.' : error.message);
    },
  });
  state.stream.start();
}

function setTheme(theme) {
  mark(document.documentElement, 'data-theme', theme);
  say(by('theme'), theme === 'dark' ? 'Light' : 'Dark');
  state.charts?.restyle();
  if (state.now) draw();
}

const prefersDark = matchMedia('(prefers-color-scheme: dark)');
prefersDark.addEventListener('change', () => setTheme(prefersDark.matches ? 'dark' : 'light'));
setTheme(prefersDark.matches ? 'dark' : 'light');

by('door-form').addEventListener('submit', (event) => {
  event.preventDefault();
  const token = by('token').value.trim();
  by('token').value = '';
  if (isToken(token)) enter(token);
  else door('This is none of the ops tokens: they are visible ASCII characters, without blanks. Nothing was sent.');
});
by('theme').addEventListener('click', () => setTheme(document.documentElement.dataset.theme === 'dark' ? 'light' : 'dark'));
// A reload forgets everything that this page knows.
by('leave').addEventListener('click', () => location.reload());
by('sales').addEventListener('change', () => choose(by('sales').value));
by('spans').addEventListener('change', (event) => {
  state.span = Number(event.target.value) * 1000;
  if (state.now) draw();
});
setInterval(tick, TICK_MS);
by('token').focus();
