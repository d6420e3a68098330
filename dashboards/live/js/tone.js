// Decides the tone of the page, for the wall view and the normal one: the colour, the symbol and the word that are true at a
// glance. Old data are never good, and without data nothing is known.

/** The states of a sale. */
export const SALE_STATES = {
  upcoming: 'Upcoming', open: 'Open', paused: 'Paused', sold_out: 'Sold out', closed: 'Closed', fenced: 'Fenced', halted: 'Halted',
};

/** The tone of each state, if there is no fault. */
const TONES = { upcoming: 'upcoming', open: 'open', paused: 'fault', sold_out: 'over', closed: 'over', fenced: 'fault', halted: 'fault' };

/** Older numbers of a ledger are not current. */
const READ_MS_MAX = 3000;

/** From so many taps a second on, it is a finding that none wins. */
const TAPS_MIN = 1;

/** Redis can't be reached: nothing is sold, whatever the last state was. */
const isRedisGone = (alarm) => alarm.name === 'redis-unreachable';

/** The alarms in the order of their weight: Redis, faults, warnings. */
export function worstFirst(alarms) {
  const weight = (alarm) => (isRedisGone(alarm) ? 0 : alarm.level === 'fault' ? 1 : 2);
  return alarms.toSorted((a, b) => weight(a) - weight(b));
}

/**
 * Taps arrive, there is stock, and for seconds none has won. Rates are of all sales, so this can be said of a single one;
 * and they are of the last seconds, in all of which it must have been open.
 */
function isStuck({ sale, sales }, recent) {
  return sale.state === 'open' && sales.length === 1 && sale.ledger.free !== 0
    && recent !== null && recent.isOpenThroughout && recent.won === 0 && recent.decided + recent.undecided >= TAPS_MIN;
}

/** What deserves a look although no alarm says so, besides a pause. */
function hintsOf(now, recent) {
  const hints = [];
  if (now.sale.frozen) hints.push('clock frozen');
  if (isStuck(now, recent)) hints.push('taps arrive and none wins');
  return hints;
}

/**
 * The tone: `unknown`, `upcoming`, `open`, `over` or `fault`; the symbol and the word that say the same without a colour;
 * whether something deserves a look, with hints in words; and whether the numbers are current.
 * @param isLive whether the stream is
 * @param now its last line, null before the first
 * @param shown the sale of the page, if known: a fault of another one deserves a look, and does not change the tone
 * @param recent rates of taps over the last seconds, and whether the sale was open in all of them; null if unknown
 */
export function toneOf({ isLive, now, shown, recent }) {
  const fault = (word, isCurrent, symbol = 'fault', hints = []) => ({ tone: 'fault', symbol, word, isWarned: false, hints, isCurrent });
  const unknown = (word, isCurrent) => ({ tone: 'unknown', symbol: 'unknown', word, isWarned: false, hints: [], isCurrent });
  if (!now) return unknown('Not known', false);
  if (!isLive) return fault('Stale', false);
  const { sale, alarms } = now;
  if (alarms.some(isRedisGone)) return fault('Redis gone', false);
  const isOfAnother = (alarm) => Boolean(sale && shown && alarm.sale && alarm.sale !== shown);
  const hasFault = alarms.some((alarm) => alarm.level === 'fault' && !isOfAnother(alarm));
  if (!sale) return hasFault ? fault('No sale', true) : unknown('No sale', true);
  const tone = TONES[sale.state];
  // A later gateway may have states that this page does not have.
  if (!tone) return hasFault ? fault('Not known', true) : unknown('Not known', true);
  const isOld = sale.age_ms > READ_MS_MAX && sale.state !== 'closed';
  // That the ledger refuses the sale is current even if its numbers are not.
  if (isOld && sale.state !== 'fenced' && sale.state !== 'halted') return fault('Stale', false);
  const word = SALE_STATES[sale.state];
  const hints = isOld ? [] : hintsOf(now, recent);
  if (hasFault || tone === 'fault') return fault(word, !isOld, sale.state === 'paused' ? 'paused' : 'fault', hints);
  const isPaused = sale.state === 'upcoming' && sale.paused;
  return { tone, symbol: tone, word, isWarned: isPaused || alarms.length > 0 || hints.length > 0, hints, isCurrent: true };
}
