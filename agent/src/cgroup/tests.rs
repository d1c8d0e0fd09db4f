//! Fixture trees of each hierarchy and driver, read into samples.

use std::fs;
use std::path::Path;

use model::wire::exposition::{Format, Item, Parser};

use super::*;

const UID: &str = "8f5dcbd4-1c4e-4a3b-9a9e-0123456789ab";
const APP: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const SANDBOX: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

/// A machine made of files.
struct Machine(tempfile::TempDir);

impl Machine {
    fn new() -> Self {
        let machine = Self(tempfile::tempdir().expect("a folder"));
        machine.write(
            "proc/stat",
            "cpu  200 0 100 700 0 0 50 0 0 0\ncpu0 1 2 3\ncpu1 1 2 3\n",
        );
        machine.write(
            "proc/meminfo",
            "MemTotal: 1000 kB\nMemFree: 400 kB\nCached: 50 kB\nInactive(file): 30 kB\nAnonPages: 20 kB\nMapped: 10 kB\nSwapTotal: 8 kB\nSwapFree: 5 kB\n",
        );
        machine.write("proc/diskstats", "   8       0 sda 1 2 3 4 5 6 7 8\n");
        machine.write(
            "proc/1/net/dev",
            "Inter-| Receive\n face |bytes\n    lo: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n  eth0: 10 2 3 4 0 0 0 0 20 6 7 8 0 0 0 0\n veth1: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n",
        );
        machine
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, text).expect("written");
    }

    /// A pod's log folder and its container's log, as the kubelet names them.
    fn name_pod(&self) {
        self.write(&format!("log/pods/shop_web-0_{UID}/app/0.log"), "");
        self.write(&format!("log/containers/web-0_shop_app-{APP}.log"), "");
    }

    /// The network of a process.
    fn process(&self, process: u32) {
        self.write(
            &format!("proc/{process}/net/dev"),
            "a\nb\n    lo: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n  eth0: 100 2 3 4 0 0 0 0 200 6 7 8 0 0 0 0\n",
        );
    }

    fn roots(&self) -> Roots {
        let below = |name: &str| self.0.path().join(name);
        Roots {
            proc: below("proc"),
            sys: below("sys"),
            run: below("run"),
            var_log: below("log"),
            rootfs: below(""),
        }
    }

    /// Every sample, as `name{labels}` and its value.
    fn samples(&self) -> Vec<(String, f64)> {
        samples_of(
            &CgroupCollector::new(self.roots())
                .expose()
                .expect("exposed"),
        )
    }
}

fn samples_of(body: &str) -> Vec<(String, f64)> {
    let mut parser = Parser::new(body, Format::Text);
    let mut samples = Vec::new();
    while let Some(item) = parser.next().expect("our own exposition") {
        if let Item::Sample(sample) = item {
            let labels = sample.to_labels().expect("labels once");
            samples.push((labels.to_string(), sample.value));
        }
    }
    samples
}

/// Looks for each expected sample; a NaN says that the series must be absent.
fn check(machine: &Machine, want: &[(&str, &str, f64)]) {
    let samples = machine.samples();
    for (name, labels, value) in want {
        let series = format!("container_{name}{{{labels}}}");
        let found = samples.iter().find(|(found, _)| *found == series);
        let found = found.map(|(_, value)| *value);
        let value = (!value.is_nan()).then_some(*value);
        assert_eq!(found, value, "{series} in {samples:#?}");
    }
}

fn v2_group(machine: &Machine, path: &str) {
    let write = |file: &str, text: &str| {
        machine.write(&format!("sys/fs/cgroup{path}/{file}"), text);
    };
    write("cgroup.procs", "42\n43\n");
    write(
        "cpu.stat",
        "usage_usec 5000000\nuser_usec 3000000\nsystem_usec 2000000\nnr_periods 10\nnr_throttled 4\nthrottled_usec 1500000\n",
    );
    write("cpu.max", "50000 100000\n");
    write("cpu.weight", "1\n");
    write("memory.current", "1000\n");
    write("memory.max", "4096\n");
    write("memory.swap.current", "7\n");
    write(
        "memory.stat",
        "anon 300\nfile 500\nfile_mapped 60\ninactive_file 200\n",
    );
    write("memory.events", "low 0\nhigh 1\nmax 2\noom 3\noom_kill 4\n");
    write(
        "io.stat",
        "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n9:9 rbytes=5 wbytes=0 rios=0 wios=0\n",
    );
    write(
        "cpu.pressure",
        "some avg10=0.00 avg60=0.00 avg300=0.00 total=1000000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=500000\n",
    );
}

#[test]
fn version_2_with_the_systemd_driver() {
    let machine = Machine::new();
    machine.name_pod();
    machine.process(42);
    machine.write("sys/fs/cgroup/cgroup.controllers", "cpu io memory\n");
    machine.write(
        "sys/fs/cgroup/cpu.stat",
        "usage_usec 9000000\nuser_usec 1\nsystem_usec 1\n",
    );
    let under = UID.replace('-', "_");
    let pod =
        format!("/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{under}.slice");
    let app = format!("{pod}/cri-containerd-{APP}.scope");
    let sandbox = format!("{pod}/cri-containerd-{SANDBOX}.scope");
    for path in [&pod, &app, &sandbox] {
        v2_group(&machine, path);
    }
    let named = format!(r#"id="{app}", name="{APP}", namespace="shop", pod="web-0""#);
    let in_app = format!(r#"container="app", {named}"#);
    let with = |before: &str| format!(r#"container="app", {before}, {named}"#);
    let of_pod = format!(r#"id="{pod}", namespace="shop", pod="web-0""#);
    let of_sandbox = format!(r#"id="{sandbox}", name="{SANDBOX}", namespace="shop", pod="web-0""#);
    let network = format!(r#"id="{pod}", interface="eth0", namespace="shop", pod="web-0""#);
    check(
        &machine,
        &[
            ("cpu_usage_seconds_total", r#"cpu="total", id="/""#, 9.0),
            ("cpu_usage_seconds_total", &with(r#"cpu="total""#), 5.0),
            ("cpu_user_seconds_total", &in_app, 3.0),
            ("cpu_system_seconds_total", &in_app, 2.0),
            ("cpu_cfs_periods_total", &in_app, 10.0),
            ("cpu_cfs_throttled_periods_total", &in_app, 4.0),
            ("cpu_cfs_throttled_seconds_total", &in_app, 1.5),
            ("memory_usage_bytes", &in_app, 1000.0),
            ("memory_working_set_bytes", &in_app, 800.0),
            ("memory_rss", &in_app, 300.0),
            ("memory_cache", &in_app, 500.0),
            ("memory_mapped_file", &in_app, 60.0),
            ("memory_swap", &in_app, 7.0),
            ("memory_events_high_total", &in_app, 1.0),
            ("memory_events_max_total", &in_app, 2.0),
            ("oom_events_total", &in_app, 4.0),
            ("pressure_cpu_waiting_seconds_total", &in_app, 1.0),
            ("pressure_cpu_stalled_seconds_total", &in_app, 0.5),
            ("spec_cpu_quota", &in_app, 50_000.0),
            ("spec_cpu_period", &in_app, 100_000.0),
            ("spec_cpu_shares", &in_app, 2.0),
            ("spec_memory_limit_bytes", &in_app, 4096.0),
            ("fs_reads_bytes_total", &with(r#"device="/dev/sda""#), 1.0),
            ("fs_writes_total", &with(r#"device="/dev/sda""#), 4.0),
            ("fs_reads_bytes_total", &with(r#"device="9:9""#), 5.0),
            ("memory_rss", &of_pod, 300.0),
            ("memory_rss", &of_sandbox, 300.0),
            ("network_receive_bytes_total", &network, 100.0),
            ("network_transmit_packets_dropped_total", &network, 8.0),
            // The root has no memory.current: the machine's own figures.
            ("memory_usage_bytes", r#"id="/""#, 600.0 * 1024.0),
            ("memory_working_set_bytes", r#"id="/""#, 570.0 * 1024.0),
            ("memory_swap", r#"id="/""#, 3.0 * 1024.0),
            (
                "network_receive_bytes_total",
                r#"id="/", interface="eth0""#,
                10.0,
            ),
            (
                "network_receive_bytes_total",
                r#"id="/", interface="veth1""#,
                f64::NAN,
            ),
        ],
    );
}

#[test]
fn version_1_with_the_cgroupfs_driver() {
    let machine = Machine::new();
    machine.name_pod();
    let app = format!("/kubepods/burstable/pod{UID}/{APP}");
    for (controller, file, text) in [
        ("cpu,cpuacct", "cpuacct.usage", "5000000000\n"),
        ("cpu,cpuacct", "cpuacct.stat", "user 300\nsystem 200\n"),
        ("cpu,cpuacct", "cpu.shares", "512\n"),
        ("cpu,cpuacct", "cpu.cfs_quota_us", "50000\n"),
        ("cpu,cpuacct", "cpu.cfs_period_us", "100000\n"),
        (
            "cpu,cpuacct",
            "cpu.stat",
            "nr_periods 10\nnr_throttled 4\nthrottled_time 1500000000\n",
        ),
        ("memory", "memory.usage_in_bytes", "1000\n"),
        ("memory", "memory.limit_in_bytes", "9223372036854771712\n"),
        (
            "memory",
            "memory.stat",
            "cache 1\nrss 1\ntotal_cache 500\ntotal_rss 300\ntotal_mapped_file 60\ntotal_swap 7\ntotal_inactive_file 1200\n",
        ),
        (
            "memory",
            "memory.oom_control",
            "oom_kill_disable 0\nunder_oom 0\noom_kill 4\n",
        ),
        (
            "blkio",
            "blkio.throttle.io_service_bytes_recursive",
            "8:0 Read 1\n8:0 Write 2\n8:0 Total 3\nTotal 3\n",
        ),
        (
            "blkio",
            "blkio.throttle.io_serviced_recursive",
            "8:0 Read 3\n8:0 Write 4\nTotal 7\n",
        ),
    ] {
        machine.write(&format!("sys/fs/cgroup/{controller}{app}/{file}"), text);
    }
    machine.write("sys/fs/cgroup/cpu,cpuacct/cpuacct.usage", "7000000000\n");
    machine.write("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
    machine.write("sys/fs/cgroup/cpu,cpuacct/cpu.stat", "nr_periods 0\n");
    let named = format!(r#"id="{app}", name="{APP}", namespace="shop", pod="web-0""#);
    let in_app = format!(r#"container="app", {named}"#);
    let with = |before: &str| format!(r#"container="app", {before}, {named}"#);
    check(
        &machine,
        &[
            ("cpu_usage_seconds_total", r#"cpu="total", id="/""#, 7.0),
            ("cpu_cfs_periods_total", r#"id="/""#, f64::NAN),
            ("cpu_usage_seconds_total", &with(r#"cpu="total""#), 5.0),
            ("cpu_user_seconds_total", &in_app, 3.0),
            ("cpu_cfs_throttled_seconds_total", &in_app, 1.5),
            ("spec_cpu_quota", &in_app, 50_000.0),
            ("spec_cpu_shares", &in_app, 512.0),
            ("spec_memory_limit_bytes", &in_app, 0.0),
            ("memory_usage_bytes", &in_app, 1000.0),
            ("memory_working_set_bytes", &in_app, 0.0),
            ("memory_rss", &in_app, 300.0),
            ("memory_cache", &in_app, 500.0),
            ("memory_mapped_file", &in_app, 60.0),
            ("memory_swap", &in_app, 7.0),
            ("oom_events_total", &in_app, 4.0),
            ("fs_writes_bytes_total", &with(r#"device="/dev/sda""#), 2.0),
            ("fs_reads_total", &with(r#"device="/dev/sda""#), 3.0),
        ],
    );
}

#[test]
fn a_hybrid_takes_each_figure_from_where_it_is() {
    let machine = Machine::new();
    machine.write("sys/fs/cgroup/cpuacct/a/cpuacct.usage", "1000000000\n");
    machine.write("sys/fs/cgroup/memory/b/memory.usage_in_bytes", "5\n");
    machine.write("sys/fs/cgroup/unified/cgroup.controllers", "\n");
    machine.write("sys/fs/cgroup/unified/cpu.stat", "usage_usec 9000000\n");
    machine.write(
        "sys/fs/cgroup/unified/a/cpu.stat",
        "usage_usec 8000000\nuser_usec 2000000\n",
    );
    machine.write(
        "sys/fs/cgroup/unified/a/io.pressure",
        "some total=2000000\nfull total=0\n",
    );
    check(
        &machine,
        &[
            ("cpu_usage_seconds_total", r#"cpu="total", id="/""#, 9.0),
            ("cpu_usage_seconds_total", r#"cpu="total", id="/a""#, 1.0),
            ("cpu_user_seconds_total", r#"id="/a""#, 2.0),
            ("pressure_io_waiting_seconds_total", r#"id="/a""#, 2.0),
            ("memory_usage_bytes", r#"id="/b""#, 5.0),
        ],
    );
}

#[test]
fn without_any_hierarchy_the_root_is_the_machine() {
    let machine = Machine::new();
    check(
        &machine,
        &[
            ("cpu_usage_seconds_total", r#"cpu="total", id="/""#, 3.5),
            ("cpu_user_seconds_total", r#"id="/""#, 2.0),
            ("memory_rss", r#"id="/""#, 20.0 * 1024.0),
            (
                "fs_reads_bytes_total",
                r#"device="/dev/sda", id="/""#,
                1536.0,
            ),
            ("fs_writes_total", r#"device="/dev/sda", id="/""#, 5.0),
        ],
    );
    let samples = machine.samples();
    assert!(samples.contains(&("machine_cpu_cores".to_owned(), 2.0)));
    assert!(samples.contains(&("machine_memory_bytes".to_owned(), 1_024_000.0)));
}

#[test]
fn an_image_comes_from_the_runtime() {
    let machine = Machine::new();
    machine.write("sys/fs/cgroup/cgroup.controllers", "memory\n");
    let path = format!("/kubepods/pod{UID}/{APP}");
    v2_group(&machine, &path);
    machine.write(
        &format!("run/containerd/io.containerd.runtime.v2.task/k8s.io/{APP}/config.json"),
        r#"{"annotations":{"io.kubernetes.cri.image-name":"nginx:1","io.kubernetes.cri.container-name":"app","io.kubernetes.cri.sandbox-namespace":"shop","io.kubernetes.cri.sandbox-name":"web-0"}}"#,
    );
    let labels = format!(
        r#"container="app", id="{path}", image="nginx:1", name="{APP}", namespace="shop", pod="web-0""#
    );
    check(&machine, &[("memory_rss", &labels, 300.0)]);
}

#[test]
fn a_pod_on_the_host_s_network_has_none_of_its_own() {
    let machine = Machine::new();
    machine.name_pod();
    machine.process(42);
    machine.write("sys/fs/cgroup/cgroup.controllers", "memory\n");
    v2_group(&machine, &format!("/kubepods/pod{UID}/{APP}"));
    let network =
        format!(r#"id="/kubepods/pod{UID}", interface="eth0", namespace="shop", pod="web-0""#);
    check(
        &machine,
        &[("network_receive_bytes_total", &network, 100.0)],
    );
    // The same interfaces with the same counters: the host's own.
    let host = machine.0.path().join("proc/1/net/dev");
    machine.write(
        "proc/42/net/dev",
        &fs::read_to_string(host).expect("written"),
    );
    check(
        &machine,
        &[("network_receive_bytes_total", &network, f64::NAN)],
    );
}

#[test]
fn the_machine_this_runs_on_shows_its_load() {
    if !Path::new("/proc/stat").exists() {
        println!("no /proc here: skipped");
        return;
    }
    let body = CgroupCollector::new(Roots::default())
        .expose()
        .expect("exposed");
    let root = r#"container_cpu_usage_seconds_total{cpu="total", id="/"}"#;
    let usage = samples_of(&body)
        .into_iter()
        .find(|(series, _)| series == root);
    assert!(usage.is_some_and(|(_, seconds)| seconds > 0.0), "{body}");
}
