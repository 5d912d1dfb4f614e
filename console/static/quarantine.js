// What was rejected: by tenant and reason, by device, as a list, one message alone; replay and
// discard.
import {askAndPost, forgetToken, holdsToken, postAgain} from './actions.js';
import {ChoiceTable, cell} from './choices.js';
import {
  byId, element, formatBytes, formatCount, formatTime, get, plural, setText, withoutEmpty,
} from './page.js';

const PAGE = 50;
const AT_ONCE = 10_000;         // messages that one request replays or discards at most
const WORST = 20;               // devices that are shown
const PERIOD = 10_000;          // milliseconds
const STATUSES = [['NEW', 'waiting'], ['REPLAYED', 'replayed'], ['DISCARDED', 'discarded'],
  ['ALL', 'any']];
const FILTERS = ['tenant', 'device', 'reason', 'status', 'since'];

const form = byId('filters');
const table = byId('messages');
const detail = byId('detail');

let allowed = false;      // the daemon has an ADMIN_TOKEN
let filter = {};          // what the list shows
let pages = [''];         // cursors of the pages up to the one that is shown
let following = null;     // cursor of the next page
let loads = 0;            // only the last one's answer is shown
let shown = null;         // the message in the dialog
let scope = {};           // tenant and reason whose devices are shown
let countAtLoad = null;   // of waiting messages that the filter takes, when the list was loaded
let knownReasons = new Set();
let stopped = false;      // somebody does not want a long action to go on
const troubles = {};

// The part of the filter that says which messages, whatever became of them.
const narrowing = () => withoutEmpty({...filter, status: ''});
const narrowed = () => Object.keys(narrowing()).length > 0;
const statusName = (status) => STATUSES.find(([name]) => name === status)?.[1] ?? status;
const orDash = (text) => (text ? String(text) : '–');

// part: "list", "count", "summary", "devices" or "message"; problem: null when it went well.
function complain(part, problem) {
  troubles[part] = problem;
  const first = Object.values(troubles).find(Boolean);
  byId('trouble').hidden = !first;
  if (first) setText(byId('trouble'), `The quarantine cannot be read: ${first.message}.`);
}

// Shows what the API answers, or complains; neither when it is not `wanted` any more.
async function load(part, path, parameters, show, wanted = () => true) {
  try {
    const answer = await get(path, parameters);
    if (!wanted()) return;
    show(answer);
    complain(part, null);
  } catch (problem) {
    if (wanted()) complain(part, problem);
  }
}

function say(text) {
  setText(byId('result'), text);
  byId('result').focus();
}

// --- filters; the address keeps them, so that a reload or a bookmark shows the same

function fillReasons(reasons) {
  const added = reasons.filter((reason) => reason && !knownReasons.has(reason));
  if (added.length === 0) return;
  knownReasons = new Set([...knownReasons, ...added].sort());
  const chosen = form.elements.reason.value;
  form.elements.reason.replaceChildren(element('option', {value: ''}, 'any'),
    ...[...knownReasons].map((reason) => element('option', {value: reason}, reason)));
  form.elements.reason.value = chosen;
}

function setFilter(fields, ofDevices = null) {
  byId('ignored').hidden = true;
  fillReasons([fields.reason ?? '']);
  for (const name of FILTERS) form.elements[name].value = fields[name] ?? '';
  // An address may have what the form does not offer.
  form.elements.status.value ||= 'NEW';
  form.elements.since.value ||= '';
  filter = Object.fromEntries(FILTERS.map((name) => [name, form.elements[name].value.trim()]));
  const query = new URLSearchParams(withoutEmpty({...filter,
    status: filter.status === 'NEW' ? '' : filter.status})).toString();
  history.replaceState(null, '', (query ? `?${query}` : location.pathname) + location.hash);
  pages = [''];
  scope = ofDevices ?? {tenant: filter.tenant, reason: filter.reason};
  summary.mark(filter);
  devices.mark(filter);
  return Promise.all([loadList(), loadDevices()]);
}

// Whoever asked for less than the list shows must hear of it.
function readAddress() {
  const asked = [...new URLSearchParams(location.search)].filter(([, value]) => value !== '');
  setFilter(Object.fromEntries(asked));
  const ignored = asked.filter(([name, value]) =>
    !FILTERS.includes(name) || filter[name] !== value.trim());
  byId('ignored').hidden = ignored.length === 0;
  setText(byId('ignored'), 'The address asks for what this page cannot show. Left out: '
    + `${ignored.map(([name, value]) => `${name}=${value}`).join(', ')}.`);
}

// --- by tenant and reason, and by device

function choose(fields, ofDevices) {
  setFilter(fields, ofDevices);
  form.scrollIntoView({block: 'nearest'});
}

const number = (label, value) => cell(label, formatCount(value), {class: 'number'});
const time = (label, text) => cell(label, formatTime(text), {class: 'time'});

const summary = new ChoiceTable(byId('summary'), {
  keys: ['reason', 'tenant'], label: 'Reason', elsewhere: form.elements.tenant,
  cells: (item) => [cell('Tenant', orDash(item.tenant)), number('Devices', item.devices),
    number('Waiting', item.stored), number('Rejected, 24 h', item.counted),
    number('Not kept', item.withheld), time('First', item.first_seen),
    time('Last', item.last_seen)],
  choose: ({reason, tenant}) => choose({reason, tenant}),
});

// A click narrows the list only, so that the next device is still to be seen.
const devices = new ChoiceTable(byId('devices'), {
  keys: ['device', 'tenant'], label: 'Device', elsewhere: form.elements.device,
  cells: (item) => [cell('Tenant', orDash(item.tenant)), number('Waiting', item.stored),
    cell('Reasons', Object.entries(item.reasons)
      .map(([reason, messages]) => `${reason} ${formatCount(messages)}`).join(' · ')),
    time('First', item.first_seen), time('Last', item.last_seen)],
  choose: ({tenant, device}) => choose({...scope, tenant, device}, scope),
});

function loadSummary() {
  return load('summary', 'quarantine/summary', {}, ({items}) => {
    summary.show(items);
    fillReasons(items.map((item) => item.reason));
    setText(byId('waiting'), formatCount(items.reduce((sum, item) => sum + item.stored, 0)));
  });
}

function loadDevices() {
  const asked = scope;
  return load('devices', 'quarantine/devices', {...scope, limit: WORST}, ({items}) => {
    devices.show(items);
    setText(byId('devices-note'), [items.length === 0 ? 'none'
      : items.length < WORST ? 'most messages first' : `the ${WORST} with most messages`,
    asked.tenant && `of tenant ${asked.tenant}`, asked.reason && `with ${asked.reason}`]
      .filter(Boolean).join(', '));
  }, () => asked === scope);
}

// The list does not move under the reader's eyes: its button says that there is more.
async function watch() {
  for (;;) {
    await new Promise((done) => setTimeout(done, PERIOD));
    await Promise.all([loadSummary(), loadDevices(), loadCount()]);
    if (troubles.list) await loadList();
  }
}

// --- the list

const picks = () => [...table.tBodies[0].querySelectorAll('input')];
const selectedIds = () => picks().filter((box) => box.checked).map((box) => box.value);

function showSelection() {
  const count = selectedIds().length;
  byId('pick-all').checked = count > 0 && count === picks().length;
  byId('pick-all').indeterminate = count > 0 && count < picks().length;
  setText(byId('selected'), count > 0 ? `${formatCount(count)} selected` : '');
  byId('narrow').hidden = narrowed();
  for (const name of ['replay', 'discard']) {
    byId(`${name}-selected`).disabled = count === 0;
    byId(`${name}-all`).disabled = !narrowed() || table.tBodies[0].rows.length === 0;
  }
}

function showActions() {
  byId('actions').hidden = !allowed || filter.status !== 'NEW';
  table.classList.toggle('pickable', !byId('actions').hidden);
  byId('detail-actions').hidden = !allowed || shown?.status !== 'NEW';
  byId('forget').hidden = !holdsToken();
}

function pick(id) {
  const box = element('input', {type: 'checkbox', value: id, 'aria-label': `Select message ${id}`});
  box.addEventListener('change', showSelection);
  return box;
}

function listRow(item) {
  const open = element('button', {type: 'button', class: 'link'}, item.reason);
  open.addEventListener('click', () => showDetail(item.id));
  return element('tr', {}, cell('', pick(item.id), {class: 'pick'}),
    time('Received', item.received_at), cell('Reason', open),
    cell('Tenant', orDash(item.tenant)), cell('Device', orDash(item.device)),
    cell('Topic', orDash(item.topic)), cell('Status', statusName(item.status), {class: 'status'}));
}

function showList({items, next}) {
  following = next;
  table.tBodies[0].replaceChildren(...items.map(listRow));
  table.hidden = items.length === 0;
  byId('empty').hidden = items.length > 0;
  setText(byId('empty'), narrowed() || filter.status === 'ALL' ? 'No message matches.'
    : `No message is ${statusName(filter.status)}.`);
  byId('newer').disabled = pages.length === 1;
  byId('older').disabled = !next;
  setText(byId('page'), items.length > 0 ? `page ${pages.length}` : '');
  showSelection();
  showActions();
}

// How many messages the filter takes, and how many more these are than when the list was loaded.
function showCount({waiting}) {
  countAtLoad ??= waiting;
  const more = filter.status === 'NEW' ? waiting - countAtLoad : 0;
  setText(byId('refresh'), more === 0 ? 'Refresh'
    : `Refresh, ${formatCount(Math.abs(more))} ${more > 0 ? 'more' : 'fewer'}`);
  const all = `${narrowed() ? 'Waiting and matching' : 'Waiting'}: ${plural(waiting, 'message')}`;
  setText(byId('count'), filter.status !== 'NEW' ? 'Only waiting messages are counted.'
    : filter.since ? `${all} of any time. Those of the last ${filter.since} alone are not counted.`
      : `${all}.`);
}

function loadCount() {
  const asked = loads;
  const {tenant, device, reason} = filter;
  return load('count', 'quarantine/count', {tenant, device, reason}, showCount,
    () => asked === loads);
}

// Counted first: what comes in between is called new once too often, and never too seldom.
async function loadList() {
  const asked = ++loads;
  countAtLoad = null;
  await loadCount();
  if (asked !== loads) return;
  await load('list', 'quarantine', {...filter, limit: PAGE, after: pages.at(-1)}, showList,
    () => asked === loads);
}

const loadAll = () => Promise.all([loadList(), loadSummary(), loadDevices()]);

// --- one message

function facts(message) {
  const known = {
    'Status': statusName(message.status), 'What was wrong': message.detail,
    'First reason': message.first_reason, 'Received (UTC)': formatTime(message.received_at),
    'Tenant': message.tenant, 'Device': message.device, 'Site': message.site,
    'Topic': message.topic, 'Time in it': message.event_time, 'Sender': message.identity,
    'Sender proven by': message.identity_proof, 'Token': message.had_token ? 'sent, cut out' : '',
    'Replayed (UTC)': message.replayed_at && formatTime(message.replayed_at),
    'Replayed by': message.replayed_by, 'Number': message.id,
  };
  return element('dl', {class: 'facts'}, ...Object.entries(known).filter(([, value]) => value)
    .map(([name, value]) => element('div', {}, element('dt', {}, name), element('dd', {}, value))));
}

function explain({explanation}) {
  if (!explanation) return [element('p', {}, 'This version does not know the reason.')];
  return [element('h3', {}, 'What it means'), element('p', {}, explanation.means),
    element('h3', {}, 'How to mend it'), element('p', {}, explanation.mend)];
}

function payloadNote({bytes, encoding, cut}) {
  return [formatBytes(bytes), encoding === 'base64' ? 'not UTF-8: shown as base64' : 'UTF-8',
    cut ? 'only the beginning was kept, so it cannot be replayed' : ''].filter(Boolean).join(', ');
}

async function showDetail(id) {
  try {
    shown = await get(`quarantine/${id}`);
    complain('message', null);
  } catch (problem) {
    complain('message', problem);
    return;
  }
  setText(byId('detail-title'), shown.reason);
  byId('detail-replay').disabled = shown.payload.cut;
  byId('detail-body').replaceChildren(...explain(shown), facts(shown),
    element('h3', {}, 'Payload ', element('small', {}, payloadNote(shown.payload))),
    element('pre', {tabindex: 0, 'aria-label': 'Payload'}, shown.payload.text));
  showActions();
  detail.showModal();
  detail.scrollTop = 0;
}

// --- replay and discard

const VERBS = {
  replay: {verb: 'Replay', means: 'Today\'s checks decide again: what passes is stored, what ' +
    'does not stays here with its new reason.'},
  discard: {verb: 'Discard', means: 'What is discarded is never stored. It stays until ' +
    'QUARANTINE_RETENTION, marked as discarded.'},
};

// Of several answers to one action.
function sum(before, answer) {
  const counts = ['replayed', 'discarded', 'kept', 'not_whole']
    .map((name) => [name, (before[name] ?? 0) + (answer[name] ?? 0)]);
  const reasons = {...before.kept_reasons};
  for (const [reason, count] of Object.entries(answer.kept_reasons ?? {})) {
    reasons[reason] = (reasons[reason] ?? 0) + count;
  }
  return {...answer, ...Object.fromEntries(counts), kept_reasons: reasons};
}

function outcome(name, answer) {
  if (name === 'discard') return `Discarded ${plural(answer.discarded, 'message')}.`;
  const parts = [`Replayed ${plural(answer.replayed, 'message')}.`];
  const why = Object.entries(answer.kept_reasons)
    .map(([reason, count]) => `${reason} ${formatCount(count)}`);
  if (answer.not_whole > 0) why.push(`not kept whole ${formatCount(answer.not_whole)}`);
  if (answer.kept > 0) parts.push(`Still here: ${formatCount(answer.kept)} (${why.join(', ')}).`);
  return parts.join(' ');
}

// What one request has no time for is asked of the next ones, until all is done or somebody stops
// it. Not of messages that were picked: the API goes on only where a filter said which.
async function goOn(name, body, first) {
  let answer = sum({}, first);
  stopped = !body.filter;
  byId('stop').hidden = answer.complete || stopped;
  try {
    while (!answer.complete && !stopped) {
      setText(byId('result'), `${outcome(name, answer)} Going on …`);
      answer = sum(answer,
        await postAgain(`quarantine/${name}`, {...body, after: answer.next ?? body.after}));
    }
    say(`${outcome(name, answer)}${answer.complete ? '' : ' Stopped before the rest.'}`);
  } catch (problem) {
    say(`${outcome(name, answer)} Then it failed: ${problem.message}.`);
  } finally {
    byId('stop').hidden = true;
  }
}

async function act(name, what, body) {
  const {verb, means} = VERBS[name];
  let answer;
  try {
    answer = await askAndPost({title: `${verb} ${what}?`, text: means, verb,
      path: `quarantine/${name}`, body});
  } catch (problem) {
    say(`${verb} failed: ${problem.message}.`);
  }
  showActions();
  if (!answer) return;
  detail.close();
  await goOn(name, body, answer);
  pages = [''];
  await loadAll();
}

function actOnSelected(name) {
  const ids = selectedIds();
  return act(name, plural(ids.length, 'selected message'), {ids});
}

function actOnAll(name) {
  const words = Object.entries(narrowing())
    .map(([field, value]) => (field === 'since' ? `the last ${value}` : `${field} ${value}`));
  return act(name, `all messages of ${words.join(', ')}`, {filter: narrowing(), limit: AT_ONCE});
}

// --- what the rest of the page tells

export function showPermission(actions) {
  setText(byId('permission'), actions ? ''
    : 'Read-only. With ADMIN_TOKEN set, the daemon lets this page replay and discard.');
  if (actions === allowed) return;
  allowed = actions;
  showActions();
}

export function tellReasons(reasons) {
  fillReasons(Object.keys(reasons));
}

function listen() {
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    setFilter(Object.fromEntries(new FormData(form)));
  });
  byId('clear').addEventListener('click', () => setFilter({}));
  byId('refresh').addEventListener('click', loadAll);
  byId('older').addEventListener('click', () => {
    if (!following) return;
    pages.push(following);
    following = null;
    loadList();
  });
  byId('newer').addEventListener('click', () => {
    if (pages.length > 1) pages.pop();
    loadList();
  });
  byId('pick-all').addEventListener('change', ({target}) => {
    for (const box of picks()) box.checked = target.checked;
    showSelection();
  });
  for (const name of ['replay', 'discard']) {
    byId(`${name}-selected`).addEventListener('click', () => actOnSelected(name));
    byId(`${name}-all`).addEventListener('click', () => actOnAll(name));
    byId(`detail-${name}`).addEventListener('click',
      () => act(name, 'this message', {ids: [shown.id]}));
  }
  byId('detail-close').addEventListener('click', () => detail.close());
  byId('stop').addEventListener('click', () => {
    stopped = true;
  });
  byId('forget').addEventListener('click', () => {
    forgetToken();
    showActions();
  });
}

export function startQuarantine() {
  form.elements.status.replaceChildren(
    ...STATUSES.map(([name, words]) => element('option', {value: name}, words)));
  form.elements.reason.replaceChildren(element('option', {value: ''}, 'any'));
  listen();
  readAddress();
  loadSummary();
  watch();
}
