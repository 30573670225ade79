// How the node is: ready or why not, warnings, what waits, the disk, and every partition.

import {get, getText, now, readiness, repeat} from './api.js';
import * as time from './time.js';
import {amount, bytes, card, csvButton, h, notice, number, percent, renew, scroll, table,
  tile} from './ui.js';

// Of Prometheus' text the sums over labels.
function sumsOf(text) {
  const sums = {};
  for (const line of text.split('\n')) {
    const found = /^(\w+)(?:\{.*\})? (\S+)/.exec(line);
    if (found) sums[found[1]] = (sums[found[1]] || 0) + Number(found[2]);
  }
  return sums;
}

const kFates = [
  ['Counted', 'clickmill_clicks_counted_total'],
  ['Copies of known clicks, not counted', 'clickmill_clicks_duplicate_total'],
  ['Flagged for review', 'clickmill_clicks_review_total'],
  ['… of them accepted since', 'clickmill_review_accepted_total'],
  ['… of them rejected since', 'clickmill_review_rejected_total'],
  ['Redirected but not recorded (disk and memory full)', 'clickmill_collector_dropped_total'],
  ['Answered before the disk had them', 'clickmill_collector_answered_unsynced_total'],
];

export class NodeView {
  constructor(place, app) {
    this.app = app;
    this.trouble = h('div');
    this.state = h('div');
    this.tiles = h('dl', {class: 'tiles'});
    this.fates = h('div');
    this.nodes = h('div');
    this.summary = h('p', {class: 'fresh'});
    this.partitions = scroll('Table of partitions');
    place.replaceChildren(h('h1', {class: 'unseen'}, 'Node'), this.trouble, this.state, this.tiles,
      h('div', {class: 'panels two'},
        card('fates', 'What became of the clicks',
          csvButton('what became of the clicks', () => 'clicks-by-fate', () => this.fatesTable()),
          this.fates),
        card('nodes', 'Nodes', null, this.nodes)),
      card('partitions', 'Partitions',
        csvButton('the partitions', () => 'partitions', () => this.partitionsTable()),
        this.summary, this.partitions));
    this.changed();
  }

  changed() {
    this.stop?.();
    this.stop = repeat(signal => this.refresh(signal), 3000);
  }

  get zone() {
    return time.shownZone(this.app.question.zone);
  }

  async refresh(signal) {
    try {
      const ready = await readiness({signal});
      this.showState(ready);
      const sums = sumsOf(await getText('metrics', {}, {signal}));
      this.showTiles(sums);
      this.cluster = await get('v1/cluster', {}, {signal});
      this.showCluster();
      this.trouble.replaceChildren();
    } catch (error) {
      if (error.name === 'AbortError') return;
      if (!error.again) this.stop();
      this.app.failed(error, trouble => renew(this.trouble, notice('bad', trouble.message)));
    }
  }

  showState({ready, reasons, warnings}) {
    const list = texts => h('ul', {}, texts.map(text => h('li', {}, text)));
    renew(this.state,
      ready ? notice('good', h('strong', {}, 'Ready. '), 'Clicks are redirected and counted.')
        : notice('bad', h('strong', {}, 'Not ready. '),
          'People are redirected and their clicks recorded all the same, but:', list(reasons)),
      warnings.length ? notice('warn', h('strong', {}, 'To look after: '), list(warnings)) : null);
    document.title = `${ready ? 'Ready' : 'Not ready'} – clickmill`;
  }

  showTiles(sums) {
    this.sums = sums;
    const at = performance.now();
    const received = sums.clickmill_clicks_received_total;
    const before = this.before;
    const rate = before && received >= before.received
      ? (received - before.received) / (at - before.at) * 1000 : undefined;
    this.before = {at, received};
    const {clickmill_disk_bytes: disk, clickmill_disk_free_bytes: free,
      clickmill_disk_reserve_bytes: reserve} = sums;
    const spool = sums.clickmill_spool_clicks;
    const age = sums.clickmill_checkpoint_age_seconds;
    renew(this.tiles,
      tile('Clicks a second', rate === undefined ? '–' : rate.toFixed(rate < 10 ? 1 : 0),
        `${number(received)} since the beginning`),
      tile('Spool', number(spool), 'answered, on their way to the log',
        sums.clickmill_spool_waiting_clicks > 0 ? 'bad' : ''),
      tile('Disk free', disk ? bytes(free) : '–',
        disk ? `${percent(free, disk)} of ${bytes(disk)}; ${bytes(reserve)} kept in reserve` : '',
        disk && free < 2 * reserve ? 'warn' : ''),
      tile('Checkpoint', age === undefined ? '–' : time.ago(1000 * age),
        'age of the oldest one', age > 300 ? 'warn' : ''),
      tile('Memory', bytes(sums.process_resident_memory_bytes || 0),
        `limit ${bytes(sums.clickmill_memory_limit_bytes || 0)}`),
      tile('Runs for', time.ago(now() - 1000 * sums.process_start_time_seconds),
        `version ${document.documentElement.dataset.version}`));
    const {columns, rows} = this.fatesTable();
    renew(this.fates, table('What became of the clicks', columns, rows));
  }

  fatesTable() {
    const sums = this.sums || {};
    const rows = kFates.map(([name, metric]) => ({name, clicks: sums[metric]}));
    return {rows, columns: [
      {label: 'Clicks', csv: 'fate', value: row => row.name},
      amount('Number', 'click_count', row => row.clicks)]};
  }

  showCluster() {
    const {nodes, partitions, node_id: self} = this.cluster;
    renew(this.nodes, table('Nodes', [
      {label: 'Node', value: row => row.node_id,
        text: row => row.node_id + (row.node_id === self ? ' (this one)' : '')},
      {label: 'State', value: row => row.state,
        cell: row => h('span', {class: row.state === 'up' ? '' : 'tag'}, row.state)},
      {label: 'Seen', value: row =>
        row.last_seen ? `${time.ago(now() - Date.parse(row.last_seen))} ago` : 'never'},
      amount('Leads', '', row => partitions.filter(each => each.leader === row.node_id).length),
      amount('Clock, ms', '', row => row.clock_offset_ms ?? undefined),
      {label: 'Version', value: row => row.version || '–'}], nodes, true));
    const lags = partitions.map(each => each.committed_offset - each.applied_offset);
    const worst = Math.max(0, ...lags);
    const alone = partitions.filter(each => !each.leader).length;
    this.summary.textContent = `${partitions.length} partitions. ` +
      (worst === 0 ? 'Everything recorded is counted. '
        : `The slowest is ${number(worst)} records behind. `) +
      (alone ? `${alone} ${alone === 1 ? 'has' : 'have'} no leader: clicks wait in the spool.` : '');
    const {columns, rows} = this.partitionsTable();
    renew(this.partitions, table('Partitions', columns, rows));
  }

  partitionsTable() {
    const shown = text => text ? time.clock(this.zone, Date.parse(text), true) : '–';
    return {rows: this.cluster?.partitions || [], columns: [
      {label: 'Partition', csv: 'partition', value: row => row.partition},
      {label: 'Leader', csv: 'leader', value: row => row.leader || '–'},
      amount('Term', 'term', row => row.term),
      amount('Recorded', 'committed_offset', row => row.committed_offset),
      amount('Lag', 'lag', row => row.committed_offset - row.applied_offset),
      {label: `Log time (${this.zone})`, csv: 'log_time', value: row => row.log_time,
        text: row => shown(row.log_time)},
      {label: 'Digest', csv: 'digest', value: row => row.digest?.value || '',
        cell: row => h('code', {}, row.digest?.offset ? row.digest.value : '–')}]};
  }
}
