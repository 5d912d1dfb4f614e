// Debian's Chromium, and pages of it that remember whatever went wrong in them.
import assert from 'node:assert/strict';
import {createRequire} from 'node:module';
import {setTimeout as pause} from 'node:timers/promises';

const {chromium} = createRequire(`${process.env.BROWSER_MODULES}/`)('playwright-core');
const PATIENCE = 60_000;  // milliseconds that a condition may take to come true

// Root cannot have Chromium's sandbox.
export const launch = () => chromium.launch({executablePath: '/usr/bin/chromium',
  chromiumSandbox: process.getuid() !== 0});

// Until `condition` gives something true; what it gave.
export async function eventually(condition, what) {
  const deadline = Date.now() + PATIENCE;
  for (;;) {
    const value = await condition();
    if (value) return value;
    assert.ok(Date.now() < deadline, `never came true: ${what}`);
    await pause(50);
  }
}

export async function eventuallySays(locator, expected) {
  let text = '';
  const matches = () => (expected instanceof RegExp ? expected.test(text) : text === expected);
  try {
    await eventually(async () => {
      text = (await locator.innerText()).trim();
      return matches();
    });
  } catch {
    assert.fail(`says ${JSON.stringify(text)}, not ${expected}`);
  }
}

// A page of a fresh profile. `problems` are sentences; `forgiven` is a pattern of what the console
// may say, since Chromium writes every refused request there.
export async function visit(browser, url, {forgiven, ...options} = {}) {
  const context = await browser.newContext({viewport: {width: 1280, height: 900}, ...options});
  context.setDefaultTimeout(PATIENCE);
  const page = await context.newPage();
  const problems = [];
  page.on('console', (message) => {
    if (!['error', 'warning'].includes(message.type()) || forgiven?.test(message.text())) return;
    problems.push(`console: ${message.text()}`);
  });
  page.on('pageerror', (error) => problems.push(`script: ${error.stack}`));
  page.on('dialog', (dialog) => {
    problems.push(`dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  await page.exposeFunction('reportViolation', (what) => problems.push(`policy: ${what}`));
  await page.addInitScript(() => addEventListener('securitypolicyviolation',
    (event) => window.reportViolation(`${event.violatedDirective} ${event.blockedURI}`)));
  await page.goto(url);
  return {page, problems};
}
