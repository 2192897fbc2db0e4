// The flows of the control center, as somebody with a browser walks them.

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
  // Its session ends with the connection, so that the page has nothing to show any more.
  expecting(404);
  await press(page, 'Disconnect');
  await sayYes(page);
  await toasted(page, 'The connection was ended.');
  await gone;
  await toasted(page, 'no longer there');
  await page.close();
  expecting();
  devices.forEach((client) => client.end());
}

async function bans() {
  const victim = await device('banned-one');
  const page = await open();
  await logIn(page, '/clients/banned-one');
  const gone = new Promise((done) => { victim.once('close', done); });
  expecting(404);
  await press(page, 'Ban');
  await sayYes(page);
  await toasted(page, 'The client is banned.');
  await gone;
  await stranger('banned-one', settings.username);
  await go(page, '/bans');
  expecting();
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
  await page.click('form.upload button.main');
  await toasted(page, `${name} is live.`);
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
  check((await text(page, '.steps')).includes('deny-all'), 'what stands at the end of a chain');
  await picture(page, 'chains');
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
  await form.locator('[name=roles]').fill('viewer');
  await form.locator('button.main').click();
  await page.locator('tbody tr', { hasText: 'vera' }).waitFor();
  await go(page, '/tokens');
  await page.click('summary');
  await page.fill('[name=name]', 'monitoring');
  await page.fill('[name=permissions]', 'metrics:read');
  await page.click('form.sent button.main');
  await page.locator('output', { hasText: 'pct_' }).waitFor();
  await page.locator('tbody tr', { hasText: 'monitoring' }).waitFor();
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

async function injection() {
  const devices = [];
  for (const [place, evil] of EVIL.entries()) {
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
  paths.push(...EVIL.map((evil, place) => `/clients/${encodeURIComponent(`evil ${place} ${evil}`)}`));
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
  login, overview, clients, bans, plugins, decisions, whoMay, people, traces, configuration, keyboard, withoutScript, looks, injection,
});
