// Tests of the wall view, and of the states that must be true from five metres: real gateways, a real Redis, headless Chromium.
// Screenshots of each state at wall, desktop and phone size go where those of the other tests go.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { enter, eventually, hasNoSeriousViolation, openPage, root, shots, shows, startChromium, World } from './harness.mjs';

const CARS = 20;
const WHY = 'the pick-up system of Guangdong is down';
/** As long as a reason may be. */
const LONG = 'and what it needs is not known yet, '.repeat(15).slice(0, 500);
/** Name, width, height, and the part of the address that chooses the view. */
const VIEWS = [
  ['wall', 1920, 1080, '#wall'], ['wall-4k', 3840, 2160, '#wall'], ['wall-phone', 390, 844, '#wall'], ['wall-phone-lying', 844, 390, '#wall'],
  ['desktop', 1920, 1080, '#live'], ['phone', 390, 844, '#live'],
];

let world;
let browser;
let gateways;
let sale;
let page;

const textOf = (selector) => page.textContent(selector);

/** Which colour a background is, by its channels. */
const hueOf = (selector) => page.evaluate((where) => {
  const [red, green, blue] = getComputedStyle(document.querySelector(where)).backgroundColor.match(/\d+/g).map(Number);
  if (red > 2 * green && red > 2 * blue) return 'red';
  if (green > 1.3 * red && green > 1.3 * blue) return 'green';
  if (blue > 1.3 * red && blue > 1.3 * green) return 'blue';
  return red + green + blue < 240 ? 'dark' : 'grey';
}, selector);

/** What does not fit: everything of the wall view is inside the screen, nothing lies over its neighbour, nothing scrolls. */
const misfits = () => page.evaluate(() => {
  const found = [];
  const { scrollWidth, scrollHeight } = document.scrollingElement;
  if (scrollWidth > innerWidth || scrollHeight > innerHeight) found.push(`it scrolls: ${scrollWidth} x ${scrollHeight}`);
  const shown = [...document.querySelectorAll('#wall-name, #wall-clock, #wall-symbol, #wall-word, #wall-note, #wall-count-label, #wall-count, dt, dd, #wall-bar, #wall-alarm')]
    .filter((element) => element.closest('#wall') && element.textContent + element.id !== '' && element.getClientRects().length > 0);
  const boxes = shown.map((element) => [element.id || element.textContent, element.getBoundingClientRect()]);
  boxes.forEach(([name, box], at) => {
    if (box.left < -1 || box.top < -1 || box.right > innerWidth + 1 || box.bottom > innerHeight + 1) found.push(`${name} is cut off`);
    for (const [other, its] of boxes.slice(at + 1)) {
      const over = Math.min(box.right, its.right) - Math.max(box.left, its.left);
      const down = Math.min(box.bottom, its.bottom) - Math.max(box.top, its.top);
      if (over > 1 && down > 1) found.push(`${other} lies over ${name}`);
    }
  });
  return found;
});

async function look(hash, width, height) {
  await page.setViewportSize({ width, height });
  await page.evaluate((to) => { location.hash = to; scrollTo(0, 0); }, hash);
  await page.evaluate(() => new Promise((drawn) => { requestAnimationFrame(() => requestAnimationFrame(drawn)); }));
}

/** Takes a state's screenshots, and checks its colour and that it fits, in every view. */
async function isSeen(name, word, hue) {
  for (const [view, width, height, hash] of VIEWS) {
    await look(hash, width, height);
    // On a busy machine the page may be stale for a moment.
    const isShown = async () => await textOf('#wall-word') === word;
    await eventually(`${view} shows ${word}`, async () => {
      const was = await isShown();
      await page.screenshot({ path: join(shots, `${view}-${name}.png`) });
      return was && isShown();
    });
    if (hash === '#wall') {
      assert.deepEqual(await misfits(), [], `${view}, ${name}`);
      assert.equal(await hueOf('#wall'), hue, `${view}, ${name}`);
    } else {
      assert.equal(await page.evaluate(() => document.scrollingElement.scrollWidth), width, `${view}, ${name}`);
      assert.equal(await hueOf('body') === 'red', hue === 'red', `${view}, ${name}`);
    }
  }
  await look('#wall', 1920, 1080);
  await hasNoSeriousViolation(page, `the wall view, ${name}`);
}

const isTone = (tone, state) => shows(page, `${state}, ${tone}`, ([t, s]) => document.body.dataset.tone === t && document.body.dataset.state === s, [tone, state]);
const firstAlarm = () => textOf('#alarms-list li span');
const act = (word, reason) => world.admin(gateways[0], `sales/${sale}/${word}`, {
  method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ reason }),
});

before(async () => {
  world = new World();
  await world.startRedis();
  gateways = [await world.startGateway(), await world.startGateway()];
  sale = world.applyLaunch(600, CARS);
  browser = await startChromium();
}, { timeout: 120_000 });

after(async () => {
  await browser?.close();
  await world?.end();
});

describe('the wall view', { timeout: 600_000 }, () => {
  test('the address opens it, and it is blue until the opening', async () => {
    page = await openPage(browser, gateways[0], { path: '/#wall' });
    await enter(page, world.token);
    await isTone('upcoming', 'upcoming');
    assert.deepEqual([await page.isVisible('#wall'), await page.isVisible('#panels')], [true, false]);
    assert.deepEqual([await textOf('#wall-word'), await hueOf('#wall')], ['Upcoming', 'blue']);
    await shows(page, 'it counts down', () => /^00:0\d:\d\d$/.test(document.querySelector('#wall-count').textContent));
    await page.screenshot({ path: join(shots, 'wall-upcoming.png') });
    assert.deepEqual(await misfits(), []);
  });

  test('a sale that is still paused at its opening is red: who paused it, since when, why', async () => {
    await act('pause', LONG);
    await shows(page, 'the long reason is there', () => document.querySelector('#wall-note').textContent.length > 500);
    for (const [view, width, height] of VIEWS.filter(([, , , hash]) => hash === '#wall')) {
      await look('#wall', width, height);
      assert.deepEqual(await misfits(), [], `${view}, a long reason`);
    }
    await look('#wall', 1920, 1080);
    await act('resume', 'for a shorter reason');
    await act('pause', WHY);
    await shows(page, 'the page warns before the opening', () => document.body.dataset.warned === 'true' && document.querySelector('#state').textContent === 'Upcoming, paused');
    await page.screenshot({ path: join(shots, 'wall-paused-before-opening.png') });
    world.applyLaunch(5, CARS);
    await isTone('fault', 'paused');
    await shows(page, 'the alarm is there', () => document.querySelector('#alarms-list [data-name=sale-paused].fault') !== null);
    assert.equal(await textOf('#wall-word'), 'Paused');
    assert.match(await textOf('#wall-note'), new RegExp(`^by maja since \\d\\d:\\d\\d:\\d\\d: ${WHY}$`));
    assert.equal(await textOf('#wall-count-label'), 'paused for');
    assert.equal(await textOf('#state'), 'Paused');
    assert.match(await textOf('#pause'), new RegExp(`^by maja since .*: ${WHY}$`));
    assert.match(await textOf('#wall-alarm'), /maja/);
    assert.match(await page.title(), /^FAULT – Paused – /);
    await isSeen('paused-at-opening', 'Paused', 'red');
  });

  test('it is green while it sells, and both views are one click apart', async () => {
    await act('resume', 'it is up again');
    await isTone('open', 'open');
    await world.buy(gateways[0], sale, 6);
    await shows(page, 'six are taken', () => document.querySelector('#wall-taken').textContent.startsWith('6 / '));
    await isSeen('open', 'Open', 'green');
    await page.click('#wall a');
    await shows(page, 'the panels are back', () => document.querySelector('#panels').offsetHeight > 0 && document.querySelector('#wall').hidden);
    await page.click('.tools a[href="#wall"]');
    await shows(page, 'so is the wall', () => !document.querySelector('#wall').hidden && document.querySelector('#panels').offsetHeight === 0);
    assert.equal(new URL(page.url()).hash, '#wall');
  });

  test('a fault of another sale names that sale, and leaves this one its colour', async () => {
    const run = (...words) => world.command('gateway', ['sale', '--redis', `unix:${world.socket}`, ...words]);
    run('apply', join(root, 'gateway/examples/small/sale.toml'));
    run('pause', 'small', '--reason', 'its price is wrong');
    await shows(page, 'the alarm names it', () => document.querySelector('#wall-alarm').textContent.startsWith('Sale small: Every tap is refused: cli:'));
    // The colour is that of the sale that is shown.
    assert.deepEqual([await textOf('#wall-name'), await textOf('#wall-word'), await hueOf('#wall')], ['National Good Car', 'Open', 'green']);
    assert.equal(await page.evaluate(() => document.body.dataset.warned), 'true');
    const file = join(world.dir, 'small.export');
    run('close', 'small', '--confirm', 'small');
    run('export', 'small', file);
    run('purge', 'small', '--export', file);
    await isTone('open', 'open');
  });

  test('without Redis it says so first, and shows no number as current', async () => {
    world.redisChild.kill('SIGSTOP');
    await shows(page, 'Redis is gone', () => document.body.dataset.tone === 'fault' && document.querySelector('#wall-word').textContent === 'Redis gone');
    assert.match(await firstAlarm(), /^Redis can.t be reached: nothing is sold/);
    assert.match(await textOf('#wall-alarm'), /^Redis can.t be reached: nothing is sold/);
    assert.deepEqual([await textOf('#wall-taken'), await textOf('#wall-won')], ['–', '–']);
    await isSeen('redis-gone', 'Redis gone', 'red');
    world.redisChild.kill('SIGCONT');
    await isTone('open', 'open');
  });

  test('a ledger that is fenced after a restart of Redis is red until every gateway has reported', async () => {
    gateways[1].child.kill('SIGSTOP');
    await world.restartRedis();
    await isTone('fault', 'fenced');
    await shows(page, 'the word is there', () => document.querySelector('#wall-word').textContent === 'Fenced' && document.querySelector('#state').textContent === 'Fenced');
    await shows(page, 'the alarm is there', () => document.querySelector('#alarms-list [data-name=ledger-fault].fault') !== null);
    await isSeen('fenced', 'Fenced', 'red');
    gateways[1].child.kill('SIGCONT');
    await isTone('open', 'open');
  });

  test('sold out is dark, and the numbers are whole', async () => {
    const { items } = await world.admin(gateways[0], `sales/${sale}`);
    const models = items.filter(({ item }) => item.startsWith('model:'));
    const [left, total] = ['free', 'total'].map((name) => models.reduce((sum, item) => sum + item[name], 0));
    await world.buy(gateways[0], sale, left);
    await isTone('over', 'sold_out');
    assert.deepEqual([await textOf('#wall-word'), await textOf('#wall-taken')], ['Sold out', `${total} / ${total}`]);
    await isSeen('sold-out', 'Sold out', 'dark');
  });

  test('a token that only watches sees everything and is offered no action', async () => {
    const other = await openPage(browser, gateways[0]);
    await enter(other, world.watchToken);
    await shows(other, 'it is live', () => document.body.dataset.link === 'live' && document.body.dataset.tone === 'over');
    assert.equal(await other.textContent('#watching'), 'watching: no actions');
    assert.equal(await other.isVisible('#watching'), true);
    assert.equal(await other.evaluate(() => [...document.querySelectorAll('.operates')].filter((element) => element.getClientRects().length > 0).length), 0);
    assert.equal(await page.isHidden('#watching'), true);
    await other.screenshot({ path: join(shots, 'desktop-watching.png') });
    const refused = await fetch(`${gateways[0].ops}/admin/v1/sales/${sale}/pause`, { method: 'POST', headers: { authorization: `Bearer ${world.watchToken}` } });
    assert.equal(refused.status, 403);
    assert.deepEqual(other.notes, []);
    await other.context().close();
  });

  test('old numbers are red, and never look current', async () => {
    gateways[0].child.kill('SIGSTOP');
    await shows(page, 'it is stale', () => document.body.dataset.tone === 'fault' && document.querySelector('#wall-word').textContent === 'Stale');
    assert.match(await textOf('#wall-alarm'), /^Stale since \d\d:\d\d:\d\d/);
    assert.equal(await textOf('#wall-taken'), '–');
    await isSeen('stale', 'Stale', 'red');
    page.mayFail = true;
    gateways[0].child.kill('SIGCONT');
    await isTone('over', 'sold_out');
    assert.deepEqual(page.notes, []);
  });
});
