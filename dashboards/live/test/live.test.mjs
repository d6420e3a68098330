// Tests of the live page in headless Chromium, with real gateways, a real Redis and a launch by loadtest.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { enter, eventually, hasNoSeriousViolation, openPage, shots, shows, sleep, startChromium, World } from './harness.mjs';

const BUYERS = 500;
const CARS = 200;

let world;
let browser;
let gateways;
/** The OpenAPI document. */
let contract;
let sale;
let page;

/** The numbers of a table of the page, by the text of their row's heading. */
const table = (id) => page.evaluate((name) => {
  const number = (cell) => (/^[\d,]+$/.test(cell.textContent) ? Number(cell.textContent.replaceAll(',', '')) : cell.textContent);
  return Object.fromEntries([...document.querySelector(`#${name} tbody`).rows].map((row) => {
    const heading = row.cells[0].title || row.cells[0].lastElementChild?.textContent || row.cells[0].textContent;
    return [heading, [...row.cells].slice(1).filter((cell) => !cell.classList.contains('bar-column')).map(number)];
  }));
}, id);

const textOf = (selector) => page.textContent(selector);
async function shot(name, options = {}) {
  await page.evaluate(() => scrollTo(0, 0));
  await page.screenshot({ path: join(shots, `${name}.png`), ...options });
}

before(async () => {
  world = new World();
  await world.startRedis();
  gateways = [await world.startGateway(), await world.startGateway()];
  contract = JSON.parse(world.command('gateway', ['openapi']));
  browser = await startChromium('MAP evil.example 127.0.0.1');
}, { timeout: 120_000 });

after(async () => {
  await browser?.close();
  await world?.end();
});

describe('the live page', { timeout: 600_000 }, () => {
  test('a wrong token is refused, and no token is stored', async () => {
    page = await openPage(browser, gateways[0]);
    await hasNoSeriousViolation(page, 'the sign-in');
    const asked = [];
    page.on('request', (request) => asked.push(request.url()));
    await enter(page, 'kein-Schlüssel');
    await shows(page, 'the error is shown', () => document.querySelector('#sign-in-error').textContent.includes('ops token'));
    assert.deepEqual([await page.isVisible('#sign-in'), asked], [true, []], 'it is not sent');
    page.mayFail = true;
    await enter(page, 'not-an-ops-token-at-all');
    await shows(page, 'the error is shown', () => document.querySelector('#sign-in-error').textContent.includes('ops token'));
    page.mayFail = false;
    assert.equal(await textOf('#alarms-title'), 'Alarms: not known yet');
    await enter(page, world.token);
    await shows(page, 'it is live', () => document.body.dataset.link === 'live');
    await shows(page, 'there are no alarms', () => document.querySelector('#alarms-title').textContent === 'No alarms');
    const kept = await page.evaluate(() => [localStorage.length, sessionStorage.length, document.cookie, location.href.includes('token')]);
    assert.deepEqual(kept, [0, 0, '', false]);
    assert.equal(await page.evaluate((token) => document.documentElement.outerHTML.includes(token), world.token), false);
    await shows(page, 'it shows that there is no sale', () => document.querySelector('#state').textContent === 'No sale' && document.querySelector('#ledger').offsetHeight === 0);
  });

  test('a page that is open through a whole launch agrees with the final audit to the unit', async () => {
    // Each part has an opening of its own: on a busy machine each takes long.
    sale = world.applyLaunch(600, CARS);
    await shows(page, 'the sale is found by itself', () => document.querySelector('#name').textContent === 'National Good Car');
    await shows(page, 'both gateways are ready', () => document.querySelector('#tile-up .big').textContent === '2 of 2 ready');
    assert.equal(await textOf('#state'), 'Upcoming');
    await shows(page, 'it counts down', () => /^00:0\d:\d\d$/.test(document.querySelector('#count').textContent));
    // The countdown is the server's, to less than a second.
    const { opens_at: opensAt } = await (await fetch(`${gateways[0].url}/v1/sales/${sale}`)).json();
    const { server_time: time } = await (await fetch(`${gateways[0].url}/v1/time`)).json();
    const [, minutes, seconds] = /:(\d\d):(\d\d)$/.exec(await textOf('#count'));
    const left = 60 * Number(minutes) + Number(seconds);
    assert.ok(Math.abs(left - (Date.parse(opensAt) - Date.parse(time)) / 1000) < 2, `${left} s, at ${time}`);
    // A pause before the opening is shown at once, and in the last minute it is a fault.
    world.applyLaunch(58, CARS);
    await action('pause');
    await shows(page, 'it is paused', () => document.querySelector('#state').textContent === 'Upcoming, paused' && document.body.dataset.tone === 'fault');
    assert.match(await textOf('#pause'), /^paused by maja since \d\d:\d\d:\d\d: before the opening$/);
    await action('resume');
    await shows(page, 'it is not', () => document.querySelector('#state').textContent === 'Upcoming');
    await page.check('#spans input[value="120"]', { force: true });
    await sleep(1500);
    await shot('before');
    world.applyLaunch(45, CARS);
    const load = world.loadtest(gateways, sale, BUYERS);
    // So few cars may be sold between two lines.
    await shows(page, 'it opens', () => ['open', 'sold_out'].includes(document.body.dataset.state));
    await shows(page, 'a buyer has won', () => document.querySelector('#tile-selling').dataset.tone === 'good');
    await shot('opening');
    const { code, log } = await load;
    assert.equal(code, 0, log);

    const audit = await world.admin(gateways[0], `sales/${sale}/audit`);
    assert.equal(audit.verdict, 'balanced');
    const items = audit.items.filter(({ item }) => !item.startsWith('store:'));
    const expected = Object.fromEntries(items.map(({ item, total, free, held, confirmed }) => [
      item, [free ?? 'no limit', held, confirmed, total ?? '–'],
    ]));
    await eventually('the page has come to the end of the journal', async () => {
      const change = Number((await textOf('#sequence')).replace(/\D/g, ''));
      return change === audit.sequence;
    });
    assert.deepEqual(await table('stock'), expected);
    const sum = (name) => items.filter(({ item }) => item.startsWith('model:')).reduce((all, item) => all + item[name], 0);
    const equation = (await page.$$eval('#equation b', (terms) => terms.map((term) => term.textContent))).map((n) => Number(n.replaceAll(',', '')));
    assert.deepEqual(equation, ['total', 'free', 'held', 'confirmed'].map(sum));
    const { held, confirmed, cancelled, expired } = audit.reservations;
    const made = held + confirmed + cancelled + expired;
    const facts = await page.$$eval('#reservations dd', (terms) => terms.map((term) => Number(term.textContent.replaceAll(',', ''))));
    assert.deepEqual(facts, [made, cancelled, expired]);
    assert.ok(made >= CARS - 9 && confirmed > 0, JSON.stringify(audit.reservations));
    // The counters of the gateways agree with the ledger: each win was acknowledged exactly once.
    await eventually('the last reports have come', async () => (await table('outcomes')).won?.[1] === made);
    await eventually('a full audit is shown', async () => /^audited /.test(await textOf('#tile-drift .quiet')));
    assert.equal(await textOf('#alarms-title'), 'No alarms');
    await shot('after');
    await hasNoSeriousViolation(page, 'the page after a launch');
    await page.click('#theme');
    await hasNoSeriousViolation(page, 'the page in the other colours');
    await shot('after-dark');
    await page.click('#theme');
  });

  test('it fits a phone', async () => {
    await page.setViewportSize({ width: 390, height: 844 });
    await sleep(1200);
    assert.equal(await page.evaluate(() => document.scrollingElement.scrollWidth), 390);
    await shot('phone');
    await shot('phone-whole', { fullPage: true });
    await page.setViewportSize({ width: 1920, height: 1080 });
  });

  const state = async () => (await world.admin(gateways[0], `sales/${sale}`));
  const action = (word) => world.admin(gateways[0], `sales/${sale}/${word}`, {
    method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ reason: 'before the opening' }),
  });
  const button = (action) => `#action-buttons [data-action=${action}]`;

  async function pull(action, { word = sale, fields = {}, reason = `trying ${action}` } = {}) {
    // By keyboard: the content above the buttons changes, which moves them.
    await page.press(button(action), 'Enter');
    const call = action === 'limits' ? contract.paths['/admin/v1/limits'].patch : contract.paths[`/admin/v1/sales/{sale}/${action}`].post;
    assert.equal(await textOf('#action-effect'), call.description);
    assert.match(await textOf('#action-why'), action === 'limits' ? /limits’ log/ : /into the journal\)$/);
    const go = page.locator('#action-go');
    for (const [id, value] of Object.entries(fields)) {
      await page.waitForSelector(`#${id}`);
      if ((await page.$eval(`#${id}`, (input) => input.tagName)) === 'SELECT') await page.selectOption(`#${id}`, value);
      else await page.fill(`#${id}`, value);
    }
    if (action === 'restock') assert.match(await textOf('#action-fields p'), /^This (adds 10|takes \d+ away): the total goes from \d+ to \d+\.$/);
    await page.fill('#action-reason', reason);
    assert.equal(await go.isDisabled(), true, 'nothing was typed');
    await page.fill('#action-typed', `${word}x`);
    assert.equal(await go.isDisabled(), true, 'something else was typed');
    await page.fill('#action-typed', word);
    await go.click();
    await shows(page, `${action} is answered`, () => ['good', 'bad'].includes(document.querySelector('#action-result').dataset.tone));
    const result = { tone: await page.getAttribute('#action-result', 'data-tone'), text: await textOf('#action-result') };
    await page.click('#action-cancel');
    return result;
  }

  const journalHas = (text) => shows(page, `the journal has ${text}`, (words) => document.querySelector('#journal').textContent.includes(words), text);

  test('every action shows its effect, runs, and is recorded with user and reason', async () => {
    await page.click(button('pause'));
    await hasNoSeriousViolation(page, 'an operator action');
    await shot('action');
    await page.keyboard.press('Escape');
    assert.equal(await page.evaluate(() => document.activeElement.dataset.action), 'pause');
    assert.equal((await state()).paused, false);

    assert.equal((await pull('pause')).tone, 'good');
    assert.equal((await state()).paused, true);
    await shows(page, 'the page shows it', () => document.body.dataset.state === 'paused');
    await journalHas('maja paused the sale: trying pause');
    assert.equal((await pull('resume')).tone, 'good');
    assert.equal((await state()).paused, false);
    // A long reason is folded, and direction characters are visible.
    assert.equal((await pull('freeze', { reason: `this \u202e is ${'why and '.repeat(50)}` })).tone, 'good');
    assert.equal((await state()).frozen, true);
    await shows(page, 'the page shows it', () => document.querySelector('#state').textContent.includes('frozen'));
    await journalHas('this \ufffd is why');
    const isFolded = () => page.$eval('#journal .long bdi', (text) => text.clientHeight < text.scrollHeight);
    assert.equal(await isFolded(), true);
    await page.focus('#journal .long .more');
    await page.keyboard.press('Enter');
    assert.equal(await isFolded(), false);
    assert.equal((await pull('unfreeze')).tone, 'good');
    assert.equal((await state()).frozen, false);

    const [{ item, total }] = (await state()).items;
    const restocked = await pull('restock', { fields: { 'restock-item': item, 'restock-total': String(total + 10) } });
    assert.equal(restocked.tone, 'good', restocked.text);
    assert.equal((await state()).items[0].total, total + 10);
    await eventually('the page has the new total', async () => (await table('stock'))[item][3] === total + 10);
    await journalHas('trying restock');
    page.mayFail = true;
    const taken = await pull('restock', { fields: { 'restock-item': item, 'restock-total': '0' } });
    assert.deepEqual([taken.tone, /More is taken/.test(taken.text)], ['bad', true], taken.text);
    page.mayFail = false;

    await page.press(button('limits'), 'Enter');
    const means = async (policy, text) => {
      await page.fill(`#limit-${policy}`, text);
      return textOf(`#limit-${policy}-means`);
    };
    await page.waitForSelector('#limit-sale');
    assert.equal(await textOf('#limit-sale-means'), 'unchanged: no limit');
    assert.equal(await means('sale', '2000:500'), 'at most 2,000 reservations a second, 500 at once, of each sale at all gateways together');
    assert.match(await means('buyer', '7:77'), /^at most 7 units a second, 77 at once, /);
    assert.match(await means('buyer', '7'), /^expected RATE:BURST/);
    await page.keyboard.press('Escape');
    const limited = await pull('limits', { word: 'limits', fields: { 'limit-buyer': '7:77' } });
    assert.equal(limited.tone, 'good', limited.text);
    const buyer = async () => (await world.admin(gateways[1], 'limits')).policies.find(({ policy }) => policy === 'buyer');
    await eventually('the other gateway has it', async () => (await buyer()).in_force === '7:77');
    await eventually('the page shows it', async () => (await page.isVisible('#limits')) && (await textOf('#limits')) === 'Limits set: buyer 7:77');
    await pull('limits', { word: 'limits', fields: { 'limit-buyer': 'default' } });
    assert.equal((await buyer()).set, null);
    await eventually('the page does not show it', () => page.isHidden('#limits'));
  });

  test('a drift that is injected into Redis turns the page red, and it clears after the correction', async () => {
    const counter = [`lg:{${sale}}:stock`, 'model:air-400-white'];
    world.redis('HINCRBY', ...counter, '1');
    const { ms } = await shows(page, 'the page turns red', () => document.body.dataset.alarm === 'fault');
    console.log(`drift: red after ${ms} ms`);
    assert.ok(await page.$('#alarms-list .fault[data-name=ledger-drift]'));
    assert.match(await textOf('#alarms-announced'), /drifts/);
    assert.equal(await page.getAttribute('#ledger', 'data-verdict'), 'drift');
    assert.match(await textOf('#verdict'), /^Drift: Redis’s counters differ from the journal/);
    assert.match(await textOf('#equation'), /≠/);
    await sleep(1200);
    await shot('drift');
    await hasNoSeriousViolation(page, 'a fault');
    world.redis('HINCRBY', ...counter, '-1');
    await shows(page, 'it has cleared', () => document.body.dataset.alarm === 'none');
  });

  test('a gateway that is killed shows, and its replacement clears the alarm', async () => {
    const [, other] = gateways;
    other.child.kill('SIGKILL');
    const killed = Date.now();
    const stateOf = (listen) => [...document.querySelector('#gateways tbody').rows].find((row) => row.textContent.includes(listen))?.dataset.state;
    await shows(page, 'it is silent, or gone', `(${stateOf})('${other.listen}') !== 'ready'`);
    console.log(`killed gateway: seen after ${Date.now() - killed} ms`);
    await shows(page, 'it is gone', `(${stateOf})('${other.listen}') === 'gone'`);
    console.log(`killed gateway: gone after ${Date.now() - killed} ms`);
    assert.ok(await page.$('#alarms-list .fault[data-name=gateway-gone]'));
    await shot('gone');
    gateways[1] = await world.startGateway(other.ports);
    await shows(page, 'all is well', () => document.body.dataset.alarm === 'none' && document.querySelector('#tile-up .big').textContent === '2 of 2 ready');
    // A gateway that drains leaves the fleet.
    gateways[1].child.kill('SIGTERM');
    await shows(page, 'it has left', `(${stateOf})('${other.listen}') === 'left'`);
    assert.equal(await page.evaluate(() => document.body.dataset.alarm), 'none');
    gateways[1] = await world.startGateway(other.ports);
  });

  test('old numbers look old, and the page reconnects by itself', async () => {
    page.mayFail = true;
    gateways[0].child.kill('SIGSTOP');
    await shows(page, 'it is stale', () => document.body.dataset.link === 'stale' && /^Stale since \d\d:\d\d:\d\d/.test(document.querySelector('#stale').textContent));
    assert.match(await textOf('#stale-text'), /any other gateway/);
    await shot('stale');
    gateways[0].child.kill('SIGCONT');
    await shows(page, 'it is live again', () => document.body.dataset.link === 'live');
    gateways[0].child.kill('SIGKILL');
    await shows(page, 'it is stale', () => document.body.dataset.link === 'stale');
    gateways[0] = await world.startGateway(gateways[0].ports);
    await shows(page, 'it is live again, without a token being typed', () => document.body.dataset.link === 'live' && document.querySelector('#stale').hidden);
    page.mayFail = false;
  });

  /**
   * A page that gets the lines of this sale, as if they were of the one that `shown` has; each stream ends after them.
   * `onRequest` returns whether it has answered itself.
   */
  async function openCopy(shown, onRequest = () => false) {
    const answer = await fetch(`${gateways[0].ops}/admin/v1/live?sale=${sale}&frames=1`, { headers: { authorization: `Bearer ${world.token}` } });
    const lines = (await answer.text()).trim().split('\n').map((line) => JSON.parse(line));
    const copy = await openPage(browser, gateways[0]);
    await copy.clock.install();
    await copy.route('**/admin/v1/live*', async (route) => {
      if (await onRequest(route)) return;
      const body = lines.map((line) => JSON.stringify(line.kind === 'sale' ? { ...line, sale: shown.sale } : line)).join('\n');
      await route.fulfill({ contentType: 'application/x-ndjson', body: `${body}\n` }).catch(() => {});
    });
    await enter(copy, world.token);
    await showsSale(copy, shown.sale);
    return copy;
  }
  const showsSale = (copy, id) => shows(copy, `it shows ${id}`, (name) => document.querySelector('#sale-id').textContent === name, id);

  test('an action is of the sale that its dialog names, also if the page goes on to another', async () => {
    const shown = { sale };
    const copy = await openCopy(shown);
    const called = [];
    await copy.route('**/admin/v1/sales/**', (route) => {
      called.push(new URL(route.request().url()).pathname);
      return route.fulfill({ json: {} });
    });
    await copy.press(button('pause'), 'Enter');
    for (const [id, text] of [['reason', 'a fire'], ['typed', sale]]) await copy.fill(`#action-${id}`, text);
    shown.sale = 'another';
    await showsSale(copy, 'another');
    await copy.click('#action-go');
    await shows(copy, 'it is answered', () => document.querySelector('#action-result').dataset.tone === 'good');
    assert.deepEqual(called, [`/admin/v1/sales/${sale}/pause`]);
    await copy.context().close();
  });

  test('a page that asked for no sale stays with the one that it got, until that is gone', async () => {
    const asked = [];
    let isGone = false;
    const copy = await openCopy({ sale }, async (route) => {
      const url = new URL(route.request().url());
      asked.push(url.searchParams.get('sale'));
      if (!isGone || asked.at(-1) === null) return false;
      url.searchParams.set('sale', 'purged');
      await route.continue({ url: url.href });
      return true;
    });
    await eventually('it asks again', () => asked.length > 1);
    assert.deepEqual(asked.slice(0, 2), [null, sale]);
    isGone = true;
    await eventually('it asks for any sale', () => asked.lastIndexOf(null) > 0);
    await showsSale(copy, sale);
    assert.equal(await copy.isHidden('#sign-in'), true);
    await copy.context().close();
  });

  test('after an outage a slow connection gets its time', async () => {
    const shown = { sale };
    const copy = await openCopy(shown, () => (shown.sale === sale ? false : sleep(2000)));
    shown.sale = 'another';
    await copy.clock.fastForward(60_000);
    await showsSale(copy, 'another');
    await copy.context().close();
  });

  test('a sale that is closed by hand is closed for good', async () => {
    assert.equal((await pull('close')).tone, 'good');
    assert.equal((await state()).state, 'closed');
    await shows(page, 'the page shows it', () => document.body.dataset.state === 'closed');
    assert.equal(await textOf('#count-label'), 'closed by hand; since the opening');
    await shows(page, 'there is nothing to close any more', () => !document.querySelector('#action-buttons [data-action=close]'));
  });

  test('who waits and what is set aside is shown, and grants are suspended and resumed', async () => {
    const [gateway] = gateways;
    const definition = {
      sale: {
        id: 'waits', name: 'Waits', opens_at: '2026-01-01T00:00:00Z', closes_at: '2100-01-01T00:00:00Z', hold: '15m', currency: 'CNY',
        rehearsal: true, standby: true,
      },
      model: [['red', 2], ['blue', 1]].map(([id, stock]) => ({ id, name: `The ${id} one`, price: 100, stock })),
      stores: ['a', 'b', 'c'].map((id) => ({ id, name: id, city: 'Guangzhou' })),
    };
    const send = (method, path, body) => world.admin(gateway, path, { method, body: JSON.stringify(body), headers: { 'content-type': 'application/json' } });
    await send('PUT', 'sales/waits', definition);
    await world.buy(gateway, 'waits', 3);
    await world.wait(gateway, 'waits', 'red', 4);
    const copy = await openPage(browser, gateway, { path: '/?sale=waits' });
    await enter(copy, world.token);
    const stock = (text) => shows(copy, text, (part) => document.querySelector('#stock tbody').textContent.includes(part), text);
    const equation = (isThere) => shows(copy, 'what is set aside', (there) => document.querySelector('#equation').textContent.includes('set aside') === there, isThere);
    const act = async (action) => {
      await copy.press(button(action), 'Enter');
      for (const [id, text] of [['reason', 'a look'], ['typed', 'waits']]) await copy.fill(`#action-${id}`, text);
      await copy.click('#action-go');
      await shows(copy, 'it is done', () => document.querySelector('#action-result').dataset.tone === 'good');
      await copy.keyboard.press('Escape');
    };
    await stock('The red one (4 wait)');
    await act('standby-suspend');
    await send('POST', 'sales/waits/restock', { item: 'model:red', total: 5, was: 2 });
    await equation(true);
    await shows(copy, 'it balances', () => document.querySelector('#ledger').dataset.verdict === 'balanced');
    await copy.screenshot({ path: join(shots, 'standby.png') });
    await act('standby-resume');
    await equation(false);
    await stock('The red one (1 wait)');
    assert.deepEqual(copy.notes, []);
    await copy.context().close();
  });

  test('the page has no errors, and sends no other requests', () => {
    assert.deepEqual(page.notes, []);
  });

  test('a page of a foreign host name that resolves to the gateway gets nothing', async () => {
    const other = await browser.newPage();
    const { port } = new URL(gateways[0].ops);
    const answer = await other.goto(`http://evil.example:${port}/`);
    assert.equal(answer.status(), 421);
    assert.match(await answer.text(), /--ops-host/);
    const admin = await other.evaluate((token) => fetch('/admin/v1/live?frames=1', { headers: { authorization: `Bearer ${token}` } }).then(({ status }) => status), world.token);
    assert.equal(admin, 421);
    await other.close();
  });

  test('hours of lines do not make the page larger', async () => {
    const answer = await fetch(`${gateways[0].ops}/admin/v1/live?sale=${sale}&frames=1`, { headers: { authorization: `Bearer ${world.token}` } });
    const lines = (await answer.text()).trim().split('\n').map((line) => JSON.parse(line));
    const now = lines.findLast(({ kind }) => kind === 'now');
    const long = await openPage(browser, gateways[0]);
    let sent = Date.parse(now.server_time);
    await long.route('**/admin/v1/live*', (route) => {
      // What the gateway has sent, again and again, a second later each time.
      const seconds = Array.from({ length: 2500 }, () => {
        sent += 1000;
        return { ...now, server_time: new Date(sent).toISOString(), alarms: sent % 3000 === 0 ? [{ level: 'warning', name: 'shedding', sale: null, text: 'x', gateways: [] }] : [] };
      });
      const body = [...lines, ...seconds].map((line) => JSON.stringify(line)).join('\n');
      return route.fulfill({ contentType: 'application/x-ndjson', body: `${body}\n` });
    });
    const devtools = await long.context().newCDPSession(long);
    const size = async () => {
      await devtools.send('HeapProfiler.collectGarbage');
      const { usedSize } = await devtools.send('Runtime.getHeapUsage');
      return { heap: usedSize, nodes: await long.evaluate(() => document.querySelectorAll('*').length) };
    };
    const points = (least) => shows(long, `${least} seconds`, (n) => Number(document.querySelector('#chart-taps').dataset.points ?? 0) >= n, least);
    await enter(long, world.token);
    await points(2400);
    const early = await size();
    await points(3600);
    const begun = sent;
    await eventually('two hours more', () => sent > begun + 7_500_000);
    await sleep(1000);
    const late = await size();
    const kept = await long.evaluate(() => Number(document.querySelector('#chart-taps').dataset.points));
    assert.ok(kept <= 3600, `${kept} seconds are kept`);
    assert.ok(Math.abs(late.nodes - early.nodes) <= 10, `${early.nodes} elements, then ${late.nodes}`);
    assert.ok(late.heap < early.heap + 4_000_000, `${early.heap} bytes, then ${late.heap}`);
    console.log(`an hour and more: ${late.nodes} elements (${early.nodes} before), ${(late.heap / 1e6).toFixed(1)} MB (${(early.heap / 1e6).toFixed(1)} MB before)`);
    await long.context().close();
  });

  test('a gateway without charts shows the reason and everything else', async () => {
    const plain = await openPage(browser, gateways[0]);
    await plain.route('**/live/uplot.js', (route) => route.fulfill({ contentType: 'text/javascript', body: 'export default null;' }));
    await enter(plain, world.token);
    await shows(plain, 'it is live', () => document.body.dataset.link === 'live' && document.querySelector('#stock tbody').rows.length > 0);
    assert.match(await plain.textContent('#chart-taps'), /npm ci/);
    assert.deepEqual(plain.notes, []);
    await plain.context().close();
  });
});
