// The real stack, as browser_stack has started it.
import {execFile, spawn} from 'node:child_process';
import {once} from 'node:events';
import {createInterface} from 'node:readline';
import {promisify} from 'node:util';

export const ADMIN_TOKEN = 'sesame-of-the-tests';

export class Stack {
  static async create() {
    const stack = new Stack();
    stack.process = spawn(process.env.BROWSER_STACK, {stdio: ['pipe', 'pipe', 'inherit']});
    stack.exit = once(stack.process, 'exit');
    stack.answers = createInterface({input: stack.process.stdout})[Symbol.asyncIterator]();
    const [http, mqtt, database] = (await stack.#answer()).split(' ');
    Object.assign(stack, {url: `http://127.0.0.1:${http}/`, mqtt, database, token: ADMIN_TOKEN});
    return stack;
  }

  async #answer() {
    const {value, done} = await this.answers.next();
    if (done) throw new Error('browser_stack has ended');
    return value;
  }

  async #tell(line) {
    this.process.stdin.write(`${line}\n`);
    await this.#answer();
  }

  start(token = this.token) {
    return this.#tell(token ? `start ADMIN_TOKEN=${token}` : 'start');
  }

  stop() {
    return this.#tell('stop');
  }

  stopBroker() {
    return this.#tell('stop-broker');
  }

  startBroker() {
    return this.#tell('start-broker');
  }

  async end() {
    this.process.stdin.end();
    await this.exit;
  }

  // The rows, as text.
  async sql(text) {
    const {stdout} = await promisify(execFile)('psql',
      ['-qXAt', '-v', 'ON_ERROR_STOP=1', '-d', this.database, '-c', text]);
    return stdout.trim();
  }

  // token: hashed, as the registry has it.
  register(tenant, device, site) {
    return this.sql(`INSERT INTO device_registry (tenant_id, device_id, site_id, status,
        provision_token_hash)
      VALUES ('${tenant}', '${device}', '${site}', 'ACTIVE', encode(sha256('tok-apple'), 'hex'))`);
  }

  // A client that stays; `send` writes a message, `end` waits until the broker has them all.
  publisher(topic) {
    const client = spawn('mosquitto_pub',
      ['-h', '127.0.0.1', '-p', this.mqtt, '-q', '1', '-l', '-t', topic],
      {stdio: ['pipe', 'inherit', 'inherit']});
    const exit = once(client, 'exit');
    return {
      send: (payload) => client.stdin.write(`${payload}\n`),
      end: () => {
        client.stdin.end();
        return exit;
      },
    };
  }

  async publish(topic, payloads) {
    const publisher = this.publisher(topic);
    for (const payload of payloads) publisher.send(payload);
    await publisher.end();
  }
}

export const topicOf = (tenant, device) => `tenant/${tenant}/device/${device}/telemetry`;

export const reading = (site, seq) => JSON.stringify(
  {site_id: site, seq, provision_token: 'tok-apple', metrics: {heat: 21.5}});
