//! How the HTTP port is protected, and how that changes while it is open.
//!
//! All of it (the certificate, what is asked of clients, who is admitted) is one value that is made from files and replaced
//! whole, so that no connection sees half a change. The files are looked at every few seconds, and on
//! a reload; what cannot be used is said once, and what was in force stays in force.
//!
//! What must never happen: that a reload opens the port to more than before because a file was empty, half
//! written or gone. So neither TLS nor authentication can be taken away without a restart.
//!
//! - [`files`]: what the files hold, and whether it changed.
//! - [`tls`]: what shakes hands.
//! - [`listener`]: connections that have shaken hands.
//! - [`patience`]: below both, how long clients may take,
//! - [`places`]: and how many there may be.
//! - [`gate`]: who is admitted, by a certificate,
//! - [`users`]: a name and a password,
//! - [`tokens`]: or a token.

mod files;
mod gate;
pub(crate) mod listener;
pub(crate) mod patience;
pub(crate) mod places;
mod tls;
mod tokens;
mod users;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::bail;
use arc_swap::ArcSwap;
use axum::extract::ConnectInfo;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::Response;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use rustls::ServerConfig;
use tokio_util::sync::CancellationToken;

use crate::config::web::{ClientAuthType, HeadersSection, WebSection, parse};
use files::{Digest, Files};
use gate::{Certificates, Gate, is_public};
use tokens::Tokens;
use users::Users;

pub(crate) use gate::Peer;

/// How often files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// How the port is protected.
pub(crate) struct Web {
    in_force: ArcSwap<InForce>,
    told: Mutex<Told>,
    /// Requests of those who were not admitted.
    refused: Counter,
}

/// What the looks need to know.
struct Told {
    /// What the configuration says.
    section: WebSection,
    /// What was wrong at the last look, which is said once.
    complaint: Option<String>,
}

/// What was read, ready for use.
pub(crate) struct InForce {
    digest: Digest,
    tls: Option<Arc<ServerConfig>>,
    gate: Gate,
    headers: HeaderMap,
}

impl InForce {
    /// A number of this state's own, not 0.
    fn number(&self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.digest;
        u64::from_le_bytes([a, b, c, d, e, f, g, h]) | 1
    }

    /// Reads all that a section names.
    fn read(section: &WebSection) -> anyhow::Result<Self> {
        let mut files = Files::default();
        let mut tokens = Tokens::default();
        let mut token_files = section.bearer_token_files.clone();
        let named;
        let section = match &section.config_file {
            None => section,
            Some(path) => {
                named = parse(path, &files.text(path)?).map_err(anyhow::Error::msg)?;
                token_files.extend(named.bearer_token_files.iter().cloned());
                &named
            }
        };
        files.note(format!("{section:?}").as_bytes());
        let http = section.http_server_config.clone().unwrap_or_default();
        for path in token_files {
            tokens.add(&path, &files.text(&path)?)?;
        }
        let hashes = section.basic_auth_users.clone().unwrap_or_default();
        for hash in hashes.values() {
            files.note(hash.0.as_bytes());
        }
        let mut certificates = Certificates::Ignored;
        let tls = section.tls_server_config.as_ref();
        let tls = match tls.filter(|tls| !tls.is_empty()) {
            None => None,
            Some(tls) => {
                let verifier = tls::verifier(tls, &mut files)?;
                certificates = match (tls.client_auth_type, &verifier) {
                    (ClientAuthType::VerifyClientCertIfGiven, Some(verifier)) => {
                        Certificates::Admit(Arc::clone(verifier))
                    }
                    (ClientAuthType::RequireAndVerifyClientCert, Some(verifier)) => {
                        Certificates::Require(Arc::clone(verifier))
                    }
                    _ => Certificates::Ignored,
                };
                let http2 = http.http2.unwrap_or(true);
                Some(Arc::new(tls::config(tls, http2, verifier, &mut files)?))
            }
        };
        Ok(Self {
            digest: files.digest(),
            tls,
            gate: Gate {
                users: Users::new(&hashes)?,
                tokens,
                certificates,
            },
            headers: headers(http.headers.unwrap_or_default())?,
        })
    }
}

fn headers(section: HeadersSection) -> anyhow::Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("content-security-policy", section.content_security_policy),
        ("x-frame-options", section.frame_options),
        ("x-content-type-options", section.content_type_options),
        ("x-xss-protection", section.xss_protection),
        (
            "strict-transport-security",
            section.strict_transport_security,
        ),
    ] {
        let Some(value) = value.filter(|value| !value.is_empty()) else {
            continue;
        };
        let Ok(value) = HeaderValue::from_str(&value) else {
            bail!("http_server_config.headers: {name}: {value:?} cannot stand in a header");
        };
        headers.insert(HeaderName::from_static(name), value);
    }
    Ok(headers)
}

impl Web {
    /// Reads what the configuration names. Blocks on the disk.
    pub(crate) fn open(section: WebSection) -> anyhow::Result<Self> {
        Ok(Self {
            in_force: ArcSwap::from_pointee(InForce::read(&section)?),
            told: Mutex::new(Told {
                section,
                complaint: None,
            }),
            refused: Counter::default(),
        })
    }

    /// What shakes hands; none where the port has no TLS.
    pub(crate) fn tls(&self) -> Option<Arc<ServerConfig>> {
        self.in_force.load().tls.clone()
    }

    /// `https`, or `http`.
    pub(crate) fn scheme(&self) -> &'static str {
        if self.in_force.load().tls.is_some() {
            "https"
        } else {
            "http"
        }
    }

    /// Registers what is counted.
    pub(crate) fn register(&self, registry: &mut Registry) {
        let help = "Requests without credentials that admit";
        registry.register("taffrail_http_unauthorized", help, self.refused.clone());
    }

    /// Says once, at the start, what others than this machine can do here.
    pub(crate) fn warn_if_open(&self, address: SocketAddr) {
        let in_force = self.in_force.load();
        if address.ip().is_loopback() {
            return;
        }
        if in_force.gate.is_open() {
            tracing::warn!(
                "whoever reaches {address} may read and write everything: nothing is authenticated; see `web` in the configuration"
            );
        } else if in_force.tls.is_none() {
            tracing::warn!(
                "credentials come to {address} in the clear; set web.tls_server_config, or leave TLS to what is in front"
            );
        }
    }

    /// Answers a request of somebody who is not admitted.
    pub(crate) async fn refusal(&self, request: &Parts) -> Option<Response> {
        let in_force = self.in_force.load_full();
        if is_public(&request.method, request.uri.path()) {
            return None;
        }
        let peer = request.extensions.get::<ConnectInfo<Peer>>();
        let peer = peer.map(|ConnectInfo(peer)| peer);
        let state = in_force.number();
        let admitted = in_force.gate.admit(&request.headers, peer, state).await;
        let refusal = admitted.err()?;
        self.refused.inc();
        Some(in_force.gate.refuse(refusal))
    }

    /// The headers of every answer.
    pub(crate) fn headers(&self) -> HeaderMap {
        self.in_force.load().headers.clone()
    }

    /// Reads anew what a section names, without using it yet. None is the section that is in force.
    pub(crate) fn prepare(&self, section: Option<WebSection>) -> anyhow::Result<Prepared> {
        let section = section.unwrap_or_else(|| self.told().section.clone());
        let read = InForce::read(&section)?;
        if read.tls.is_some() != self.in_force.load().tls.is_some() {
            bail!("tls_server_config: TLS is turned on and off by a restart, not by a reload");
        }
        if read.gate.is_open() && !self.in_force.load().gate.is_open() {
            bail!("authentication is turned off by a restart, not by a reload");
        }
        Ok(Prepared { section, read })
    }

    /// Uses what was read; true if it differs from what was in force.
    pub(crate) fn use_prepared(&self, prepared: Prepared) -> bool {
        let mut told = self.told();
        told.section = prepared.section;
        told.complaint = None;
        if prepared.read.digest == self.in_force.load().digest {
            return false;
        }
        self.in_force.store(Arc::new(prepared.read));
        true
    }

    /// Looks at the files every few seconds until `stop`.
    pub(crate) async fn keep(self: Arc<Self>, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            let web = Arc::clone(&self);
            // A panic was reported; the next look may do better.
            let _ = tokio::task::spawn_blocking(move || web.look()).await;
        }
    }

    fn look(&self) {
        match self.prepare(None) {
            Ok(prepared) => {
                if self.use_prepared(prepared) {
                    tracing::info!("the HTTP port's certificate or credentials have changed");
                }
            }
            Err(error) => {
                let complaint = format!("{error:#}");
                let mut told = self.told();
                if told.complaint.as_ref() != Some(&complaint) {
                    tracing::error!("web: {complaint}; what was in force before stays in force");
                    told.complaint = Some(complaint);
                }
            }
        }
    }

    fn told(&self) -> std::sync::MutexGuard<'_, Told> {
        // What it guards is replaced whole, and so is right whoever panicked.
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was read and is not used yet.
pub(crate) struct Prepared {
    section: WebSection,
    read: InForce,
}

/// The section of a configuration, with what the command line says of it.
pub(crate) fn section_of(mut section: WebSection, config_file: Option<PathBuf>) -> WebSection {
    if config_file.is_some() {
        section.config_file = config_file;
    }
    section
}
