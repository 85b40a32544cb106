// S3 with Object Lock: Ceph's object gateway over one monitor and one object store daemon that keeps all in memory.
import { randomUUID } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { CreateBucketCommand, S3Client } from "@aws-sdk/client-s3";
import { type Child, run, startChild, until, workspace } from "./children.ts";
import { freePort } from "./ports.ts";

export interface S3Options {
  readonly directory?: string;
  readonly bucket?: string;
  readonly accessKeyId?: string;
  readonly secretAccessKey?: string;
  /** What the store may hold, in memory. */
  readonly capacityBytes?: number;
}

export interface S3Server {
  readonly url: string;
  readonly endpoint: string;
  readonly region: string;
  /** Made with Object Lock; it has no default retention. */
  readonly bucket: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** A stock client for this server; the caller destroys it. */
  client(): S3Client;
  createBucket(name: string, options?: { readonly objectLock?: boolean }): Promise<void>;
  /** Ends the gateway, so that connections are refused; what is stored stays. */
  goDown(): Promise<void>;
  /** Undoes `goDown`, at the same endpoint. */
  comeBack(): Promise<void>;
  stop(): Promise<void>;
}

interface Cluster {
  readonly directory: string;
  readonly fsid: string;
  readonly monitorPort: number;
  readonly gatewayPort: number;
  readonly capacityBytes: number;
}

// No cephx, no manager, one copy, few placement groups, and elections that do not wait: what makes it start in seconds.
function cephConfig(cluster: Cluster): string {
  const { directory, fsid, monitorPort, gatewayPort, capacityBytes } = cluster;
  return `[global]
fsid = ${fsid}
mon_initial_members = a
mon_host = [v1:127.0.0.1:${monitorPort}]
public_network = 127.0.0.0/8
cluster_network = 127.0.0.0/8
public_addr = 127.0.0.1
ms_bind_ipv6 = false
ms_bind_msgr2 = false
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 4
osd_pool_default_pgp_num = 4
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
osd_heartbeat_grace = 60
mon_allow_pool_size_one = true
mon_max_pg_per_osd = 1000
mon_data_avail_warn = 1
mon_data_avail_crit = 1
paxos_propose_interval = 0.05
paxos_min_wait = 0.02
run_dir = ${directory}/run
admin_socket = ${directory}/run/$name.$pid.asok
pid_file = ${directory}/run/$name.pid
log_file = ${directory}/log/$name.log
crash_dir = ${directory}/crash
[mon.a]
mon_data = ${directory}/mon
mon_addr = 127.0.0.1:${monitorPort}
[osd]
osd_data = ${directory}/osd
osd_objectstore = memstore
memstore_device_bytes = ${capacityBytes}
osd_class_load_list = *
osd_class_default_list = *
[client.rgw.a]
rgw_data = ${directory}/rgw
rgw_frontends = beast endpoint=127.0.0.1:${gatewayPort} tcp_nodelay=1
rgw_enable_usage_log = false
rgw_thread_pool_size = 32
rgw_dns_name = localhost
rgw_crypt_require_ssl = false
`;
}

/** One program of the cluster, started with its config and its own log. */
function ceph(cluster: Cluster, program: string, args: readonly string[]): Child {
  const { directory } = cluster;
  return startChild(program, ["-c", join(directory, "ceph.conf"), "-f", ...args], {
    log: join(directory, "log", `${program}.out`),
    cwd: directory,
  });
}

function once(cluster: Cluster, program: string, args: readonly string[]): Promise<string> {
  return run(program, ["-c", join(cluster.directory, "ceph.conf"), ...args], { cwd: cluster.directory });
}

/** Asks the monitor, which refuses any command ("EPERM") for a moment after its first start. */
async function ask(cluster: Cluster, ...command: string[]): Promise<string> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await once(cluster, "ceph", ["--connect-timeout", "20", ...command]);
    } catch (error) {
      if (attempt === 10) throw error;
      await sleep(100);
    }
  }
}

async function startMonitor(cluster: Cluster, started: Child[]): Promise<void> {
  const { directory, fsid, monitorPort } = cluster;
  const map = join(directory, "monmap");
  const address = `[v1:127.0.0.1:${monitorPort}]`;
  await run("monmaptool", ["--create", "--clobber", "--fsid", fsid, "--addv", "a", address, map]);
  await once(cluster, "ceph-mon", ["--mkfs", "-i", "a", "--monmap", map]);
  started.push(ceph(cluster, "ceph-mon", ["-i", "a"]));
}

/** Returns when the store is up: a pool that the gateway makes before that is served only after a tick of 5 s. */
async function startStore(cluster: Cluster, started: Child[]): Promise<void> {
  const id = randomUUID();
  await ask(cluster, "osd", "new", id);
  await once(cluster, "ceph-osd", ["-i", "0", "--mkfs", "--osd-uuid", id]);
  let store = ceph(cluster, "ceph-osd", ["-i", "0"]);
  const at = started.push(store) - 1;
  let restarts = 0;
  const up = async (): Promise<boolean> => {
    // Rarely the daemon asks the monitor before the monitor knows its own fsid, and exits ("wrong fsid").
    if (!store.running()) {
      if (restarts++ === 5) throw new Error(`ceph-osd keeps ending: ${store.output()}`);
      await sleep(50);
      store = ceph(cluster, "ceph-osd", ["-i", "0"]);
      started[at] = store;
    }
    return (await ask(cluster, "osd", "stat")).includes("1 up");
  };
  await until(up, "ceph-osd", [], 60_000);
}

async function answers(endpoint: string): Promise<boolean> {
  try {
    return (await fetch(endpoint, { signal: AbortSignal.timeout(2000) })).ok;
  } catch {
    // Not listening yet, which is what is being asked.
    return false;
  }
}

export async function startS3(options: S3Options = {}): Promise<S3Server> {
  const {
    bucket = "steno",
    accessKeyId = "testkey",
    secretAccessKey = "testsecret",
    capacityBytes = 4 * 1024 ** 3,
  } = options;
  const home = workspace("s3", options.directory);
  const ports = { monitorPort: await freePort(), gatewayPort: await freePort() };
  const cluster: Cluster = { directory: home.path, fsid: randomUUID(), capacityBytes, ...ports };
  for (const name of ["mon", "osd", "rgw", "run", "log", "crash"]) mkdirSync(join(home.path, name));
  writeFileSync(join(home.path, "ceph.conf"), cephConfig(cluster));
  const endpoint = `http://127.0.0.1:${cluster.gatewayPort}`;
  const daemons: Child[] = [];
  let gateway: Child | undefined;

  const client = (): S3Client =>
    new S3Client({
      endpoint,
      region: "us-east-1",
      forcePathStyle: true,
      credentials: { accessKeyId, secretAccessKey },
      requestChecksumCalculation: "WHEN_REQUIRED",
      responseChecksumValidation: "WHEN_REQUIRED",
    });

  async function createBucket(name: string, { objectLock = true } = {}): Promise<void> {
    const s3 = client();
    await s3.send(new CreateBucketCommand({ Bucket: name, ObjectLockEnabledForBucket: objectLock }));
    s3.destroy();
  }

  async function startGateway(): Promise<void> {
    const child = ceph(cluster, "radosgw", ["-n", "client.rgw.a"]);
    gateway = child;
    await until(() => answers(endpoint), "radosgw", [child], 60_000);
  }

  async function stop(): Promise<void> {
    await Promise.all([gateway, ...daemons].map((child) => child?.stop()));
    home.remove();
  }

  try {
    await startMonitor(cluster, daemons);
    await startStore(cluster, daemons);
    await startGateway();
    const keys = [`--access-key=${accessKeyId}`, `--secret-key=${secretAccessKey}`];
    await once(cluster, "radosgw-admin", ["user", "create", "--uid=steno", "--display-name=steno", ...keys]);
    await createBucket(bucket);
    return {
      url: endpoint,
      endpoint,
      region: "us-east-1",
      bucket,
      accessKeyId,
      secretAccessKey,
      client,
      createBucket,
      async goDown() {
        await gateway?.stop();
      },
      comeBack: startGateway,
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
