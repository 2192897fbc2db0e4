// The flows of the control center, as somebody with a browser walks them.

import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import {
  accessible, address, check, device, equal, expecting, fits, go, logIn, open, picture, run, settings,
  stranger, until,
} from './browser.mjs';

const text = (page, selector) => page.locator(selector).first().innerText();

/** Presses a button of a row or of the head of a page, and says yes. */
async function press(page, name, within = page.locator('main')) {
  await within.getByRole('button', { name, exact: true }).first().click();
}

async function sayYes(page) {
  await page.locator('#confirm[open]').waitFor();
  await page.click('#confirm-yes');
}

async function toasted(page, words) {
  await page.locator('.toast', { hasText: words }).first().waitFor();
}

/** Reads the page again now, as it does by itself every few seconds. */
async function refreshed(page) {
  await page.evaluate(async () => {
    const live = document.querySelector('script[type=module]').src.replace('main.js', 'live.js');
    await (await import(live)).readAgain();
  });
}

async function login() {
  const page = await open();
  await page.goto(address('/clients?prefix=a'));
  equal(page.url(), address('/login?next=/clients%3Fprefix%3Da'), 'a stranger is sent to the login');
  await page.locator('html[data-ready]').waitFor();
  await accessible(page, '/login');
  await picture(page, 'login');
  expecting(401);
  await page.fill('[name=token]', 'this-is-not-the-token-of-this-broker');
  await page.click('button.main');
  await page.locator('.problem:not([hidden])').waitFor();
  equal(await text(page, '.problem'), 'That is not right.', 'a wrong login');
  expecting();
  await page.fill('[name=token]', settings.token);
  await page.click('button.main');
  await page.waitForURL(address('/clients?prefix=a'));
  const cookies = await page.context().cookies();
  equal(cookies.map(({ name, httpOnly, sameSite }) => [name, httpOnly, sameSite]),
    [['portcullis_session', true, 'Strict']], 'the cookie');
  equal(await page.evaluate(() => document.cookie), '', 'what scripts see of it');
  await go(page, '/account');
  await press(page, 'Log out');
  await page.waitForURL(address('/login'));
  await page.goto(address('/'));
  check(page.url().startsWith(address('/login')), 'who logged out is a stranger');
}

async function overview() {
  const page = await open();
  await logIn(page);
  await page.locator('[data-charts][data-drawn]').waitFor();
  const drawn = () => page.locator('[data-charts]').getAttribute('data-drawn');
  const before = await drawn();
  const label = await page.locator('.chart svg[role=img]').first().getAttribute('aria-label');
  check(/^Connections of the last .* minutes: connections now /.test(label), `in words: ${label}`);
  const number = () => text(page, '[data-member=connections]');
  const connected = Number(await number());
  const devices = await Promise.all(['o-1', 'o-2', 'o-3'].map((id) => device(id)));
  await until('the number of connections grows by itself', async () =>
    Number(await number()) === connected + 3);
  await until('charts go on', async () => (await drawn()) !== before);
  await picture(page, 'overview');
  devices.forEach((client) => client.end());
}

async function clients() {
  const devices = await Promise.all(['c/1', 'c/2', 'd ä'].map((id) => device(id)));
  const page = await open();
  await logIn(page, '/clients');
  await page.keyboard.press('/');
  await page.keyboard.type('c/');
  await page.keyboard.press('Enter');
  await page.waitForURL(/prefix=c/);
  equal(await page.locator('tbody td:first-child').allInnerTexts(), ['c/1', 'c/2'], 'found by prefix');
  await go(page, '/clients');
  await page.getByRole('link', { name: 'd ä' }).click();
  await page.locator('h1', { hasText: 'd ä' }).waitFor();
  await go(page, '/clients/c%2F1');
  check((await text(page, 'main')).includes('password-file'), 'who let it in is shown');
  await picture(page, 'client');
  const gone = new Promise((done) => { devices[0].once('close', done); });
  await press(page, 'Disconnect');
  await page.locator('#confirm[open]').waitFor();
  check((await text(page, '#confirm-text')).includes('c/1'), 'the question names the client');
  await page.keyboard.press('Escape');
  await page.locator('#confirm:not([open])').waitFor({ state: 'attached' });
  check(devices[0].connected, 'nothing happens to who is not confirmed');
  // Its session ends with the connection: what is left to show is its past.
  await press(page, 'Disconnect');
  await sayYes(page);
  await toasted(page, 'The connection was ended.');
  await gone;
  await page.locator('.notice', { hasText: 'It has no session' }).waitFor();
  await page.locator('tbody tr', { hasText: 'disconnected' }).first().waitFor();
  equal(await page.locator('h2', { hasText: 'Connection' }).count(), 0, 'what is over is not shown');
  await page.close();
  devices.forEach((client) => client.end());
}

async function bans() {
  const victim = await device('banned-one');
  const page = await open();
  await logIn(page, '/clients/banned-one');
  const gone = new Promise((done) => { victim.once('close', done); });
  await press(page, 'Ban');
  await sayYes(page);
  await toasted(page, 'The client is banned.');
  await gone;
  await stranger('banned-one', settings.username);
  await go(page, '/bans');
  const row = page.locator('tbody tr', { hasText: 'client banned-one' });
  await row.waitFor();
  await press(page, 'Lift', row);
  await sayYes(page);
  await toasted(page, 'The ban is lifted.');
  await until('the ban leaves the list', async () => (await row.count()) === 0);
  await page.click('summary');
  await page.fill('[name=address]', 'nonsense');
  expecting(400);
  await page.click('form.sent button.main');
  await page.locator('form.sent .problem:not([hidden])').waitFor();
  expecting();
  await page.fill('[name=address]', '192.0.2.0/24');
  await page.fill('[name=seconds]', '3600');
  await page.click('form.sent button.main');
  await page.locator('tbody tr', { hasText: '192.0.2.0/24' }).waitFor();
}

async function plugins() {
  const page = await open();
  await logIn(page, '/plugins');
  await page.setInputFiles('[type=file]', settings.component);
  const name = await page.inputValue('form.upload [name=name]');
  equal(name, settings.plugin, 'the name of the file is the name of the plugin');
  await page.evaluate(() => {
    window.stages = [];
    const note = () => {
      const stage = document.querySelector('form.upload .stages .now')?.dataset.stage;
      if (stage && window.stages.at(-1) !== stage) window.stages.push(stage);
    };
    const list = document.querySelector('form.upload .stages');
    new MutationObserver(note).observe(list, { subtree: true, attributeFilter: ['class'] });
  });
  await page.click('form.upload button.main');
  await toasted(page, `${name} is live.`);
  const stages = await page.evaluate(() => window.stages);
  for (const stage of ['sending', 'checking', 'compiling', 'testing', 'end']) {
    check(stages.includes(stage), `the upload was seen ${stage}: ${stages}`);
  }
  const row = page.locator('tbody tr', { hasText: name });
  await row.locator('.badge.good', { hasText: 'live' }).waitFor();
  await go(page, `/plugins/${name}`);
  await picture(page, 'plugin');
  await press(page, 'Disable');
  await sayYes(page);
  await toasted(page, 'The plugin is disabled.');
  await page.locator('.badge', { hasText: 'disabled' }).waitFor();
  await press(page, 'Enable');
  await toasted(page, 'The plugin is enabled.');
  await page.locator('.badge.good', { hasText: 'live' }).first().waitFor();
  await page.setInputFiles('[type=file]', {
    name: 'x.wasm', mimeType: 'application/wasm', buffer: Buffer.from('no component'),
  });
  expecting(400, 422);
  await page.click('form.upload button.main');
  await page.locator('form.upload .problem:not([hidden])').waitFor();
  expecting();
  check((await text(page, 'form.upload .problem')).length > 20, 'why it is refused');
  await page.locator('.badge.good', { hasText: 'live' }).first().waitFor();
}

async function decisions() {
  await stranger('refused-one', 'mallory');
  const page = await open();
  await logIn(page, '/decisions');
  await page.fill('[name=client_id]', 'refused-one');
  await page.selectOption('[name=refused]', 'true');
  await page.click('form.search button');
  await page.locator('tbody td:first-child a').first().click();
  await page.locator('h1', { hasText: 'Decision' }).waitFor();
  const steps = await page.locator('.steps .name').allInnerTexts();
  equal(steps, ['password-file', 'deny-all'], 'the walk through the chain');
  check((await text(page, '.notice')).includes('Refused'), 'how it ended');
  await picture(page, 'decision');
  await go(page, '/chains');
  const chain = async (name) => {
    const card = page.locator('section', { has: page.locator('h2', { hasText: `Chain of ${name}` }) });
    return [await card.locator('.name').allInnerTexts(), await card.locator('.end').allInnerTexts()];
  };
  const end = ['deny-all: whoever nobody allowed is refused'];
  for (const time of ['at first', 'when it was read again']) {
    equal(await chain('mqtt'), [['password-file', 'acl-file'], end], `the chain of mqtt ${time}`);
    equal(await chain('internal'), [['acl-file'], end], `the chain of internal ${time}`);
    await refreshed(page);
  }
  await picture(page, 'chains');
}

/** What comes up while a page is open is shown on it, and leaves whoever types in peace. */
async function notices() {
  const page = await open();
  await logIn(page);
  const notice = page.locator('.notice', { hasText: 'acl-file' });
  equal(await notice.count(), 0, 'notices at first');
  const other = await open();
  await logIn(other, '/plugins/acl-file');
  await press(other, 'Disable');
  await sayYes(other);
  await toasted(other, 'The plugin is disabled.');
  await notice.first().waitFor();
  await page.locator('[data-charts]').waitFor();
  await go(page, '/traces');
  await page.click('summary');
  await page.fill('[name=name]', 'being typed');
  await refreshed(page);
  equal(await page.inputValue('[name=name]'), 'being typed', 'what is being typed');
  await go(page, '/');
  await press(other, 'Enable');
  await toasted(other, 'The plugin is enabled.');
  await until('the notice goes away', async () => (await notice.count()) === 0);
}

/** A version that asks for more, one that is gone back to, and one in the shadow. */
async function versions() {
  const page = await open();
  await logIn(page, '/plugins/asking');
  const grants = page.locator('section', { has: page.locator('h2', { hasText: 'Grants' }) });
  await grants.waitFor();
  const uploads = page.locator('form.upload');
  await uploads.first().locator('[type=file]').setInputFiles(settings.asks_for_more);
  await uploads.first().locator('button.main').click();
  await toasted(page, 'asking is waiting for approval.');
  await page.locator('.notice', { hasText: 'A version waits for approval' }).waitFor();
  await go(page, '/alarms');
  await page.locator('tbody tr', { hasText: 'asking' }).first().waitFor();
  await go(page, '/plugins/asking');
  const asked = page.waitForRequest((request) => request.url().includes('/approve'));
  await press(page, 'Approve');
  await sayYes(page);
  check(/version=[0-9a-f]{32,}/.test((await asked).url()), 'it approves the version that was read');
  await toasted(page, 'The waiting version is live.');
  await press(page, 'Roll back');
  await sayYes(page);
  await toasted(page, 'The version before is live.');
  await page.locator('.notice', { hasText: 'An earlier version answers' }).waitFor();
  await press(page, 'Reload');
  await toasted(page, 'The plugin was loaded again.');
  await until('the notice is gone', async () =>
    (await page.locator('.notice', { hasText: 'An earlier version answers' }).count()) === 0);
  // Another build of the same component: a custom section at the end.
  const build = Buffer.concat([readFileSync(settings.asks_for_more), Buffer.from([0, 6, 5, ...Buffer.from('nonce')])]);
  for (const [button, said] of [['Drop', 'It is dropped.'], ['Promote', 'The candidate is live.']]) {
    await uploads.nth(1).locator('[type=file]').setInputFiles({
      name: 'candidate.wasm', mimeType: 'application/wasm', buffer: build,
    });
    await uploads.nth(1).locator('button.main').click();
    await toasted(page, 'The candidate is asked in the shadow.');
    await page.locator('h2', { hasText: 'Candidate in shadow mode' }).waitFor();
    await picture(page, 'shadow');
    const asking = page.waitForRequest((request) => /promote|shadow/.test(request.url()) && request.method() !== 'GET');
    await press(page, button);
    await sayYes(page);
    check(/^"[0-9a-f]{16}"$/.test((await asking).headers()['if-match'] ?? ''), `${button} is for what was read`);
    await toasted(page, said);
    await until('the report is gone', async () =>
      (await page.locator('h2', { hasText: 'Candidate in shadow mode' }).count()) === 0);
    await go(page, '/plugins/asking');
  }
  await go(page, '/plugins');
  const dropped = await page.evaluateHandle((bytes) => {
    const transfer = new DataTransfer();
    transfer.items.add(new File([new Uint8Array(bytes)], 'dropped-one.wasm', { type: 'application/wasm' }));
    return transfer;
  }, [...readFileSync(settings.component)]);
  await page.dispatchEvent('form.upload', 'drop', { dataTransfer: dropped });
  equal(await page.inputValue('form.upload [name=name]'), 'dropped-one', 'a file that is dropped is named');
  await page.click('form.upload button.main');
  await toasted(page, 'dropped-one is live.');
}

/** What the broker holds: published, found, taken away. */
async function holdings() {
  const holder = await device('holds-1');
  const got = [];
  holder.on('message', (topic, payload) => got.push(`${topic} ${payload}`));
  await holder.subscribeAsync('free/held/#', { qos: 1 });
  const page = await open();
  await logIn(page, '/retained');
  await page.click('summary');
  await page.fill('[name=topic]', 'free/held/one');
  await page.fill('[name=payload]', 'kept <b>here</b>');
  await page.check('[name=retain]');
  await page.click('form.sent button.main');
  await toasted(page, 'The message is published.');
  await until('it is delivered', () => got.includes('free/held/one kept <b>here</b>'));
  await go(page, '/topics?prefix=free/held');
  await page.locator('tbody a', { hasText: 'retained' }).first().click();
  await page.locator('h1', { hasText: 'free/held/one' }).waitFor();
  check((await text(page, 'pre')).includes('kept <b>here</b>'), 'the payload is shown');
  await press(page, 'Forget');
  await sayYes(page);
  await page.waitForURL(address('/retained'));
  equal(await page.locator('tbody tr', { hasText: 'free/held/one' }).count(), 0, 'it is forgotten');
  await go(page, '/reach?activity=subscribe&topic=free/held/one');
  const row = page.locator('tbody tr', { hasText: 'holds-1' });
  check((await row.innerText()).includes('acl-file'), 'who lets it');
  await go(page, '/rules');
  await page.locator('tbody tr', { hasText: 'free/secret/#' }).first().waitFor();
  await go(page, '/subscriptions?client_id=holds-1');
  await press(page, 'Unsubscribe', row);
  await sayYes(page);
  await toasted(page, 'The subscription is ended.');
  await until('the subscription leaves the list', async () => (await row.count()) === 0);
  holder.end();
}

/** What was written down, and is found. */
async function records() {
  await stranger('recorded-1', 'mallory');
  const page = await open();
  await logIn(page, '/access-log');
  await until('the line is on the disk', async () => {
    await page.fill('[name=client_id]', 'recorded-1');
    await page.selectOption('[name=type]', 'connect_refused');
    await page.click('form.search button');
    return (await page.locator('tbody tr', { hasText: 'recorded-1' }).count()) === 1;
  });
  for (let n = 0; n < 3; n += 1) await stranger(`recorded-${n + 2}`, 'mallory');
  const clients = page.locator('tbody td[data-title=Client]');
  await until('the latest stands first', async () => {
    await go(page, '/access-log');
    return (await clients.first().innerText()) === 'recorded-4';
  });
  await page.locator('tbody a', { hasText: 'recorded-1' }).first().click();
  await page.locator('.notice', { hasText: 'It has no session' }).waitFor();
  await go(page, '/audit');
  await page.selectOption('[name=action]', 'login');
  await page.click('form.search button');
  await page.locator('tbody tr', { hasText: 'login' }).first().waitFor();
  equal(await page.locator('tbody tr', { hasText: 'start' }).count(), 0, 'other actions');
  await go(page, '/certificates');
  await page.locator('.notice', { hasText: 'No listener speaks TLS.' }).waitFor();
}

async function keyRings() {
  const page = await open();
  await logIn(page, '/keys');
  const rows = page.locator('tbody tr');
  const before = await rows.count();
  await page.click('summary');
  await page.fill('[name=value]', Buffer.alloc(32, 7).toString('base64'));
  await page.click('form.sent button.main');
  await toasted(page, 'The key is added.');
  await until('it is listed', async () => (await rows.count()) === before + 1);
  await press(page, 'Rotate');
  await sayYes(page);
  await toasted(page, 'A new key seals.');
  await press(page, 'Retire');
  await sayYes(page);
  await toasted(page, 'The key is retired.');
  await page.locator('.badge', { hasText: 'retired' }).first().waitFor();
}

/** The code of this moment, as an authenticator app makes it of a secret (RFC 6238). */
function codeOf(secret) {
  const bits = [...secret].map((digit) =>
    'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(digit).toString(2).padStart(5, '0')).join('');
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)));
  const moment = Buffer.alloc(8);
  moment.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000)));
  const hash = createHmac('sha1', key).update(moment).digest();
  const at = hash[19] & 15;
  return String((hash.readUInt32BE(at) & 0x7fffffff) % 1_000_000).padStart(6, '0');
}

async function whoMay() {
  const asking = await device('who-may');
  const page = await open();
  await logIn(page, '/who-may');
  for (const [topic, answer] of [['free/x', 'Yes'], ['free/secret/x', 'No']]) {
    await page.fill('[name=client_id]', 'who-may');
    await page.fill('[name=topic]', topic);
    await page.click('form.search button');
    await page.waitForURL(/topic=/);
    await page.locator('.notice b', { hasText: answer }).waitFor();
    check((await text(page, '.steps')).includes('acl-file'), 'who says so');
  }
  await picture(page, 'who-may');
  await page.fill('[name=client_id]', 'nobody');
  await page.click('form.search button');
  await page.locator('.notice b', { hasText: 'No answer' }).waitFor();
  asking.end();
}

async function people() {
  const page = await open();
  await logIn(page, '/users');
  await page.locator('summary', { hasText: 'Make a user' }).click();
  const form = page.locator('form.sent').first();
  await form.locator('[name=name]').fill('vera');
  await form.locator('[name=password]').fill('a password of vera');
  await form.locator('[name=roles][value=viewer]').check();
  await form.locator('button.main').click();
  await page.locator('tbody tr', { hasText: 'vera' }).waitFor();
  await go(page, '/tokens');
  await page.click('summary');
  await page.fill('[name=name]', 'monitoring');
  await page.check('[name=permissions][value="metrics:read"]');
  await page.click('form.sent button.main');
  await page.locator('output', { hasText: 'pct_' }).waitFor();
  const token = page.locator('tbody tr', { hasText: 'monitoring' });
  check((await token.innerText()).includes('metrics:read'), 'what the token permits');
  await press(page, 'Revoke', token);
  await sayYes(page);
  await toasted(page, 'The token is good for nothing.');
  await until('the token leaves the list', async () => (await token.count()) === 0);
  const other = await open();
  await go(other, '/login');
  await other.fill('[name=username]', 'vera');
  await other.fill('[name=password]', 'a password of vera');
  await other.click('button.main');
  await other.waitForURL(address('/'));
  await go(other, '/clients');
  equal(await other.locator('button.action').count(), 0, 'buttons that a viewer has');
  equal(await other.locator('nav a[href="/users"]').count(), 0, 'pages that a viewer does not see');
  expecting(403);
  await other.goto(address('/users'));
  await other.locator('h1', { hasText: 'Not permitted' }).waitFor();
  await accessible(other, 'a page that is refused');
  expecting();
  await oneTimeCodes(other);
  await go(page, '/users');
  const row = page.locator('tbody tr', { hasText: 'vera' });
  check((await row.innerText()).includes('needed'), 'its logins need codes');
  await press(page, 'Keep out', row);
  await sayYes(page);
  await row.locator('.badge', { hasText: 'kept out' }).waitFor();
  check((await row.innerText()).includes('viewer'), 'its roles stay');
}

/** Sets up codes for whoever is logged in. */
async function oneTimeCodes(page) {
  await go(page, '/account');
  await page.locator('summary', { hasText: 'Set up one-time codes' }).click();
  const enrol = page.locator('form.sent', { has: page.locator('button', { hasText: 'Set up one-time codes' }) });
  await enrol.locator('[name=current]').fill('a password of vera');
  await enrol.locator('button.main').click();
  const output = page.locator('output', { hasText: 'otpauth://' });
  await output.waitFor();
  const modules = await output.locator('svg[role=img] path').getAttribute('d');
  check(modules.startsWith('M4 4h1v1h-1z'), 'the code for the camera has its corner');
  await picture(page, 'one-time-codes');
  const secret = /secret=([A-Z2-7]{32})/.exec(await output.innerText())[1];
  await page.locator('summary', { hasText: 'Confirm one-time codes' }).click();
  await page.fill('[name=code]', codeOf(secret));
  await page.locator('button.main', { hasText: 'Confirm one-time codes' }).click();
  await toasted(page, 'Logins need a one-time code from now on.');
}

/** Who may not read a field sees that there is one, and finds no link behind it. */
async function masked() {
  const seen = await device('masked-1');
  const page = await open();
  await logIn(page, '/roles');
  await page.locator('summary', { hasText: 'Make a role' }).click();
  const role = page.locator('form.sent').first();
  await role.locator('[name=name]').fill('half-blind');
  for (const name of ['clients:read', 'subscriptions:read', 'status:read', 'decisions:read']) {
    await role.locator(`[name=permissions][value="${name}"]`).check();
  }
  await role.locator('button.main').click();
  await page.locator('tbody tr', { hasText: 'half-blind' }).waitFor();
  await go(page, '/users');
  await page.locator('summary', { hasText: 'Make a user' }).click();
  const user = page.locator('form.sent').first();
  await user.locator('[name=name]').fill('bert');
  await user.locator('[name=password]').fill('a password of bert');
  await user.locator('[name=roles][value=half-blind]').check();
  await user.locator('button.main').click();
  await page.locator('tbody tr', { hasText: 'bert' }).waitFor();
  const other = await open();
  await go(other, '/login');
  await other.fill('[name=username]', 'bert');
  await other.fill('[name=password]', 'a password of bert');
  await other.click('button.main');
  await other.waitForURL(address('/'));
  await go(other, '/clients');
  const first = other.locator('tbody tr').first();
  equal(await first.locator('td[data-title=Client]').innerText(), '***', 'the id of a client');
  equal(await first.locator('a').count(), 0, 'links of what is masked');
  check(!(await other.content()).includes('masked-1'), 'it stands nowhere in the page');
  seen.end();
}

/** Every link of every page leads somewhere. */
async function links() {
  // Browsers take the last two for a way through the tree of paths.
  const devices = await Promise.all(['looks-1', '.', '..'].map((id) => device(id)));
  await stranger('links-2', 'mallory');
  await devices[0].publishAsync('free/..', 'x', { retain: true, qos: 1 });
  await devices[0].publishAsync('forbidden', 'x', { qos: 0 });
  const page = await open();
  await logIn(page);
  await page.evaluate(async (csrf) => fetch('/api/v1/publish', {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-csrf-token': csrf },
    body: '{"topic":"free/by-hand","payload":"x","retain":true}',
  }), await page.getAttribute('meta[name=csrf]', 'content'));
  const asked = new Set();
  const further = ['/decisions', '/retained', '/clients', '/access-log', '/reach?topic=free/a&activity=publish'];
  for (const path of [...await everyPage(page), ...further]) {
    await go(page, path);
    const found = await page.locator('main a[href^="/"]').evaluateAll((all) => all.map((link) => link.href));
    for (const href of found.filter((href) => !asked.has(href))) {
      asked.add(href);
      const status = await page.evaluate(async (url) => (await fetch(url)).status, href);
      equal(status, 200, `${path} leads to ${href}`);
    }
  }
  for (const wanted of ['/clients/~..', '/clients/~.', '/decisions/', '/plugins/acl-file', '/retained/']) {
    check([...asked].some((href) => href.includes(wanted)), `some page leads to ${wanted}: ${[...asked].join(' ')}`);
  }
  await go(page, '/clients');
  await page.getByRole('link', { name: '..', exact: true }).click();
  await page.locator('h1', { hasText: '..' }).waitFor();
  await page.locator('html[data-ready]').waitFor();
  const gone = new Promise((done) => { devices[2].once('close', done); });
  await press(page, 'Disconnect');
  await sayYes(page);
  await gone;
  devices.forEach((client) => client.end());
}

async function traces() {
  const watched = await device('traced-1');
  const page = await open();
  await logIn(page, '/traces');
  await page.click('summary');
  await page.fill('[name=name]', 'one device');
  await page.fill('[name=client_id]', 'traced-1');
  await page.click('form.sent button.main');
  const row = page.locator('tbody tr', { hasText: 'one device' });
  await row.locator('.badge', { hasText: 'running' }).waitFor();
  await row.locator('a').first().click();
  await page.locator('[data-tail]').waitFor();
  await watched.publishAsync('free/traced', 'x', { qos: 1 });
  await page.locator('.tail', { hasText: 'free/traced' }).waitFor();
  await picture(page, 'trace');
  await press(page, 'Stop');
  await toasted(page, 'The trace is stopped.');
  await press(page, 'Delete');
  await sayYes(page);
  await page.waitForURL(address('/traces'));
  await until('the trace leaves the list', async () => (await row.count()) === 0);
  watched.end();
}

async function configuration() {
  const page = await open();
  await logIn(page, '/config');
  check((await text(page, 'main')).includes('data_dir'), 'settings by key');
  await page.click('summary');
  const before = await page.inputValue('[name=text]');
  expecting(400, 422);
  await page.fill('[name=text]', `${before}\n[nonsense]\nkey = 1\n`);
  await page.click('form.sent button.main');
  await page.locator('form.sent .problem:not([hidden])').waitFor();
  check((await text(page, 'form.sent .problem')).includes('nonsense'), 'the fault is named');
  expecting();
  await page.fill('[name=text]', `${before}\n# changed in the control center\n`);
  await page.click('form.sent button.main');
  await toasted(page, 'The configuration is saved and reloaded.');
  check((await page.inputValue('[name=text]')).includes('# changed in the control center'), 'it is saved');
  await go(page, '/audit');
  await page.locator('tbody tr', { hasText: 'PUT /api/v1/config' }).first().waitFor();
}

async function keyboard() {
  const page = await open();
  await logIn(page);
  await page.keyboard.press('g');
  await page.keyboard.press('c');
  await page.waitForURL(address('/clients'));
  await page.locator('html[data-ready]').waitFor();
  await page.keyboard.press('?');
  await page.locator('#help[open]').waitFor();
  await accessible(page, 'the list of shortcuts');
  await page.keyboard.press('Escape');
  await page.locator('#help:not([open])').waitFor({ state: 'attached' });
  await page.keyboard.press('Tab');
  const focused = () => page.evaluate(() => document.activeElement.textContent.trim());
  equal(await focused(), 'Skip to the content', 'the first stop of the keyboard');
  await page.keyboard.press('Enter');
  equal(await page.evaluate(() => document.activeElement.id), 'main', 'where it leads');
  const dark = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const before = await dark();
  await page.keyboard.press('t');
  check((await dark()) !== before, 'the theme turns');
  await page.reload();
  check((await dark()) !== before, 'and stays');
}

/** Every page of the navigation, and one of each kind that stands behind lists. */
async function everyPage(page) {
  const listed = await page.locator('nav#navigation a[href^="/"]').evaluateAll((links) =>
    links.map((link) => link.getAttribute('href')));
  return [...listed, `/plugins/${settings.built_in}`, '/clients/looks-1', '/who-may?client_id=looks-1&topic=free/a'];
}

async function looks() {
  const seen = await Promise.all(['looks-1', 'looks-2'].map((id) => device(id)));
  await seen[0].subscribeAsync(`free/${'a-long-topic-without-any-blank'.repeat(6)}/#`);
  await stranger(`looks-${'x'.repeat(200)}`, 'mallory');
  const page = await open({ colorScheme: 'light' });
  await logIn(page);
  for (const path of await everyPage(page)) {
    for (const scheme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme: scheme });
      await go(page, path);
      await accessible(page, `${path} (${scheme})`);
      const name = path === '/' ? 'home' : path.replace(/\W+/g, '-').replace(/^-|-$/g, '');
      await picture(page, `${name}-${scheme}`);
    }
    await fits(page, path);
  }
  await page.setViewportSize({ width: 375, height: 740 });
  for (const path of await everyPage(page)) {
    await go(page, path);
    await fits(page, `${path} on a phone`);
    await picture(page, `phone${path.replace(/\W+/g, '-')}`);
  }
  await go(page, '/');
  await page.click('a.menu');
  await page.locator('nav#navigation a[href="/clients"]').click();
  await page.waitForURL(address('/clients'));
  seen.forEach((client) => client.end());
}

async function withoutScript() {
  const first = await open();
  await logIn(first);
  const page = await open({ javaScriptEnabled: false });
  await page.context().addCookies(await first.context().cookies());
  await page.goto(address('/clients'));
  await page.fill('[name=prefix]', 'nobody-is-called-so');
  await page.click('form.search button');
  check((await text(page, '.empty')).includes('No client has a session that fits.'), 'an empty list');
  await page.click('nav a[href="/plugins"]');
  await page.locator('h1', { hasText: 'Plugins' }).waitFor();
}

/** Text that would run where it is not text. */
const EVIL = [
  '<img src=x onerror=alert(1)>', '"><script>alert(2)</script>', "'-alert(3)-'", '</title><svg onload=alert(4)>',
  'javascript:alert(5)', '{{7*7}}${7*7}',
];

/** Text that would begin a line of a log, or command a terminal. */
const CONTROLS = ['line\nbreak {"type":"connected"}', '\u001b[2J\u001b[31mred\r'];

async function injection() {
  const devices = [];
  for (const [place, evil] of [...EVIL, ...CONTROLS].entries()) {
    const will = { topic: `free/${evil.replace(/[#+]/g, '')}`, payload: evil, qos: 0 };
    const client = await device(`evil ${place} ${evil}`, { will });
    await client.subscribeAsync(`free/${evil}/x`);
    await client.publishAsync(`free/${place}${evil}`, evil, { retain: true, qos: 1 });
    await client.publishAsync(`elsewhere/${evil}`, evil, { qos: 0 });
    devices.push(client);
    await stranger(`evil ${place} ${evil}`.slice(0, -1), evil);
  }
  const page = await open();
  await logIn(page, '/bans');
  for (const evil of EVIL) {
    await page.locator('details:not([open]) summary').click();
    await page.fill('[name=principal]', `nobody ${evil}`);
    await page.fill('[name=reason]', evil);
    await page.click('form.sent button.main');
    await page.locator('tbody tr', { hasText: `nobody ${evil}` }).waitFor();
    await go(page, '/bans');
  }
  const paths = await everyPage(page);
  paths.push(...[...EVIL, ...CONTROLS].map((evil, place) => `/clients/${encodeURIComponent(`evil ${place} ${evil}`)}`));
  paths.push(...EVIL.map((evil) =>
    `/who-may?client_id=${encodeURIComponent(`evil 0 ${EVIL[0]}`)}&topic=${encodeURIComponent(`free/${evil}`)}`));
  for (const path of paths.filter((path) => !path.includes('looks-1'))) {
    await go(page, path);
    await page.waitForTimeout(150);
    const alive = await page.evaluate(() =>
      document.querySelectorAll('main img[src="x"], main svg[onload], main script, a[href^="javascript"]').length);
    equal(alive, 0, `${path}: text that became part of the page`);
  }
  await go(page, `/clients/${encodeURIComponent(`evil 0 ${EVIL[0]}`)}`);
  await press(page, 'Disconnect');
  await page.locator('#confirm[open]').waitFor();
  check((await text(page, '#confirm-text')).includes(EVIL[0]), 'the question shows it as text');
  await page.keyboard.press('Escape');
  devices.forEach((client) => client.end());
}

await run({
  login, overview, notices, clients, bans, plugins, versions, decisions, whoMay, holdings, records, keyRings, people, masked, traces,
  configuration, keyboard, withoutScript, links, looks, injection,
});
