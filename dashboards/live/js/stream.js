// Reads the stream of lines from the gateway with `fetch`, so that the token is sent in a header only. It reconnects by
// itself and reports its state, so that old numbers never look current.

/** Without a line for so long the numbers are old. */
const OLD_MS = 3000;
/** And after so long a connection is given up. */
const DEAD_MS = 10000;
/** Between two attempts: the first, and the longest. */
const RETRY_MS = [1000, 10000];
/** Characters of one line, at most. */
const LINE_MAX = 32 * 1024 * 1024;

/** A refusal that another attempt does not change. */
export class Refused extends Error {
  constructor(status, problem) {
    super(problem?.detail ?? `The gateway answered ${status}.`);
    this.status = status;
  }
}

export async function problemOf(answer) {
  const isJson = (answer.headers.get('content-type') ?? '').includes('json');
  return isJson ? answer.json().catch(() => null) : null;
}

export class Stream {
  #token;
  #sale;
  /** The sale that the gateway chose for a page that asked for none: another gateway might choose another. */
  #shown = null;
  #on;
  #stopped = false;
  #abort = null;
  #lastLine = 0;
  /** When the present attempt began: each has its time. */
  #begun = 0;
  #watch = 0;

  /**
   * @param on { lines(list), state({live, since, why}), refused(error) }: lines come as they are read, several at once if
   * the page was slow; the state whenever it changes
   */
  constructor(token, sale, on) {
    this.#token = token;
    this.#sale = sale;
    this.#on = on;
  }

  start() {
    this.#watch = setInterval(() => this.#look(), 500);
    this.#run();
  }

  stop() {
    this.#stopped = true;
    clearInterval(this.#watch);
    this.#abort?.abort();
  }

  /** Goes on with another sale. */
  choose(sale) {
    this.#sale = sale;
    this.#abort?.abort('another sale');
  }

  #look() {
    const now = Date.now();
    if (this.#lastLine !== 0 && now - this.#lastLine > OLD_MS) this.#on.state({ live: false, since: this.#lastLine });
    if (now - Math.max(this.#lastLine, this.#begun) > DEAD_MS) this.#abort?.abort('silence');
  }

  async #run() {
    let failures = 0;
    while (!this.#stopped) {
      let why;
      try {
        await this.#read(() => { failures = 0; });
        why = 'The gateway ended the stream.';
      } catch (error) {
        if (error instanceof Refused && error.status === 404 && this.#shown !== null && !this.#sale && !this.#stopped) {
          // It is purged; the page asked for no sale by name.
          this.#shown = null;
          continue;
        }
        if (error instanceof Refused && error.status < 500) {
          if (!this.#stopped) this.#on.refused(error);
          return;
        }
        why = error instanceof Refused ? error.message : 'The gateway can not be reached.';
      }
      if (this.#stopped) return;
      if (this.#abort.signal.reason === 'another sale') continue;
      failures += 1;
      this.#on.state({ live: false, since: this.#lastLine || null, why });
      const wait = Math.min(RETRY_MS[0] * 2 ** (failures - 1), RETRY_MS[1]);
      await new Promise((go) => { setTimeout(go, wait * (0.75 + 0.5 * Math.random())); });
    }
  }

  async #read(isAlive) {
    this.#abort = new AbortController();
    this.#begun = Date.now();
    const sale = this.#sale ?? this.#shown;
    const query = sale ? `?sale=${encodeURIComponent(sale)}` : '';
    const answer = await fetch(`/admin/v1/live${query}`, {
      headers: { authorization: `Bearer ${this.#token}` },
      cache: 'no-store',
      credentials: 'omit',
      redirect: 'error',
      signal: this.#abort.signal,
    });
    if (!answer.ok) throw new Refused(answer.status, await problemOf(answer));
    const reader = answer.body.getReader();
    const text = new TextDecoder();
    let begun = '';
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      begun += text.decode(value, { stream: true });
      if (begun.length > LINE_MAX) throw new Error('a line without an end');
      const end = begun.lastIndexOf('\n');
      if (end < 0) continue;
      const lines = begun.slice(0, end).split('\n').map((line) => JSON.parse(line));
      begun = begun.slice(end + 1);
      isAlive();
      this.#shown = lines.findLast(({ kind }) => kind === 'sale')?.sale ?? this.#shown;
      try {
        this.#on.lines(lines);
      } catch (error) {
        // A bug of this page must not look like one of the gateway; the numbers are stale.
        reportError(error);
        this.#on.state({ live: false, since: this.#lastLine || null, why: 'This page can not show what has come: reload it.' });
        continue;
      }
      this.#lastLine = Date.now();
      this.#on.state({ live: true });
    }
  }
}
