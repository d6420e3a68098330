// The wall view: the state of the sale on the first screen, to be read from five metres. `#wall` in the address opens it.

import { bar, by, mark, setText, share } from './dom.js';
import { clockSpan, count, rate, timeOfDay, UNKNOWN } from './numbers.js';
import { countOf, pauseOf } from './panels.js';
import { worstFirst } from './tone.js';

/** The taken share: confirmed and held. */
const line = bar(['confirmed', 'held']);

/** Shows the view that the address asks for. */
export function showView() {
  const isWall = location.hash === '#wall';
  mark(document.body, 'data-wall', isWall);
  by('wall').hidden = !isWall;
}

/** A text as large as its place is wide: the style sheet works out the size from the number of letters. */
function setBig(element, text) {
  setText(element, text);
  const { style } = element.parentElement;
  const letters = String(Math.max(4, text.length));
  if (style.getPropertyValue('--letters') !== letters) style.setProperty('--letters', letters);
}

/** The worst alarm in a line, with its sale if that is not the one that is shown. */
function alarmOf(now, shown, stale) {
  if (stale) return ['fault', stale];
  if (!now) return ['none', ''];
  const [worst, ...more] = worstFirst(now.alarms);
  if (!worst) return ['none', 'No alarms'];
  const of = worst.sale && worst.sale !== shown ? `Sale ${worst.sale}: ` : '';
  return [worst.level, `${of}${worst.text}${more.length > 0 ? ` (and ${count(more.length)} more)` : ''}`];
}

/** Everything but the clocks. `stale`: why the numbers are old, if they are. */
export function showWall(look, about, now, stale) {
  const sale = look.isCurrent ? now.sale : null;
  setText(by('wall-name'), about?.name ?? 'Launchgate');
  by('wall-rehearsal').hidden = !about?.rehearsal;
  mark(by('wall-symbol'), 'data-symbol', look.symbol);
  setBig(by('wall-word'), look.word);
  setText(by('wall-note'), [sale ? pauseOf(sale) : '', ...look.hints].filter(Boolean).join('; '));
  const { held, confirmed, total } = sale?.ledger ?? { held: null, confirmed: null, total: null };
  const taken = sale ? held + confirmed : null;
  setBig(by('wall-taken'), total === null ? count(taken) : `${count(taken)} / ${count(total)}`);
  share(line, total > 0 ? [confirmed / total, held / total] : [0, 0]);
  setBig(by('wall-won'), look.isCurrent ? rate(now?.taps?.per_second.won) : UNKNOWN);
  setText(by('wall-won-label'), (now?.sales.length ?? 0) > 1 ? 'won a second, all sales' : 'won a second');
  const [level, text] = alarmOf(now, about?.sale, stale);
  mark(by('wall-alarm'), 'data-level', level);
  setText(by('wall-alarm'), text);
}

/** The clocks, at every tick: the server's, and the countdown or since when the numbers are old. */
export function showWallClock(look, about, sale, now, staleSince) {
  if (staleSince) {
    setText(by('wall-count-label'), 'no numbers for');
    setBig(by('wall-count'), clockSpan(Date.now() - staleSince));
    return;
  }
  setText(by('wall-clock'), now === null ? UNKNOWN : timeOfDay(now));
  const isOld = sale && !look.isCurrent;
  const { label, number } = isOld ? { label: 'not read for', number: clockSpan(sale.age_ms) } : countOf(about, sale, now);
  setText(by('wall-count-label'), label);
  setBig(by('wall-count'), number);
}

by('wall-bar').append(line);
addEventListener('hashchange', showView);
showView();
