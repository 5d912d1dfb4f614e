// What every part of the page uses: elements, formats, the API.

export const byId = (id) => document.getElementById(id);

// Characters that show nothing, or turn the text around them, as \uXXXX.
const visible = (text) => text.replace(/[^\P{C}\n\t]|[\u2028\u2029]/gu,
  (hidden) => `\\u${hidden.codePointAt(0).toString(16).padStart(4, '0')}`);

// An element with these attributes. Children that are strings become text, never markup.
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    made.setAttribute(name, value);
  }
  made.append(...children.map((child) => (typeof child === 'string' ? visible(child) : child)));
  return made;
}

// Live regions are read out at every write, so nothing is written twice.
export function setText(target, text) {
  const shown = visible(text);
  if (target.textContent !== shown) target.textContent = shown;
}

// state: "ok", "warn" or "bad"; the words say it, the colour repeats it.
export function setState(target, state, words, detail = '') {
  target.dataset.state = state;
  if (target.dataset.said === words + detail) return;
  target.dataset.said = words + detail;
  target.replaceChildren(words, ...(detail ? [element('small', {}, detail)] : []));
}

const whole = new Intl.NumberFormat('en', {maximumFractionDigits: 0});
const tenth = new Intl.NumberFormat('en', {maximumFractionDigits: 1});

export const formatCount = (value) => (value === null ? '–' : whole.format(value));
export const plural = (count, noun) => `${whole.format(count)} ${noun}${count === 1 ? '' : 's'}`;

export function formatRate(value) {
  if (value === null) return '–';
  return (value < 100 ? tenth : whole).format(value);
}

export function formatSeconds(value) {
  if (value === null) return '–';
  if (value < 1) return `${(value < 0.1 ? tenth : whole).format(value * 1000)} ms`;
  if (value < 120) return `${(value < 10 ? tenth : whole).format(value)} s`;
  const minutes = Math.floor(value / 60);
  const [days, hours] = [Math.floor(minutes / 1440), Math.floor(minutes / 60) % 24];
  if (days > 0) return `${days} d ${hours} h`;
  return hours > 0 ? `${hours} h ${minutes % 60} min` : `${minutes} min`;
}

export function formatBytes(value) {
  if (value < 1024) return plural(value, 'byte');
  const unit = value < 2 ** 20 ? 'KiB' : value < 2 ** 30 ? 'MiB' : 'GiB';
  return `${tenth.format(value / {KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30}[unit])} ${unit}`;
}

// As logs and the database have it: UTC.
export const formatClock = (time) => new Date(time).toISOString().slice(11, 19);

export function formatTime(text) {
  return text ? new Date(text).toISOString().slice(0, 19).replace('T', ' ') : '–';
}

// status 0: no answer.
export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function ask(path, options, milliseconds) {
  let response;
  let body;
  try {
    response = await fetch(`/api/v1/${path}`, {...options, cache: 'no-store', credentials: 'omit',
      signal: AbortSignal.timeout(milliseconds)});
    body = await response.json();
  } catch (problem) {
    if (!response || response.ok) {
      throw new ApiError(0, problem.name === 'TimeoutError' ? 'no answer in time' : 'no answer');
    }
  }
  if (!response.ok) {
    throw new ApiError(response.status, body?.error?.message ?? `HTTP status ${response.status}`);
  }
  return body;
}

export const withoutEmpty = (fields) =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== ''));

export function get(path, parameters = {}, milliseconds = 10_000) {
  const query = new URLSearchParams(withoutEmpty(parameters)).toString();
  return ask(query ? `${path}?${query}` : path, {}, milliseconds);
}

// A replay of thousands of messages takes its time.
export function post(path, body, token) {
  return ask(path, {
    method: 'POST',
    headers: {'Content-Type': 'application/json', Authorization: `Bearer ${token}`},
    body: JSON.stringify(body),
  }, 120_000);
}
