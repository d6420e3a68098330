// Starts the programs of the browser test: Redis, gateways, loadtest and Chromium, on loopback, in a temporary folder.
// Each ends with the test, by its process id.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { createHmac, randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { chromium } from 'playwright-core';

export const root = resolve(import.meta.dirname ?? new URL('.', import.meta.url).pathname, '../../..');
const bin = process.env.LAUNCHGATE_BIN ?? join(root, 'target/debug');
/** Where screenshots go. */
export const shots = process.env.LAUNCHGATE_SHOTS ?? join(root, 'target/live');
/** How long a condition may take to come true. Far more than it needs: the machine is shared. */
const PATIENCE_MS = 60_000;

export const sleep = (ms) => new Promise((go) => { setTimeout(go, ms); });

/** Waits until a condition returns a value; the error names the condition. */
export async function eventually(what, condition) {
  const start = Date.now();
  for (;;) {
    const found = await condition();
    if (found) return { found, ms: Date.now() - start };
    if (Date.now() - start > PATIENCE_MS) throw new Error(`never came true: ${what}`);
    await sleep(50);
  }
}

const freePort = () => new Promise((found) => {
  const server = createServer().listen(0, '127.0.0.1', () => {
    const { port } = server.address();
    server.close(() => found(port));
  });
});

/** A place with a Redis, and what is started beside it. */
export class World {
  #children = [];

  constructor() {
    this.dir = mkdtempSync(join(tmpdir(), 'launchgate-live.'));
    mkdirSync(shots, { recursive: true });
    [this.token, this.watchToken] = [24, 24].map((n) => randomBytes(n).toString('base64'));
    const secret = (name, text) => writeFileSync(join(this.dir, name), text, { mode: 0o600 });
    secret('secret', randomBytes(32).toString('base64'));
    secret('ops', `maja ${this.token}\nlobby ${this.watchToken} watch\n`);
    secret('maja', `maja ${this.token}\n`);
    this.socket = join(this.dir, 's');
  }

  async startRedis() {
    this.redisChild = this.#spawn('redis-server', ['--port', '0', '--unixsocket', this.socket, '--dir', this.dir, '--save', '', '--appendonly', 'yes'], 'redis.log');
    await eventually('redis-server answers', () => existsSync(this.socket) && this.redis('PING').trim() === 'PONG');
  }

  /** Another run of Redis on the same files: gateways fence the ledger until they have recovered it. */
  async restartRedis() {
    const ended = new Promise((done) => { this.redisChild.on('exit', done); });
    this.redisChild.kill('SIGKILL');
    await ended;
    await this.startRedis();
  }

  redis(...words) {
    return spawnSync('redis-cli', ['-s', this.socket, ...words], { encoding: 'utf8' }).stdout;
  }

  /** A gateway, at these ports if they are given. */
  async startGateway(ports) {
    const [port, ops] = ports ?? [await freePort(), await freePort()];
    const gateway = { ports: [port, ops], url: `http://127.0.0.1:${port}`, ops: `http://127.0.0.1:${ops}`, listen: `127.0.0.1:${port}` };
    gateway.child = this.#spawn(join(bin, 'gateway'), [
      'serve', '--listen', `127.0.0.1:${port}`, '--ops-listen', `127.0.0.1:${ops}`, '--redis', `unix:${this.socket}`,
      '--auth-secret-file', join(this.dir, 'secret'), '--ops-token-file', join(this.dir, 'ops'), '--drain-delay-ms', '0',
      '--drain-deadline-ms', '1000', '--limit-address', 'off', '--audit-interval-s', '2',
    ], `gateway-${port}.log`);
    await eventually(`the gateway at ${port} is ready`, () => fetch(`${gateway.ops}/readyz`).then(({ ok }) => ok, () => false));
    return gateway;
  }

  /** Runs one of our programs to its end. */
  run(program, args) {
    const child = this.#spawn(join(bin, program), args, `${program}.log`);
    return new Promise((done) => { child.on('exit', (code) => done({ code, log: this.log(program) })); });
  }

  log(name) {
    return readFileSync(join(this.dir, `${name}.log`), 'utf8');
  }

  command(program, args) {
    const { status, stdout, stderr } = spawnSync(join(bin, program), args, { encoding: 'utf8' });
    if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ${status}\n${stdout}${stderr}`);
    return stdout;
  }

  /** The day's sale as a rehearsal that opens in so many seconds, with so many cars in all. */
  applyLaunch(opensIn, cars) {
    const folder = join(this.dir, 'sale');
    const example = join(root, 'gateway/examples/national-good-car');
    mkdirSync(folder, { recursive: true });
    const stores = spawnSync('sh', [join(example, 'make-stores')], { encoding: 'utf8', maxBuffer: 1 << 28 }).stdout;
    writeFileSync(join(folder, 'stores.csv'), stores);
    const at = (seconds) => new Date((Math.floor(Date.now() / 1000) + seconds) * 1000).toISOString();
    let isModel = false;
    const lines = readFileSync(join(example, 'sale.toml'), 'utf8').split('\n').map((line) => {
      if (line.startsWith('[')) isModel = line.startsWith('[[model]]');
      if (line.startsWith('opens_at')) return `opens_at = ${at(opensIn)}`;
      if (line.startsWith('closes_at')) return `closes_at = ${at(opensIn + 86400)}`;
      if (isModel && line.startsWith('stock')) return `stock = ${Math.max(1, Math.floor((Number(line.split('=')[1]) * cars) / 22000))}`;
      return line;
    });
    writeFileSync(join(folder, 'sale.toml'), lines.join('\n'));
    this.command('gateway', ['sale', '--redis', `unix:${this.socket}`, 'apply', join(folder, 'sale.toml')]);
    return 'national-good-car';
  }

  loadtest(gateways, sale, buyers) {
    return this.run('loadtest', [
      'crowd', '--gateway', gateways.map(({ url }) => url).join(','), '--ops', gateways[0].ops, '--sale', sale, '--buyers', String(buyers),
      '--auth-secret-file', join(this.dir, 'secret'), '--ops-token-file', join(this.dir, 'maja'), '--report', join(this.dir, 'report'),
      '--set', 'crowd = {lead = "4s", at_opening = 60, tail = "8s", looks_again = 1}', '--set', 'buyers.twice=20',
      '--set', 'verdict.thresholds = ["wrong < 1"]', '--set', 'generator = {late = "60s", late_share = 100, skew = "60s", cpu = 100}',
    ]);
  }

  /** A buyer's or a service's token, in the secret's algorithm. */
  #jwt(sub, more = {}) {
    const part = (json) => Buffer.from(JSON.stringify(json)).toString('base64url');
    const text = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ sub, exp: Math.floor(Date.now() / 1000) + 3600, ...more })}`;
    return `${text}.${createHmac('sha256', readFileSync(join(this.dir, 'secret'))).update(text).digest('base64url')}`;
  }

  /** Buys so many cars, one a buyer, of any model and store that are left; every second one is paid for. */
  async buy(gateway, sale, cars) {
    const path = `${gateway.url}/v1/sales/${sale}`;
    const call = async (url, token, body, headers = {}) => {
      const answer = await this.#decided(url, {
        method: 'POST', body: JSON.stringify(body), headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', ...headers },
      });
      if (!answer.ok) throw new Error(`${url}: ${answer.status} ${await answer.text()}`);
      return answer.json();
    };
    const { stores } = await (await fetch(`${path}/stores?available=true&limit=${cars}`)).json();
    const { items } = await this.admin(gateway, `sales/${sale}`);
    const models = items.filter(({ item }) => item.startsWith('model:')).flatMap(({ item, free }) => Array(free).fill(item.slice('model:'.length)));
    for (const [n, model] of models.slice(0, cars).entries()) {
      const key = randomBytes(16).toString('hex');
      const order = { model, packages: [], store: stores[n].id };
      const { id, version } = await call(`${path}/reservations`, this.#jwt(key), order, { 'idempotency-key': key });
      if (n % 2 === 0) await call(`${path}/reservations/${id}/confirm`, this.#jwt('payments', { scope: 'service' }), { payment: key, version });
    }
  }

  /** Lets so many buyers wait for a model. */
  async wait(gateway, sale, model, buyers) {
    for (let n = 0; n < buyers; n += 1) {
      const headers = { authorization: `Bearer ${this.#jwt(randomBytes(16).toString('hex'))}`, 'content-type': 'application/json' };
      const answer = await this.#decided(`${gateway.url}/v1/sales/${sale}/standby`, { method: 'PUT', headers, body: JSON.stringify({ model }) });
      if (answer.status !== 201) throw new Error(`${answer.status} ${await answer.text()}`);
    }
  }

  async admin(gateway, path, init = {}) {
    const answer = await this.#decided(`${gateway.ops}/admin/v1/${path}`, { ...init, headers: { authorization: `Bearer ${this.token}`, ...init.headers } });
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    return answer.json();
  }

  /** The answer to a call that may be repeated: on a busy machine the outcome may not be known at once. */
  async #decided(url, init) {
    const { found } = await eventually(`${url} is decided`, async () => {
      const answer = await fetch(url, init);
      return answer.status === 503 ? null : answer;
    });
    return found;
  }

  #spawn(program, args, log) {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { PATH: process.env.PATH, HOME: process.env.HOME } });
    const file = join(this.dir, log);
    writeFileSync(file, '');
    for (const out of [child.stdout, child.stderr]) out.on('data', (bytes) => writeFileSync(file, bytes, { flag: 'a' }));
    this.#children.push(child);
    return child;
  }

  async end() {
    const alive = this.#children.filter(({ exitCode, signalCode }) => exitCode === null && signalCode === null);
    // A stopped process does not handle the other signal.
    alive.reverse().forEach((child) => { child.kill('SIGCONT'); child.kill('SIGTERM'); });
    const ended = (child) => new Promise((done) => {
      if (child.exitCode !== null || child.signalCode !== null) done();
      child.on('exit', done);
    });
    const late = setTimeout(() => alive.forEach((child) => child.kill('SIGKILL')), 5000);
    await Promise.all(alive.map(ended));
    clearTimeout(late);
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** Chromium, for as long as the test runs. `rules` point names elsewhere, as a hostile name server would. */
export async function startChromium(rules = '') {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync', ...(rules ? [`--host-resolver-rules=${rules}`] : []),
    ],
  });
}

/** A page that records its faults: errors, violations of its policy, requests to other hosts. */
export async function openPage(browser, gateway, { path = '/', ...options } = {}) {
  const context = await browser.newContext({ viewport: { width: 1920, height: 1080 }, locale: 'en-GB', timezoneId: 'Asia/Shanghai', ...options });
  const page = await context.newPage();
  const notes = [];
  // While the test keeps the gateway down, the browser reports that it is unreachable.
  page.mayFail = false;
  page.on('console', (message) => {
    const isNetwork = page.mayFail && message.text().startsWith('Failed to load resource');
    if (['error', 'warning'].includes(message.type()) && !isNetwork) notes.push(`console: ${message.text()}`);
  });
  page.on('pageerror', (error) => notes.push(`error: ${error.stack}`));
  page.on('request', (request) => {
    if (new URL(request.url()).origin !== gateway.ops) notes.push(`request: ${request.url()}`);
  });
  page.notes = notes;
  await page.goto(gateway.ops + path);
  return page;
}

export async function enter(page, token) {
  await page.fill('#token', token);
  await page.keyboard.press('Enter');
}

/** Waits until an expression is true in the page. */
export const shows = (page, what, expression, argument) => eventually(what, () => page.evaluate(expression, argument));

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** Checks the page as it is now with axe. */
export async function hasNoSeriousViolation(page, where) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }));
  const serious = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
  const found = serious.map(({ id, nodes }) => `${id}: ${nodes.map(({ target, failureSummary }) => `${target} ${failureSummary}`).join('; ')}`);
  assert.deepEqual(found, [], where);
}
