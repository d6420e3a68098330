// The data of the charts: columns of the latest seconds, at most an hour.

export const KEPT = 3600;

export class Rings {
  /** @param names of the columns besides `time` */
  constructor(names) {
    this.names = names;
    this.columns = Object.fromEntries(['time', ...names].map((name) => [name, []]));
  }

  get length() {
    return this.columns.time.length;
  }

  /** Adds a second. A missing value is unknown. Time only increases. */
  push(time, values) {
    if (this.length > 0 && time <= this.columns.time[this.length - 1]) return;
    this.columns.time.push(time);
    for (const name of this.names) this.columns[name].push(values[name] ?? null);
    this.#bound();
  }

  /** Inserts seconds of the gateway's history before or after those in the ring. */
  merge(history) {
    const { time } = history;
    if (time.length === 0) return;
    const before = this.length;
    const isNew = (at) => before === 0 || at < this.columns.time[0] || at > this.columns.time[before - 1];
    const places = time.map((at, place) => (isNew(at) ? place : -1)).filter((place) => place >= 0);
    const own = this.columns;
    // Both are in order, but the history may extend beyond both ends of the ring.
    const merged = [...own.time.map((at, place) => [at, own, place]), ...places.map((place) => [time[place], history, place])];
    merged.sort((a, b) => a[0] - b[0]);
    const columns = { time: merged.map(([at]) => at) };
    for (const name of this.names) columns[name] = merged.map(([, from, place]) => from[name]?.[place] ?? null);
    this.columns = columns;
    this.#bound();
  }

  #bound() {
    const over = this.length - KEPT;
    if (over <= 0) return;
    for (const name of ['time', ...this.names]) this.columns[name].splice(0, over);
  }
}
