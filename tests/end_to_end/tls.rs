//! TLS of the HTTP port: who is trusted, which versions are spoken, and certificates that change while it is open.

use std::fs;
use std::path::{Path, PathBuf};

use reqwest::{Client, Version, tls};
use rustix::process::{Signal, kill_process};

use crate::harness::{Taffrail, until};
use crate::pki::{Authority, trusting};

/// A folder with a certificate of the authority and a configuration that names it.
fn configured(folder: &Path, authority: &Authority, more: &str) -> String {
    authority.issue(&["127.0.0.1"]).write(folder, "server");
    let web =
        format!("tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n{more}");
    fs::write(folder.join("web.yml"), web).expect("writes");
    let path = folder.join("taffrail.yaml");
    fs::write(&path, "web:\n  config_file: web.yml\n").expect("writes");
    path.to_str().expect("UTF-8").to_owned()
}

fn start(folder: &Path, config: &str) -> (Taffrail, PathBuf) {
    let log = folder.join("log");
    let arguments = ["--config", config];
    let data = folder.join("data");
    (Taffrail::start_logged(&data, &arguments, &log), log)
}

async fn status(client: &Client, url: String) -> Option<u16> {
    let response = client.get(url).send().await.ok()?;
    Some(response.status().as_u16())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_port_speaks_tls_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let (authority, other) = (Authority::new(), Authority::new());
    let headers = "http_server_config:\n  headers:\n    X-Frame-Options: deny\n";
    let config = configured(folder.path(), &authority, headers);
    let (server, _) = start(folder.path(), &config);
    assert!(server.http.starts_with("https://"), "{}", server.http);
    let ready = format!("{}/-/ready", server.http);

    let client = trusting(&authority).build().expect("a client");
    let response = client.get(&ready).send().await.expect("answers");
    assert_eq!(response.status(), 200);
    assert_eq!(response.version(), Version::HTTP_2, "by ALPN");
    assert_eq!(response.headers()["x-frame-options"], "deny");

    let client = trusting(&authority).http1_only().build().expect("a client");
    let response = client.get(&ready).send().await.expect("answers");
    assert_eq!(response.version(), Version::HTTP_11);

    let client = trusting(&authority).tls_version_max(tls::Version::TLS_1_2);
    let client = client.build().expect("a client");
    assert_eq!(status(&client, ready.clone()).await, Some(200));

    let distrusting = trusting(&other).build().expect("a client");
    assert_eq!(status(&distrusting, ready.clone()).await, None);
    let plain = ready.replace("https://", "http://");
    assert_eq!(status(&client, plain).await, None);
    // What was refused keeps nobody else out.
    assert_eq!(status(&client, ready).await, Some(200));
    assert!(server.terminate().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_least_version_is_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new();
    let config = configured(folder.path(), &authority, "  min_version: TLS13\n");
    let (server, _) = start(folder.path(), &config);
    let ready = format!("{}/-/ready", server.http);
    for (version, expected) in [
        (tls::Version::TLS_1_3, Some(200)),
        (tls::Version::TLS_1_2, None),
    ] {
        let client = trusting(&authority).tls_version_max(version);
        let client = client.build().expect("a client");
        assert_eq!(
            status(&client, ready.clone()).await,
            expected,
            "{version:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_change_while_the_port_is_open() {
    let folder = tempfile::tempdir().expect("a folder");
    let (first, second, third) = (Authority::new(), Authority::new(), Authority::new());
    let config = configured(folder.path(), &first, "");
    let (server, log) = start(folder.path(), &config);
    let ready = format!("{}/-/ready", server.http);
    let client = |authority| trusting(authority).build().expect("a client");
    let is_served = async |authority| status(&client(authority), ready.clone()).await == Some(200);
    assert!(is_served(&first).await);

    // What cannot be used is named, and changes nothing.
    let reload = format!("{}/-/reload", server.http);
    for (bad, named) in [("no certificate\n", "server.crt"), ("", "server.crt")] {
        fs::write(folder.path().join("server.crt"), bad).expect("writes");
        let response = client(&first).post(&reload).send().await.expect("answers");
        assert_eq!(response.status(), 500);
        let text = response.text().await.expect("a body");
        assert!(text.contains(named), "{text}");
        assert!(is_served(&first).await);
    }
    // A certificate without its key is as bad. Nobody has to ask for this look.
    let without_key = second.issue(&["127.0.0.1"]);
    fs::write(folder.path().join("server.crt"), without_key.certificate).expect("writes");
    until("the log says what is wrong", async || {
        let text = fs::read_to_string(&log).expect("a log");
        let said = text.contains("what was in force before stays in force");
        said.then_some(())
    })
    .await;
    assert!(is_served(&first).await);

    second.issue(&["127.0.0.1"]).write(folder.path(), "server");
    kill_process(server.pid(), Signal::HUP).expect("alive");
    until("the signal is heeded", async || {
        is_served(&second).await.then_some(())
    })
    .await;
    assert!(!is_served(&first).await);

    third.issue(&["127.0.0.1"]).write(folder.path(), "server");
    until("the files are looked at", async || {
        is_served(&third).await.then_some(())
    })
    .await;
    assert!(!is_served(&second).await);

    // A file that is written just now, or gone, does not take TLS away.
    fs::write(folder.path().join("web.yml"), "").expect("writes");
    let response = client(&third).post(&reload).send().await.expect("answers");
    let text = response.text().await.expect("a body");
    assert!(text.contains("by a restart"), "{text}");
    assert!(is_served(&third).await);
}
