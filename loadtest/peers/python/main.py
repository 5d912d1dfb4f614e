"""Collects rows for 100 ms, then writes them with one COPY. Nothing is checked but that the payload
is JSON; what was received and not yet copied dies with the process."""
import asyncio
import json
import pathlib
from datetime import datetime, timezone
from os import environ as env

import asyncpg
import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

COLUMNS = ["time", "tenant_id", "device_id", "site_id", "msg_type", "seq", "metrics", "received_at"]
rows = []


def on_message(_client, _userdata, message):
    _, tenant, _, device, kind = message.topic.split("/")
    body = json.loads(message.payload)
    rows.append((datetime.fromisoformat(body["ts"]), tenant, device, body["site_id"], kind,
                 body["seq"], json.dumps(body["metrics"]), datetime.now(timezone.utc)))


def on_connect(client, *_):
    client.subscribe(env["MQTT_TOPIC"], qos=1)


def on_subscribe(*_):
    pathlib.Path(env["READY"]).touch()


def receive():
    client = paho.Client(client_id=env["MQTT_CLIENT_ID"], protocol=paho.MQTTv5)
    client.username_pw_set(env["MQTT_USERNAME"], env["MQTT_PASSWORD"])
    client.on_connect, client.on_subscribe = on_connect, on_subscribe
    client.on_message = on_message
    properties = Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = int(env["MQTT_SESSION_EXPIRY"])
    properties.ReceiveMaximum = int(env["MQTT_RECEIVE_MAXIMUM"])
    client.connect(env["MQTT_HOST"], int(env["MQTT_PORT"]), clean_start=False,
                   properties=properties)
    client.loop_start()  # a thread, which calls on_message


async def main():
    database = await asyncpg.connect(env["DATABASE_URL"])
    receive()
    while True:
        await asyncio.sleep(0.1)
        batch = rows[:]
        del rows[:len(batch)]  # the other thread may have appended
        if batch:
            await database.copy_records_to_table("telemetry", records=batch, columns=COLUMNS)


asyncio.run(main())
