// The texts, tables and bars of the page, updated with each line.

import { bar, by, dress, fill, fillKeyed, make, mark, row, setText, share } from './dom.js';
import { clockSpan, count, dayTime, instant, percent, rate, span, timeOfDay, UNKNOWN } from './numbers.js';
import { SALE_STATES } from './tone.js';

/** The sale's definition: name and instants. */
export function showSale(about) {
  setText(by('name'), about.name);
  setText(by('sale-id'), about.sale);
  by('rehearsal').hidden = !about.rehearsal;
  const stores = `${count(about.stores)} store${about.stores === 1 ? '' : 's'} in ${count(about.cities)} cit${about.cities === 1 ? 'y' : 'ies'}`;
  setText(by('stores'), stores);
}

/** A draw is upcoming until its allocation is over. */
const isAllocating = ({ draw, state }, opens, now) => draw !== undefined && state === 'upcoming' && now >= opens;

/** The countdown, or the time since, with the opening and the closing in words. */
export function countOf(about, sale, now) {
  if (!about || !sale || now === null) return { label: '', number: UNKNOWN, instants: '' };
  const [opens, closes] = [Date.parse(about.opens_at), Date.parse(about.closes_at)];
  const [open, close] = [instant(opens, now), dayTime(closes, now)];
  if (sale.closed && now < opens) {
    return { label: 'closed by hand before the opening', number: UNKNOWN, instants: `would have opened ${open}` };
  }
  if (sale.closed) {
    // Only the journal has the time of the close.
    const instants = `opening ${open}; would have closed ${close}`;
    return { label: 'closed by hand; since the opening', number: clockSpan(now - opens), instants };
  }
  if (isAllocating(sale, opens, now)) {
    const label = `${sale.draw.stage === 'drawn' ? 'allocating' : 'not drawn'}; since the opening`;
    return { label, number: clockSpan(now - opens), instants: `opened ${open}; closes ${close}` };
  }
  // A fenced or halted sale may be at any time of its life.
  const isFaulty = sale.state === 'fenced' || sale.state === 'halted';
  if (sale.state === 'upcoming' || (isFaulty && now < opens)) {
    // Rounded up: 0 is the opening itself.
    return { label: 'opens in', number: clockSpan(opens - now + 999), instants: `opens ${open}` };
  }
  if (sale.state === 'closed' || (isFaulty && now >= closes)) {
    return { label: 'closed; was open for', number: clockSpan(closes - opens), instants: `opened ${open}; closed ${close}` };
  }
  const instants = `opened ${open}; closes ${close}`;
  const pausedAt = sale.state === 'paused' ? Date.parse(sale.pause?.at) : NaN;
  if (!Number.isNaN(pausedAt)) return { label: 'paused for', number: clockSpan(now - pausedAt), instants };
  return { label: 'since the opening', number: clockSpan(now - opens), instants };
}

/** The clock and the countdown: at every tick of the page, by the server's clock. */
export function showClock(about, sale, now) {
  setText(by('clock'), now === null ? UNKNOWN : timeOfDay(now));
  const { label, number, instants } = countOf(about, sale, now);
  setText(by('count-label'), label);
  setText(by('count'), number);
  setText(by('opens'), instants);
}

function tile(id, tone, big, note) {
  const article = by(id);
  mark(article, 'data-tone', tone);
  const [, bigText, noteText] = article.children;
  setText(bigText, big);
  setText(noteText, note);
}

/** How long a gone gateway counts as missing after its last report: as long as its alarm. */
const MISSED_MS = 5 * 60_000;
const isCounted = ({ state, report_age_ms: age }) => state !== 'left' && (state !== 'gone' || age < MISSED_MS);

function showTiles(now, recent) {
  const { gateways, sale } = now;
  const live = gateways.filter(isCounted);
  const ready = live.filter(({ state }) => state === 'ready').length;
  if (now.alarms.some(({ name }) => name === 'fleet-unknown') || live.length === 0) {
    tile('tile-up', 'bad', 'Not known', 'no heartbeat of the fleet');
  } else {
    const tone = ready === live.length ? 'good' : ready > 0 ? 'warn' : 'bad';
    const versions = [...new Set(live.map(({ version }) => version))].join(', ');
    tile('tile-up', tone, `${count(ready)} of ${count(live.length)} ready`, `version ${versions}`);
  }
  if (!recent) {
    tile('tile-fair', 'idle', UNKNOWN, 'taps not known');
  } else if (recent.decided + recent.undecided < 0.05) {
    tile('tile-fair', 'idle', 'No taps', 'in the last 10 s');
  } else {
    const isClear = recent.unknown === 0 && recent.decided > recent.undecided;
    tile('tile-fair', isClear ? 'good' : 'warn', percent(recent.decided, recent.decided + recent.undecided),
      `of taps decided; ${rate(recent.away)}/s limited or shed, ${rate(recent.unknown)}/s unknown`);
  }
  const left = sale?.ledger.free ?? null;
  const leftText = sale ? (left === null ? 'no limit' : `${count(left)} of ${count(sale.ledger.total)} left`) : 'no sale';
  const isSelling = now.taps && now.taps.per_second.won > 0;
  const tone = !now.taps ? 'idle' : isSelling ? 'good' : 'idle';
  tile('tile-selling', tone, `${rate(now.taps?.per_second.won)} won/s`, leftText);
  if (!sale) {
    tile('tile-drift', 'idle', UNKNOWN, 'no sale');
    return;
  }
  const { ledger } = sale;
  const verdicts = { balanced: ['good', 'Balanced'], drift: ['bad', 'Drift'], unknown: ['warn', 'Not known'] };
  const [how, word] = verdicts[ledger.verdict];
  const audit = ledger.audit ? `${ledger.audit.balanced ? 'audited' : 'audit failed'} ${timeOfDay(ledger.audit.at)}` : 'no full audit yet';
  tile('tile-drift', how, word, audit);
}

const parts = (item) => [item.confirmed, item.held, item.free].map((n) => (item.total > 0 ? n / item.total : 0));

function showStock(about, sale) {
  const rows = about.items.map((item, at) => ({ ...item, ...sale.items[at] })).filter(({ held }) => held !== undefined);
  fill(
    by('stock').tBodies[0],
    rows,
    () => {
      const line = row(['name', 'bar-column', 'n', 'n', 'n', 'n']);
      line.children[0].append(make('span', 'swatch'), make('span'));
      line.children[1].append(bar(['confirmed', 'held', 'free']));
      return line;
    },
    (line, item, at) => {
      const [name, shares, free, held, confirmed, total] = line.children;
      const isModel = item.item.startsWith('model:');
      dress(line, item.free === 0 ? 'gone' : item.free < 0 ? 'oversold' : '');
      const swatch = isModel && at < 8 ? `var(--model-${at + 1})` : 'transparent';
      if (name.children[0].style.background !== swatch) name.children[0].style.background = swatch;
      const waiting = sale.waiting?.[at] ?? 0;
      setText(name.children[1], waiting > 0 ? `${item.name} (${count(waiting)} wait)` : item.name);
      mark(name, 'title', item.item);
      share(shares.firstChild, parts(item));
      setText(free, item.total === null ? 'no limit' : count(item.free));
      setText(held, count(item.held));
      setText(confirmed, count(item.confirmed));
      setText(total, item.total === null ? UNKNOWN : count(item.total));
    },
  );
}

const DRAW_STAGES = { announced: 'announced', fixed: 'entrants fixed', drawn: 'drawn', allocated: 'allocated' };

/** Sign-ups, and how far the draw is, where the sale has them. */
export function drawFacts({ signed_up: signedUp, draw }) {
  const signups = signedUp === undefined ? [] : [['signed up', signedUp]];
  if (!draw) return signups;
  return [...signups, ['draw', DRAW_STAGES[draw.stage] ?? draw.stage], ['entrants', draw.entrants], ['allocated', draw.allocated]];
}

/** Without a read for this long the state of the ledger is unknown. */
const UNREAD_MS = 1000;

function showLedger(sale) {
  const { ledger } = sale;
  mark(by('ledger'), 'data-verdict', ledger.verdict);
  const off = Math.abs(ledger.drift);
  const words = {
    balanced: 'Balanced: nothing is sold twice, nothing is lost.',
    drift: off === 0 ? 'Drift: Redis’s counters differ from the journal, whose figures are shown here; see the alarms.'
      : `Drift: ${count(off)} model${off === 1 ? '' : 's'} too ${ledger.drift > 0 ? 'many' : 'few'}.`,
    unknown: sale.age_ms > UNREAD_MS ? `Not known: the ledger has not been read for ${span(sale.age_ms)}.` : 'Not known: the sale is fenced or halted.',
  };
  setText(by('verdict'), words[ledger.verdict]);
  const terms = [
    ['total', ledger.total, ''], ['free', ledger.free, '='],
    // Kept for those who wait: only for moments, unless grants are suspended.
    ...(ledger.aside ? [['set aside', ledger.aside, '+']] : []),
    ['held', ledger.held, '+'], ['confirmed', ledger.confirmed, '+'],
  ];
  // With drift no equation is shown, even if the journal's own figures balance.
  const sign = (at, term) => (at === 1 && (ledger.verdict === 'drift' || ledger.drift !== 0) ? '≠' : term);
  fill(
    by('equation'),
    terms,
    () => make('span', 'term', make('i'), make('span', '', make('b'), make('small'))),
    (term, [name, number, before], at) => {
      setText(term.children[0], sign(at, before));
      setText(term.children[1].children[0], number === null ? 'no limit' : count(number));
      setText(term.children[1].children[1], name);
    },
  );
  const line = by('ledger-bar');
  if (!line.firstChild) line.append(bar(['confirmed', 'held', 'free']));
  share(line.firstChild, parts(ledger));
  const { held, confirmed, cancelled, expired } = sale.reservations;
  const facts = [['reservations made', held + confirmed + cancelled + expired], ['cancelled', cancelled], ['expired', expired], ...drawFacts(sale)];
  fill(by('reservations'), facts, () => make('div', '', make('dt'), make('dd')), (pair, [name, number]) => {
    setText(pair.children[0], name);
    setText(pair.children[1], typeof number === 'string' ? number : count(number));
  });
  setText(by('sequence'), `change ${count(sale.sequence)}`);
}

const STATES = {
  ready: ['good', 'ready'], not_ready: ['warn', 'not ready'], draining: ['idle', 'draining'], silent: ['warn', 'silent'],
  gone: ['bad', 'gone'], left: ['idle', 'has left'],
};

/** An address that is broken within its port is read wrongly: it may break before the port, and between groups of IPv6. */
function showAddress(element, text) {
  if (element.textContent === text) return;
  const pieces = text.split(/(?=:\d+$)|(?<=:)(?!\d+$)/);
  element.replaceChildren(...pieces.flatMap((piece, at) => (at === 0 ? [piece] : [make('wbr'), piece])));
}

function showGateways(gateways) {
  fill(
    by('gateways').tBodies[0],
    gateways,
    () => {
      const line = row(['name', 'health', 'n', 'n', 'n']);
      line.children[0].append(make('span'), make('small'));
      line.children[1].append(make('span', 'dot'), make('span'), make('small'));
      return line;
    },
    (line, gateway) => {
      const [name, health, taps, won, up] = line.children;
      const [tone, word] = STATES[gateway.state];
      mark(line, 'data-state', gateway.state);
      showAddress(name.children[0], gateway.listen || gateway.id);
      setText(name.children[1], `${gateway.version}${gateway.here ? ', this one' : ''}`);
      mark(health.children[0], 'data-tone', tone);
      setText(health.children[1], gateway.state === 'ready' && gateway.alarms > 0 ? 'ready, with alarms' : word);
      const isAway = gateway.state === 'gone' || gateway.state === 'silent' || gateway.state === 'left';
      setText(health.children[2], isAway ? `for ${span(gateway.report_age_ms)}` : gateway.why);
      setText(taps, rate(gateway.taps));
      setText(won, rate(gateway.won));
      setText(up, isAway ? UNKNOWN : span(gateway.uptime_ms));
    },
  );
}

const GROUPS = ['won', 'again', 'lost', 'early', 'away', 'unknown', 'wrong'];

function showOutcomes(taps) {
  const rows = taps ? [...taps.outcomes] : [];
  rows.sort((a, b) => GROUPS.indexOf(a.group) - GROUPS.indexOf(b.group) || b.total - a.total);
  by('no-taps').hidden = rows.length > 0;
  setText(by('no-taps'), taps ? 'There were none yet.' : 'Not known: no heartbeat of the fleet.');
  fill(
    by('outcomes').tBodies[0],
    rows,
    () => {
      const line = row(['name', 'n', 'n']);
      line.children[0].append(make('span', 'key'), make('span'));
      return line;
    },
    (line, outcome) => {
      const [name, perSecond, total] = line.children;
      dress(name.children[0], `key ${outcome.group}`);
      setText(name.children[1], outcome.outcome);
      setText(perSecond, rate(outcome.per_second));
      setText(total, count(outcome.total));
    },
  );
}

function showCities(id, cities) {
  fill(
    by(id).tBodies[0],
    cities,
    () => {
      const line = row(['name', 'bar-column', 'n']);
      line.children[1].append(bar(['taken']));
      return line;
    },
    (line, city) => {
      const [name, shares, left] = line.children;
      setText(name, city.city);
      share(shares.firstChild, [(city.slots - city.free) / city.slots]);
      setText(left, `${count(city.free)} of ${count(city.slots)}`);
    },
  );
}

/** Longer lines than this are folded: a reason may have 500 characters. */
const FOLDED = 120;

function journalLine() {
  const more = make('button', 'more');
  more.type = 'button';
  const unfold = (isOpen) => {
    mark(more, 'aria-expanded', String(isOpen));
    setText(more, isOpen ? 'less of it' : 'all of it');
  };
  more.addEventListener('click', () => unfold(more.getAttribute('aria-expanded') !== 'true'));
  unfold(false);
  // The text may be in any script, and must not affect its neighbours.
  return make('li', '', make('time'), make('div', '', make('bdi'), more));
}

function showJournal(lines) {
  fillKeyed(by('journal'), lines, ({ sequence }) => String(sequence), journalLine, (item, line) => {
    const [time, { children: [text, more] }] = item.children;
    const isLong = line.text.length > FOLDED;
    dress(item, [line.ops && 'ops', isLong && 'long'].filter(Boolean).join(' '));
    setText(time, timeOfDay(line.at));
    mark(time, 'datetime', line.at);
    mark(item, 'title', `change ${line.sequence}`);
    setText(text, line.text);
    more.hidden = !isLong;
  });
}

/** The state, with a pause that takes effect only at the opening, when it would be too late to notice, and a frozen clock. */
export function stateOf(sale) {
  const words = [SALE_STATES[sale.state] ?? sale.state];
  if (sale.paused && sale.state === 'upcoming') words.push('paused');
  if (sale.frozen) words.push('clock frozen');
  return words.join(', ');
}

/** Who has paused the sale, since when and why, as far as the journal has it. */
export function pauseOf({ pause, state }) {
  if (!pause || state === 'closed') return '';
  const word = state === 'paused' ? '' : 'paused ';
  const isToday = new Date(pause.at).toDateString() === new Date().toDateString();
  const since = pause.at ? ` since ${isToday ? timeOfDay(pause.at) : dayTime(pause.at, Date.now())}` : '';
  return `${word}by ${pause.by}${since}${pause.reason ? `: ${pause.reason}` : ''}`;
}

/** Rate limits set by operators are easily forgotten, and explain refusals. */
function showLimits(limits) {
  by('limits').hidden = limits.length === 0;
  setText(by('limits'), limits.length === 0 ? '' : `Limits set: ${limits.map(({ policy, rate: set }) => `${policy} ${set}`).join(', ')}`);
}

/** All numbers of a line. `recent` are averages of the last seconds. */
export function showNumbers(about, now, recent) {
  const { sale } = now;
  mark(document.body, 'data-state', sale?.state ?? 'none');
  setText(by('pause'), sale ? pauseOf(sale) : '');
  showLimits(now.limits);
  showTiles(now, recent);
  showGateways(now.gateways);
  showOutcomes(now.taps);
  if (!about || !sale) {
    // The panels of the sale are hidden: they may have the numbers of one that was purged.
    setText(by('name'), 'There is no sale');
    setText(by('sale-id'), '');
    by('rehearsal').hidden = true;
    return;
  }
  showStock(about, sale);
  showLedger(sale);
  showCities('fullest', sale.fullest);
  showCities('emptiest', sale.emptiest);
  showJournal(sale.journal);
}
