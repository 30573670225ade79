// Times as a zone shows them. What a day is the node decides (it is asked in local times of the
// zone); the browser only writes instants down.

export const kMinute = 60e3;
export const kDay = 24 * 60 * kMinute;

const formats = new Map();
function format(zone, options) {
  const name = zone + JSON.stringify(options);
  if (!formats.has(name)) {
    formats.set(name, new Intl.DateTimeFormat('en-GB', {timeZone: zone, hourCycle: 'h23',
      ...options}));
  }
  return formats.get(name);
}

export function browserZone() {
  return Intl.DateTimeFormat().resolvedOptions().timeZone || 'UTC';
}

// A zone that this browser can write times of; UTC for one that only the node knows.
export function shownZone(zone) {
  try {
    format(zone, {hour: '2-digit'});
    return zone;
  } catch {
    return 'UTC';
  }
}

export function zones() {
  const known = Intl.supportedValuesOf ? Intl.supportedValuesOf('timeZone') : [];
  return ['UTC', ...known.filter(name => name !== 'UTC')];
}

// What a clock in the zone shows: {year, month, day, hour, minute} as numbers.
export function wall(zone, ms) {
  const fields = {};
  const options = {year: 'numeric', month: 'numeric', day: 'numeric', hour: '2-digit',
    minute: '2-digit'};
  for (const {type, value} of format(zone, options).formatToParts(ms)) fields[type] = +value;
  return fields;
}

const two = number => String(number).padStart(2, '0');

// As the API takes local times: 2026-11-01T10:00, and its date.
export function localText(zone, ms) {
  const at = wall(zone, ms);
  return `${at.year}-${two(at.month)}-${two(at.day)}T${two(at.hour)}:${two(at.minute)}`;
}
export const localDate = (zone, ms) => localText(zone, ms).slice(0, 10);

// Calendar days later, of a date or a local time.
export function addDays(text, days) {
  const [date, time] = text.split('T');
  const moved = new Date(Date.parse(`${date}T00:00Z`) + days * kDay).toISOString().slice(0, 10);
  return time === undefined ? moved : `${moved}T${time}`;
}

export function clock(zone, ms, seconds = false) {
  return format(zone, {hour: '2-digit', minute: '2-digit', ...(seconds && {second: '2-digit'})})
    .format(ms);
}

// The browsers' own order and commas differ.
export function day(zone, ms) {
  const parts = format(zone, {weekday: 'short', day: 'numeric', month: 'short'}).formatToParts(ms);
  return parts.filter(({type}) => type !== 'literal').map(({value}) => value).join(' ');
}

export function moment(zone, ms, seconds = false) {
  return `${localDate(zone, ms)} ${clock(zone, ms, seconds)}`;
}

// A bucket's name. A day is named by its middle, where no change of the clock reaches.
export function bucketName(zone, granularity, ms, long = false) {
  if (granularity === '1d') {
    const middle = ms + kDay / 2;
    return long ? `${day(zone, middle)} ${wall(zone, middle).year}` : day(zone, middle);
  }
  return long ? `${day(zone, ms)}, ${clock(zone, ms)}` : clock(zone, ms);
}

export function ago(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 90) return `${seconds} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 129600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} days`;
}
