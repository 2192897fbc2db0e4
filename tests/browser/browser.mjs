// A headless Chromium in front of a broker: pages that complain about what must not happen, devices
// that connect over MQTT, and waiting for what should come.
//
// Knows nothing of single flows; `control_center.mjs` and `tour.mjs` are made of this.

import { createRequire } from 'node:module';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** What the test said: where things are, and what to do. */
export const settings = JSON.parse(process.argv[2]);

const require = createRequire(join(settings.tools, 'package.json'));
const { chromium } = require('playwright-core');
const mqtt = require('mqtt');
const axe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');

// Other tests, and compilers, may have the machine at the same time.
const WAIT = 120_000;
const complaints = [];
// What the browser itself writes about answers that a flow asks for, such as a wrong login.
let expected = [];

export function check(so, what) {
  if (!so) throw new Error(what);
}

export function equal(found, wanted, what) {
  check(JSON.stringify(found) === JSON.stringify(wanted),
    `${what}: ${JSON.stringify(found)} and not ${JSON.stringify(wanted)}`);
}

/** Answers with these statuses are part of the flow: that the console tells of them is right. */
export function expecting(...statuses) {
  expected = statuses;
}

/** The browser; closed at the end of `run`. */
const browser = await chromium.launch({
  executablePath: settings.chromium,
  args: ['--no-sandbox', '--disable-dev-shm-usage'],
});

/** A window with a fresh profile, in which whatever goes wrong is noted. */
export async function open(options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  context.setDefaultTimeout(WAIT);
  await context.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', (event) => {
      console.error(`CSP: ${event.violatedDirective} ${event.blockedURI}`);
    });
  });
  const page = await context.newPage();
  const note = (text) => complaints.push(`${page.url()}: ${text}`);
  page.on('console', (message) => {
    const text = message.text();
    const known = expected.some((status) => text.includes(`status of ${status}`));
    if (message.type() === 'error' && !known) note(`console: ${text}`);
  });
  page.on('pageerror', (error) => note(`page error: ${error.message}`));
  page.on('dialog', async (dialog) => {
    note(`a script ran: ${dialog.message()}`);
    await dialog.dismiss();
  });
  return page;
}

/** Fails if anything went wrong in any window since the last time. */
export function quiet(where) {
  const all = complaints.splice(0);
  check(all.length === 0, `${where}:\n  ${all.join('\n  ')}`);
}

export const address = (path) => `${settings.admin}${path}`;

export async function go(page, path) {
  await page.goto(address(path));
  await page.locator('html[data-ready]').waitFor();
}

/** Logs in with the token of the first start. */
export async function logIn(page, path = '/') {
  await page.goto(address(`/login?next=${encodeURIComponent(path)}`));
  await page.locator('html[data-ready]').waitFor();
  const summary = page.locator('summary');
  if (await summary.count()) await summary.click();
  await page.fill('[name=token]', settings.token);
  await page.click('button.main');
  await page.waitForURL(address(path));
  await page.locator('html[data-ready]').waitFor();
}

/** Waits until something is so. */
export async function until(what, look) {
  const end = Date.now() + WAIT;
  for (;;) {
    if (await look()) return;
    check(Date.now() < end, `not so after ${WAIT} ms: ${what}`);
    await new Promise((done) => { setTimeout(done, 50); });
  }
}

/** A device that stays connected. */
export async function device(clientId, more = {}) {
  const client = mqtt.connect({
    host: '127.0.0.1', port: settings.mqtt, clientId, protocolVersion: 5, reconnectPeriod: 0,
    username: settings.username, password: settings.password, ...more,
  });
  client.on('error', () => {});
  await new Promise((done, failed) => {
    client.once('connect', done);
    client.once('close', () => failed(new Error(`${clientId} is not let in`)));
  });
  return client;
}

/** Somebody who is refused. */
export async function stranger(clientId, username) {
  const client = mqtt.connect({
    host: '127.0.0.1', port: settings.mqtt, clientId, protocolVersion: 5, reconnectPeriod: 0,
    username, password: 'wrong',
  });
  client.on('error', () => {});
  await new Promise((done, failed) => {
    client.once('close', done);
    client.once('connect', () => failed(new Error(`${clientId} is let in`)));
  });
}

/** Fails on what keeps people out: serious and critical findings of axe. */
export async function accessible(page, where) {
  await page.evaluate(axe);
  const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  const grave = found.violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
  const lines = grave.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).slice(0, 3).join(' | ')}`);
  check(grave.length === 0, `${where} is not accessible:\n  ${lines.join('\n  ')}`);
}

/** Fails if the page is wider than its window. */
export async function fits(page, where) {
  const wide = await page.evaluate(() => {
    const width = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= width) return null;
    const over = [...document.querySelectorAll('body *')];
    const first = over.find((element) => element.getBoundingClientRect().right > width + 1);
    return first ? first.outerHTML.slice(0, 200) : 'something';
  });
  check(wide === null, `${where} is wider than the window: ${wide}`);
}

/** A picture for whoever looks at what the tests saw. */
export async function picture(page, name) {
  mkdirSync(settings.screenshots, { recursive: true });
  await page.screenshot({ path: join(settings.screenshots, `${name}.png`) });
}

/** Runs flows one after the other; the first that fails ends everything. */
export async function run(flows) {
  let code = 0;
  for (const [name, flow] of Object.entries(flows)) {
    if (settings.flows && !settings.flows.includes(name)) continue;
    try {
      await flow();
      quiet(name);
      console.log(`${name}: ok`);
    } catch (error) {
      console.log(`${name}: ${error.stack}`);
      complaints.forEach((line) => console.log(`  ${line}`));
      code = 1;
      break;
    }
  }
  await browser.close();
  process.exit(code);
}
