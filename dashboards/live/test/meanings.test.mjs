// Unit tests of what numbers of an action mean: the page and the command line say the same.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { rateMeaning, restockMeaning } from '../js/meanings.js';

const source = (name) => readFileSync(new URL(`../../../gateway/src/domain/${name}.rs`, import.meta.url), 'utf8');

test('a new total means what the command line says', () => {
  const examples = [...source('operator_action').matchAll(/assert_eq!\(restock_meaning\((\d+), (\d+)\), "(.*)"\);/g)];
  assert.equal(examples.length, 3);
  for (const [, was, total, text] of examples) assert.equal(restockMeaning(Number(was), Number(total)), text);
  assert.equal(restockMeaning(60, 5), 'This takes 55 away: the total goes from 60 to 5.');
});

test('a rate means what the command line says, in the unit of its policy', () => {
  const policy = source('policy');
  const [, rate] = /parse_rate\("(\d+:\d+)"\)/.exec(policy);
  const [, expected] = /let text = "(at most .*)";/.exec(policy);
  const sale = { unit: 'reservations', scope: 'of each sale at all gateways together' };
  assert.equal(rateMeaning(sale, rate), expected);
  assert.match(expected, /^at most 2,000 reservations a second, 500 at once, /);
  assert.deepEqual(['off', 'default'].map((text) => rateMeaning(sale, text)), ['no limit', 'as each gateway is configured']);
  assert.notEqual(rateMeaning(sale, '100000000:1'), null);
  for (const wrong of ['', '10', '0:1', '1:0', '01:1', '1:1:1', '1.5:2', '-1:1', '100000001:1', '1:100000001', 'on']) assert.equal(rateMeaning(sale, wrong), null, wrong);
});
