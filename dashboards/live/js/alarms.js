// The alarms, the worst first. Screen readers announce new ones.

import { by, dress, fill, make, mark, setText } from './dom.js';
import { count } from './numbers.js';
import { worstFirst } from './tone.js';

/** Kinds of alarms at the last line: only new ones are announced. */
let announced = new Set();

const key = (alarm) => `${alarm.name} ${alarm.sale ?? ''}`;

function where(alarm, sale) {
  const parts = [];
  if (alarm.sale && alarm.sale !== sale) parts.push(`sale ${alarm.sale}`);
  if (alarm.gateways.length === 1) parts.push(`from ${alarm.gateways[0]}`);
  if (alarm.gateways.length > 1) parts.push(`from ${count(alarm.gateways.length)} gateways`);
  return parts.join(', ');
}

/** Before the first line the state is unknown, which is not the same as no alarms. */
export function forgetAlarms() {
  announced = new Set();
  mark(document.body, 'data-alarm', null);
  setText(by('alarms-title'), 'Alarms: not known yet');
  by('alarms-list').replaceChildren();
  setText(by('alarms-announced'), '');
}

export function showAlarms(alarms, sale) {
  const faults = alarms.filter((alarm) => alarm.level === 'fault').length;
  mark(document.body, 'data-alarm', faults > 0 ? 'fault' : alarms.length > 0 ? 'warning' : 'none');
  const many = (n, word) => `${count(n)} ${word}${n === 1 ? '' : 's'}`;
  const title = [];
  if (faults > 0) title.push(many(faults, 'fault'));
  if (alarms.length > faults) title.push(many(alarms.length - faults, 'warning'));
  setText(by('alarms-title'), title.length > 0 ? title.join(', ') : 'No alarms');
  fill(
    by('alarms-list'),
    worstFirst(alarms),
    () => make('li', '', make('b'), make('span'), make('small')),
    (item, alarm) => {
      dress(item, alarm.level);
      mark(item, 'data-name', alarm.name);
      const [word, text, note] = item.children;
      setText(word, alarm.level === 'fault' ? 'Fault' : 'Warning');
      setText(text, alarm.text);
      setText(note, where(alarm, sale));
    },
  );
  const fresh = alarms.filter((alarm) => !announced.has(key(alarm)));
  announced = new Set(alarms.map(key));
  if (fresh.length > 0) setText(by('alarms-announced'), fresh.map((alarm) => alarm.text).join(' '));
  if (alarms.length === 0) setText(by('alarms-announced'), '');
}
