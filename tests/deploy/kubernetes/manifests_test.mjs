// deploy/kubernetes/ against Kubernetes' schemas, against the daemon's settings, and each file against
// the others.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { parseAllDocuments } from 'yaml';

const repository = process.env.REPOSITORY;
const directory = join(repository, 'deploy/kubernetes');
const scratch = mkdtempSync(join(tmpdir(), 'sluice-kubernetes-'));
after(() => rmSync(scratch, { recursive: true }));

const schemas = {
  'apps/v1 StatefulSet': 'kubernetes-models/_schemas/IoK8sApiAppsV1StatefulSet',
  'batch/v1 Job': 'kubernetes-models/_schemas/IoK8sApiBatchV1Job',
  'monitoring.coreos.com/v1 ServiceMonitor':
    '@kubernetes-models/prometheus-operator/_schemas/ComGithubPrometheusOperatorPrometheusOperatorPkgApisMonitoringV1ServiceMonitor',
  'networking.k8s.io/v1 NetworkPolicy': 'kubernetes-models/_schemas/IoK8sApiNetworkingV1NetworkPolicy',
  'policy/v1 PodDisruptionBudget': 'kubernetes-models/_schemas/IoK8sApiPolicyV1PodDisruptionBudget',
  'v1 ConfigMap': 'kubernetes-models/_schemas/IoK8sApiCoreV1ConfigMap',
  'v1 Namespace': 'kubernetes-models/_schemas/IoK8sApiCoreV1Namespace',
  'v1 Secret': 'kubernetes-models/_schemas/IoK8sApiCoreV1Secret',
  'v1 Service': 'kubernetes-models/_schemas/IoK8sApiCoreV1Service',
  'v1 ServiceAccount': 'kubernetes-models/_schemas/IoK8sApiCoreV1ServiceAccount',
};

// Kubernetes reads YAML 1.1: 0440 is octal there.
const read = (file) =>
  parseAllDocuments(readFileSync(join(directory, file), 'utf8'), { version: '1.1' }).map((document) => {
    assert.deepEqual(document.errors, [], file);
    return document.toJS();
  });
const files = readdirSync(directory).filter((file) => file.endsWith('.yaml'));
const kustomization = read('kustomization.yaml')[0];
const documents = files.filter((file) => file !== 'kustomization.yaml').flatMap(read);
const named = (kind, name = 'sluice') =>
  documents.find((document) => document.kind === kind && document.metadata.name === name);

const statefulSet = named('StatefulSet');
const pod = statefulSet.spec.template;
const daemon = pod.spec.containers[0];
const job = named('Job', 'sluice-migrate').spec.template;
const shared = named('ConfigMap').data;

// The schemas say nothing of fields that they do not know. Their validators read each field that they
// know, so one that nobody read is one that Kubernetes does not have.
function watched(value, path, unread) {
  if (value === null || typeof value !== 'object') return value;
  const unknown = new Set(Object.keys(value));
  let looked = false;
  unread.push(() => (looked ? [...unknown].map((key) => `${path}/${key}`) : []));
  const inside = Object.fromEntries(
    Object.entries(value).map(([key, child]) => [key, watched(child, `${path}/${key}`, unread)]));
  return new Proxy(Array.isArray(value) ? Object.assign([], inside) : inside, {
    get(target, key) {
      looked = true;
      unknown.delete(key);
      return Reflect.get(target, key);
    },
  });
}

async function mistakesOf(document) {
  const kind = `${document.apiVersion} ${document.kind}`;
  if (!(kind in schemas)) return [`no schema for ${kind}`];
  const { validate } = await import(`./node_modules/${schemas[kind]}.js`);
  const unread = [];
  const good = validate(watched(document, '', unread));
  const wrong = good ? [] : validate.errors.map((error) => `${error.instancePath} ${error.keyword}`);
  return [...wrong, ...unread.flatMap((left) => left()).map((path) => `${path} unknown`)];
}

test('each document is what its schema says', async () => {
  assert.ok(documents.length >= 10);
  for (const document of documents) {
    assert.deepEqual(await mistakesOf(document), [], `${document.kind} ${document.metadata.name}`);
  }
});

test('the check of the schemas notices a wrong value, a missing and an unknown field', async () => {
  const changed = (change) => {
    const copy = structuredClone(statefulSet);
    change(copy);
    return mistakesOf(copy);
  };
  assert.deepEqual(await changed((s) => { s.spec.replicas = 'two'; }), ['/spec/replicas type']);
  assert.match((await changed((s) => { delete s.spec.selector; })).join(), /required/);
  assert.deepEqual(
    await changed((s) => { s.spec.template.spec.containers[0].livenesProbe = {}; }),
    ['/spec/template/spec/containers/0/livenesProbe unknown']);
});

test('kustomization, directory and page name the same files', () => {
  const applied = files.filter((file) => !/^kustomization|\.example\./.test(file));
  assert.deepEqual([...kustomization.resources].sort(), applied.sort());
  const page = readFileSync(join(repository, 'docs/kubernetes.md'), 'utf8');
  for (const file of files) {
    if (!['namespace.yaml', 'serviceaccount.yaml'].includes(file)) assert.ok(page.includes(file), file);
  }
});

test('selectors find the daemons, and Prometheus the Service under the name its alarms know', () => {
  const labels = pod.metadata.labels;
  for (const wanted of [statefulSet.spec.selector.matchLabels, named('Service').spec.selector,
    named('PodDisruptionBudget').spec.selector.matchLabels,
    named('NetworkPolicy').spec.podSelector.matchLabels]) {
    for (const [key, value] of Object.entries(wanted)) assert.equal(labels[key], value);
  }
  const monitor = named('ServiceMonitor').spec;
  assert.equal(named('Service').metadata.labels[monitor.jobLabel], 'sluice');
  assert.deepEqual(monitor.selector.matchLabels, named('Service').metadata.labels);
  assert.equal(statefulSet.spec.serviceName, named('Service').metadata.name);
});

test('ports are HTTP_PORT, and those of the broker and the databases', () => {
  const http = Number(shared.HTTP_PORT);
  assert.equal(daemon.ports[0].containerPort, http);
  assert.equal(named('Service').spec.ports[0].port, http);
  const policy = named('NetworkPolicy').spec;
  assert.deepEqual(policy.ingress[0].ports.map((port) => port.port), [http]);
  const allowed = policy.egress[0].ports.map((port) => port.port);
  assert.ok(allowed.includes(Number(shared.MQTT_PORT)));
  for (const secret of [named('Secret'), named('Secret', 'sluice-migrate')]) {
    for (const url of Object.values(secret.stringData).filter((text) => /^postgresql:/.test(text))) {
      assert.ok(allowed.includes(Number(new URL(url).port)), url);
    }
  }
});

test('probes ask what there is to ask, and not being ready restarts nobody', () => {
  const served = readFileSync(join(repository, 'ingest/application.cc'), 'utf8');
  for (const probe of ['startupProbe', 'livenessProbe', 'readinessProbe']) {
    assert.ok(served.includes(`http_.Get("${daemon[probe].httpGet.path}"`), probe);
    assert.equal(daemon[probe].httpGet.port, daemon.ports[0].name);
  }
  assert.ok(served.includes(`http_.Get("${named('ServiceMonitor').spec.endpoints[0].path}"`));
  assert.equal(daemon.livenessProbe.httpGet.path, '/health');
  assert.equal(daemon.readinessProbe.httpGet.path, '/ready');
});

// The environment of the first replica, or of the Job.
const environmentOf = (container, more = {}) => ({
  ...more,
  ...Object.fromEntries((container.env ?? []).map(
    (entry) => [entry.name, entry.value ?? { 'metadata.name': 'sluice-0' }[entry.valueFrom.fieldRef.fieldPath]])),
});
const volumeAt = (podSpec, container, path) => {
  const mount = container.volumeMounts.find((each) => path.startsWith(`${each.mountPath}/`));
  assert.ok(mount, `nothing is mounted for ${path}`);
  return { mount, volume: podSpec.volumes.find((each) => each.name === mount.name) };
};

test('every variable is a setting, and its file is in the Secret that is mounted', () => {
  const page = readFileSync(join(repository, 'docs/configuration.md'), 'utf8');
  const line = (name) => page.split('\n').find((text) => text.startsWith(`| \`${name}\` |`));
  for (const [podSpec, container, more] of [[pod.spec, daemon, shared], [job.spec, job.spec.containers[0], {}]]) {
    for (const [name, value] of Object.entries(environmentOf(container, more))) {
      if (!name.endsWith('_FILE')) {
        assert.ok(line(name), name);
        continue;
      }
      assert.ok(line(name) ?? line(name.slice(0, -5))?.includes('**Secret.**'), name);
      const { mount, volume } = volumeAt(podSpec, container, value);
      const secret = named('Secret', volume.secret.secretName);
      assert.ok(secret.stringData[value.slice(mount.mountPath.length + 1)], value);
      assert.equal(volume.secret.defaultMode, 0o440);
    }
  }
});

test('sluice takes these settings', () => {
  const environment = environmentOf(daemon, shared);
  for (const name of Object.keys(environment).filter((each) => each.endsWith('_FILE'))) {
    const file = environment[name].replace(/^\/run\/secrets/, scratch);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, name === 'STAMP_KEY_FILE' ? 'a'.repeat(64) : 'postgresql://u@h/d', { mode: 0o400 });
    environment[name] = file;
  }
  const { status, stdout, stderr } =
    spawnSync(process.env.SLUICE, ['ingest', '--check'], { env: environment, encoding: 'utf8' });
  assert.equal(status, 0, stderr + stdout);
  for (const container of [daemon, job.spec.containers[0]]) {
    assert.equal(container.command[0], 'sluice');
    assert.equal(spawnSync(process.env.SLUICE, [container.command[1], '--help']).status, 0);
  }
});

test('the spool is on the volume of the replica, and has room there', () => {
  const { mount } = volumeAt(pod.spec, daemon, shared.SPOOL_DIR);
  const [claim] = statefulSet.spec.volumeClaimTemplates;
  assert.equal(mount.name, claim.metadata.name);
  const bytes = (text) => Number.parseInt(text, 10) * 2 ** { Gi: 30, Ti: 40 }[text.slice(-2)];
  assert.ok(bytes(claim.spec.resources.requests.storage) > bytes(shared.SPOOL_MAX_BYTES.replace('B', '')));
  assert.deepEqual(statefulSet.spec.persistentVolumeClaimRetentionPolicy,
    { whenDeleted: 'Retain', whenScaled: 'Retain' });
});

test('a pod that is stopped drains only if it was told to leave, and has the time for it', () => {
  const [shell, flag, script] = daemon.lifecycle.preStop.exec.command;
  const mark = script.match(/-e (\S+)/)[1];
  const page = readFileSync(join(repository, 'docs/kubernetes.md'), 'utf8');
  assert.ok(page.includes(`touch ${mark}`));
  assert.ok(volumeAt(pod.spec, daemon, mark).volume.emptyDir, 'the word to leave goes with the pod');

  const log = join(scratch, 'log');
  const bin = join(scratch, 'bin');
  mkdirSync(bin);
  writeFileSync(join(bin, 'sluice'), `#!/bin/sh\necho "$@" >${log}\n`, { mode: 0o755 });
  const stop = () => spawnSync(shell, [flag, script.replace(mark, join(scratch, 'leave'))],
    { env: { PATH: `${bin}:${process.env.PATH}` } }).status;
  assert.equal(stop(), 0);
  assert.ok(!existsSync(log));
  writeFileSync(join(scratch, 'leave'), '');
  assert.equal(stop(), 0);
  const [, minutes] = readFileSync(log, 'utf8').match(/^drain --timeout (\d+)m$/m);
  assert.ok(pod.spec.terminationGracePeriodSeconds > minutes * 60 + Number(shared.DRAIN_SECONDS));
});

test('the image is that of deploy/Dockerfile, of this version, and runs as its user', () => {
  const source = (file) => readFileSync(join(repository, file), 'utf8');
  const [, version] = source('CMakeLists.txt').match(/^project\(sluice VERSION ([\d.]+)/m);
  const [image] = kustomization.images;
  assert.equal(`${image.name}:${image.newTag}`, source('deploy/.env.example').match(/^SLUICE_IMAGE=(.*)$/m)[1]);
  assert.equal(image.newTag, version);
  const stage = source('deploy/Dockerfile').split(/^FROM /m).find((text) => / AS sluice$/m.test(text));
  const [, uid, gid] = stage.match(/^USER (\d+):(\d+)$/m).map(Number);
  for (const { spec } of [pod, job]) {
    assert.equal(spec.containers[0].image, image.name);
    const { runAsUser, runAsGroup, fsGroup } = spec.securityContext;
    assert.deepEqual([runAsUser, runAsGroup, fsGroup], [uid, gid, gid]);
  }
  assert.equal(daemon.volumeMounts.find((mount) => mount.name === 'spool').mountPath, stage.match(/^VOLUME (.*)$/m)[1]);
});

test('nobody is root, writes to the image, or asks the cluster', () => {
  for (const spec of [pod.spec, job.spec]) {
    assert.equal(spec.securityContext.runAsNonRoot, true);
    assert.equal(spec.automountServiceAccountToken, false);
    for (const container of spec.containers) {
      assert.equal(container.securityContext.readOnlyRootFilesystem, true);
      assert.equal(container.securityContext.allowPrivilegeEscalation, false);
      assert.deepEqual(container.securityContext.capabilities.drop, ['ALL']);
    }
  }
});
