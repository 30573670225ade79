// Elements, tables, CSV: what all views are made of. Text is always text: nothing that came from
// a click is ever read as markup.

const kSvg = 'http://www.w3.org/2000/svg';

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (name === 'value' || name === 'checked') element[name] = value;
    else element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children.flat().filter(child => child !== null && child !== undefined));
  return element;
}
export function h(name, attributes, ...children) {
  const element = document.createElement(name);
  if (name === 'button') element.type = 'button';
  return fill(element, attributes, children);
}
export function s(name, attributes, ...children) {
  return fill(document.createElementNS(kSvg, name), attributes, children);
}

export const kDevices = {mobile: 'Phone', desktop: 'Desktop', tablet: 'Tablet', other: 'Other'};

export const number = value => value === undefined ? '–' : value.toLocaleString('en');
export const many = (value, what) => `${number(value)} ${what}${value === 1 ? '' : 's'}`;
export function percent(part, whole) {
  return whole > 0 ? `${(100 * part / whole).toFixed(1)} %` : '–';
}
export function bytes(value) {
  const units = ['B', 'KB', 'MB', 'GB', 'TB'];
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    ++unit;
  }
  return `${value >= 100 || unit === 0 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

// Tells a screen reader.
export function say(text) {
  document.getElementById('said').textContent = text;
}

export function notice(kind, ...text) {
  return h('div', {class: `notice ${kind}`, role: kind === 'bad' ? 'alert' : null}, ...text);
}

// columns: {label, value(row), text(row)?, cell(row)?, number?, share(row)?}. `value` is what CSV
// gets, `text` what people read, `cell` a node in its place, `share` (0…1) draws a bar behind;
// what is `hidden` is for CSV only. The caption is for those who hear the page; `stack` puts the
// cells of a row under each other where there is no room.
export function table(caption, all, rows, stack) {
  const columns = all.filter(column => !column.hidden);
  const head = h('tr', {}, columns.map(column =>
    h('th', {scope: 'col', class: column.number ? 'number' : null}, column.label)));
  const body = rows.map(row => h('tr', {}, columns.map((column, index) => {
    const content = column.cell ? column.cell(row)
      : String(column.text ? column.text(row) : column.value(row));
    const cell = h(index === 0 ? 'th' : 'td', {
      scope: index === 0 ? 'row' : null,
      class: column.number ? 'number' : null,
      'data-label': column.label,
    }, content);
    if (column.share) {
      cell.classList.add('share');
      cell.style.setProperty('--share', `${(100 * column.share(row)).toFixed(2)}%`);
    }
    return cell;
  })));
  return h('table', {class: stack ? 'stack' : null},
    h('caption', {class: 'unseen'}, caption),
    h('thead', {}, head), h('tbody', {}, body));
}

function csvCell(value) {
  let text = value === null || value === undefined ? '' : String(value);
  // A spreadsheet would run what a stranger's browser sent.
  if (typeof value === 'string' && /^[=+\-@\t\r]/.test(text)) text = `'${text}`;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
export function csvOf(columns, rows) {
  const lines = [columns.map(column => csvCell(column.csv || column.label)),
    ...rows.map(row => columns.map(column => csvCell(column.value(row))))];
  return lines.map(line => `${line.join(',')}\n`).join('');
}

export function csvButton(what, name, make) {
  return h('button', {class: 'quiet', 'aria-label': `Download ${what} as CSV`,
    onclick: () => {
      const {columns, rows} = make();
      const address = URL.createObjectURL(new Blob([csvOf(columns, rows)], {type: 'text/csv'}));
      const link = h('a', {href: address, download: `${name()}.csv`});
      link.click();
      setTimeout(() => URL.revokeObjectURL(address), 10e3);
      say(`${rows.length} rows saved as ${name()}.csv`);
    }}, 'CSV');
}

// What is long scrolls by itself, by keyboard too.
export const scroll = label =>
  h('div', {class: 'scroll', tabindex: 0, role: 'region', 'aria-label': label});

// A column of numbers.
export function amount(label, csv, value) {
  return {label, csv, number: true, value, text: row => number(value(row))};
}

export function card(id, title, csv, ...content) {
  return h('section', {class: 'card', 'aria-labelledby': id},
    h('div', {class: 'head'}, h('h2', {id}, title), csv), ...content);
}

// An input for names, which no browser should mend.
export function nameInput(name, value, placeholder, onchange, attributes) {
  return h('input', {type: 'text', value: value || '', placeholder, autocomplete: 'off',
    spellcheck: 'false', 'data-name': name, 'data-keep': name,
    onchange: event => onchange({[name]: event.target.value.trim()}), ...attributes});
}
export function timeInput(name, value, onchange) {
  return h('input', {type: 'datetime-local', value: value || '', 'data-name': name,
    'data-keep': name, onchange: event => onchange({[name]: event.target.value})});
}

export function tile(label, value, note, kind) {
  return h('div', {class: kind ? `tile ${kind}` : 'tile'}, h('dt', {}, label),
    h('dd', {}, h('strong', {}, value), note ? h('span', {}, note) : null));
}

// Radio buttons in one row.
export function choice(name, label, options, chosen, onchange) {
  return h('fieldset', {class: 'choice'}, h('legend', {}, label),
    h('div', {}, options.map(([value, text]) => h('label', {},
      h('input', {type: 'radio', name, value, checked: value === chosen, 'data-keep': name + value,
        onchange: () => onchange(value)}),
      h('span', {}, text)))));
}

let labels = 0;
export function field(label, input) {
  const id = input.id || `field-${++labels}`;
  input.id = id;
  return h('div', {class: 'field'}, h('label', {for: id}, label), input);
}

// Puts new children in place of the old ones; the focus stays with what has the same data-keep.
export function put(place, ...children) {
  const focused = document.activeElement;
  const kept = place.contains(focused) ? focused.dataset.keep : '';
  place.replaceChildren(...children.flat().filter(Boolean));
  if (kept) place.querySelector(`[data-keep="${CSS.escape(kept)}"]`)?.focus();
}

// put(), but what is the same stays: nobody who reads is disturbed.
export function renew(place, ...children) {
  const fresh = h('div', {}, children.flat().filter(Boolean));
  if (!place.isEqualNode(fill(place.cloneNode(false), {}, [...fresh.cloneNode(true).childNodes]))) {
    put(place, ...fresh.childNodes);
  }
}
