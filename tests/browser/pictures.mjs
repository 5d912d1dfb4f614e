// Pictures for the docs, in the directory $SCREENSHOTS: a fleet of five tenants, of whose messages
// some are bad from the third minute on.
import {execFileSync, spawn} from 'node:child_process';
import {mkdirSync} from 'node:fs';
import {dirname, join} from 'node:path';
import {setTimeout as pause} from 'node:timers/promises';

import {launch, visit} from './browser.mjs';
import {Stack} from './stack.mjs';

const SHAPE = ['--tenants', '5', '--devices', '200'];
const MINUTE = 60_000;
const loadtest = join(dirname(process.env.BROWSER_STACK), 'sluice-loadtest');
const where = process.env.SCREENSHOTS;

const stack = await Stack.create();
await stack.sql(execFileSync(loadtest, ['register', ...SHAPE], {encoding: 'utf8'}));
await stack.start();
const fleet = (...options) => spawn(loadtest, ['fleet', ...SHAPE, '--port', stack.mqtt, '--quiet',
  ...options]);
const good = fleet('--rate', '400', '--bad-percent', '0');
const browser = await launch();
const visits = {
  light: {colorScheme: 'light', viewport: {width: 1280, height: 1000}},
  dark: {colorScheme: 'dark', viewport: {width: 1280, height: 1000}},
  phone: {colorScheme: 'light', viewport: {width: 360, height: 740}, deviceScaleFactor: 2},
};
const pages = {};
for (const [name, options] of Object.entries(visits)) {
  pages[name] = (await visit(browser, stack.url, options)).page;
}
await pause(2 * MINUTE);
const bad = fleet('--rate', '200', '--bad-percent', '10', '--kinds', 'wrong_site,bad_json',
  '--first-seq', '10000000');
await pause(MINUTE);

mkdirSync(where, {recursive: true});
const shoot = (page, name) => page.screenshot({path: join(where, `${name}.png`)});
for (const page of Object.values(pages)) {
  await page.getByRole('button', {name: /^Refresh/}).click();
  await page.locator('#messages tbody tr').first().waitFor();
  await page.evaluate(() => scrollTo(0, 0));
}
await shoot(pages.light, 'console');
await shoot(pages.phone, 'console-phone');
const reason = (table) => pages.dark.locator(`${table} tbody`)
  .getByRole('button', {name: /SITE_MISMATCH/}).first();
await reason('#summary').click();
await reason('#messages').click();
await pages.dark.locator('#detail').waitFor();
await shoot(pages.dark, 'console-message');

for (const process of [good, bad]) process.kill();
await browser.close();
await stack.end();
