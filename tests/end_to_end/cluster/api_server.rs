//! A control plane of its own for a test: started, asked, and gone with it.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Map, Value};
use tempfile::TempDir;

use crate::harness::until;

/// Service addresses are on loopback, where a test can listen. Each is drawn at random by the API server, so that
/// clusters beside each other do not meet.
const SERVICE_ADDRESSES: &str = "--service-cluster-ip-range=127.96.0.0/16";

/// Every request, with the annotations that admission gave it, once it is answered.
const AUDIT_POLICY: &str = "apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules: [{level: Metadata}]
";

/// A running API server with nothing in it.
pub(crate) struct ApiServer {
    child: Child,
    folder: TempDir,
    kubeconfig: PathBuf,
    url: String,
    client: reqwest::Client,
}

/// What kubectl said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) success: bool,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// What the API server answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) warnings: Vec<String>,
    pub(crate) body: Value,
    audit_id: String,
}

impl Answer {
    /// Why it was refused; empty where it was not.
    pub(crate) fn message(&self) -> &str {
        let refused = self.status >= 400;
        let message = self.body["message"].as_str().filter(|_| refused);
        message.unwrap_or_default()
    }
}

/// The program of `deploy/testcluster`, built where it is not there.
fn program() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program = root.join("target/testcluster/testcluster");
    if !program.exists() {
        let built = Command::new(root.join("deploy/testcluster/build")).status();
        assert!(built.expect("a shell").success(), "the test cluster builds");
    }
    program
}

impl ApiServer {
    /// Starts one, with flags of kube-apiserver's beside those it needs.
    pub(crate) fn start(flags: &[String]) -> Self {
        Self::serve(&[], flags)
    }

    /// Starts one in which what has lost its owner goes, too.
    pub(crate) fn collecting_garbage() -> Self {
        Self::serve(&["--collect-garbage"], &[])
    }

    fn serve(arguments: &[&str], flags: &[String]) -> Self {
        let folder = tempfile::tempdir().expect("temporary folder");
        let policy = folder.path().join("audit.yaml");
        std::fs::write(&policy, AUDIT_POLICY).expect("writes");
        let audit = folder.path().join("audit.log");
        let mut child = Command::new(program())
            .args(["serve", "--dir"])
            .arg(folder.path())
            .args(arguments)
            .args(["--", SERVICE_ADDRESSES])
            .arg(format!("--audit-policy-file={}", policy.display()))
            .arg(format!("--audit-log-path={}", audit.display()))
            .args(flags)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the test cluster starts");
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
        stdout.read_line(&mut line).expect("UTF-8");
        let kubeconfig = line.trim().strip_prefix("kubeconfig ").map(PathBuf::from);
        let kubeconfig = kubeconfig.expect("the test cluster is ready");
        let text = std::fs::read_to_string(&kubeconfig).expect("a kubeconfig");
        let parsed: Value = serde_yaml_ng::from_str(&text).expect("YAML");
        let url = parsed["clusters"][0]["cluster"]["server"].as_str();
        let url = url.expect("an address").to_owned();
        let client = client(folder.path());
        Self {
            child,
            folder,
            kubeconfig,
            url,
            client,
        }
    }

    /// A folder that is gone with the cluster.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Asks as its users do.
    pub(crate) fn kubectl(&self, arguments: &[&str], input: &str) -> Said {
        tokio::task::block_in_place(|| {
            let mut child = Command::new(program())
                .arg("kubectl")
                .args(arguments)
                .env("KUBECONFIG", &self.kubeconfig)
                // Neither preferences nor a cache of the user's.
                .env("KUBERC", "off")
                .env("KUBECACHEDIR", self.folder.path().join("cache"))
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .expect("kubectl starts");
            let mut stdin = child.stdin.take().expect("piped");
            stdin.write_all(input.as_bytes()).expect("reads");
            drop(stdin);
            let output = child.wait_with_output().expect("ends");
            Said {
                success: output.status.success(),
                out: String::from_utf8(output.stdout).expect("UTF-8"),
                err: String::from_utf8(output.stderr).expect("UTF-8"),
            }
        })
    }

    /// The same, where it must succeed; what it printed.
    pub(crate) fn done(&self, arguments: &[&str], input: &str) -> String {
        let said = self.kubectl(arguments, input);
        assert!(said.success, "kubectl {arguments:?}: {}", said.err);
        said.out
    }

    /// `kubectl apply` of manifests that must be taken.
    pub(crate) fn apply(&self, manifests: &str) {
        self.done(&["apply", "-f", "-"], manifests);
    }

    /// A client of the administrator's for a task of its own.
    pub(crate) fn asking(&self) -> Asking {
        Asking {
            url: self.url.clone(),
            client: self.client.clone(),
        }
    }

    /// Creates an object below a path.
    pub(crate) async fn create(&self, path: &str, object: &Value) -> Answer {
        self.asking().create(path, object).await.expect("answers")
    }

    /// What admission wrote into the audit log about a request.
    pub(crate) async fn annotations(&self, answer: &Answer) -> Map<String, Value> {
        let path = self.folder.path().join("audit.log");
        let wanted = until("a request is in the audit log", async || {
            let text = tail(&path)?;
            let line = text.lines().find(|line| line.contains(&answer.audit_id))?;
            serde_json::from_str::<Value>(line).ok()
        });
        let mut event = wanted.await;
        match event["annotations"].take() {
            Value::Object(annotations) => annotations,
            _ => Map::new(),
        }
    }
}

/// What somebody asked of the API server.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) verb: String,
    pub(crate) path: String,
}

impl ApiServer {
    /// All that a user asked, which takes looking through the whole audit log.
    pub(crate) fn asked_by(&self, user: &str) -> Vec<Asked> {
        let path = self.folder.path().join("audit.log");
        let text = std::fs::read_to_string(path).expect("an audit log");
        let events = text
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let of_user = events.filter(|event| event["user"]["username"] == user);
        let member =
            |event: &Value, name: &str| event[name].as_str().unwrap_or_default().to_owned();
        of_user
            .map(|event| Asked {
                verb: member(&event, "verb"),
                path: member(&event, "requestURI"),
            })
            .collect()
    }
}

/// A test that ends for whatever reason leaves no cluster behind. It is not asked to stop: nothing of it is
/// wanted any more.
impl Drop for ApiServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Who asks the API server without kubectl.
#[derive(Clone)]
pub(crate) struct Asking {
    url: String,
    client: reqwest::Client,
}

impl Asking {
    /// Creates an object below a path; an error where nobody answered.
    pub(crate) async fn create(&self, path: &str, object: &Value) -> Result<Answer, String> {
        let request = self.client.post(format!("{}{path}", self.url)).json(object);
        let response = request.send().await.map_err(|error| {
            let mut text = error.to_string();
            let mut cause = std::error::Error::source(&error);
            while let Some(error) = cause {
                let _ = write!(text, ": {error}");
                cause = error.source();
            }
            text
        })?;
        let header = |name: &str| -> Vec<String> {
            let values = response.headers().get_all(name).iter();
            let values = values.map(|value| value.to_str().expect("text").to_owned());
            values.collect()
        };
        Ok(Answer {
            status: response.status().as_u16(),
            warnings: header("warning").iter().map(|text| warning(text)).collect(),
            audit_id: header("audit-id").first().expect("an id").clone(),
            body: response.json().await.map_err(|error| error.to_string())?,
        })
    }
}

/// What was written last.
fn tail(path: &Path) -> Option<String> {
    const TAIL_BYTES: u64 = 256 << 10;
    let mut file = std::fs::File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))
        .ok()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The text of a warning: `299 - "TEXT"`, with quotes and backslashes behind backslashes.
fn warning(header: &str) -> String {
    let quoted = header.strip_prefix("299 - \"");
    let quoted = quoted.and_then(|rest| rest.strip_suffix('"'));
    let mut characters = quoted.expect("a warning").chars();
    let mut text = String::new();
    while let Some(character) = characters.next() {
        text.push(match character {
            '\\' => characters.next().expect("an escaped character"),
            other => other,
        });
    }
    text
}

fn client(folder: &Path) -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let read = |name: &str| std::fs::read(folder.join("pki").join(name)).expect("a certificate");
    let identity = [read("admin.crt"), read("admin.key")].concat();
    let identity = reqwest::Identity::from_pem(&identity).expect("an identity");
    let ca = reqwest::Certificate::from_pem(&read("ca.crt")).expect("a certificate");
    let client = reqwest::Client::builder()
        .tls_certs_only([ca])
        .identity(identity);
    client.build().expect("a client")
}
