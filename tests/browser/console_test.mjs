// An operator's days with the console, in a browser.
import assert from 'node:assert/strict';
import {after, before, test} from 'node:test';

import {eventually, eventuallySays, launch, visit} from './browser.mjs';
import {ADMIN_TOKEN, reading, Stack, topicOf} from './stack.mjs';

const WRONG_SITE = 'SITE_MISMATCH_REGISTRY_VS_PAYLOAD';
const REFUSED_REQUEST = /^Failed to load resource/;

let stack;
let browser;

before(async () => {
  stack = await Stack.create();
  await stack.start();
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await stack?.end();
});

// A test with a page of its own, in which nothing may go wrong that is not forgiven.
function sentence(text, options, body) {
  test(text, async () => {
    const {page, problems} = await visit(browser, stack.url + (options.query ?? ''), options);
    try {
      await body(page);
    } catch (failure) {
      await page.screenshot({path: 'failed.png'}).catch(() => {});
      throw failure;
    } finally {
      await page.context().close();
    }
    assert.deepEqual(problems, []);
  });
}

// Messages of a device that is somewhere else than the registry says.
async function quarantine(tenant, device, count) {
  await stack.register(tenant, device, 'north');
  await stack.publish(topicOf(tenant, device),
    Array.from({length: count}, (_, seq) => reading('south', seq)));
  await eventually(async () => await waiting(tenant) === count, `${count} in quarantine`);
}

// Messages that no daemon has seen. Columns as SQL.
function insert(columns, count = 1) {
  const all = {reason: `'${WRONG_SITE}'`, payload: "'null'", payload_bytes: "'{}'",
    payload_size: '2', received_at: 'now()', ...columns};
  return stack.sql(`INSERT INTO quarantine_events (${Object.keys(all)})
    SELECT ${Object.values(all)} FROM generate_series(1, ${count}) n`);
}

async function waiting(tenant, state = 'NEW') {
  return Number(await stack.sql(`SELECT count(*) FROM quarantine_events
    WHERE tenant_id = '${tenant}' AND replay_state = '${state}'`));
}

const rows = (page) => page.locator('#messages tbody tr');
const button = (page, name) => page.getByRole('button', {name, exact: true});
const field = (page, name) => page.locator(`#filters [name="${name}"]`);
const refresh = (page) => page.getByRole('button', {name: /^Refresh/}).click();
const result = (page) => page.locator('#result');
const confirmation = (page) => page.getByRole('dialog', {name: /\?$/});

// The dialog of the row's message; its text is new once it is to be seen.
async function open(row) {
  await row.getByRole('button').click();
  const detail = row.page().locator('#detail');
  await detail.waitFor();
  return detail;
}

async function close(detail) {
  await detail.press('Escape');
  await detail.waitFor({state: 'hidden'});
}

async function agree(page, name, token = ADMIN_TOKEN) {
  if (token) await page.getByLabel('ADMIN_TOKEN').fill(token);
  await confirmation(page).getByRole('button', {name, exact: true}).click();
}

sentence('the charts move while messages flow, and the equation balances', {}, async (page) => {
  await stack.register('flow', 'probe', 'north');
  const publisher = stack.publisher(topicOf('flow', 'probe'));
  let sent = 0;
  const traffic = setInterval(
    () => publisher.send(reading(sent++ % 5 ? 'north' : 'south', sent)), 20);
  try {
    const line = (key) => page.locator(`figure path.line-${key}`).last();
    for (const key of ['received', 'stored', 'quarantined', 'p50', 'p99', 'messages']) {
      await eventually(async () => (await line(key).getAttribute('d') ?? '').split('L').length > 3,
        `three moments of ${key}`);
    }
    const legend = page.locator('#chart-flow figcaption li', {hasText: 'stored'});
    await eventuallySays(legend, /^stored [1-9]/);
    await eventuallySays(page.locator('#chart-latency figcaption'), /p50 [0-9.]+ ms/);
    const drawn = await line('stored').getAttribute('d');
    await eventually(async () => await line('stored').getAttribute('d') !== drawn, 'it moves');

    await page.locator('#chart-flow svg[role=img]').hover();
    await eventuallySays(page.locator('#chart-flow time'), /^\d\d:\d\d:\d\d$/);
    await eventuallySays(page.locator('#rejecting'),
      new RegExp(`last minute: ${WRONG_SITE} \\d+$`));
  } finally {
    clearInterval(traffic);
    await publisher.end();
  }

  const count = async (id) =>
    Number((await page.locator(`#${id}`).innerText()).replaceAll(',', ''));
  await eventually(async () => await count('received') === sent && await count('spooled') === 0,
    'all is received and written');
  assert.equal(await count('stored') + await count('quarantined') + await count('duplicates'),
    sent);
  assert.equal(await count('stored'), Number(await stack.sql('SELECT count(*) FROM telemetry')));
  assert.equal(await count('quarantined'),
    Number(await stack.sql('SELECT sum(cnt) FROM quarantine_counters_minute')));
  await eventuallySays(page.locator('#gap'), /^0\s*it balances$/);
  for (const [id, words] of [['ready', /^ready\s*working$/], ['broker', 'connected'],
    ['database', 'healthy'], ['oldest', 'nothing waits']]) {
    await eventuallySays(page.locator(`#${id}`), words);
  }
});

sentence('a message is found by filter, explained, mended, replayed and gone', {}, async (page) => {
  await quarantine('orchard', 'probe-7', 3);
  await field(page, 'tenant').fill('orchard');
  await field(page, 'device').fill('probe-7');
  await button(page, 'Show').click();
  await eventually(async () => await rows(page).count() === 3, 'three rows');
  assert.match(page.url(), /\?tenant=orchard&device=probe-7$/);

  const detail = await open(rows(page).first());
  await eventuallySays(detail, /names another site than the registry/);
  await eventuallySays(detail, /set site_id in device_registry, and replay/);
  await eventuallySays(detail.locator('pre'), /"site_id":"south".*\(cut\)/);
  assert.ok(!(await page.content()).includes('tok-apple'));
  await close(detail);

  await button(page, 'Replay all that match').click();
  await agree(page, 'Replay');
  await eventuallySays(result(page), `Replayed 0 messages. Still here: 3 (${WRONG_SITE} 3).`);

  await stack.sql("UPDATE device_registry SET site_id = 'south' WHERE tenant_id = 'orchard'");
  await button(page, 'Replay all that match').click();
  await agree(page, 'Replay', null);
  await eventuallySays(result(page), 'Replayed 3 messages.');
  await eventuallySays(page.locator('#empty'), 'No message matches.');
  assert.equal(await waiting('orchard', 'REPLAYED'), 3);
  assert.equal(await stack.sql("SELECT count(*) FROM telemetry WHERE tenant_id = 'orchard'"), '3');

  await field(page, 'status').selectOption('replayed');
  await button(page, 'Show').click();
  await eventually(async () => await rows(page).count() === 3, 'three replayed rows');
  assert.equal(await page.getByRole('group', {name: 'Actions'}).isVisible(), false);
});

sentence('a replay of more than one request takes goes on by itself', {}, async (page) => {
  await insert({tenant_id: "'river'"}, 10_050);
  await field(page, 'tenant').fill('river');
  await button(page, 'Show').click();
  await button(page, 'Replay all that match').click();
  await agree(page, 'Replay');
  await eventuallySays(result(page), /^Replayed 0 messages\. Still here: 10,050 \([^)]*\)\.$/);
  assert.equal(await button(page, 'Stop').isVisible(), false);
  await button(page, 'Discard all that match').click();
  await agree(page, 'Discard', null);
  await eventuallySays(result(page), 'Discarded 10,050 messages.');
});

sentence('the summary leads to the messages of a tenant and a reason', {}, async (page) => {
  await insert({tenant_id: "'meadow'", device_id: "'probe-' || n"}, 4);
  await insert({tenant_id: "'meadow'", reason: "'TOKEN_INVALID'"});
  await page.reload();
  const line = page.locator('#summary tbody tr', {hasText: 'meadow'}).filter({hasText: WRONG_SITE});
  await eventuallySays(line, /meadow\s+4\s+4/);
  await line.getByRole('button').click();
  await eventually(async () => await rows(page).count() === 4, 'four rows');
  assert.equal(await line.getByRole('button').getAttribute('aria-pressed'), 'true');

  await page.reload();
  await eventually(async () => await rows(page).count() === 4, 'the same after a reload');
  assert.equal(await field(page, 'reason').inputValue(), WRONG_SITE);
  await button(page, 'Clear').click();
  await eventually(async () => await rows(page).count() > 4, 'all of them');
  assert.equal(await button(page, 'Discard all that match').isDisabled(), true);
});

sentence('the worst device comes first and leads to its messages', {}, async (page) => {
  await insert({tenant_id: "'meadow'", device_id: "'probe-0'"}, 2);
  await insert({tenant_id: "'delta'", device_id: "'probe-1'"}, 2);
  await insert({tenant_id: "'delta'", device_id: "'probe-2'"}, 3);
  await insert({tenant_id: "'delta'", device_id: "'probe-2'", reason: "'TOKEN_INVALID'"}, 4);
  await page.reload();
  const lines = page.locator('#devices tbody tr');
  const ofDelta = lines.filter({hasText: 'delta'});
  await eventuallySays(ofDelta.first(), /^probe-2\s+delta\s+7\s+TOKEN_INVALID 4 · SITE_MIS\w+ 3\s/);
  await eventuallySays(ofDelta.nth(1), /^probe-1\s+delta\s+2\s/);
  const all = await lines.count();
  await ofDelta.first().getByRole('button').click();
  await eventually(async () => await rows(page).count() === 7, 'the messages of probe-2');
  assert.match(page.url(), /\?tenant=delta&device=probe-2$/);
  assert.equal(await ofDelta.first().getByRole('button').getAttribute('aria-pressed'), 'true');
  await ofDelta.nth(1).getByRole('button').click();
  await eventually(async () => await rows(page).count() === 2, 'the messages of probe-1');
  assert.equal(await lines.count(), all, 'the others are still there');

  await page.locator('#summary tbody tr', {hasText: 'delta'}).filter({hasText: WRONG_SITE})
    .getByRole('button').click();
  await eventuallySays(page.locator('#devices-note'),
    `most messages first, of tenant delta, with ${WRONG_SITE}`);
  await eventuallySays(lines.first(), /^probe-2\s+delta\s+3\s/);
  assert.equal(await lines.count(), 2);
});

sentence('it counts what the filter takes, and says when there is more',
  {query: '?tenant=dune&device=probe-1'}, async (page) => {
    await insert({tenant_id: "'dune'", device_id: "'probe-1'"}, 60);
    await page.clock.install();
    await page.reload();
    const count = page.locator('#count');
    await eventuallySays(count, 'Waiting and matching: 60 messages.');
    await insert({tenant_id: "'dune'", device_id: "'probe-2'"}, 5);
    await insert({tenant_id: "'dune'", device_id: "'probe-1'"}, 3);
    await page.clock.fastForward(10_000);
    await button(page, 'Refresh, 3 more').click();
    await button(page, 'Refresh').waitFor();
    await eventuallySays(count, 'Waiting and matching: 63 messages.');
    await stack.sql("UPDATE quarantine_events SET replay_state = 'DISCARDED' WHERE id IN (SELECT" +
      " id FROM quarantine_events WHERE tenant_id = 'dune' AND device_id = 'probe-1' LIMIT 62)");
    await page.clock.fastForward(10_000);
    await button(page, 'Refresh, 62 fewer').waitFor();
    await eventuallySays(count, 'Waiting and matching: 1 message.');

    await field(page, 'since').selectOption('1h');
    await button(page, 'Show').click();
    await eventuallySays(count,
      /: 1 message of any time\. Those of the last 1h alone are not counted\.$/);
    await field(page, 'status').selectOption('discarded');
    await button(page, 'Show').click();
    await eventuallySays(count, 'Only waiting messages are counted.');
  });

sentence('a long list is read page by page', {query: '?tenant=valley'}, async (page) => {
  await insert({tenant_id: "'valley'", device_id: "'probe-' || n"}, 120);
  await page.reload();
  await eventually(async () => await rows(page).count() === 50, 'a page');
  const first = (await rows(page).first().innerText()).trim();
  await button(page, 'Older').click();
  await eventuallySays(page.locator('#page'), 'page 2');
  assert.notEqual((await rows(page).first().innerText()).trim(), first);
  await button(page, 'Older').click();
  await eventually(async () => await rows(page).count() === 20, 'the last page');
  assert.equal(await button(page, 'Older').isDisabled(), true);
  await button(page, 'Newer').click();
  await button(page, 'Newer').click();
  await eventuallySays(page.locator('#page'), 'page 1');
  await eventuallySays(rows(page).first(), first);
});

sentence('nothing is discarded unasked', {query: '?tenant=harbour'}, async (page) => {
  await insert({tenant_id: "'harbour'"}, 3);
  await page.reload();
  await rows(page).nth(1).getByRole('checkbox').check();
  await eventuallySays(page.locator('#selected'), '1 selected');
  for (const leave of [() => button(page, 'Cancel').click(), () => page.keyboard.press('Escape')]) {
    await button(page, 'Discard selected').click();
    await eventuallySays(confirmation(page).getByRole('heading'), 'Discard 1 selected message?');
    await page.getByLabel('ADMIN_TOKEN').fill(ADMIN_TOKEN);
    await leave();
    await confirmation(page).waitFor({state: 'hidden'});
  }
  assert.equal(await waiting('harbour'), 3);

  await button(page, 'Discard selected').click();
  await agree(page, 'Discard');
  await eventuallySays(result(page), 'Discarded 1 message.');
  await eventually(async () => await rows(page).count() === 2, 'two are left');
  assert.equal(await waiting('harbour', 'DISCARDED'), 1);

  await page.getByLabel('All on this page').check();
  await button(page, 'Discard selected').click();
  await agree(page, 'Discard', null);
  await eventuallySays(result(page), 'Discarded 2 messages.');
  await eventuallySays(page.locator('#empty'), 'No message matches.');
});

sentence('a wrong token is refused, a right one is asked for once and stored nowhere',
  {query: '?tenant=mill', forgiven: REFUSED_REQUEST}, async (page) => {
    await insert({tenant_id: "'mill'"}, 2);
    await page.reload();
    const discardFirst = async () => {
      await rows(page).first().getByRole('checkbox').check();
      await button(page, 'Discard selected').click();
    };
    await discardFirst();
    await agree(page, 'Discard', 'sesame-of-somebody');
    await eventuallySays(page.locator('#refusal'), 'The daemon refused the token.');
    assert.equal(await waiting('mill'), 2);
    await agree(page, 'Discard');
    await eventuallySays(result(page), 'Discarded 1 message.');

    await eventually(async () => await rows(page).count() === 1, 'one is left');
    await discardFirst();
    assert.equal(await page.getByLabel('ADMIN_TOKEN').isVisible(), false);
    await agree(page, 'Discard', null);
    await eventually(async () => await waiting('mill') === 0, 'none is left');

    const kept = await page.evaluate(() => JSON.stringify([{...localStorage}, {...sessionStorage},
      document.cookie, location.href, document.documentElement.outerHTML,
      [...document.querySelectorAll('input')].map((input) => input.value)]));
    assert.ok(!kept.includes(ADMIN_TOKEN));
    assert.deepEqual(await page.context().cookies(), []);

    await eventuallySays(page.locator('#empty'), 'No message matches.');
    await insert({tenant_id: "'mill'"});
    await refresh(page);
    await button(page, 'Forget the token').click();
    await discardFirst();
    assert.equal(await page.getByLabel('ADMIN_TOKEN').isVisible(), true);
  });

sentence('what somebody else wrote stays text', {}, async (page) => {
  const evil = (place) => `<img src=x onerror="alert('${place}')"><script>alert(1)</script>`;
  const quoted = (place) => `'${evil(place).replaceAll("'", "''")}'`;
  await insert({topic: quoted('topic'), tenant_id: quoted('tenant'), device_id: quoted('device'),
    site_id: quoted('site'), msg_type: quoted('type'), reason: quoted('reason'),
    first_reason: quoted('first'), detail: quoted('detail'), identity: quoted('identity'),
    identity_proof: quoted('proof'), payload_bytes: `convert_to(${quoted('payload')}, 'UTF8')`});
  await stack.publish(`tenant/${evil('published').replaceAll('/', '')}/device/d/telemetry`,
    [evil('message'), '{"site_id":"</pre><script>alert(2)</script>"}']);
  await eventually(async () => await stack.sql(
    "SELECT count(*) FROM quarantine_events WHERE topic LIKE '%published%'") === '2', 'they came');

  await page.reload();
  const line = page.locator('#summary tbody tr', {hasText: "alert('tenant')"});
  await eventuallySays(line, /<img src=x onerror=.*alert\('reason'\).*<script>/s);
  const row = rows(page).filter({hasText: "alert('device')"});
  await eventuallySays(row, /alert\('topic'\)/);
  const detail = await open(row);
  for (const place of ['site', 'first', 'detail', 'identity', 'proof', 'payload', 'reason']) {
    await eventuallySays(detail, new RegExp(`<img src=x onerror=.{0,2}alert\\('${place}'\\)`));
  }
  await close(detail);
  for (const published of await rows(page).filter({hasText: 'published'}).all()) {
    await eventuallySays((await open(published)).locator('pre'), /<script>/);
    await close(detail);
  }
  assert.equal(await page.locator('img, body script, iframe, [onerror]').count(), 0);
  await stack.sql("DELETE FROM quarantine_events WHERE reason LIKE '<%' OR topic LIKE '%<%'");
});

sentence('text that turns around is only shown', {query: '?tenant=fog'}, async (page) => {
  await insert({tenant_id: "'fog'", device_id: "E'probe\\u202e7'", detail: "E'\\u009b31m'",
    payload_bytes: "convert_to(E'{\\u2066}\\n\\u00e9', 'UTF8')"});
  await page.reload();
  await eventuallySays(rows(page).first(), /\sprobe\\u202e7\s/);
  const detail = await open(rows(page).first());
  await eventuallySays(detail, /\\u009b31m/);
  await eventuallySays(detail.locator('pre'), '{\\u2066}\né');
});

sentence('the keyboard alone will do', {query: '?tenant=ridge'}, async (page) => {
  await insert({tenant_id: "'ridge'", device_id: "'probe-' || n"}, 2);
  await page.reload();
  await eventually(async () => await rows(page).count() === 2, 'two rows');
  const focused = () => page.evaluate(() => {
    const {id, ariaLabel, textContent} = document.activeElement;
    return {name: ariaLabel || textContent.trim() || id, id,
      outline: getComputedStyle(document.activeElement).outlineStyle};
  });
  const tabTo = async (wanted, key = 'Tab') => {
    for (let presses = 0; presses < 80; ++presses) {
      await page.keyboard.press(key);
      const at = await focused();
      assert.notEqual(at.outline, 'none', `${at.name} shows that it has the focus`);
      if (at.name === wanted || at.id === wanted) return;
    }
    assert.fail(`no ${key} leads to ${wanted}`);
  };

  await tabTo('Messages per second, the last minutes. Arrow keys read single moments.');
  await page.keyboard.press('ArrowLeft');
  await eventuallySays(page.locator('#chart-flow time'), /^\d\d:\d\d:\d\d$/);

  await tabTo('probe-2');
  await page.keyboard.press('Enter');
  await eventually(async () => await rows(page).count() === 1, 'the message of probe-2');
  assert.equal((await focused()).name, 'probe-2', 'the focus stays');
  await tabTo('Clear');
  await tabTo(WRONG_SITE);
  await page.keyboard.press('Enter');
  await page.locator('#detail').waitFor();
  await page.keyboard.press('Escape');
  await page.locator('#detail').waitFor({state: 'hidden'});
  assert.equal((await focused()).name, WRONG_SITE, 'the focus comes back');

  await page.keyboard.press('Shift+Tab');
  await page.keyboard.press('Space');
  await eventuallySays(page.locator('#selected'), '1 selected');
  await tabTo('Discard selected', 'Shift+Tab');
  await page.keyboard.press('Enter');
  await page.keyboard.type(ADMIN_TOKEN);
  await page.keyboard.press('Enter');
  await eventuallySays(result(page), 'Discarded 1 message.');
  assert.equal((await focused()).id, 'result');
  assert.equal(await waiting('ridge'), 1);
});

// Of the cells with these labels, those whose text does not stand on one line.
const broken = (row, labels) => row.locator('td').evaluateAll((cells, wanted) => cells
  .filter((cell) => {
    const range = document.createRange();
    range.selectNodeContents(cell.querySelector('button') ?? cell);
    const tops = [...range.getClientRects()].map((box) => Math.round(box.top));
    return wanted.includes(cell.dataset.label) && new Set(tops).size !== 1;
  }).map((cell) => cell.dataset.label), labels);

sentence('names, reasons and times are not broken where there is room', {}, async (page) => {
  for (const reason of ['TOKEN_INVALID', 'TIMESTAMP_OUT_OF_RANGE', WRONG_SITE]) {
    await insert({tenant_id: "'north-orchard'", device_id: "'greenhouse-probe-0042'",
      topic: "'tenant/north-orchard/device/greenhouse-probe-0042/telemetry'",
      reason: `'${reason}'`}, 40);
  }
  await page.goto(`${stack.url}?tenant=north-orchard`);
  const device = page.locator('#devices tbody tr', {hasText: 'greenhouse'});
  await device.waitFor();
  assert.deepEqual(await broken(device, ['Device', 'Tenant', 'Waiting', 'First', 'Last']), []);
  const message = rows(page).filter({hasText: WRONG_SITE}).first();
  await message.waitFor();
  assert.deepEqual(await broken(message, ['Received', 'Reason', 'Tenant', 'Device', 'Status']), []);
  for (const width of [1280, 1100, 720]) {
    await page.setViewportSize({width, height: 900});
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), true,
      `too wide at ${width}`);
  }
  await stack.sql("DELETE FROM quarantine_events WHERE tenant_id = 'north-orchard'");
});

sentence('the page says what of its address it cannot show',
  {query: '?since=3h&status=foo&color=red&device=probe-9&tenant=a&tenant=b'}, async (page) => {
    const ignored = page.locator('#ignored');
    await eventuallySays(ignored, /since=3h, status=foo, color=red, tenant=a\.$/);
    assert.equal(await field(page, 'device').inputValue(), 'probe-9');
    assert.equal(await field(page, 'tenant').inputValue(), 'b');
    await button(page, 'Clear').click();
    await ignored.waitFor({state: 'hidden'});
    await page.goto(`${stack.url}?since=1h&status=ALL&reason=${WRONG_SITE}`);
    await eventuallySays(page.locator('#count'), 'Only waiting messages are counted.');
    assert.equal(await ignored.isVisible(), false);
  });

sentence('a finger hits every link on a phone', {viewport: {width: 390, height: 844}},
  async (page) => {
    await insert({tenant_id: "'pasture'", device_id: "'probe-1'"}, 2);
    await page.goto(`${stack.url}?tenant=pasture`);
    await eventually(async () => await rows(page).count() === 2, 'both messages');
    await page.locator('#devices tbody tr', {hasText: 'pasture'}).waitFor();
    const small = await page.locator('a:visible, button:visible, .inline:visible').evaluateAll(
      (all) => all.map((one) => [one.innerText, one.getBoundingClientRect().height])
        .filter(([, height]) => height < 32));
    assert.deepEqual(small, []);
    await stack.sql("DELETE FROM quarantine_events WHERE tenant_id = 'pasture'");
  });

const PHONE = {viewport: {width: 360, height: 740}};
sentence('nothing scrolls sideways on a phone', PHONE, async (page) => {
  const long = (letter) => `repeat('${letter}', 128)`;
  await insert({tenant_id: long('t'), device_id: long('d'), reason: "'STORAGE_REJECTED'",
    topic: `${long('x')} || '/' || ${long('y')}`,
    payload_bytes: `convert_to(${long('p')} || ${long('q')}, 'UTF8')`});
  await page.reload();
  const fits = async (what) => {
    const wide = await page.locator('html, dialog[open], .scroll').evaluateAll((boxes) => boxes
      .filter((box) => box.scrollWidth > box.clientWidth).map((box) => box.id || box.tagName));
    assert.deepEqual(wide, [], `${what} is too wide`);
  };
  const row = rows(page).filter({hasText: 'dddd'});
  await row.waitFor();
  await eventuallySays(page.locator('#chart-flow figcaption'), /stored/);
  await fits('the page');
  const detail = await open(row);
  await fits('the message');
  await detail.getByRole('button', {name: 'Discard'}).click();
  await confirmation(page).waitFor();
  await fits('the question');
  await stack.sql("DELETE FROM quarantine_events WHERE reason = 'STORAGE_REJECTED'");
});

for (const colorScheme of ['light', 'dark']) {
  sentence(`it is legible when ${colorScheme} is wanted`, {colorScheme}, async (page) => {
    await page.locator('#ready small').waitFor();
    const contrasts = await page.evaluate(() => {
      const light = (colour) => {
        const parts = colour.match(/[\d.]+/g).slice(0, 3).map((part) => part / 255)
          .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
        return parts[0] * 0.2126 + parts[1] * 0.7152 + parts[2] * 0.0722;
      };
      const ground = light(getComputedStyle(document.body).backgroundColor);
      const contrast = (other) =>
        (Math.max(ground, other) + 0.05) / (Math.min(ground, other) + 0.05);
      const of = (selector, part) => contrast(light(getComputedStyle(
        document.querySelector(selector), part).color));
      return {ground, ink: of('body'), quiet: of('#about'), ok: of('#ready', '::before'),
        label: of('th'), note: of('small')};
    });
    const {ground, ink, ...others} = contrasts;
    assert.ok(colorScheme === 'light' ? ground > 0.8 : ground < 0.05, `the ground is ${ground}`);
    assert.ok(ink >= 7, `ink has ${ink}`);
    for (const [what, contrast] of Object.entries(others)) {
      assert.ok(contrast >= 4.5, `${what} has ${contrast}`);
    }
  });
}

sentence('a quarantine that cannot be read is said, and is there again by itself',
  {forgiven: REFUSED_REQUEST}, async (page) => {
    const quarantine = /api.v1.quarantine/;
    const error = {code: 'database_unavailable', message: 'the database system is shutting down'};
    await page.route(quarantine, (route) => route.fulfill({status: 503, json: {error}}));
    await refresh(page);
    await eventuallySays(page.locator('#trouble'), /cannot be read: the database system is shut/);
    await page.unroute(quarantine);
    await page.locator('#trouble').waitFor({state: 'hidden'});
    await eventually(async () => await rows(page).count() > 0, 'the rows are back');
  });

sentence('a broker that is away is said in words, and when it is back', {}, async (page) => {
  await eventuallySays(page.locator('#broker'), 'connected');
  await stack.stopBroker();
  await eventuallySays(page.locator('#broker'), 'away');
  await eventuallySays(page.locator('#ready'), /^not ready\s*working · broker: ./);
  assert.equal(await page.locator('#ready').getAttribute('data-state'), 'bad');
  assert.equal(await page.title(), 'Sluice: not ready');
  await stack.startBroker();
  await eventuallySays(page.locator('#broker'), 'connected');
  await eventuallySays(page.locator('#ready'), /^ready/);
});

sentence('it survives a restart of the daemon', {forgiven: REFUSED_REQUEST}, async (page) => {
  const line = page.locator('#chart-backlog path.line-messages').last();
  const drawn = async () => await line.getAttribute('d') ?? '';
  await eventually(async () => (await drawn()).includes('L'), 'a line');
  await stack.stop();
  await eventuallySays(page.locator('#away'), /does not answer .* last, at \d\d:\d\d:\d\d UTC/);
  assert.equal(await page.title(), 'Sluice: no answer');
  await stack.start();
  await page.locator('#away').waitFor({state: 'hidden'});
  await eventually(async () => (await drawn()).split('M').length > 2, 'a gap in the line');
  await eventuallySays(page.locator('#ready'), /^ready/);
  await eventuallySays(page.locator('#received'), '0');
});

sentence('without ADMIN_TOKEN no action is offered, and the page says why',
  {query: '?tenant=quarry', forgiven: REFUSED_REQUEST}, async (page) => {
    await insert({tenant_id: "'quarry'"}, 2);
    await stack.stop();
    await stack.start('');
    await page.reload();
    await eventually(async () => await rows(page).count() === 2, 'two rows');
    await eventuallySays(page.locator('#permission'), /^Read-only\. With ADMIN_TOKEN set/);
    const actions = () => page.getByRole('button', {name: /replay|discard/i}).count();
    assert.equal(await actions(), 0);
    assert.equal(await page.getByRole('checkbox').count(), 0);
    await open(rows(page).first());
    assert.equal(await actions(), 0);
  });
