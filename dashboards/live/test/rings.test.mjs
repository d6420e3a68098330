// Unit tests of the ring buffers and the number formats of the page.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { clockSpan, count, dayTime, instant, millis, percent, rate, span } from '../js/numbers.js';
import { KEPT, Rings } from '../js/rings.js';

test('a ring keeps an hour, in order, and takes no second twice', () => {
  const rings = new Rings(['won']);
  for (let second = 1; second <= KEPT + 500; second += 1) rings.push(second, { won: second });
  rings.push(5, { won: 0 });
  assert.equal(rings.length, KEPT);
  assert.deepEqual([rings.columns.time[0], rings.columns.won[0], rings.columns.won.at(-1)], [501, 501, KEPT + 500]);
});

test('what another has seen goes around what is here', () => {
  const rings = new Rings(['won', 'lost']);
  rings.merge({ time: [], won: [], lost: [] });
  rings.push(5, { won: 50 });
  rings.push(6, { won: 60, lost: 1 });
  rings.merge({ time: [3, 4, 5, 6, 7], won: [3, 4, 5, 6, null], lost: [0, 0, 0, 0, 9] });
  assert.deepEqual(rings.columns, { time: [3, 4, 5, 6, 7], won: [3, 4, 50, 60, null], lost: [0, 0, null, 1, 9] });
});

test('rounding never shows a false extreme', () => {
  assert.deepEqual([count(21948), count(null), count(-3)], ['21,948', '–', '-3']);
  assert.deepEqual([rate(0), rate(0.25), rate(9.96), rate(412.4)], ['0', '0.3', '10', '412']);
  assert.deepEqual([millis(0.314), millis(12.34), millis(321.4), millis(2500), millis(null)], ['0.31', '12.3', '321', '> 2,500', '–']);
  assert.deepEqual([percent(1, 1), percent(0, 7), percent(9999, 10000), percent(1, 1000000), percent(1, 0)], ['100 %', '0 %', '> 99.9 %', '< 0.1 %', '–']);
  assert.deepEqual([clockSpan(0), clockSpan(61_500), clockSpan(90_061_000), clockSpan(-5)], ['00:00:00', '00:01:01', '1 d 01:01:01', '00:00:00']);
  assert.deepEqual([span(5_000), span(125_000), span(3_700_000), span(90_000_000)], ['5 s', '2 min', '1 h 1 min', '1 d 1 h']);
});

test('a day of another year shows the year', () => {
  const now = new Date(2026, 11, 31, 12).getTime();
  const [today, next] = [new Date(2026, 11, 31, 13, 5, 9).getTime(), new Date(2027, 0, 1, 10, 0, 0).getTime()];
  assert.deepEqual([dayTime(today, now), dayTime(next, now)], ['31 Dec, 13:05:09', '1 Jan 2027, 10:00:00']);
  assert.match(instant(today, now), /^Thu,? 31 Dec, 13:05:09 \S/);
  assert.match(instant(next, now), /^Fri,? 1 Jan 2027, 10:00:00 \S/);
});
