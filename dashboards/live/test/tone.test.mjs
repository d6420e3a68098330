// Unit tests of the tone of the page, and of the order of alarms.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toneOf, worstFirst } from '../js/tone.js';

const selling = { won: 20, decided: 300, undecided: 0, isOpenThroughout: true };
const alarm = (level, name) => ({ level, name, sale: null, text: name, gateways: [] });

/** A line of a sale that sells, with changes. */
function line(sale = {}, { alarms = [], sales = 1 } = {}) {
  const ledger = { verdict: 'balanced', total: 200, free: 90, held: 60, confirmed: 50 };
  return {
    alarms, sales: Array.from({ length: sales }, (_, n) => ({ sale: `s${n}`, name: `S ${n}` })),
    sale: sale && { state: 'open', paused: false, frozen: false, closed: false, age_ms: 200, ledger, ...sale },
  };
}

/** Tone, symbol and word, and a `+` if something deserves a look. */
function look(now, { isLive = true, recent = selling } = {}) {
  const { tone, symbol, word, isWarned } = toneOf({ isLive, now, recent });
  return `${tone} ${symbol} ${word}${isWarned ? ' +' : ''}`;
}

test('every state has its tone, and paused, fenced and halted are red without any alarm', () => {
  const tones = ['upcoming', 'open', 'paused', 'sold_out', 'closed', 'fenced', 'halted'].map((state) => look(line({ state })));
  assert.deepEqual(tones, [
    'upcoming upcoming Upcoming', 'open open Open', 'fault paused Paused', 'over over Sold out', 'over over Closed',
    'fault fault Fenced', 'fault fault Halted',
  ]);
});

test('any fault is red in every state, and a warning is a stripe', () => {
  for (const state of ['upcoming', 'open', 'sold_out', 'closed']) {
    const tone = (level) => toneOf({ isLive: true, now: line({ state }, { alarms: [alarm(level, 'x')] }), recent: null });
    assert.deepEqual([tone('fault').tone, tone('fault').isWarned, tone('warning').isWarned], ['fault', false, true], state);
    assert.notEqual(tone('warning').tone, 'fault', state);
  }
  assert.equal(look(line(null, { alarms: [alarm('fault', 'sale-unread')] })), 'fault fault No sale');
});

test('a fault of another sale is a stripe, and one of this sale or of a gateway is red', () => {
  const alarms = (sale) => [{ ...alarm('fault', 'sale-paused'), sale }];
  const tone = (sale, shown) => {
    const { tone: colour, isWarned } = toneOf({ isLive: true, now: line({}, { alarms: alarms(sale), sales: 2 }), shown, recent: selling });
    return `${colour}${isWarned ? ' +' : ''}`;
  };
  assert.deepEqual([tone('s1', 's0'), tone('s0', 's0'), tone(null, 's0'), tone('s1', undefined)], ['open +', 'fault', 'fault', 'fault']);
  assert.equal(toneOf({ isLive: true, now: line(null, { alarms: alarms('s1') }), shown: 's0', recent: null }).tone, 'fault', 'no sale is shown');
});

test('old data are never good, and nothing is known without data', () => {
  assert.equal(look(null), 'unknown unknown Not known');
  assert.equal(look(null, { isLive: false }), 'unknown unknown Not known');
  assert.equal(look(line(null)), 'unknown unknown No sale');
  assert.equal(look(line({ state: 'a state of next year' })), 'unknown unknown Not known');
  for (const state of ['upcoming', 'open', 'paused', 'sold_out', 'closed', 'fenced', 'halted']) {
    assert.equal(look(line({ state }), { isLive: false }), 'fault fault Stale', state);
  }
  // The ledger's refusal is current, its numbers are not.
  for (const state of ['fenced', 'halted']) assert.equal(toneOf({ isLive: true, now: line({ state, age_ms: 60_000 }), recent: null }).isCurrent, false, state);
  assert.equal(look(line({ state: 'halted', age_ms: 60_000 })), 'fault fault Halted');
  assert.equal(look(line({ state: 'paused', age_ms: 60_000 })), 'fault fault Stale');
  assert.deepEqual([3000, 3001].map((age) => look(line({ age_ms: age }))), ['open open Open', 'fault fault Stale']);
  // It does not change any more.
  assert.equal(look(line({ state: 'closed', age_ms: 60_000 })), 'over over Closed');
});

test('without Redis nothing is sold, whatever the last state was', () => {
  const alarms = [alarm('fault', 'snapshot-stale'), alarm('warning', 'not-ready'), alarm('fault', 'redis-unreachable')];
  assert.equal(look(line({ age_ms: 9000 }, { alarms })), 'fault fault Redis gone');
  assert.deepEqual(worstFirst(alarms).map(({ name }) => name), ['redis-unreachable', 'snapshot-stale', 'not-ready']);
  assert.equal(alarms[0].name, 'snapshot-stale', 'the line is unchanged');
});

test('a pause before the opening, a frozen clock and taps of which none wins need a look', () => {
  assert.equal(look(line({ state: 'upcoming', paused: true })), 'upcoming upcoming Upcoming +');
  assert.equal(look(line({ state: 'closed', paused: true })), 'over over Closed');
  assert.equal(look(line({ frozen: true })), 'open open Open +');
  assert.deepEqual(toneOf({ isLive: true, now: line({ state: 'paused', frozen: true }), recent: null }).hints, ['clock frozen'], 'in a fault, too');
  const recent = { won: 0, decided: 40, undecided: 2, isOpenThroughout: true };
  assert.equal(look(line(), { recent }), 'open open Open +');
  assert.equal(look(line(), { recent: null }), 'open open Open');
  // Taps of the seconds before could not win.
  assert.equal(look(line(), { recent: { ...recent, isOpenThroughout: false } }), 'open open Open', 'just opened');
  assert.equal(look(line(), { recent: { ...recent, decided: 0, undecided: 0 } }), 'open open Open', 'a quiet night');
  assert.equal(look(line({}, { sales: 2 }), { recent }), 'open open Open', 'they may be taps of the other sale');
});
