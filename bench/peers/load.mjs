// Reads a folder of clicks as NDJSON and keeps minutes of ads, as another database does it:
//   node load.mjs chdb|duckdb FOLDER WORK
// Prints name and version, rows read, seconds. Not comparable: neither drops copies of a
// click, neither syncs what it has written, and both are told the whole set at once.
import { join } from 'node:path';

const [peer, folder, work] = process.argv.slice(2);
const files = join(folder, 'clicks-*.ndjson');
const tell = (name, rows, from) =>
  console.log(`${name}: ${rows} rows in ${((performance.now() - from) / 1000).toFixed(2)} s`);

const devices = ['mobile', 'desktop', 'tablet', 'other'];

async function chdb() {
  const { Session } = await import('chdb');
  const session = new Session(join(work, 'chdb'));
  const ask = (text) => session.query(text, 'TabSeparated').trim();
  ask(`CREATE TABLE minutes (ad_id String, minute DateTime('UTC'), clicks UInt64,
    ${devices.map((device) => `${device} UInt64`).join(', ')},
    countries Map(String, UInt64), visitors AggregateFunction(uniqHLL12, String))
    ENGINE = MergeTree ORDER BY (ad_id, minute)`);
  const from = performance.now();
  ask(`INSERT INTO minutes SELECT ad_id, toStartOfMinute(toDateTime(intDiv(timestamp_ms, 1000), 'UTC')),
    count(), ${devices.map((device) => `countIf(device_type = '${device}')`).join(', ')},
    sumMap(map(country, toUInt64(1))), uniqHLL12State(user_id)
    FROM file('${files}', JSONEachRow, 'click_id String, ad_id String, timestamp_ms Int64,
      device_type String, country String, user_id String') GROUP BY 1, 2`);
  tell(`chDB 3.4.0 (ClickHouse ${ask('SELECT version()')})`, ask('SELECT sum(clicks) FROM minutes'), from);
}

async function duckdb() {
  const { DuckDBInstance } = await import('@duckdb/node-api');
  const instance = await DuckDBInstance.create(join(work, 'minutes.duckdb'));
  const connection = await instance.connect();
  const ask = async (text) => (await connection.runAndReadAll(text)).getRows();
  const from = performance.now();
  await ask(`CREATE TABLE minutes AS SELECT ad_id, timestamp_ms // 60000 AS minute, count(*) AS clicks,
    ${devices.map((device) => `count(*) FILTER (device_type = '${device}') AS ${device}`).join(', ')},
    histogram(country) AS countries, approx_count_distinct(user_id) AS visitors
    FROM read_json('${files}', format = 'newline_delimited', columns = {click_id: 'VARCHAR', ad_id: 'VARCHAR',
      timestamp_ms: 'BIGINT', device_type: 'VARCHAR', country: 'VARCHAR', user_id: 'VARCHAR'}) GROUP BY 1, 2`);
  const [[rows]] = await ask('SELECT sum(clicks)::BIGINT FROM minutes');
  const [[version]] = await ask('SELECT version()');
  tell(`DuckDB ${version}`, rows, from);
}

await { chdb, duckdb }[peer]();
