// Asks chDB or DuckDB the questions of questions.json about the clicks of a folder:
//   node query_peers.cjs chdb|duckdb FOLDER MILLISECONDS
// Prints one JSON object: version, note, seconds (of loading), size, times by kind: [p50, p99].
"use strict";
const fs = require("fs");
const path = require("path");
const [peer, folder, milliseconds] = process.argv.slice(2);
const questions = JSON.parse(fs.readFileSync("questions.json", "utf8"));
const DEVICES = ["mobile", "desktop", "tablet", "other"];

function clickhouse() {
  const { Session } = require("chdb");
  const data = path.resolve("chdb-data");
  fs.rmSync(data, { recursive: true, force: true });
  const session = new Session(data);
  const run = (sql) => session.query(sql, "CSV");
  const columns = `clicks SimpleAggregateFunction(sum, UInt64),
    ${DEVICES.map((device) => `${device} SimpleAggregateFunction(sum, UInt64)`).join(", ")},
    countries SimpleAggregateFunction(sumMap, Tuple(Array(String), Array(UInt64))),
    visitors AggregateFunction(uniqHLL12, String)`;
  const granularity = { minute: "toStartOfMinute", hour: "toStartOfHour" };
  return {
    load() {
      run("CREATE DATABASE bench");
      for (const table of ["minute", "hour"]) {
        run(`CREATE TABLE bench.${table} (advertiser LowCardinality(String), ad LowCardinality(String),
          at DateTime('UTC'), ${columns}) ENGINE = AggregatingMergeTree ORDER BY (advertiser, ad, at)`);
      }
      run(`CREATE TABLE bench.ads (ad String, advertiser String) ENGINE = MergeTree ORDER BY ad`);
      run(`INSERT INTO bench.ads SELECT ad_id, advertiser_id FROM file('${folder}/ads.ndjson', 'JSONEachRow')`);
      run(`INSERT INTO bench.minute
        SELECT any(ads.advertiser), ad_id, toStartOfMinute(fromUnixTimestamp64Milli(timestamp_ms, 'UTC')) AS minute, count(),
          ${DEVICES.map((device) => `countIf(device_type = '${device}')`).join(", ")},
          sumMap([country], [toUInt64(1)]), uniqHLL12State(user_id)
        FROM file('${folder}/clicks-*.ndjson', 'JSONEachRow',
          'click_id String, ad_id String, timestamp_ms Int64, device_type String, country String, user_id String') AS c
        JOIN bench.ads AS ads ON c.ad_id = ads.ad GROUP BY ad_id, minute`);
      run(`INSERT INTO bench.hour SELECT advertiser, ad, toStartOfHour(at) AS hour, sum(clicks),
        ${DEVICES.map((device) => `sum(${device})`).join(", ")}, sumMap(countries), uniqHLL12MergeState(visitors)
        FROM bench.minute GROUP BY advertiser, ad, hour`);
      for (const table of ["minute", "hour"]) run(`OPTIMIZE TABLE bench.${table} FINAL`);
    },
    version: () => `chDB 3.4.0 (ClickHouse ${run("SELECT version()").trim().replaceAll('"', "")})`,
    note: "tables of minutes and hours, AggregatingMergeTree with uniqHLL12; the coarser one that fits is asked",
    size: () => run(`SELECT table, sum(rows), sum(bytes_on_disk), round(sum(bytes_on_disk) / sum(rows), 1)
      FROM system.parts WHERE active AND database = 'bench' AND table != 'ads' GROUP BY table ORDER BY table`)
      .trim().split("\n").map((line) => { const [table, rows, bytes, each] = line.replaceAll('"', "").split(",");
        return `${table}: ${rows} rows, ${bytes} bytes, ${each} a row`; }).join("; "),
    sql(question) {
      const seconds = (ms) => `toDateTime(${ms / 1000}, 'UTC')`;
      const whole = (ms) => ms % 3600000 === 0;
      const range = `at >= ${seconds(question.from)} AND at < ${seconds(question.to)}`;
      if (question.n) {
        const table = whole(question.from) && whole(question.to) ? "hour" : "minute";
        const clicks = question.device_type ? `sum(${question.device_type})`
          : question.country ? `sum(countries.2[indexOf(countries.1, '${question.country}')])` : "sum(clicks)";
        return `SELECT ad, any(advertiser), ${clicks} AS n FROM bench.${table} WHERE ${range}
          GROUP BY ad ORDER BY n DESC, ad LIMIT 100`;
      }
      const part = /Kolkata|Kathmandu/.test(question.timezone) ? "minute" : "hour";
      const table = question.granularity === "1m" ? "minute" : part;
      const unit = { "1m": "minute", "1h": "hour", "1d": "day" }[question.granularity];
      const who = question.ad_id
        ? `advertiser = (SELECT advertiser FROM bench.ads WHERE ad = '${question.ad_id}') AND ad = '${question.ad_id}'`
        : `advertiser = '${question.advertiser_id}'`;
      return `SELECT dateTrunc('${unit}', at, '${question.timezone}') AS bucket, sum(clicks),
        ${DEVICES.map((device) => `sum(${device})`).join(", ")}, uniqHLL12Merge(visitors)
        FROM bench.${table} WHERE ${who} AND ${range} GROUP BY bucket WITH TOTALS ORDER BY bucket`;
    },
    ask: async (sql) => session.query(sql, "JSONCompact"),
    close: () => session.close(),
  };
}

async function duckdb() {
  const { DuckDBInstance, version } = require("@duckdb/node-api");
  fs.rmSync("duck.db", { force: true });
  const instance = await DuckDBInstance.create("duck.db");
  const connection = await instance.connect();
  const run = (sql) => connection.run(sql);
  await run("SET TimeZone = 'UTC'");
  return {
    async load() {
      const minute = "epoch_ms(timestamp_ms - timestamp_ms % 60000)";
      await run(`CREATE TABLE minute AS
        SELECT advertiser_id AS advertiser, c.ad_id AS ad, ${minute} AS moment, count(*) AS clicks,
          ${DEVICES.map((device) => `count(*) FILTER (WHERE device_type = '${device}') AS "${device}"`).join(", ")},
          count(*) FILTER (WHERE country = 'DE') AS de
        FROM read_json('${folder}/clicks-*.ndjson', format = 'newline_delimited', columns = {ad_id: 'VARCHAR',
          timestamp_ms: 'BIGINT', device_type: 'VARCHAR', country: 'VARCHAR'}) AS c
        JOIN read_json('${folder}/ads.ndjson', format = 'newline_delimited') AS a ON c.ad_id = a.ad_id
        GROUP BY ALL ORDER BY advertiser, ad, moment`);
      await run(`CREATE TABLE hour AS SELECT advertiser, ad, date_trunc('hour', moment) AS moment,
        sum(clicks)::BIGINT AS clicks,
        ${DEVICES.map((device) => `sum("${device}")::BIGINT AS "${device}"`).join(", ")}, sum(de)::BIGINT AS de
        FROM minute GROUP BY ALL ORDER BY advertiser, ad, moment`);
      await run("CHECKPOINT");
    },
    version: () => `DuckDB ${version()}`,
    note: "tables of minutes and hours in the order of ad and time; no uniques (it keeps no sketches), one country",
    size: async () => `${fs.statSync("duck.db").size} bytes`,
    sql(question) {
      const range = `moment >= epoch_ms(${question.from}::BIGINT) AND moment < epoch_ms(${question.to}::BIGINT)`;
      const whole = (ms) => ms % 3600000 === 0;
      if (question.n) {
        const table = whole(question.from) && whole(question.to) ? "hour" : "minute";
        const column = question.device_type ? `"${question.device_type}"` : question.country ? "de" : "clicks";
        return `SELECT ad, any_value(advertiser), sum(${column}) AS n FROM ${table} WHERE ${range}
          GROUP BY ad ORDER BY n DESC, ad LIMIT 100`;
      }
      const shift = { "Asia/Kolkata": 330, "Asia/Kathmandu": 345 }[question.timezone];
      const table = question.granularity === "1m" || shift ? "minute" : "hour";
      const unit = { "1m": "minute", "1h": "hour", "1d": "day" }[question.granularity];
      // Fixed offsets as minutes: no zone look-ups to pay for. New York's are looked up.
      const local = shift ? `moment + INTERVAL ${shift} MINUTE`
        : question.timezone === "UTC" ? "moment" : `(moment AT TIME ZONE 'UTC') AT TIME ZONE '${question.timezone}'`;
      const who = question.ad_id ? `ad = '${question.ad_id}'` : `advertiser = '${question.advertiser_id}'`;
      return `SELECT date_trunc('${unit}', ${local}) AS bucket, sum(clicks),
        ${DEVICES.map((device) => `sum("${device}")`).join(", ")}
        FROM ${table} WHERE ${who} AND ${range} GROUP BY bucket ORDER BY bucket`;
    },
    ask: async (sql) => (await connection.runAndReadAll(sql)).getRows(),
    close: () => connection.closeSync(),
  };
}

async function main() {
  const database = peer === "chdb" ? clickhouse() : await duckdb();
  const begin = process.hrtime.bigint();
  await database.load();
  const seconds = Number(process.hrtime.bigint() - begin) / 1e9;
  const kinds = new Map();
  for (const question of questions) {
    if (!kinds.has(question.name)) kinds.set(question.name, []);
    kinds.get(question.name).push(database.sql(question));
  }
  const times = {};
  for (const [name, texts] of kinds) {
    let measured = [];
    try {
      await database.ask(texts[0]);
      const until = process.hrtime.bigint() + BigInt(milliseconds) * 1000000n;
      for (let i = 0; i < 5 || process.hrtime.bigint() < until; ++i) {
        const start = process.hrtime.bigint();
        await database.ask(texts[i % texts.length]);
        measured.push(Number(process.hrtime.bigint() - start) / 1e6);
      }
    } catch (error) {
      console.error(`${name}: ${error.message}`);
      continue;
    }
    measured = measured.sort((a, b) => a - b);
    const at = (share) => measured[Math.min(measured.length - 1, Math.floor(measured.length * share))];
    times[name] = [at(0.5), at(0.99)];
  }
  const answer = { version: database.version(), note: database.note, seconds, size: await database.size(), times };
  database.close();
  process.stdout.write(JSON.stringify(answer));
}

main().catch((error) => { console.error(error.message); process.exit(1); });
