// Tables whose rows are choices: what waits, by tenant and reason and by device.
import {element} from './page.js';

export class ChoiceTable {
  // keys: the fields that tell an item from the others; the first one is its row's button, under
  // `label`, and a click on it hands the item to `choose`. cells: from an item to the other cells of
  // its row. elsewhere: gets the focus when the row that had it is gone.
  constructor(table, {keys, label, cells, choose, elsewhere}) {
    Object.assign(this, {keys, label, cells, choose, elsewhere, items: [], chosen: {}});
    this.body = table.tBodies[0];
  }

  // Rows that look the same stay, and with them the keyboard's place.
  show(items) {
    if (JSON.stringify(items) === JSON.stringify(this.items)) return;
    const before = this.items[this.#buttons().indexOf(document.activeElement)];
    this.items = items;
    this.body.replaceChildren(...items.map((item) => this.#row(item)));
    this.mark(this.chosen);
    if (!before) return;
    const place = items.findIndex((item) => this.#same(item, before));
    (this.#buttons()[place] ?? this.elsewhere).focus();
  }

  // chosen: has the fields that are keys.
  mark(chosen) {
    this.chosen = chosen;
    this.#buttons().forEach((button, i) =>
      button.setAttribute('aria-pressed', String(this.#same(this.items[i], chosen))));
  }

  #buttons() {
    return [...this.body.querySelectorAll('button')];
  }

  #same(left, right) {
    return this.keys.every((key) => left[key] === right[key]);
  }

  #row(item) {
    const button = element('button', {type: 'button', class: 'link'}, item[this.keys[0]]);
    button.addEventListener('click', () => this.choose(item));
    return element('tr', {}, cell(this.label, button), ...this.cells(item));
  }
}

export function cell(label, content, options = {}) {
  return element('td', {'data-label': label, ...options}, content);
}
