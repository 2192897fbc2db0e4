// The pictures of docs/operate/tour.md: a small plant whose machines talk, and somebody who looks on.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { device, go, logIn, open, picture, run, settings, stranger, until } from './browser.mjs';

const KINDS = ['press', 'oven', 'packer', 'scale'];

/** Machines that report now and then. */
async function machines() {
  const names = Array.from({ length: 24 }, (_, number) =>
    `${KINDS[number % 4]}-${String(number).padStart(2, '0')}`);
  const all = await Promise.all(names.map((name, number) => device(name, {
    clean: number % 3 !== 0,
    properties: number % 3 === 0 ? { sessionExpiryInterval: 3600 } : undefined,
    will: { topic: `plant/hall-${number % 3}/${name}/state`, payload: 'gone', qos: 1, retain: true },
  })));
  await Promise.all(all.map((client, number) =>
    client.subscribeAsync([`plant/hall-${number % 3}/${names[number]}/command`, 'plant/all/command'], { qos: 1 })));
  await Promise.all(all.map((client, number) => client.publishAsync(
    `plant/hall-${number % 3}/${names[number]}/state`, '{"state":"running"}', { retain: true, qos: 1 })));
  const board = await device('dashboard');
  await board.subscribeAsync('plant/#');
  const report = setInterval(() => {
    all.forEach((client, number) => {
      if (Math.random() < 0.4) {
        client.publish(`plant/hall-${number % 3}/${names[number]}/temperature`, '{"celsius":21.5}');
      }
    });
  }, 150);
  // Vans come and go, and one machine tries what it may not.
  let visits = 0;
  const visit = setInterval(() => {
    visits += 1;
    device(`van-${visits % 5}`).then((van) => van.end(), () => {});
    if (visits === 60) all[0].publish('office/door', 'open');
  }, 600);
  return () => {
    clearInterval(report);
    clearInterval(visit);
    [...all, board].forEach((client) => client.end());
  };
}

async function tour() {
  const stop = await machines();
  await stranger('unknown-7', 'mallory');
  await stranger('press-99', 'alice');
  const page = await open({ viewport: { width: 1280, height: 900 }, colorScheme: 'light' });
  await logIn(page);
  const samples = () => page.evaluate(async () =>
    (await (await fetch('/api/v1/overview')).json()).samples.length);
  // One comes every five seconds; thirteen fill the charts.
  const enough = settings.for_keeps ? 13 : 3;
  await until('there is something to draw', async () => (await samples()) >= enough);
  await go(page, '/');
  await page.locator('[data-charts][data-drawn]').waitFor();
  await picture(page, 'overview');
  const pages = await page.locator('nav#navigation li a').allInnerTexts();
  writeFileSync(join(settings.screenshots, 'navigation.txt'), `${pages.join('\n')}\n`);
  await go(page, '/clients?prefix=o');
  await picture(page, 'clients');
  await go(page, '/clients/oven-01');
  await page.locator('section', { has: page.locator('h2', { hasText: 'Permissions in force' }) })
    .evaluate((section) => window.scrollTo(0, section.getBoundingClientRect().top - 24));
  await picture(page, 'client');
  await go(page, '/plugins/acl-file');
  await picture(page, 'plugin');
  await go(page, '/decisions?refused=true');
  await page.locator('tbody tr', { hasText: 'press-99' }).locator('td:first-child a').click();
  await page.locator('h1', { hasText: 'Decision' }).waitFor();
  await picture(page, 'decision');
  await go(page, '/who-may?client_id=oven-01&action=subscribe&topic=plant/secret/recipes');
  await picture(page, 'who-may');
  await page.emulateMedia({ colorScheme: 'dark' });
  await page.setViewportSize({ width: 390, height: 760 });
  await go(page, '/');
  await page.locator('[data-charts][data-drawn]').waitFor();
  await picture(page, 'phone');
  stop();
}

await run({ tour });
