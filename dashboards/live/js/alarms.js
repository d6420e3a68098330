// What is wrong, in words. A fault turns the page red at once, and is said aloud to who can't see it.

import { by, dress, fill, make, mark, say } from './dom.js';
import { count } from './numbers.js';

/** Kinds of alarms that were there at the last line: only what is new is said aloud. */
let known = new Set();

const key = (alarm) => `${alarm.name} ${alarm.sale ?? ''}`;

function where(alarm, sale) {
  const parts = [];
  if (alarm.sale && alarm.sale !== sale) parts.push(`sale ${alarm.sale}`);
  if (alarm.gateways.length === 1) parts.push(`told by ${alarm.gateways[0]}`);
  if (alarm.gateways.length > 1) parts.push(`told by ${count(alarm.gateways.length)} gateways`);
  return parts.join(', ');
}

/** Before the first line nothing is known, and least of all that nothing is wrong. */
export function forgetAlarms() {
  known = new Set();
  mark(document.body, 'data-alarm', null);
  say(by('alarms-title'), 'Alarms: nothing is known yet');
  by('alarms-list').replaceChildren();
  say(by('alarms-said'), '');
}

export function showAlarms(alarms, sale) {
  const faults = alarms.filter((alarm) => alarm.level === 'fault').length;
  mark(document.body, 'data-alarm', faults > 0 ? 'fault' : alarms.length > 0 ? 'warning' : 'none');
  const many = (n, word) => `${count(n)} ${word}${n === 1 ? '' : 's'}`;
  const title = [];
  if (faults > 0) title.push(many(faults, 'fault'));
  if (alarms.length > faults) title.push(many(alarms.length - faults, 'warning'));
  say(by('alarms-title'), title.length > 0 ? title.join(', ') : 'No alarms');
  fill(
    by('alarms-list'),
    alarms,
    () => make('li', '', make('b'), make('span'), make('small')),
    (item, alarm) => {
      dress(item, alarm.level);
      mark(item, 'data-name', alarm.name);
      const [word, text, note] = item.children;
      say(word, alarm.level === 'fault' ? 'Fault' : 'Warning');
      say(text, alarm.text);
      say(note, where(alarm, sale));
    },
  );
  const fresh = alarms.filter((alarm) => !known.has(key(alarm)));
  known = new Set(alarms.map(key));
  if (fresh.length > 0) say(by('alarms-said'), fresh.map((alarm) => alarm.text).join(' '));
  if (alarms.length === 0) say(by('alarms-said'), '');
  return faults;
}
