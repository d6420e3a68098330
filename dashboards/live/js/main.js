// Entry point of the page: asks for the token, reads the stream, shows its lines. The token is kept in this module only.

import { forgetAlarms, showAlarms } from './alarms.js';
import { Charts, COLUMNS, MODELS } from './charts.js';
import { Clock } from './clock.js';
import { by, fill, make, mark, setText } from './dom.js';
import { OperatorActions } from './operator-actions.js';
import { span, timeOfDay } from './numbers.js';
import { showClock, showNumbers, showSale, stateOf } from './panels.js';
import { Rings } from './rings.js';
import { Stream } from './stream.js';
import { toneOf } from './tone.js';
import { showWall, showWallClock } from './wall.js';

/** Interval of clock updates. */
const TICK_MS = 200;
/** Seconds that the tiles average. */
const RECENT = 10;

const state = {
  about: null, now: null, tone: toneOf({ isLive: false, now: null, shown: null, recent: null }), charts: null, operatorActions: null, stream: null,
  link: { live: false, since: null }, openSince: null, span: 600_000,
};
let rings = new Rings(COLUMNS);
let clock = new Clock();

/** Free units in percent of the total. */
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

/** The history in this page's columns; stock arrives in units, and is drawn in percent of the present total. */
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

/** Averages of the last seconds: won, decided and undecided taps; and whether the sale was open in all of them. */
function recent() {
  const { won, lost, early, away, unknown } = rings.columns;
  const mean = (column) => {
    const numbers = column.slice(-RECENT).filter((n) => n !== null);
    return numbers.length > 0 ? numbers.reduce((sum, n) => sum + n, 0) / numbers.length : null;
  };
  const means = [won, lost, early, away, unknown].map(mean);
  if (means.includes(null)) return null;
  const [wonRate, lostRate, earlyRate, awayRate, unknownRate] = means;
  const isOpenThroughout = state.openSince !== null && Date.parse(state.now?.server_time) - state.openSince >= RECENT * 1000;
  return {
    won: wonRate, decided: wonRate + lostRate + earlyRate, undecided: awayRate + unknownRate, away: awayRate, unknown: unknownRate, isOpenThroughout,
  };
}

function take(lines) {
  let history = null;
  for (const line of lines) {
    if (line.kind === 'hello') {
      showRole(line);
      // Between two streams it may have been otherwise.
      state.openSince = null;
      clock = new Clock();
      clock.read(line.server_time);
      const isOutdated = line.edition !== document.querySelector('meta[name=launchgate-edition]').content;
      by('outdated').hidden = !isOutdated;
      setText(by('outdated'), isOutdated ? 'The gateway has another version of this page: reload the page.' : '');
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
      if (line.sale?.state !== 'open') state.openSince = null;
      else state.openSince ??= Date.parse(line.server_time);
      if (history) rings.merge(historyOf(history, line));
      history = null;
      rings.push(Date.parse(line.server_time), secondOf(line));
    }
  }
  if (state.now) show();
}

/** The role `watch` has no actions: the gateway refuses them, and the page does not offer them. */
function showRole({ who, role }) {
  const isWatching = role === 'watch';
  setText(by('who'), who);
  for (const element of document.querySelectorAll('.operates')) element.hidden = isWatching;
  by('watching').hidden = !isWatching;
  if (isWatching) state.operatorActions.end();
}

/** The definition, while the gateway has a sale. */
const shownSale = () => (state.now?.sale ? state.about : null);

function showTone() {
  const { now, link } = state;
  const look = toneOf({ isLive: link.live, now, shown: state.about?.sale, recent: recent() });
  state.tone = look;
  mark(document.body, 'data-tone', look.tone);
  mark(document.body, 'data-warned', look.isWarned);
  const word = look.isCurrent && now.sale ? stateOf(now.sale) : look.word;
  setText(by('state'), word);
  setText(document.querySelector('title'), `${look.tone === 'fault' ? 'FAULT – ' : ''}${word} – ${shownSale()?.name ?? 'Launchgate'}`);
  showWall(look, shownSale(), now, link.live ? '' : staleText(link));
}

function show() {
  const { about, now } = state;
  const shown = shownSale();
  showNumbers(shown, now, recent());
  showAlarms(now.alarms, about?.sale);
  state.operatorActions.update(shown, now);
  showSales(now.sales);
  showTone();
  draw();
  tick();
  // The gateway had no sale before.
  if (!now.sale && now.sales.length > 0) choose(now.sales[0].sale);
}

function draw() {
  const to = clock.now() ?? Date.now();
  state.charts?.draw(rings, to - state.span, to);
}

function tick() {
  const { about, now, link, tone } = state;
  if (link.live) showClock(about, now?.sale ?? null, clock.now());
  // Shown, and not announced again.
  else if (link.since) setText(by('stale-age'), `(${span(Date.now() - link.since)} ago)`);
  showWallClock(tone, about, now?.sale ?? null, clock.now(), link.live ? null : link.since);
}

/** This gateway may not come back; the others show the same. */
const ELSEWHERE = 'Meanwhile the page of any other gateway shows the whole fleet.';

function staleText({ since, why }) {
  if (!since) return `No data yet. ${why ?? ''} The page retries by itself. ${ELSEWHERE}`;
  return `Stale since ${timeOfDay(since)}: all numbers are from then. ${why ?? 'No line has arrived since.'} The page retries by itself. ${ELSEWHERE}`;
}

function showLink(link) {
  if (link.live === state.link.live && link.since === state.link.since && link.why === undefined) return;
  state.link = { ...link, why: link.why ?? (link.live ? undefined : state.link.why) };
  mark(document.body, 'data-link', link.live ? 'live' : 'stale');
  setText(by('link'), link.live ? 'live' : 'stale');
  by('stale').hidden = link.live;
  if (!link.live) setText(by('stale-text'), staleText(state.link));
  showTone();
}

function showSales(sales) {
  by('sales-label').hidden = sales.length < 2;
  const select = by('sales');
  fill(select, sales, () => make('option'), (option, { sale, name }) => {
    if (option.value !== sale) option.value = sale;
    setText(option, name);
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

function showSignIn(message) {
  state.stream?.stop();
  state.operatorActions?.end();
  // A later stream must not begin with these numbers.
  Object.assign(state, { now: null, link: { live: false, since: null } });
  by('live').hidden = true;
  by('sign-in').hidden = false;
  mark(document.body, 'data-view', 'sign-in');
  forgetAlarms();
  setText(by('sign-in-error'), message);
  by('token').focus();
}

/** The characters of ops tokens; a header can't carry others. */
const isToken = (text) => /^[\x21-\x7e]+$/.test(text);

async function enter(token) {
  setText(by('sign-in-error'), '');
  by('sign-in').hidden = true;
  by('live').hidden = false;
  mark(document.body, 'data-view', 'live');
  mark(document.body, 'data-link', 'stale');
  setText(by('link'), 'connecting');
  showTone();
  state.charts ??= await Charts.load(() => Date.parse(state.about?.opens_at));
  state.operatorActions ??= new OperatorActions();
  state.operatorActions.token = token;
  state.stream = new Stream(token, new URL(location.href).searchParams.get('sale'), {
    lines: take,
    state: showLink,
    refused: (error) => {
      // A sale that does not exist is not requested again.
      if (error.status === 404) history.replaceState(null, '', location.pathname + location.hash);
      showSignIn(error.status === 401 ? 'This gateway does not have this ops token.' : error.message);
    },
  });
  state.stream.start();
}

function setTheme(theme) {
  mark(document.documentElement, 'data-theme', theme);
  setText(by('theme'), theme === 'dark' ? 'Light' : 'Dark');
  state.charts?.restyle();
  if (state.now) draw();
}

const prefersDark = matchMedia('(prefers-color-scheme: dark)');
prefersDark.addEventListener('change', () => setTheme(prefersDark.matches ? 'dark' : 'light'));
setTheme(prefersDark.matches ? 'dark' : 'light');

by('sign-in-form').addEventListener('submit', (event) => {
  event.preventDefault();
  const token = by('token').value.trim();
  by('token').value = '';
  if (isToken(token)) enter(token);
  else showSignIn('This is not a valid ops token: expected visible ASCII characters without blanks. Nothing was sent.');
});
by('theme').addEventListener('click', () => setTheme(document.documentElement.dataset.theme === 'dark' ? 'light' : 'dark'));
// A reload drops the token and all state.
by('leave').addEventListener('click', () => location.reload());
by('sales').addEventListener('change', () => choose(by('sales').value));
by('spans').addEventListener('change', (event) => {
  state.span = Number(event.target.value) * 1000;
  if (state.now) draw();
});
setInterval(tick, TICK_MS);
by('token').focus();
