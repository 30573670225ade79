// Clicks in review: why each is there, what it looks like raw, and its acceptance or rejection.

import {get, getText, post} from './api.js';
import * as time from './time.js';
import {card, csvButton, field, h, kDevices, nameInput, notice, number, put, say, table,
  timeInput} from './ui.js';

const kReasons = {
  late: ['Late', 'It arrived more than 30 s after the end of its minute.'],
  clock_ahead: ['Clock ahead', 'Its timestamp lies in the future: the sender’s clock is wrong.'],
  unknown_ad: ['Unknown ad', 'The catalog didn’t know its ad. Add the ad before accepting it.'],
  stale: ['Stale', 'It may be a copy of a click whose id is no longer remembered.'],
  double_click: ['Double click', 'The same visitor clicked the same ad a moment before or after.'],
};
const kPage = 50;
// A page with a filter may be empty and still have a next one.
const kPagesAtOnce = 20;

export class ReviewView {
  constructor(place, app) {
    this.app = app;
    this.trouble = h('div');
    this.list = h('div');
    this.history = h('div');
    this.controls = h('form', {class: 'controls', 'aria-label': 'Which clicks',
      onsubmit: event => event.preventDefault()});
    this.count = h('p', {class: 'fresh'});
    put(place, h('h1', {class: 'unseen'}, 'Clicks in review'), this.controls, this.trouble,
      card('flagged', 'Clicks in review', [
        h('button', {class: 'quiet', onclick: () => this.changed()}, 'Refresh'),
        csvButton('the clicks in review', () => 'review', () => this.csv())],
      this.count, this.list),
      card('decided', 'Decided in the last 7 days',
        csvButton('the decisions', () => 'decisions', () => this.decisions()), this.history));
    this.changed();
  }

  changed() {
    this.stop?.();
    const abort = new AbortController();
    this.stop = () => abort.abort();
    this.rows = [];
    this.decided = [];
    this.next = '';
    this.showControls();
    this.load(abort.signal);
  }

  get zone() {
    return time.shownZone(this.app.question.zone);
  }

  showControls() {
    const {question} = this.app;
    const ask = changes => this.app.ask(changes);
    put(this.controls, h('div', {class: 'fields'},
      field('Reason', h('select', {'data-keep': 'reason',
        onchange: event => ask({reason: event.target.value})},
        [['', ['All reasons']], ...Object.entries(kReasons)].map(([value, [name]]) =>
          h('option', {value, selected: (question.reason || '') === value}, name)))),
      field('Ad', nameInput('ad', question.ad, 'All ads', ask)),
      field('Clicked from (UTC)', timeInput('since', question.since, ask)),
      field('to (UTC)', timeInput('until', question.until, ask))));
  }

  filter() {
    const {reason, ad, since, until} = this.app.question;
    return {reason, ad_id: ad, from: since, to: until};
  }

  async load(signal) {
    try {
      const wanted = this.rows.length + kPage;
      for (let page = 0; page < kPagesAtOnce && this.rows.length < wanted; ++page) {
        const {data, next} = await get('v1/review',
          {...this.filter(), limit: kPage, after: this.next}, {signal});
        this.rows.push(...data);
        this.next = next;
        if (next === null) break;
      }
      const since = new Date(Date.now() - 7 * time.kDay).toISOString();
      const decided = [];
      for (let after = '', page = 0; after !== null && page < 10; ++page) {
        const answer = await get('v1/review/decisions', {from: since, limit: 1000, after}, {signal});
        decided.push(...answer.data);
        after = answer.next;
      }
      this.decided = decided.reverse();
      this.trouble.replaceChildren();
      this.show();
    } catch (error) {
      if (error.name === 'AbortError') return;
      this.tell(error, h('button', {onclick: () => this.changed()}, 'Try again'));
    }
  }

  tell(error, ...way) {
    this.app.failed(error, ({message}) => put(this.trouble, notice('bad', message, ...way)));
  }

  columns() {
    return [
      {label: 'Clicked', csv: 'timestamp_ms', value: row => row.timestamp_ms,
        text: row => time.moment(this.zone, row.timestamp_ms, true)},
      {label: 'Arrived', csv: 'received_ms', value: row => row.received_ms,
        text: row => this.arrived(row)},
      {label: 'Reason', csv: 'reason', value: row => row.reason,
        cell: row => h('span', {class: 'tag', title: kReasons[row.reason]?.[1]},
          kReasons[row.reason]?.[0] || row.reason)},
      {label: 'Ad', csv: 'ad_id', value: row => row.ad_id},
      {label: 'Where from', csv: 'country', value: row => row.country,
        text: row => `${row.country}, ${kDevices[row.device_type] || row.device_type}`},
      {label: 'Decision', csv: 'id', value: row => row.id, cell: row => this.buttons(row)}];
  }

  csv() {
    const names = ['id', 'reason', 'click_id', 'ad_id', 'timestamp_ms', 'received_ms',
      'device_type', 'country', 'user_id', 'ip', 'user_agent', 'referrer', 'advertiser_id',
      'ad_format'];
    return {rows: this.rows,
      columns: names.map(name => ({label: name, value: row => row[name]}))};
  }

  arrived(row) {
    const late = row.received_ms - row.timestamp_ms;
    return late >= 0 ? `${time.ago(late)} later` : `${time.ago(-late)} before that`;
  }

  buttons(row) {
    const about = `click ${row.click_id} on ${row.ad_id}`;
    const button = (text, kind, onclick) => h('button', {class: kind,
      'data-keep': `${text}-${row.id}`, 'aria-label': `${text}: ${about}`, onclick}, text);
    return h('span', {class: 'buttons'},
      button('Look', 'quiet', () => this.look(row)),
      button('Accept', 'good', () => this.decide(row, 'accept')),
      button('Reject', 'bad', () => this.decide(row, 'reject')));
  }

  show() {
    const more = this.next !== null && this.next !== '';
    this.count.textContent = this.rows.length
      ? `${number(this.rows.length)}${more ? ' of more' : ''}; times in ${this.zone}. ` +
        'A decision stands: it can’t be taken back.' : '';
    put(this.list, this.rows.length
      ? table('Clicks in review', this.columns(), this.rows, true)
      : h('p', {class: 'empty'}, more ? 'Nothing yet that matches; there is more to look through.'
        : 'Nothing waits for a decision.'),
    h('p', {class: 'buttons'},
      more ? h('button', {'data-keep': 'more', onclick: () => this.load()},
        'Show more') : null,
      this.rows.length > 1 || more ? h('button', {class: 'quiet',
        'data-keep': 'all', onclick: () => this.decideAll()}, 'Decide all that match…') : null));
    const {columns, rows} = this.decisions();
    put(this.history, rows.length ? table('Decided', columns, rows.slice(0, 100), true)
      : h('p', {class: 'empty'}, 'Nothing was decided.'));
  }

  decisions() {
    const effect = row => !row.effect ? 'Not counted'
      : `${number(row.effect.click_count)} in ` +
        `${time.moment(this.zone, Date.parse(row.effect.window_start))}` +
        ` for ${row.effect.advertiser_id}`;
    return {rows: this.decided, columns: [
      {label: 'When', csv: 'at', value: row => row.at,
        text: row => time.moment(this.zone, Date.parse(row.at), true)},
      {label: 'By', csv: 'by', value: row => row.by},
      {label: 'Decision', csv: 'decision', value: row => row.decision},
      {label: 'Reason', csv: 'reason', value: row => row.reason,
        text: row => kReasons[row.reason]?.[0] || row.reason || row.kind},
      {label: 'Ad', csv: 'ad_id', value: row => row.ad_id},
      {label: 'Counted', csv: 'effect', value: effect}]};
  }

  // The click as it stands in the log; as the list has it where the log no longer does.
  async rawOf(row) {
    const [partition, offset] = row.id.split('-');
    try {
      const lines = await getText(`v1/log/raw-clicks/${partition}`, {offset, limit: 1});
      const click = JSON.parse(lines.split('\n')[0] || '{}');
      if (String(click.offset) === offset) return ['As it was recorded', click];
    } catch (error) {
      if (error.status === 401) throw error;
    }
    return ['As it stands in review, no longer in the log', row];
  }

  async look(row) {
    const dialog = h('dialog', {'aria-labelledby': 'raw', onclose: () => dialog.remove()});
    const close = () => dialog.close();
    const decide = decision => () => {
      dialog.close();
      this.decide(row, decision);
    };
    try {
      const [title, click] = await this.rawOf(row);
      const shown = ([name, value]) => {
        const when = name.endsWith('_ms') && value > 0
          ? ` (${time.moment(this.zone, value, true)} ${this.zone})` : '';
        return [h('dt', {}, name), h('dd', {}, value === '' ? '–' : `${value}${when}`)];
      };
      put(dialog, h('h2', {id: 'raw'}, title),
        h('p', {}, kReasons[row.reason]?.[1] || row.reason),
        h('dl', {class: 'raw'}, Object.entries(click).flatMap(shown)),
        h('p', {class: 'buttons'},
          h('button', {class: 'good', onclick: decide('accept')}, 'Accept'),
          h('button', {class: 'bad', onclick: decide('reject')}, 'Reject'),
          h('button', {autofocus: true, onclick: close}, 'Close')));
      document.body.append(dialog);
      dialog.showModal();
    } catch (error) {
      this.tell(error);
    }
  }

  async decide(row, decision) {
    try {
      await post(`v1/review/${row.id}`, {}, {decision});
      const minute = Math.floor(row.timestamp_ms / time.kMinute) * time.kMinute;
      const seen = this.app.addressOf({view: 'clicks', range: 'own', by: '', beside: '',
        advertiser: '', ad: row.ad_id, from: time.localText(this.zone, minute - 30 * time.kMinute),
        to: time.localText(this.zone, minute + 30 * time.kMinute)});
      const words = decision === 'accept'
        ? `Accepted: counted in the minute ${time.moment(this.zone, minute)}. ` : 'Rejected. ';
      put(this.trouble, notice('good', words,
        decision === 'accept' ? h('a', {href: seen}, 'See it counted') : null));
      say(words);
    } catch (error) {
      // What somebody else has decided goes from the list all the same.
      if (error.status !== 409 || error.field !== 'id') {
        this.tell(error);
        return;
      }
      put(this.trouble, notice('warn', error.message));
    }
    const at = this.rows.indexOf(row);
    this.rows = this.rows.filter(each => each !== row);
    this.show();
    const beside = this.rows[Math.min(at, this.rows.length - 1)];
    if (beside) this.list.querySelector(`[data-keep="Look-${CSS.escape(beside.id)}"]`)?.focus();
    else this.controls.querySelector('select').focus();
  }

  decideAll() {
    const filter = this.filter();
    const named = Object.entries(filter).filter(([, value]) => value)
      .map(([name, value]) => `${name} ${value}`).join(', ');
    const dialog = h('dialog', {'aria-labelledby': 'sure', onclose: () => dialog.remove()});
    const go = decision => async () => {
      dialog.close();
      put(this.trouble, notice('', 'Deciding…'));
      try {
        const {decided, skipped, failed_partitions: failed} =
          await post('v1/review', filter, {decision});
        const words = [`${number(decided)} clicks ${decision}ed.`];
        if (skipped) words.push(`${number(skipped)} stay: their ad is not in the catalog.`);
        if (failed.length) words.push(`Partitions ${failed.join(', ')} failed; try again.`);
        this.changed();
        // After changed(), which begins with a clean slate.
        put(this.list, notice(failed.length ? 'bad' : 'good', words.join(' ')));
        say(words.join(' '));
      } catch (error) {
        this.tell(error);
      }
    };
    put(dialog, h('h2', {id: 'sure'}, 'Decide all that match?'),
      h('p', {}, `This concerns every click in review${named ? ` with ${named}` : ''}, ` +
        'also those that are not listed yet. It can’t be taken back.'),
      h('p', {class: 'buttons'},
        h('button', {class: 'good', onclick: go('accept')}, 'Accept all'),
        h('button', {class: 'bad', onclick: go('reject')}, 'Reject all'),
        h('button', {autofocus: true, onclick: () => dialog.close()}, 'Cancel')));
    document.body.append(dialog);
    dialog.showModal();
  }
}
