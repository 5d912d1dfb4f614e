// A line chart of the last minutes, in SVG: axes, a legend that shows the newest values, or those
// under the pointer or the arrow keys. Where there is no value there is no line.
import {element, formatClock, setText} from './page.js';

const SHORTEST = 60_000;  // milliseconds that are shown
const LONGEST = 300_000;
const HEIGHT = 150;
const MARGIN = {top: 8, right: 6, bottom: 20, left: 52};

function shape(tag, attributes = {}, ...children) {
  const made = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

// Round numbers from 0 to `most` or just over it.
function ticks(most) {
  const power = 10 ** Math.floor(Math.log10(most / 4));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size * 4 >= most);
  return Array.from({length: Math.ceil(most / step - 1e-9) + 1}, (_, i) => i * step);
}

export class LineChart {
  // lines: [{key, name}], drawn in this order, each with the class `line-{key}`. `least` is what
  // the axis reaches at least. A format is a function from a value or null to text.
  constructor(figure, {title, lines, format, least}) {
    Object.assign(this, {lines, format, least, samples: [], chosen: null, width: 0});
    this.when = element('time');
    this.values = lines.map(() => element('b'));
    const legend = lines.map(({key, name}, i) => element('li', {},
      shape('svg', {class: 'swatch', 'aria-hidden': 'true', viewBox: '0 0 24 8'},
        shape('path', {class: `line-${key}`, d: 'M2 4h20'})),
      `${name} `, this.values[i]));
    this.svg = shape('svg', {role: 'img', tabindex: 0, height: HEIGHT,
      'aria-label': `${title}, the last minutes. Arrow keys read single moments.`});
    figure.append(
      element('figcaption', {}, element('strong', {}, title), this.when,
        element('ul', {}, ...legend)),
      this.svg);
    new ResizeObserver(([{contentRect}]) => {
      this.width = contentRect.width;
      this.draw();
    }).observe(figure);
    this.svg.addEventListener('pointermove', (event) => this.#choose(this.#nearest(event)));
    this.svg.addEventListener('pointerleave', () => this.#choose(null));
    this.svg.addEventListener('blur', () => this.#choose(null));
    this.svg.addEventListener('keydown', (event) => this.#key(event));
  }

  // time: milliseconds; values: by key, null where there is none.
  add(time, values) {
    this.samples.push({time, values});
    while (this.samples[0].time < time - LONGEST) {
      if (this.samples.shift() === this.chosen) this.chosen = null;
    }
    this.draw();
  }

  draw() {
    if (this.width === 0 || this.samples.length === 0) return;
    const last = this.samples.at(-1).time;
    const every = this.samples.flatMap(({values}) => this.lines.map(({key}) => values[key] ?? 0));
    const levels = ticks(Math.max(this.least, ...every));
    const right = this.width - MARGIN.right;
    const bottom = HEIGHT - MARGIN.bottom;
    const span = Math.max(SHORTEST, last - this.samples[0].time);
    this.x = (time) => right - (last - time) / span * (right - MARGIN.left);
    this.y = (value) => bottom - value / levels.at(-1) * (bottom - MARGIN.top);
    this.svg.setAttribute('width', this.width);
    this.svg.replaceChildren(...this.#levels(levels, right), ...this.#minutes(last, span, bottom),
      ...this.lines.map(({key}) => shape('path', {class: `line-${key}`, d: this.#path(key)})),
      ...this.#cursor(bottom));
    this.#legend();
  }

  #levels(levels, right) {
    return levels.flatMap((level) => [
      shape('path', {class: 'grid', d: `M${MARGIN.left} ${this.y(level)}H${right}`}),
      shape('text', {x: MARGIN.left - 6, y: this.y(level) + 4, 'text-anchor': 'end'},
        level === 0 ? '0' : this.format(level)),
    ]);
  }

  #minutes(last, span, bottom) {
    const step = this.width < 300 && span > LONGEST / 2 ? 120_000 : 60_000;
    const marks = [];
    for (let time = last - last % step; time > last - span; time -= step) {
      const x = this.x(time);
      if (x < MARGIN.left + 14 || x > this.width - 20) continue;
      marks.push(shape('path', {class: 'grid', d: `M${x} ${bottom}v4`}),
        shape('text', {x, y: HEIGHT - 4, 'text-anchor': 'middle'}, formatClock(time).slice(0, 5)));
    }
    return marks;
  }

  // Round line ends show a value between two gaps as a dot.
  #path(key) {
    let open = false;
    return this.samples.map(({time, values}) => {
      const value = values[key];
      if (value === null || value === undefined) {
        open = false;
        return '';
      }
      const point = `${this.x(time).toFixed(1)} ${this.y(value).toFixed(1)}`;
      const drawn = open ? `L${point}` : `M${point}h0`;
      open = true;
      return drawn;
    }).join('');
  }

  #cursor(bottom) {
    if (!this.chosen) return [];
    const x = this.x(this.chosen.time);
    return [shape('path', {class: 'cursor', d: `M${x} ${MARGIN.top}V${bottom}`})];
  }

  #legend() {
    const {time, values} = this.chosen ?? this.samples.at(-1);
    setText(this.when, this.chosen ? formatClock(time) : '');
    this.lines.forEach(({key}, i) => setText(this.values[i], this.format(values[key] ?? null)));
  }

  #choose(sample) {
    if (sample === this.chosen) return;
    this.chosen = sample;
    this.draw();
  }

  #nearest(event) {
    if (!this.x) return null;
    const x = event.clientX - this.svg.getBoundingClientRect().left;
    const distance = ({time}) => Math.abs(this.x(time) - x);
    return this.samples.reduce((best, next) => (distance(next) < distance(best) ? next : best));
  }

  #key(event) {
    const step = {ArrowLeft: -1, ArrowRight: 1}[event.key];
    if (!step || this.samples.length === 0) return;
    event.preventDefault();
    const from = this.chosen ? this.samples.indexOf(this.chosen) : this.samples.length;
    this.#choose(this.samples[Math.max(0, Math.min(this.samples.length - 1, from + step))]);
  }
}
