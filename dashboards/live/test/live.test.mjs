// Tests of the live page in headless Chromium, with real gateways, a real Redis and a launch by loadtest.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { enter, eventually, openPage, shots, shows, sleep, startChromium, World } from './harness.mjs';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
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

async function hasNoSeriousViolation(where) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }));
  const serious = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
  const violationsText = serious.map(({ id, nodes }) => `${id}: ${nodes.map(({ target, failureSummary }) => `${target} ${failureSummary}`).join('; ')}`);
  assert.deepEqual(violationsText, [], where);
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
    await hasNoSeriousViolation('the sign-in');
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
    await shows(page, 'it shows that there is no sale', () => document.querySelector('#phase').textContent === 'No sale');
  });

  test('a page that is open through a whole launch agrees with the final audit to the unit', async () => {
    sale = world.applyLaunch(26, CARS);
    await shows(page, 'the sale is found by itself', () => document.querySelector('#name').textContent === 'National Good Car');
    await shows(page, 'both gateways are ready', () => document.querySelector('#tile-up .big').textContent === '2 of 2 ready');
    assert.equal(await textOf('#phase'), 'Upcoming');
    assert.match(await textOf('#count'), /^00:00:\d\d$/);
    // The countdown is the server's, to less than a second.
    const { opens_at: opensAt } = await (await fetch(`${gateways[0].url}/v1/sales/${sale}`)).json();
    const { server_time: time } = await (await fetch(`${gateways[0].url}/v1/time`)).json();
    const [, seconds] = /:(\d\d)$/.exec(await textOf('#count'));
    assert.ok(Math.abs(Number(seconds) - (Date.parse(opensAt) - Date.parse(time)) / 1000) < 2, `${seconds} s, at ${time}`);
    // A pause before the opening is shown at once.
    await action('pause');
    await shows(page, 'it is paused', () => document.querySelector('#phase').textContent === 'Upcoming, paused');
    await action('resume');
    await shows(page, 'it is not', () => document.querySelector('#phase').textContent === 'Upcoming');
    await page.check('#spans input[value="120"]', { force: true });
    await sleep(1500);
    await shot('before');
    const load = world.loadtest(gateways, sale, BUYERS);
    // So few cars may be sold between two lines.
    await shows(page, 'it opens', () => ['open', 'sold_out'].includes(document.body.dataset.phase));
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
    await hasNoSeriousViolation('the page after a launch');
    await page.click('#theme');
    await hasNoSeriousViolation('the page in the other colours');
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
    await hasNoSeriousViolation('an operator action');
    await shot('action');
    await page.keyboard.press('Escape');
    assert.equal(await page.evaluate(() => document.activeElement.dataset.action), 'pause');
    assert.equal((await state()).paused, false);

    assert.equal((await pull('pause')).tone, 'good');
    assert.equal((await state()).paused, true);
    await shows(page, 'the page shows it', () => document.body.dataset.phase === 'paused');
    await journalHas('maja paused the sale: trying pause');
    assert.equal((await pull('resume')).tone, 'good');
    assert.equal((await state()).paused, false);
    // A long reason is folded, and direction characters are visible.
    assert.equal((await pull('freeze', { reason: `this \u202e is ${'why and '.repeat(50)}` })).tone, 'good');
    assert.equal((await state()).frozen, true);
    await shows(page, 'the page shows it', () => document.querySelector('#phase').textContent.includes('frozen'));
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
    await hasNoSeriousViolation('a fault');
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

  test('a sale that is closed by hand is closed for good', async () => {
    assert.equal((await pull('close')).tone, 'good');
    assert.equal((await state()).phase, 'closed');
    await shows(page, 'the page shows it', () => document.body.dataset.phase === 'closed');
    assert.equal(await textOf('#count-label'), 'closed by hand; since the opening');
    await shows(page, 'there is nothing to close any more', () => !document.querySelector('#action-buttons [data-action=close]'));
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
