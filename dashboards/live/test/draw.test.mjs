// Unit tests of what the page says of a draw.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { countOf, drawFacts } from '../js/panels.js';

const opens = Date.parse('2026-11-09T12:00:00Z');
const about = { opens_at: '2026-11-09T12:00:00Z', closes_at: '2026-11-12T00:00:00Z' };
const sale = (draw) => ({ state: 'upcoming', closed: false, paused: false, draw });
const draw = (stage, allocated = 0) => ({ stage, entrants: 12_000, allocated });

test('until the allocation of a draw is over, the countdown says how far it is', () => {
  const shown = (of, seconds) => {
    const { label, number } = countOf(about, sale(of), opens + seconds * 1000);
    return [label, number];
  };
  assert.deepEqual(shown(draw('drawn'), -1), ['opens in', '00:00:01']);
  assert.deepEqual(shown(draw('drawn', 2560), 61), ['allocating; since the opening', '00:01:01']);
  assert.deepEqual(shown(draw('fixed'), 0), ['not drawn; since the opening', '00:00:00']);
  // The clock of the page may be ahead of the gateway's.
  assert.equal(shown(undefined, 1)[0], 'opens in');
});

test('sign-ups and the draw are facts where the sale has them', () => {
  assert.deepEqual(drawFacts({}), []);
  assert.deepEqual(drawFacts({ signed_up: 7 }), [['signed up', 7]]);
  const facts = [['signed up', 12_000], ['draw', 'entrants fixed'], ['entrants', 12_000], ['allocated', 128]];
  assert.deepEqual(drawFacts({ signed_up: 12_000, draw: draw('fixed', 128) }), facts);
});
