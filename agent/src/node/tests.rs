//! A fixture of proc, read whole; and the machine the test runs on.

use std::fs;
use std::path::Path;

use model::time::TimestampNs;

use super::*;

const FILES: &[(&str, &str)] = &[
    (
        "stat",
        "cpu  1 2 3\ncpu0 100 0 50 1000 1 2 3 4 0 0\ncpu1 200 0 0 0 0 0 0 0 0 0\nintr 7 0 0\nctxt 9\nbtime 1700000000\nprocesses 11\nprocs_running 2\nprocs_blocked 1\n",
    ),
    ("loadavg", "0.05 0.28 0.25 1/89 11538\n"),
    (
        "meminfo",
        "MemTotal:  10 kB\nActive(anon):  2 kB\nHugePages_Total:   3\n",
    ),
    ("vmstat", "nr_free_pages 5\npgmajfault 6\n"),
    (
        "diskstats",
        " 254 0 vda 1 2 3 4000 5 6 7 8000 9 10000 11000 0 0\n 254 1 vda1 1 2 3 4 5 6 7 8 9 10 11\n",
    ),
    (
        "net/dev",
        "h\nh\n  eth0: 10 2 3 4 0 0 0 0 20 6 7 8 0 0 0 0\n",
    ),
    ("sys/fs/file-nr", "450\t0\t2466177\n"),
    ("sys/net/netfilter/nf_conntrack_count", "12\n"),
    ("sys/net/netfilter/nf_conntrack_max", "34\n"),
    ("sys/kernel/ostype", "Linux\n"),
    ("sys/kernel/osrelease", "6.1\n"),
    ("sys/kernel/version", "#1 SMP\n"),
    ("sys/kernel/hostname", "node-a\n"),
    ("sys/kernel/domainname", "(none)\n"),
    (
        "pressure/io",
        "some avg10=0 total=2000000\nfull avg10=0 total=1000000\n",
    ),
    ("mounts", "/dev/vda / ext4 rw 0 0\nproc /proc proc rw 0 0\n"),
];

#[test]
fn families_have_node_exporter_s_names_and_units() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in FILES {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, text).expect("written");
    }
    let roots = Roots {
        proc: folder.path().to_owned(),
        rootfs: folder.path().to_owned(),
        ..Roots::default()
    };
    let clock = Clock::new(|| TimestampNs(1_700_000_100_500_000_000));
    let body = NodeCollector::at(roots, clock).expose().expect("exposed");
    let lines: Vec<&str> = body.lines().collect();
    for line in [
        r#"node_cpu_seconds_total{cpu="0",mode="user"} 1"#,
        r#"node_cpu_seconds_total{cpu="0",mode="idle"} 10"#,
        r#"node_cpu_seconds_total{cpu="0",mode="steal"} 0.04"#,
        r#"node_cpu_seconds_total{cpu="1",mode="user"} 2"#,
        "node_context_switches_total 9",
        "node_intr_total 7",
        "node_forks_total 11",
        "node_procs_running 2",
        "node_load1 0.05",
        "node_load15 0.25",
        "node_memory_MemTotal_bytes 10240",
        "node_memory_Active_anon_bytes 2048",
        "node_memory_HugePages_Total 3",
        "node_vmstat_pgmajfault 6",
        r#"node_disk_read_bytes_total{device="vda"} 1536"#,
        r#"node_disk_written_bytes_total{device="vda"} 3584"#,
        r#"node_disk_io_now{device="vda"} 9"#,
        r#"node_disk_io_time_seconds_total{device="vda"} 10"#,
        r#"node_disk_io_time_weighted_seconds_total{device="vda"} 11"#,
        r#"node_network_receive_bytes_total{device="eth0"} 10"#,
        r#"node_network_transmit_drop_total{device="eth0"} 8"#,
        "node_filefd_allocated 450",
        "node_filefd_maximum 2466177",
        "node_nf_conntrack_entries 12",
        "node_nf_conntrack_entries_limit 34",
        "node_pressure_io_waiting_seconds_total 2",
        "node_pressure_io_stalled_seconds_total 1",
        "node_time_seconds 1700000100.5",
        "node_boot_time_seconds 1700000000",
        r#"node_filesystem_device_error{device="/dev/vda",fstype="ext4",mountpoint="/"} 0"#,
    ] {
        assert!(lines.contains(&line), "{line} is missing in\n{body}");
    }
    for start in [
        "node_disk_read_bytes_total{device=\"vda1\"}",
        "node_cpu_seconds_total{cpu=\"\"",
        "node_vmstat_nr_free_pages",
        "node_nf_conntrack_entries_limit{",
    ] {
        assert!(!lines.iter().any(|line| line.starts_with(start)), "{start}");
    }
    let uname = lines
        .iter()
        .find(|line| line.starts_with("node_uname_info{"));
    let uname = uname.expect("a name");
    assert!(
        uname.contains(r#"nodename="node-a",release="6.1",sysname="Linux",version="#),
        "{uname}"
    );
    let sizes = "node_filesystem_size_bytes{device=\"/dev/vda\"";
    assert!(lines.iter().any(|line| line.starts_with(sizes)), "{body}");
}

#[test]
fn a_machine_without_files_is_not_an_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let roots = Roots {
        proc: folder.path().join("nothing"),
        ..Roots::default()
    };
    let body = NodeCollector::new(roots).expose().expect("exposed");
    assert!(body.contains("node_time_seconds "));
}

#[test]
fn the_machine_this_runs_on_is_read() {
    if !Path::new("/proc/stat").exists() {
        println!("no /proc here: skipped");
        return;
    }
    let body = NodeCollector::new(Roots::default())
        .expose()
        .expect("exposed");
    for start in [
        "node_cpu_seconds_total{",
        "node_memory_MemTotal_bytes ",
        "node_load1 ",
    ] {
        assert!(body.lines().any(|line| line.starts_with(start)), "{start}");
    }
}
