// Clicks and visitors over time, devices, countries, top ads.

import {get, now, repeat, Trouble} from './api.js';
import {Chart} from './chart.js';
import * as time from './time.js';
import {amount, card, choice, csvButton, field, h, kDevices, many, nameInput, notice, number,
  percent, put, renew, scroll, table, tile, timeInput} from './ui.js';

export const kRanges = [['1h', 'Last hour'], ['today', 'Today'], ['yesterday', 'Yesterday'],
  ['7d', '7 days'], ['30d', '30 days'], ['own', 'From … to']];
const kSteps = [['', 'Auto'], ['1m', 'Minutes'], ['1h', 'Hours'], ['1d', 'Days']];
const kTableMost = 1500;
// Long steps change slowly and cost more.
const kAgainMs = {'1m': 2000, '1h': 5000, '1d': 15000};
// The day beside changes by stragglers only.
const kBeforeEveryMs = 60e3;
const kStepName = {'1m': 'Minute', '1h': 'Hour', '1d': 'Day'};

const countries = new Intl.DisplayNames('en', {type: 'region', fallback: 'code'});
const country = code => code === 'ZZ' ? 'Unknown' : countries.of(code);

// What the address asks, as from and to that the API takes: local times of the zone, or instants.
function rangeOf({range, from, to, zone}) {
  const shown = time.shownZone(zone);
  const today = time.localDate(shown, now());
  switch (range) {
    case 'today': return {from: today, to: time.addDays(today, 1), days: 1};
    case 'yesterday': return {from: time.addDays(today, -1), to: today, days: 1};
    case '7d': return {from: time.addDays(today, -6), to: time.addDays(today, 1), days: 7};
    case '30d': return {from: time.addDays(today, -29), to: time.addDays(today, 1), days: 30};
    case 'own': {
      const length = Date.parse(`${to}Z`) - Date.parse(`${from}Z`);
      return {from, to, days: Math.max(1, Math.ceil(length / time.kDay)), length};
    }
    default: {
      const end = Math.floor(now() / time.kMinute + 1) * time.kMinute;
      return {from: end - 60 * time.kMinute, to: end, days: 1, length: 60 * time.kMinute};
    }
  }
}

function stepOf(question, range) {
  if (question.by) return question.by;
  if (range.length !== undefined && range.length <= 3 * 60 * time.kMinute) return '1m';
  return range.days <= 8 ? '1h' : '1d';
}

const daysBefore = days => days === 1 ? 'Day before' : `${days} days before`;

// Buckets under what their clock shows, so that 14:00 stands beside 14:00 whatever the zone
// did in between; the second of a repeated hour is another one.
function byWall(buckets, zone, granularity, days) {
  const found = new Map();
  for (const bucket of buckets) {
    const ms = Date.parse(bucket.window_start) + (granularity === '1d' ? time.kDay / 2 : 0);
    const shown = time.addDays(time.localText(zone, ms), days);
    let name = granularity === '1d' ? shown.slice(0, 10) : shown;
    while (found.has(name)) name += '+';
    found.set(name, bucket);
  }
  return found;
}

export class ClicksView {
  // app: {who, question, ask(changes), title}
  constructor(place, app) {
    this.app = app;
    this.chart = new Chart();
    this.trouble = h('div');
    this.figures = h('dl', {class: 'tiles'});
    this.fresh = h('p', {class: 'fresh'});
    this.details = h('details', {ontoggle: () => this.showTable()},
      h('summary', {}, 'The same as a table'), scroll('Table of clicks over time'));
    this.panels = {devices: h('div'), countries: h('div'), ads: h('div')};
    this.controls = h('form', {class: 'controls', 'aria-label': 'What is shown',
      onsubmit: event => event.preventDefault()});
    this.lower = h('div', {class: 'panels'}, this.panel('devices', 'Devices'),
      this.panel('countries', 'Countries'), this.panel('ads', 'Top ads'));
    // Nothing is shown before there is something.
    this.body = h('div', {hidden: true}, this.figures,
      card('over-time', 'Clicks and visitors over time',
        csvButton('clicks over time', () => `clicks-${this.fileName()}`, () => this.series()),
        this.fresh, this.chart.element, this.details), this.lower);
    put(this.trouble, notice('', 'Asking the node…'));
    place.replaceChildren(h('h1', {class: 'unseen'}, 'Clicks'), this.controls, this.trouble,
      this.body);
    this.changed();
  }

  // Another question, or the first.
  changed() {
    this.stop?.();
    this.body.setAttribute('aria-busy', 'true');
    this.showControls();
    this.learnAds();
    this.all = '';
    this.stop = repeat(signal => this.refresh(signal), 2000);
  }

  panel(name, title) {
    return card(`of-${name}`, title, csvButton(title.toLowerCase(),
      () => `${name}-${this.fileName()}`, () => this[`${name}Table`]()), this.panels[name]);
  }

  fileName() {
    const {ad, advertiser} = this.app.question;
    const whose = ad || advertiser || this.app.who.advertiser_id || 'all';
    return `${whose}-${this.answer ? this.answer.from.replaceAll(':', '') : ''}`;
  }

  showControls() {
    const {question, who} = this.app;
    const ask = changes => this.app.ask(changes);
    const text = (name, list, placeholder) =>
      nameInput(name, question[name], placeholder, ask, {list});
    const when = name => timeInput(name, question[name], ask);
    this.adList = h('datalist', {id: 'ads'});
    this.advertiserList = h('datalist', {id: 'advertisers'});
    put(this.controls,
      choice('range', 'Range', kRanges, question.range, range => this.chooseRange(range)),
      question.range === 'own'
        ? h('div', {class: 'pair'}, field('From', when('from')), field('To', when('to'))) : null,
      choice('by', 'In steps of', kSteps, question.by || '', by => ask({by})),
      h('div', {class: 'fields'},
        who.role === 'admin' ? field('Advertiser',
          text('advertiser', 'advertisers', 'All advertisers')) : null,
        field('Ad', text('ad', 'ads', 'All ads')), field('Time zone', text('zone', 'zones')),
        h('label', {class: 'tick'}, h('input', {type: 'checkbox', checked: question.beside === '1',
          'data-keep': 'beside', onchange: event => ask({beside: event.target.checked ? '1' : ''})}),
        h('span', {}, question.range === 'today' ? 'Yesterday beside it' : 'The time before'))),
      this.adList, this.advertiserList,
      h('datalist', {id: 'zones'}, time.zones().map(name => h('option', {value: name}))));
  }

  chooseRange(range) {
    const changes = {range};
    if (range === 'own') {
      // It begins as what was seen.
      const zone = time.shownZone(this.app.question.zone);
      const [from, to] = this.answer
        ? [Date.parse(this.answer.from), Date.parse(this.answer.to)] : [now() - time.kDay, now()];
      Object.assign(changes, {from: time.localText(zone, from), to: time.localText(zone, to)});
    }
    this.app.ask(changes);
  }

  async learnAds() {
    try {
      const {data} = await get('v1/ads', {limit: 500, advertiser_id: this.app.question.advertiser});
      this.adList.replaceChildren(...data.map(ad => h('option', {value: ad.ad_id})));
      const advertisers = [...new Set(data.map(ad => ad.advertiser_id))];
      this.advertiserList.replaceChildren(...advertisers.map(id => h('option', {value: id})));
    } catch {
      // The names can be typed all the same; what is wrong with the node the numbers say.
    }
  }

  whose() {
    const {ad, advertiser} = this.app.question;
    if (ad) return {ad_id: ad};
    return {advertiser_id: advertiser || this.app.who.advertiser_id || '*'};
  }

  async refresh(signal) {
    const {question} = this.app;
    try {
      if (question.range === 'own' && !(question.from < question.to)) {
        throw new Trouble(400, 'The range must end after it begins.', {field: 'to'});
      }
      const range = rangeOf(question);
      const step = stepOf(question, range);
      const asked = {...this.whose(), timezone: question.zone};
      const answer = await get('v1/metrics/clicks', {...asked, from: range.from, to: range.to,
        granularity: step, breakdown: 'device_type'}, {signal});
      // The same instants for all, whatever passes meanwhile.
      const span = {from: answer.from, to: answer.to};
      const rest = Promise.all([
        get('v1/metrics/clicks', {...this.whose(), ...span, granularity: 'total',
          breakdown: 'country'}, {signal}),
        get('v1/metrics/top', {...span, n: 10,
          advertiser_id: question.advertiser || this.app.who.advertiser_id}, {signal}),
        question.beside === '1' ? this.before(asked, answer, step, range.days, signal) : null]);
      const show = before => {
        Object.assign(this, {answer, step});
        this.points = this.pointsOf(before, range.days);
        this.show(range.days);
      };
      // On a slow line the chart comes before the rest.
      if (this.body.hidden) show(null);
      const [countries, top, before] = await rest;
      Object.assign(this, {countries: countries.total, top});
      show(before);
      return kAgainMs[step];
    } catch (error) {
      if (error.name === 'AbortError') return;
      if (!error.again) this.stop();
      this.app.failed(error, trouble => this.showTrouble(trouble));
    }
  }

  async before(asked, answer, step, days, signal) {
    const zone = time.shownZone(asked.timezone);
    const local = text => time.addDays(time.localText(zone, Date.parse(text)), -days);
    const wanted = {...asked, timezone: zone, from: local(answer.from), to: local(answer.to),
      granularity: step};
    const name = JSON.stringify(wanted);
    if (this.beside?.name !== name || Date.now() - this.beside.at > kBeforeEveryMs) {
      const {data} = await get('v1/metrics/clicks', wanted, {signal});
      this.beside = {name, at: Date.now(), data};
    }
    return this.beside.data;
  }

  pointsOf(before, days) {
    const zone = time.shownZone(this.app.question.zone);
    const current = now();
    const points = this.answer.data.map(bucket => ({
      ms: Date.parse(bucket.window_start), clicks: bucket.click_count,
      uniques: bucket.unique_users, complete: bucket.complete,
      future: bucket.click_count === 0 && Date.parse(bucket.window_start) > current, bucket}));
    if (!before) return points;
    const earlier = byWall(before, zone, this.step, days);
    const names = [...byWall(this.answer.data, zone, this.step, 0).keys()];
    points.forEach((point, i) => {
      point.before = earlier.get(names[i])?.click_count;
    });
    return points;
  }

  showTrouble(trouble) {
    const input = {timezone: 'zone', ad_id: 'ad', advertiser_id: 'advertiser', from: 'from',
      to: 'to'}[trouble.field];
    for (const each of this.controls.querySelectorAll('[aria-invalid]')) {
      each.removeAttribute('aria-invalid');
    }
    this.controls.querySelector(`[data-name="${input}"]`)?.setAttribute('aria-invalid', 'true');
    const fitting = trouble.field === 'granularity' && / (1h|1d) would fit/.exec(trouble.message);
    put(this.trouble, notice('bad', trouble.message,
      trouble.status === 404 && input ? h('button', {
        onclick: () => this.app.ask({ad: '', advertiser: ''})}, 'Show all ads') : null,
      fitting ? h('button', {onclick: () => this.app.ask({by: fitting[1]})},
        `Show ${fitting[1] === '1h' ? 'hours' : 'days'}`) : null));
    this.fresh.textContent = this.answer ? 'What stands below is from before.' : '';
  }

  show(days) {
    const {answer, points} = this;
    const zone = time.shownZone(this.app.question.zone);
    this.body.hidden = false;
    this.body.removeAttribute('aria-busy');
    this.trouble.replaceChildren(...(zone === this.app.question.zone ? [] : [notice('warn',
      `This browser doesn’t know the zone ${this.app.question.zone}: the node counts days and ` +
      'hours by it, the times here are UTC.')]));
    for (const each of this.controls.querySelectorAll('[aria-invalid]')) {
      each.removeAttribute('aria-invalid');
    }
    const asOf = Date.parse(answer.as_of);
    const open = points.filter(point => !point.complete && !point.future).length;
    const steps = `${kStepName[this.step].toLowerCase()}${open === 1 ? ' is' : 's are'}`;
    this.fresh.replaceChildren('All that was answered by ', h('time', {datetime: answer.as_of},
      time.clock(zone, asOf, true)), ` (${zone}, ${time.ago(now() - asOf)} ago) is counted`,
    open ? `; ${open} ${steps} still open.` : '.');
    this.showFigures(days);
    const step = this.step;
    this.chart.show({points, granularity: step, zone, beforeName: daysBefore(days)});
    if (this.details.open) this.showTable();
    this.lower.hidden = !this.top;
    for (const name of this.top ? ['devices', 'countries', 'ads'] : []) this.showPanel(name);
    document.title = `${many(answer.total.click_count, 'click')} – clickmill`;
  }

  showFigures(days) {
    const {total} = this.answer;
    const pairs = this.points.filter(point => point.complete && point.before !== undefined);
    const sum = read => pairs.reduce((all, point) => all + read(point), 0);
    const [ours, theirs] = [sum(point => point.clicks), sum(point => point.before)];
    const change = theirs ? `${ours >= theirs ? '+' : '−'}` +
      `${Math.abs(100 * (ours - theirs) / theirs).toFixed(1)} %` : '–';
    const per = total.unique_users ? (total.click_count / total.unique_users).toFixed(2) : '–';
    renew(this.figures, tile('Clicks', number(total.click_count),
      total.automated_clicks && `${number(total.automated_clicks)} of machines`),
      tile('Visitors', number(total.unique_users), 'estimate, ±1.6 %'),
      tile('Clicks per visitor', per),
      pairs.length ? tile(`Against the ${daysBefore(days).toLowerCase()}`, change,
        `${number(ours)} to ${number(theirs)}, where complete`) : null);
  }

  series() {
    const zone = time.shownZone(this.app.question.zone);
    const points = this.points || [];
    const columns = [
      {label: kStepName[this.step] || 'Time', csv: 'window_start',
        value: point => point.bucket.window_start,
        text: point => time.bucketName(zone, this.step, point.ms, true)},
      amount('Clicks', 'click_count', point => point.clicks),
      amount('Visitors', 'unique_users', point => point.uniques)];
    if (points.some(point => point.before !== undefined)) {
      columns.push(amount('Before', 'click_count_before', point => point.before));
    }
    columns.push({label: 'State', csv: 'complete', value: point => point.complete,
      text: point => point.complete ? 'complete' : point.future ? 'to come' : 'counting'});
    for (const [key, name] of Object.entries(kDevices)) {
      columns.push({label: name, csv: key, hidden: true,
        value: point => point.bucket.device_type[key]});
    }
    return {columns, rows: points};
  }

  showTable() {
    if (!this.points || !this.details.open) return;
    const {columns, rows} = this.series();
    const last = rows.slice(-kTableMost);
    const cut = rows.length > last.length
      ? h('p', {}, `The last ${number(last.length)} of ${number(rows.length)}; CSV has all.`) : null;
    renew(this.details.lastChild, cut,
      table('Clicks and visitors over time', columns, last));
  }

  shared(label, name, rows, total) {
    return {rows, columns: [
      {label, value: row => row.id, text: name,
        share: row => total > 0 ? row.clicks / total : 0},
      amount('Clicks', 'click_count', row => row.clicks),
      {label: 'Share', number: true, csv: 'share', text: row => percent(row.clicks, total),
        value: row => total > 0 ? Number((row.clicks / total).toFixed(4)) : 0}]};
  }

  devicesTable() {
    const {total} = this.answer;
    const rows = Object.entries(kDevices).map(([id, name]) =>
      ({id, name, clicks: total.device_type[id]}));
    return this.shared('Device', row => row.name, rows, total.click_count);
  }

  countriesTable() {
    const rows = Object.entries(this.countries.country).map(([id, clicks]) => ({id, clicks}))
      .sort((a, b) => b.clicks - a.clicks || (a.id < b.id ? -1 : 1));
    return this.shared('Country', row => country(row.id), rows,
      this.countries.click_count);
  }

  adsTable() {
    const rows = this.top.data.map(ad => ({id: ad.ad_id, clicks: ad.click_count,
      advertiser: ad.advertiser_id}));
    const out = this.shared('Ad', row => row.id, rows, this.top.total.click_count);
    const admin = this.app.who.role === 'admin';
    out.columns[0].cell = row => h('span', {}, h('a', {href: this.app.addressOf({ad: row.id}),
      'data-keep': `ad-${row.id}`}, row.id), admin ? h('small', {}, ` ${row.advertiser}`) : null);
    out.columns.splice(1, 0, {label: 'Advertiser', csv: 'advertiser_id', hidden: true,
      value: row => row.advertiser});
    return out;
  }

  showPanel(name) {
    const {columns, rows} = this[`${name}Table`]();
    const place = this.panels[name];
    const shown = this.all === name ? rows : rows.slice(0, 10);
    const most = rows.length > shown.length ? h('button', {class: 'quiet',
      'data-keep': `all-${name}`, onclick: () => {
        this.all = name;
        this.showPanel(name);
      }}, `All ${rows.length}`) : null;
    const other = name === 'ads' && this.top.other.click_count > 0
      ? h('p', {class: 'fresh'}, `${many(this.top.other.click_count, 'click')} on other ads.`) : null;
    renew(place, rows.length ? table(name, columns, shown)
      : h('p', {class: 'empty'}, 'No clicks in this range yet.'), most, other);
  }
}
