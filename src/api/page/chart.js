// Clicks as bars, visitors as a line, another day beside them as a dashed one. What is still
// being counted is hatched. A slider under it goes through the buckets by keyboard; the table
// that belongs to it is the view's.

import {bucketName, wall} from './time.js';
import {h, many, number, s} from './ui.js';

const kTop = 18;
const kBottom = 24;
const kBarsMost = 4000;

// Four lines under it have whole numbers.
function niceAbove(value) {
  const size = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
  const steps = size === 1 ? [4, 8, 12] : [1.2, 1.6, 2, 2.4, 3.2, 4, 6, 8, 10];
  return steps.map(step => Math.round(step * size)).find(step => step >= value);
}

// More points than any screen has columns: the highest of neighbours stands for them.
function thinned(points) {
  const step = Math.ceil(points.length / kBarsMost);
  if (step === 1) return points;
  const out = [];
  for (let i = 0; i < points.length; i += step) {
    const group = points.slice(i, i + step);
    out.push(group.reduce((most, point) => point.clicks > most.clicks ? point : most));
  }
  return out;
}

// [index, text] of what stands under the bars: days, or times of day where there are few days.
function ticksOf(points, granularity, zone, width) {
  const times = points.map(({ms}) => wall(zone, granularity === '1d' ? ms + 43.2e6 : ms));
  const begins = ({day, hour, minute}, i) => i > 0 ? day !== times[i - 1].day
    : granularity === '1d' || hour + minute === 0;
  const dayBegins = times.flatMap((time, i) => begins(time, i) ? [i] : []);
  if (dayBegins.length > 2 || granularity === '1d') {
    const step = Math.max(1, Math.ceil(dayBegins.length * 84 / width));
    return dayBegins.filter((_, i) => i % step === 0)
      .map(i => [i, bucketName(zone, '1d', points[i].ms)]);
  }
  for (const step of [1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720]) {
    const found = times.flatMap(({hour, minute}, i) => (hour * 60 + minute) % step ? [] : [i]);
    if (found.length * 64 <= width || step === 720) {
      return found.map(i => [i, bucketName(zone, '1m', points[i].ms)]);
    }
  }
}

export class Chart {
  constructor() {
    this.picked = -1;
    this.readout = h('p', {class: 'readout'});
    this.canvas = s('svg', {'aria-hidden': 'true'});
    this.slider = h('input', {type: 'range', min: 0, class: 'unseen', 'data-keep': 'slider',
      'aria-label': 'Go through the chart', oninput: () => this.pick(+this.slider.value)});
    this.element = h('div', {class: 'chart'}, this.readout, this.slider, this.canvas);
    this.canvas.addEventListener('pointermove', event => this.point(event));
    this.canvas.addEventListener('pointerdown', event => this.point(event));
    this.canvas.addEventListener('pointerleave', () => this.pick(-1));
    this.slider.addEventListener('blur', () => this.pick(-1));
    this.slider.addEventListener('focus', () => this.pick(+this.slider.value));
    new ResizeObserver(() => this.draw()).observe(this.element);
  }

  // model: {points: [{ms, clicks, uniques, before, complete, future}], granularity, zone,
  // beforeName}; before is undefined where nothing is beside.
  show(model) {
    this.model = {...model, points: thinned(model.points)};
    const last = this.model.points.findLastIndex(point => !point.future);
    this.slider.max = Math.max(0, this.model.points.length - 1);
    if (document.activeElement !== this.slider) this.slider.value = Math.max(0, last);
    this.draw();
    this.pick(this.picked);
  }

  point(event) {
    if (!this.model || !this.model.points.length) return;
    const box = this.canvas.getBoundingClientRect();
    const i = Math.floor((event.clientX - box.left - this.left) / this.column);
    this.pick(Math.min(Math.max(i, 0), this.model.points.length - 1));
  }

  sentence(point) {
    const {granularity, zone, beforeName} = this.model;
    const words = [many(point.clicks, 'click')];
    if (point.uniques !== undefined) words.push(many(point.uniques, 'visitor'));
    if (point.before !== undefined) words.push(`${beforeName} ${number(point.before)}`);
    if (point.future) words.splice(0, 2, 'still to come');
    else if (!point.complete) words.push('still counting');
    return [bucketName(zone, granularity, point.ms, true), words.join(' · ')];
  }

  pick(i) {
    if (!this.model) return;
    const {points} = this.model;
    this.picked = i < points.length ? i : -1;
    const point = points[this.picked];
    this.readout.replaceChildren(...(point
      ? [h('strong', {}, this.sentence(point)[0]), ` ${this.sentence(point)[1]}`]
      : [h('span', {class: 'key clicks'}, 'Clicks'), h('span', {class: 'key uniques'}, 'Visitors'),
        points.some(each => each.before !== undefined)
          ? h('span', {class: 'key before'}, this.model.beforeName) : '',
        points.some(each => !each.complete && !each.future)
          ? h('span', {class: 'key open'}, 'Still counting') : '']));
    if (point) {
      this.slider.value = this.picked;
      this.slider.setAttribute('aria-valuetext', this.sentence(point).join(': '));
      this.mark?.setAttribute('x', this.left + this.picked * this.column);
      this.mark?.setAttribute('width', Math.max(this.column, 1));
    }
    this.mark?.setAttribute('visibility', point ? 'visible' : 'hidden');
  }

  draw() {
    this.width = this.element.clientWidth;
    if (!this.model || !this.width) return;
    const {points, granularity, zone} = this.model;
    const height = this.width < 500 ? 200 : 260;
    const most = niceAbove(points.reduce((high, each) =>
      Math.max(high, each.clicks, each.before || 0), 0));
    const left = this.left = 7 * number(most).length + 8;
    const column = this.column = (this.width - left) / Math.max(points.length, 1);
    const x = i => round(left + i * column);
    const round = value => Math.round(value * 10) / 10;
    const y = value => height - kBottom - (height - kBottom - kTop) * value / most;
    const gap = column > 8 ? 2 : column > 3 ? 1 : 0;
    const bar = (point, i) => point.clicks === 0 ? ''
      : `M${x(i) + gap / 2} ${round(y(0))}V${round(y(point.clicks))}` +
        `H${x(i + 1) - gap / 2}V${round(y(0))}Z`;
    const bars = which => points.map((point, i) => which(point) ? bar(point, i) : '').join('');
    const line = read => {
      let path = '';
      points.forEach((point, i) => {
        const value = read(point);
        if (value === undefined) return;
        const pen = path && read(points[i - 1]) !== undefined ? 'L' : 'M';
        path += `${pen}${x(i + 0.5)} ${round(y(value))}`;
      });
      return path;
    };
    const grid = [0, 0.25, 0.5, 0.75, 1].map(part => [most * part, y(most * part)]);
    const ticks = ticksOf(points, granularity, zone, this.width - left);
    const hatch = s('pattern', {id: 'hatch', width: 6, height: 6, patternUnits: 'userSpaceOnUse',
      patternTransform: 'rotate(45)'}, s('rect', {class: 'hatch-ground', width: 6, height: 6}),
      s('rect', {class: 'hatch-line', width: 3, height: 6}));
    this.mark = s('rect', {class: 'mark', y: kTop, height: height - kTop - kBottom,
      visibility: 'hidden'});
    this.canvas.classList.toggle('dense', column < 6);
    this.canvas.setAttribute('width', this.width);
    this.canvas.setAttribute('height', height);
    this.canvas.replaceChildren(
      s('defs', {}, hatch), this.mark,
      s('g', {class: 'grid'}, grid.map(([, at]) =>
        s('line', {x1: left, x2: this.width, y1: round(at), y2: round(at)}))),
      s('path', {class: 'bars', d: bars(point => point.complete)}),
      s('path', {class: 'bars open', d: bars(point => !point.complete)}),
      s('path', {class: 'line before', d: line(point => point.before)}),
      s('path', {class: 'line uniques', d: line(point => point.future ? undefined : point.uniques)}),
      s('g', {class: 'labels'},
        grid.map(([value, at]) => s('text', {x: left - 6, y: round(at) + 4, 'text-anchor': 'end'},
          number(value))),
        ticks.map(([i, name]) => s('text', {y: height - 6, x: x(i + 0.5),
          'text-anchor': x(i + 0.5) < 36 ? 'start' : this.width - x(i) < 40 ? 'end' : 'middle'},
        name))));
    if (this.picked >= 0) this.pick(this.picked);
  }
}
