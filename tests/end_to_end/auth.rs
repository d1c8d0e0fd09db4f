//! Who is admitted: every route without credentials, and every way in, from outside and by the program's own clients.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use reqwest::{Client, Method, RequestBuilder};
use rustix::process::{Signal, kill_process};

use crate::harness::{Taffrail, until};
use crate::pki::{Authority, trusting};

/// The cost is the least there is; what is tested is not how slow a check is.
fn hash(password: &str) -> String {
    bcrypt::hash(password, 4).expect("a hash")
}

/// A folder with a web configuration of Prometheus' form, and a program's that names it.
fn configured(folder: &Path, web: &str, more: &str) -> PathBuf {
    fs::write(folder.join("web.yml"), web).expect("writes");
    fs::write(folder.join("tokens"), "# of agents\nt0ken\n").expect("writes");
    fs::write(folder.join("password"), "halyard\n").expect("writes");
    let path = folder.join("taffrail.yaml");
    let text = format!("web:\n  config_file: web.yml\n{more}");
    fs::write(&path, text).expect("writes");
    path
}

fn start(folder: &Path, config: &Path) -> Taffrail {
    let arguments = ["--config", config.to_str().expect("UTF-8")];
    Taffrail::start(&folder.join("data"), &arguments)
}

/// The paths of all routes that the sources name, with something in place of what varies.
fn routes() -> BTreeSet<String> {
    fn collect(folder: &Path, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                collect(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("UTF-8");
                // A file nests all its routes below one name, or none of them.
                let below = text.split(".nest(\"").nth(1);
                let below = below.and_then(|after| after.split('"').next());
                let below = below.unwrap_or_default();
                // The name of a route is the first text behind `.route(`.
                for after in text.split(".route(").skip(1) {
                    let name = after.split('"').nth(1).expect("a route has a name");
                    found.insert(below.to_owned() + &name.replace(['{', '}', '*'], "x"));
                }
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = BTreeSet::new();
    for folder in ["src", "tsdb/src", "logs/src"] {
        collect(&root.join(folder), &mut found);
    }
    found
}

async fn status(request: RequestBuilder) -> u16 {
    request.send().await.expect("answers").status().as_u16()
}

async fn text(request: RequestBuilder) -> String {
    let response = request.send().await.expect("answers");
    response.text().await.expect("a body")
}

#[tokio::test(flavor = "multi_thread")]
async fn without_credentials_nothing_answers_but_health() {
    let folder = tempfile::tempdir().expect("a folder");
    let web = format!("basic_auth_users:\n  anna: {}\n", hash("halyard"));
    let tokens = "  bearer_token_files: [tokens]\n";
    let server = start(folder.path(), &configured(folder.path(), &web, tokens));
    let client = Client::new();

    let mut paths = routes();
    assert!(paths.len() > 50, "only {} routes were found", paths.len());
    for known in [
        "/",
        "/metrics",
        "/ready",
        "/api/v1/write",
        "/loki/api/v1/push",
        "/-/reload",
    ] {
        assert!(paths.contains(known), "{known}");
    }
    for unknown in [
        "/nothing",
        "/api/v1/nothing",
        "/-/healthy/",
        "/-/healthy/x",
        "//-/healthy",
        "/-/%68ealthy",
        "/debug/pprof/",
        "/-/quit",
    ] {
        paths.insert(unknown.to_owned());
    }
    let methods = [
        "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE",
    ];
    let mut refused = 0;
    for path in &paths {
        for method in methods {
            let name = format!("{method} {path}");
            let method = Method::from_bytes(method.as_bytes()).expect("a method");
            let is_health = matches!(path.as_str(), "/-/healthy" | "/-/ready");
            let request = client
                .request(method.clone(), format!("{}{path}", server.http))
                .header("Origin", "https://elsewhere.example");
            let response = request.send().await.expect("answers");
            if is_health && matches!(method, Method::GET | Method::HEAD) {
                assert_eq!(response.status(), 200, "{name}");
                continue;
            }
            assert_eq!(response.status(), 401, "{name}");
            let challenges: Vec<_> = response
                .headers()
                .get_all("www-authenticate")
                .iter()
                .collect();
            assert_eq!(challenges.len(), 2, "{name}: {challenges:?}");
            let body = response.text().await.expect("a body");
            assert!(
                matches!(body.as_str(), "" | "Unauthorized\n"),
                "{name}: {body}"
            );
            refused += 1;
        }
    }
    println!("{refused} requests to {} paths were refused", paths.len());

    // The same with credentials comes to where it belongs.
    for path in &paths {
        let url = format!("{}{path}", server.http);
        let admitted = status(client.get(&url).bearer_auth("t0ken")).await;
        assert_ne!(admitted, 401, "{path}");
        let admitted = status(client.get(&url).basic_auth("anna", Some("halyard"))).await;
        assert_ne!(admitted, 401, "{path}");
    }
    // The webhook is the API server's, and has its own rule.
    let webhook = Client::builder().tls_danger_accept_invalid_certs(true);
    let webhook = webhook.build().expect("a client");
    let review = webhook.get(server.webhook.replace("/validate", "/readyz"));
    assert_eq!(status(review).await, 200);
    // What was refused is counted; nothing of it was done.
    let metrics = client
        .get(format!("{}/metrics", server.http))
        .bearer_auth("t0ken");
    let text = text(metrics).await;
    let counted = format!("taffrail_http_unauthorized_total {refused}\n");
    assert!(text.contains(&counted), "{counted}: {text}");
    assert!(server.terminate().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_right_admits() {
    let folder = tempfile::tempdir().expect("a folder");
    let web = format!("basic_auth_users:\n  anna: {}\n", hash("halyard"));
    let tokens = "  bearer_token_files: [tokens]\n";
    let server = start(folder.path(), &configured(folder.path(), &web, tokens));
    let client = Client::new();
    let url = format!("{}/api/v1/labels", server.http);
    // anna:halyard is YW5uYTpoYWx5YXJk.
    for (words, expected) in [
        ("Basic YW5uYTpoYWx5YXJk", 200),
        ("basic YW5uYTpoYWx5YXJk", 200),
        ("Basic YW5uYTpoYWx5YXJkIA==", 401),
        ("Basic YW5uYTo=", 401),
        ("Basic YW5uYQ==", 401),
        ("Basic OmhhbHlhcmQ=", 401),
        ("Basic bm9ib2R5OmhhbHlhcmQ=", 401),
        ("Basic anna:halyard", 401),
        ("Basic", 401),
        ("Bearer t0ken", 200),
        ("BEARER t0ken", 200),
        ("Bearer t0ke", 401),
        ("Bearer T0KEN", 401),
        ("Bearer # of agents", 401),
        ("Bearer", 401),
        ("t0ken", 401),
        ("Digest YW5uYTpoYWx5YXJk", 401),
        ("", 401),
    ] {
        let found = status(client.get(&url).header("Authorization", words)).await;
        assert_eq!(found, expected, "{words:?}");
    }
    let twice = client.get(&url).header("Authorization", "Bearer t0ken");
    let twice = twice.header("Authorization", "Bearer t0ken");
    assert_eq!(status(twice).await, 401);
    let in_url = client.get(format!("{url}?access_token=t0ken&token=t0ken"));
    assert_eq!(status(in_url).await, 401);

    // Nothing that answers shows what admits.
    for path in ["/api/v1/status/config", "/api/v1/status/flags", "/metrics"] {
        let request = client
            .get(format!("{}{path}", server.http))
            .bearer_auth("t0ken");
        let text = text(request).await;
        for secret in ["t0ken", "halyard", "$2b$"] {
            assert!(!text.contains(secret), "{path}: {text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_change_while_the_port_is_open_and_are_not_taken_away() {
    let folder = tempfile::tempdir().expect("a folder");
    let web = |password: &str| format!("basic_auth_users:\n  anna: {}\n", hash(password));
    let tokens = "  bearer_token_files: [tokens]\n";
    let server = start(
        folder.path(),
        &configured(folder.path(), &web("halyard"), tokens),
    );
    let client = Client::new();
    let url = format!("{}/api/v1/labels", server.http);
    let basic = async |password| status(client.get(&url).basic_auth("anna", Some(password))).await;
    let bearer = async |token| status(client.get(&url).bearer_auth(token)).await;
    assert_eq!((basic("halyard").await, basic("boat").await), (200, 401));

    // What was right a moment ago is not any more, also where it was remembered.
    fs::write(folder.path().join("web.yml"), web("boat")).expect("writes");
    fs::write(folder.path().join("tokens"), "other\n").expect("writes");
    kill_process(server.pid(), Signal::HUP).expect("alive");
    until("the signal is heeded", async || {
        (basic("boat").await == 200).then_some(())
    })
    .await;
    assert_eq!(basic("halyard").await, 401);
    assert_eq!((bearer("t0ken").await, bearer("other").await), (401, 200));

    // Files that are empty, gone or wrong change nothing.
    let reload = async || {
        let request = client
            .post(format!("{}/-/reload", server.http))
            .bearer_auth("other");
        let response = request.send().await.expect("answers");
        (
            response.status().as_u16(),
            response.text().await.expect("a body"),
        )
    };
    fs::write(folder.path().join("tokens"), "").expect("writes");
    let (status, text) = reload().await;
    assert_eq!(status, 500);
    assert!(text.contains("there is no token in it"), "{text}");
    fs::write(folder.path().join("tokens"), "other\n").expect("writes");
    fs::write(
        folder.path().join("web.yml"),
        "basic_auth_users:\n  anna: boat\n",
    )
    .expect("writes");
    let (_, text) = reload().await;
    assert!(
        text.contains("anna: no bcrypt hash") && !text.contains("boat"),
        "{text}"
    );
    fs::write(folder.path().join("web.yml"), "").expect("writes");
    fs::write(folder.path().join("taffrail.yaml"), "").expect("writes");
    let (_, text) = reload().await;
    assert!(text.contains("turned off by a restart"), "{text}");
    assert_eq!((basic("boat").await, bearer("other").await), (200, 200));
    assert_eq!(self::status(client.get(&url)).await, 401);
}

/// A web configuration with a certificate of the authority, and what is asked of clients.
fn with_certificates(
    folder: &Path,
    authority: &Authority,
    clients: &Authority,
    more: &str,
) -> String {
    authority.issue(&["127.0.0.1"]).write(folder, "server");
    fs::write(folder.join("clients.crt"), &clients.pem).expect("writes");
    format!(
        "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n  client_ca_file: clients.crt\n{more}"
    )
}

/// Who asks, and what they are answered; none where there is no handshake.
async fn asked(client: reqwest::ClientBuilder, url: &str) -> Option<u16> {
    let client = client.build().expect("a client");
    let response = client.get(url).send().await.ok()?;
    Some(response.status().as_u16())
}

#[tokio::test(flavor = "multi_thread")]
async fn client_certificates_admit() {
    let (authority, clients, strangers) = (Authority::new(), Authority::new(), Authority::new());
    let known = clients.issue(&["agent.example"]);
    let other = clients.issue(&["other.example"]);
    let stranger = strangers.issue(&["agent.example"]);
    let users = format!("basic_auth_users:\n  anna: {}\n", hash("halyard"));
    let given = "  client_auth_type: VerifyClientCertIfGiven\n";
    let required = "  client_auth_type: RequireAndVerifyClientCert\n";
    let named = "  client_allowed_sans: [x.example, agent.example]\n";
    // What a client without a certificate, the known one, the other one and a stranger are answered.
    for (web, expected) in [
        (given.to_owned(), [Some(401), Some(200), Some(200), None]),
        (
            format!("{given}{named}"),
            [Some(401), Some(200), None, None],
        ),
        (
            format!("{given}{users}"),
            [Some(401), Some(200), Some(200), None],
        ),
        (required.to_owned(), [None, Some(200), Some(200), None]),
        (format!("{required}{named}"), [None, Some(200), None, None]),
        // Both are needed, as upstream has it.
        (
            format!("{required}{users}"),
            [None, Some(401), Some(401), None],
        ),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let text = with_certificates(folder.path(), &authority, &clients, &web);
        let server = start(folder.path(), &configured(folder.path(), &text, ""));
        let url = format!("{}/api/v1/labels", server.http);
        let client = || trusting(&authority);
        let of = |identity: &crate::pki::Identity| client().identity(identity.of_client());
        let found = [
            asked(client(), &url).await,
            asked(of(&known), &url).await,
            asked(of(&other), &url).await,
            asked(of(&stranger), &url).await,
        ];
        assert_eq!(found, expected, "{web}");
        if web.contains("anna") {
            let client = of(&known).build().expect("a client");
            let request = client.get(&url).basic_auth("anna", Some("halyard"));
            assert_eq!(status(request).await, 200, "{web}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_does_not_outlive_the_trust_in_its_certificate() {
    let folder = tempfile::tempdir().expect("a folder");
    let (authority, before, after) = (Authority::new(), Authority::new(), Authority::new());
    let given = "  client_auth_type: VerifyClientCertIfGiven\n";
    let web = with_certificates(folder.path(), &authority, &before, given);
    let server = start(folder.path(), &configured(folder.path(), &web, ""));
    let url = format!("{}/api/v1/labels", server.http);
    // One connection for all requests.
    let identity = before.issue(&["agent.example"]).of_client();
    let client = trusting(&authority)
        .pool_max_idle_per_host(1)
        .identity(identity);
    let client = client.build().expect("a client");
    assert_eq!(status(client.get(&url)).await, 200);
    fs::write(folder.path().join("clients.crt"), &after.pem).expect("writes");
    kill_process(server.pid(), Signal::HUP).expect("alive");
    until("the certificate holds no more", async || {
        let response = client.get(&url).send().await;
        response
            .map_or(true, |response| response.status() == 401)
            .then_some(())
    })
    .await;
}

fn taffrail(arguments: &[&str]) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_taffrail"))
        .args(arguments)
        .output();
    output.expect("the binary runs")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_s_own_clients_show_credentials() {
    let folder = tempfile::tempdir().expect("a folder");
    let (authority, clients) = (Authority::new(), Authority::new());
    fs::write(folder.path().join("ca.crt"), &authority.pem).expect("writes");
    clients
        .issue(&["agent.example"])
        .write(folder.path(), "client");
    let users = format!("basic_auth_users:\n  anna: {}\n", hash("halyard"));
    let given = format!("  client_auth_type: VerifyClientCertIfGiven\n{users}");
    let web = with_certificates(folder.path(), &authority, &clients, &given);
    let tokens = "  bearer_token_files: [tokens]\n";
    let server = start(folder.path(), &configured(folder.path(), &web, tokens));
    let path = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    let ca = path("ca.crt");
    let (token, password) = (path("tokens.one"), path("password"));
    fs::write(&token, "t0ken\n").expect("writes");
    let (cert, key) = (path("client.crt"), path("client.key"));
    let ways = [
        vec!["--bearer-token-file", &token],
        vec!["--user", "anna", "--password-file", &password],
        vec!["--cert", &cert, "--key", &key],
    ];
    let output = path("out.jsonl");
    let input = path("in.jsonl");
    let line = format!(
        "{{\"metric\":{{\"__name__\":\"imported\"}},\"values\":[1],\"timestamps\":[{}]}}\n",
        crate::harness::base_ms()
    );
    fs::write(&input, line).expect("writes");
    let commands = [
        vec!["query", "1+1", "--server", &server.http],
        vec!["logs", "{a=\"b\"}", "--server", &server.http],
        vec!["snapshot", "--url", &server.http],
        vec![
            "import",
            "--restart",
            "--quiet",
            "--url",
            &server.http,
            &input,
        ],
        vec![
            "export",
            "--quiet",
            "--url",
            &server.http,
            "--output",
            &output,
        ],
    ];
    for command in &commands {
        let mut arguments = command.clone();
        arguments.extend(["--ca", &ca]);
        let refused = taffrail(&arguments);
        let error = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success(), "{arguments:?}");
        assert!(error.contains("401"), "{arguments:?}: {error}");
        for way in &ways {
            let mut arguments = arguments.clone();
            arguments.extend(way);
            let admitted = taffrail(&arguments);
            let error = String::from_utf8_lossy(&admitted.stderr).into_owned();
            assert!(admitted.status.success(), "{arguments:?}: {error}");
        }
    }
    let distrusted = taffrail(&["query", "1+1", "--server", &server.http]);
    assert!(!distrusted.status.success());
    let url = server.http.replace("https://", "https://anna:halyard@");
    let shown = taffrail(&["query", "1+1", "--server", &url, "--ca", &ca]);
    let error = String::from_utf8_lossy(&shown.stderr).into_owned();
    assert!(
        error.contains("names a user") && !error.contains("anna:halyard"),
        "{error}"
    );

    // A server that scrapes this one, and an agent that sends to it.
    let elsewhere = tempfile::tempdir().expect("a folder");
    let config = elsewhere.path().join("agent.yaml");
    let text = format!(
        "agent:\n  collect: {{cgroup: false, node: false, interval: 1s}}\n  tail: {{pods: false}}\n  scrape:\n    targets: ['{}/metrics']\n    interval: 1s\n    timeout: 1s\n    bearer_token_file: {token}\n    tls_config: {{ca_file: {ca}}}\n  ship:\n    basic_auth: {{username: anna, password_file: {password}}}\n    tls_config: {{ca_file: {ca}}}\n",
        server.http
    );
    fs::write(&config, text).expect("writes");
    let data = elsewhere.path().join("data");
    let agent = Command::new(env!("CARGO_BIN_EXE_taffrail"))
        .args(["agent", "--http", "127.0.0.1:0", "--server", &server.http])
        .args(["--config", config.to_str().expect("UTF-8")])
        .args(["--data", data.to_str().expect("UTF-8")])
        .stdout(std::process::Stdio::null())
        .spawn();
    let mut agent = agent.expect("the binary runs");
    let ca = reqwest::Certificate::from_pem(authority.pem.as_bytes()).expect("a certificate");
    let client = Client::builder()
        .tls_certs_only([ca])
        .build()
        .expect("a client");
    until("the agent's samples are there", async || {
        let query = [("query", "up{job=\"scrape\"} == 1")];
        let request = client
            .get(format!("{}/api/v1/query", server.http))
            .query(&query);
        let response = request.bearer_auth("t0ken").send().await.ok()?;
        let text = response.text().await.ok()?;
        text.contains("\"value\"").then_some(())
    })
    .await;
    agent.kill().expect("alive");
    agent.wait().expect("ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_port_beyond_loopback_is_warned_of_once() {
    let users = format!("basic_auth_users:\n  anna: {}\n", hash("halyard"));
    for (http, web, expected) in [
        ("127.0.0.1:0", "", None),
        ("0.0.0.0:0", "", Some("nothing is authenticated")),
        ("0.0.0.0:0", users.as_str(), Some("in the clear")),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let config = configured(folder.path(), web, "");
        let log = folder.path().join("log");
        let config = config.to_str().expect("UTF-8");
        let arguments = ["--config", config, "--http", http];
        let server = Taffrail::start_logged(&folder.path().join("data"), &arguments, &log);
        assert!(server.terminate().success());
        let text = fs::read_to_string(&log).expect("a log");
        for warning in ["nothing is authenticated", "in the clear"] {
            let times = text.matches(warning).count();
            assert_eq!(
                times,
                usize::from(expected == Some(warning)),
                "{http} {web}: {text}"
            );
        }
    }
}
