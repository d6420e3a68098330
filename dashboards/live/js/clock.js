// The server's clock, as well as this page can know it: what a line says, less what the way of the line took.

/** Readings that count. A line can only come late, so the one that says the latest time is nearest to the truth. */
const READINGS = 30;

export class Clock {
  #offsets = [];

  /** A line with this time has come now. */
  read(serverTime) {
    const offset = Date.parse(serverTime) - performance.now();
    if (!Number.isFinite(offset)) return;
    // Redis's clock was set anew: what was read before is worth nothing.
    if (this.#offsets.length > 0 && Math.abs(offset - this.#offset()) > 5000) this.#offsets = [];
    this.#offsets.push(offset);
    if (this.#offsets.length > READINGS) this.#offsets.shift();
  }

  #offset() {
    return Math.max(...this.#offsets);
  }

  /** In ms since 1970; null before the first line. */
  now() {
    return this.#offsets.length > 0 ? this.#offset() + performance.now() : null;
  }
}
