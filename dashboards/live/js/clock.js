// Estimates the server's clock from the times of lines, corrected for their delay.

/** Readings that are kept. A line can only be late, so the latest time is the best estimate. */
const READINGS = 30;

export class Clock {
  #offsets = [];

  /** Records the time of a line that arrived now. */
  read(serverTime) {
    const offset = Date.parse(serverTime) - performance.now();
    if (!Number.isFinite(offset)) return;
    // Redis's clock was changed: earlier readings are void.
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
