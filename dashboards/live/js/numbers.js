// Formats numbers and times. An unknown value is a dash, never 0.

export const UNKNOWN = '–';

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const one = new Intl.NumberFormat('en', { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const clockTime = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });
const DAY_AND_TIME = { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit', second: '2-digit' };

const isNumber = (n) => typeof n === 'number' && Number.isFinite(n);

/** 21948 → 21,948 */
export const count = (n) => (isNumber(n) ? whole.format(n) : UNKNOWN);

/** A rate: whole from 10 on, with one digit below. */
export function rate(n) {
  if (!isNumber(n)) return UNKNOWN;
  return n >= 9.95 || n === 0 ? whole.format(n) : one.format(n);
}

/** Milliseconds with few digits. Beyond the last bound of the buckets the value is a lower bound. */
export function millis(n) {
  if (!isNumber(n)) return UNKNOWN;
  if (n >= 2500) return '> 2,500';
  return n >= 99.95 ? whole.format(n) : n >= 9.95 ? one.format(n) : n.toFixed(2);
}

/** A share in percent: 100 % only if it is all, 0 % only if it is nothing. */
export function percent(part, all) {
  if (!isNumber(part) || !isNumber(all) || all <= 0) return UNKNOWN;
  const share = (part / all) * 100;
  if (share > 99.9 && share < 100) return '> 99.9 %';
  if (share > 0 && share < 0.1) return '< 0.1 %';
  return `${share === 100 || share === 0 ? share : one.format(share)} %`;
}

const two = (n) => String(n).padStart(2, '0');

/** A span of time as a clock shows it: 1 d 02:03:04. */
export function clockSpan(ms) {
  const seconds = Math.floor(Math.max(0, ms) / 1000);
  const days = Math.floor(seconds / 86400);
  const text = `${two(Math.floor(seconds / 3600) % 24)}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
  return days > 0 ? `${days} d ${text}` : text;
}

/** A span of time in its two largest units: 3 d 4 h, 12 min, 5 s. */
export function span(ms) {
  if (!isNumber(ms)) return UNKNOWN;
  const seconds = Math.floor(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  const hours = Math.floor(seconds / 3600);
  if (hours < 24) return `${hours} h ${Math.floor(seconds / 60) % 60} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** An instant (ms or text) as this screen's clock shows it. */
export const timeOfDay = (at) => clockTime.format(new Date(at));

/** Cached for each set of options: it is used five times a second. */
const formats = new Map();
function written(at, now, more) {
  const [date, today] = [new Date(at), new Date(now)];
  // The year is shown only if it is not the current one.
  const isOther = date.getFullYear() !== today.getFullYear();
  const name = `${Object.keys(more)} ${isOther}`;
  if (!formats.has(name)) {
    formats.set(name, new Intl.DateTimeFormat('en-GB', { ...DAY_AND_TIME, ...more, ...(isOther ? { year: 'numeric' } : {}) }));
  }
  return formats.get(name).format(date);
}

/** With its day, its year where that is not the current one, and its zone where asked. */
export const instant = (at, now) => written(at, now, { weekday: 'short', timeZoneName: 'short' });
export const dayTime = (at, now) => written(at, now, {});
