// What the numbers of an action mean, before it is applied: in the words of the command line.

import { count } from './numbers.js';

/** The highest rate or burst. */
const UNITS_MAX = 100_000_000;

/** What a new total of an item changes. */
export function restockMeaning(was, total) {
  const [from, to, by] = [was, total, Math.abs(total - was)].map(count);
  if (total < was) return `This takes ${by} away: the total goes from ${from} to ${to}.`;
  if (total > was) return `This adds ${by}: the total goes from ${from} to ${to}.`;
  return `This changes nothing: the total is ${from} already.`;
}

/** What a rate of a policy allows: `RATE:BURST`, `off` or `default`; null if it is none of these. */
export function rateMeaning({ unit, scope }, text) {
  if (text === 'off') return 'no limit';
  if (text === 'default') return 'as each gateway is configured';
  const numbers = /^([1-9]\d*):([1-9]\d*)$/.exec(text)?.slice(1).map(Number);
  if (!numbers || Math.max(...numbers) > UNITS_MAX) return null;
  const [rate, burst] = numbers.map(count);
  return `at most ${rate} ${unit} a second, ${burst} at once, ${scope}`;
}
