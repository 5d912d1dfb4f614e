'use strict';
// Collects rows for 100 ms, then writes them with one COPY. Nothing is checked but that the payload
// is JSON; what was received and not yet copied dies with the process.
const {once} = require('node:events');
const {writeFileSync} = require('node:fs');
const mqtt = require('mqtt');
const {Client} = require('pg');
const {from} = require('pg-copy-streams');

const env = process.env;
const copy = 'COPY telemetry (time, tenant_id, device_id, site_id, msg_type, seq, metrics,' +
  ' received_at) FROM STDIN';
let rows = [];

function onMessage(topic, payload) {
  const [, tenant, , device, type] = topic.split('/');
  const {ts, site_id: site, seq, metrics} = JSON.parse(payload);
  const json = JSON.stringify(metrics).replaceAll('\\', '\\\\');
  rows.push(`${ts}\t${tenant}\t${device}\t${site}\t${type}\t${seq}\t${json}\t` +
    `${new Date().toISOString()}\n`);
}

async function flush(database) {
  if (rows.length > 0) {
    const stream = database.query(from(copy));
    stream.end(rows.join(''));
    rows = [];
    await once(stream, 'finish');
  }
  setTimeout(flush, 100, database);
}

async function main() {
  const database = new Client({connectionString: env.DATABASE_URL});
  await database.connect();
  const client = await mqtt.connectAsync(`mqtt://${env.MQTT_HOST}:${env.MQTT_PORT}`, {
    protocolVersion: 5, clientId: env.MQTT_CLIENT_ID, clean: false,
    username: env.MQTT_USERNAME, password: env.MQTT_PASSWORD,
    properties: {sessionExpiryInterval: Number(env.MQTT_SESSION_EXPIRY),
      receiveMaximum: Number(env.MQTT_RECEIVE_MAXIMUM)}});
  client.on('message', onMessage);
  await client.subscribeAsync(env.MQTT_TOPIC, {qos: 1});
  flush(database);
  writeFileSync(env.READY, '');
}

main();
