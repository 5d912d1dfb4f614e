// The operator's console: asks the daemon once a second and shows what flows.
import {LineChart} from './chart.js';
import {
  byId, element, formatBytes, formatClock, formatCount, formatRate, formatSeconds, get, plural,
  setState, setText,
} from './page.js';
import {showPermission, startQuarantine, tellReasons} from './quarantine.js';

const PERIOD = 1000;            // milliseconds
const MINUTE = 60;              // seconds of `uptime_seconds`
const OLD = 10;                 // seconds; a healthy daemon stores within one

const charts = {
  flow: new LineChart(byId('chart-flow'), {
    title: 'Messages per second', format: formatRate, least: 10,
    lines: [{key: 'received', name: 'in'}, {key: 'stored', name: 'stored'},
      {key: 'quarantined', name: 'quarantined'}],
  }),
  latency: new LineChart(byId('chart-latency'), {
    title: 'Received to committed', format: formatSeconds, least: 0.004,
    lines: [{key: 'p99', name: 'p99'}, {key: 'p50', name: 'p50'}],
  }),
  backlog: new LineChart(byId('chart-backlog'), {
    title: 'Backlog', format: formatCount, least: 10,
    lines: [{key: 'messages', name: 'messages'}],
  }),
};

let before = null;       // the last answer; null after a silence or a restart
let lastMinute = [];     // answers of the last minute, oldest first
let skew = 0;            // the daemon's clock less ours, milliseconds
let answered = null;     // when it did last, by its own clock

// The value below which a share `q` of the messages between two histograms lies; null for none.
function quantile(now, then, q) {
  const earlier = new Map(then.buckets);
  const total = now.count - then.count;
  if (total <= 0) return null;
  let [low, below] = [0, 0];
  for (const [bound, count] of now.buckets) {
    const upTo = count - (earlier.get(bound) ?? 0);
    if (upTo >= q * total) return low + (bound - low) * (q * total - below) / (upTo - below);
    [low, below] = [bound, upTo];
  }
  return low;  // above the last bound, which is all that is known
}

function drawCharts(status) {
  const time = Date.parse(status.now);
  const seconds = before ? status.uptime_seconds - before.uptime_seconds : 0;
  const rate = (key) => (seconds > 0
    ? Math.max(0, status.accounting[key] - before.accounting[key]) / seconds : null);
  const part = (q) => (before ? quantile(status.latency, before.latency, q) : null);
  charts.flow.add(time, {received: rate('received'), stored: rate('stored'),
    quarantined: rate('quarantined')});
  charts.latency.add(time, {p50: part(0.5), p99: part(0.99)});
  charts.backlog.add(time, {messages: status.backlog.messages});
}

function showStates(status) {
  setState(byId('ready'), status.ready ? 'ok' : 'bad', status.ready ? 'ready' : 'not ready',
    [status.stage, status.reason].filter(Boolean).join(' · '));
  setState(byId('broker'), status.broker.connected ? 'ok' : 'bad',
    status.broker.connected ? 'connected' : 'away');
  setState(byId('database'), status.database.healthy ? 'ok' : 'bad',
    status.database.healthy ? 'healthy' : 'in trouble', status.database.reason);
  const {messages, bytes, oldest_seconds: oldest} = status.backlog;
  setState(byId('oldest'), oldest >= OLD ? 'warn' : 'ok',
    messages === 0 ? 'nothing waits' : formatSeconds(oldest),
    messages === 0 ? '' : `${plural(messages, 'message')}, ${formatBytes(bytes)}`);
  const since = lastMinute[0] ?? status;
  const seconds = status.uptime_seconds - since.uptime_seconds;
  const cpu = status.process.cpu_seconds - since.process.cpu_seconds;
  setText(byId('process'), `${formatBytes(status.process.rss_bytes)}` +
    (seconds > 0 ? `, ${formatRate(100 * cpu / seconds)} % CPU` : ''));
  document.title = status.ready ? 'Sluice' : 'Sluice: not ready';
}

function showEquation({accounting}) {
  for (const key of ['received', 'stored', 'quarantined', 'duplicates', 'spooled', 'damaged']) {
    setText(byId(key), formatCount(accounting[key]));
  }
  byId('damaged-term').hidden = accounting.damaged === 0;
  const balances = accounting.gap === 0;
  setState(byId('gap'), balances ? 'ok' : 'bad', formatCount(accounting.gap),
    balances ? 'it balances' : 'it does not balance');
}

function showRejecting(status) {
  const then = lastMinute[0]?.reasons ?? {};
  const recent = lastMinute.length === 0 ? [] : Object.entries(status.reasons)
    .map(([reason, count]) => [reason, count - (then[reason] ?? 0)])
    .filter(([, count]) => count > 0)
    .sort(([, left], [, right]) => right - left);
  const line = byId('rejecting');
  const text = recent.map(([reason, count]) => `${reason} ${formatCount(count)}`).join(' · ');
  if (line.dataset.said === text) return;
  line.dataset.said = text;
  const title = element('strong', {}, 'Rejected in the last minute: ');
  line.replaceChildren(...(text ? [title, element('span', {}, text)] : []));
}

function show(status) {
  if (before && status.uptime_seconds < before.uptime_seconds) [before, lastMinute] = [null, []];
  lastMinute = lastMinute.filter((old) => old.uptime_seconds >= status.uptime_seconds - MINUTE);
  answered = Date.parse(status.now);
  skew = answered - Date.now();
  setText(byId('about'), `${status.version} · up ${formatSeconds(status.uptime_seconds)} · ` +
    `${formatClock(answered)} UTC`);
  showStates(status);
  showEquation(status);
  showRejecting(status);
  drawCharts(status);
  showPermission(status.actions);
  tellReasons(status.reasons);
  before = status;
  lastMinute.push(status);
}

function showSilence(problem) {
  before = null;
  byId('away').hidden = false;
  setText(byId('away'), `The daemon does not answer (${problem.message}). It is asked again every ` +
    `second.${answered ? ` Below is what it said last, at ${formatClock(answered)} UTC.` : ''}`);
  document.body.classList.add('away');
  document.title = 'Sluice: no answer';
  for (const chart of Object.values(charts)) chart.add(Date.now() + skew, {});
}

function endSilence() {
  byId('away').hidden = true;
  document.body.classList.remove('away');
}

async function watch() {
  for (;;) {
    const next = performance.now() + PERIOD;
    try {
      show(await get('status', {}, 4 * PERIOD));
      endSilence();
    } catch (problem) {
      showSilence(problem);
    }
    await new Promise((done) => setTimeout(done, Math.max(100, next - performance.now())));
  }
}

startQuarantine();
watch();
