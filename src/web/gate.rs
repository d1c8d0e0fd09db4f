//! Who is admitted.
//!
//! There are three ways, and any that is configured admits: a user's name and password, a bearer token, a client
//! certificate that holds. Where certificates are required (`RequireAndVerifyClientCert`) they are the
//! condition of all else: without users and tokens one is enough, with them it is needed beside, as upstream
//! has it. Where nothing is configured the gate is open. The gate knows no routes but the two that say
//! how the program is, which anybody may ask; so a route that is added is behind it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::header::{AUTHORIZATION, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rustls::server::danger::ClientCertVerifier;
use rustls_pki_types::{CertificateDer, UnixTime};

use super::tokens::Tokens;
use super::users::{Checked, Users};

/// What anybody may ask.
const PUBLIC: [&str; 2] = ["/-/healthy", "/-/ready"];
/// How a client is to say who it is.
const BASIC: HeaderValue = HeaderValue::from_static("Basic realm=\"taffrail\", charset=\"UTF-8\"");
const BEARER: HeaderValue = HeaderValue::from_static("Bearer realm=\"taffrail\"");

/// The ways in.
pub(super) struct Gate {
    pub(super) users: Option<Users>,
    pub(super) tokens: Tokens,
    pub(super) certificates: Certificates,
}

/// What a client's certificate is worth.
pub(super) enum Certificates {
    /// Nothing: it was not asked for, or not verified.
    Ignored,
    /// It is a way in.
    Admit(Arc<dyn ClientCertVerifier>),
    /// Without it there is no way in.
    Require(Arc<dyn ClientCertVerifier>),
}

/// Why somebody is not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Nothing was shown that counts.
    Unauthorized,
    /// Too many passwords are being checked.
    Busy,
}

/// What a client has shown of itself in its handshake.
#[derive(Clone, Debug, Default)]
pub(crate) struct Peer {
    /// Its certificate and those that lead to an authority; empty where it has shown none.
    certificates: Arc<[CertificateDer<'static>]>,
    /// The state of the gate that the certificate was found good in last. A handshake is long ago
    /// when the authorities change.
    good_in: Arc<AtomicU64>,
}

impl Peer {
    /// A client that has shown these.
    pub(super) fn new(certificates: &[CertificateDer<'static>]) -> Self {
        Self {
            certificates: certificates.to_vec().into(),
            good_in: Arc::default(),
        }
    }

    /// Whether its certificate holds. `state` names what the verifier knows and is not 0.
    fn holds(&self, verifier: &dyn ClientCertVerifier, state: u64) -> bool {
        let Some((own, others)) = self.certificates.split_first() else {
            return false;
        };
        if self.good_in.load(Ordering::Relaxed) == state {
            return true;
        }
        let verified = verifier.verify_client_cert(own, others, UnixTime::now());
        if verified.is_ok() {
            self.good_in.store(state, Ordering::Relaxed);
        }
        verified.is_ok()
    }
}

/// Whether a request may be answered without asking who sends it.
pub(super) fn is_public(method: &Method, path: &str) -> bool {
    matches!(*method, Method::GET | Method::HEAD) && PUBLIC.contains(&path)
}

impl Gate {
    /// Whether everybody is admitted.
    pub(super) fn is_open(&self) -> bool {
        !self.has_words() && matches!(self.certificates, Certificates::Ignored)
    }

    /// Whether something can be said that admits.
    fn has_words(&self) -> bool {
        self.users.is_some() || !self.tokens.is_empty()
    }

    /// Whether a client is admitted, by what its request says and its handshake has shown. `state` is a
    /// number of this gate's own.
    pub(super) async fn admit(
        &self,
        headers: &HeaderMap,
        peer: Option<&Peer>,
        state: u64,
    ) -> Result<(), Refusal> {
        let holds = |verifier: &Arc<dyn ClientCertVerifier>| {
            peer.is_some_and(|peer| peer.holds(verifier.as_ref(), state))
        };
        match &self.certificates {
            _ if self.is_open() => return Ok(()),
            Certificates::Admit(verifier) if holds(verifier) => return Ok(()),
            Certificates::Require(verifier) if !holds(verifier) => {
                return Err(Refusal::Unauthorized);
            }
            Certificates::Require(_) if !self.has_words() => return Ok(()),
            _ => {}
        }
        let mut all = headers.get_all(AUTHORIZATION).iter();
        // Two of them are nobody's.
        let (Some(words), None) = (all.next(), all.next()) else {
            return Err(Refusal::Unauthorized);
        };
        let words = words.as_bytes();
        let blank = words.iter().position(|byte| *byte == b' ');
        let (scheme, shown) = words.split_at(blank.unwrap_or(words.len()));
        let shown = shown.trim_ascii();
        if scheme.eq_ignore_ascii_case(b"bearer") {
            let is_known = self.tokens.has(shown);
            return is_known.then_some(()).ok_or(Refusal::Unauthorized);
        }
        let (true, Some(users)) = (scheme.eq_ignore_ascii_case(b"basic"), &self.users) else {
            return Err(Refusal::Unauthorized);
        };
        let Some((name, password)) = name_and_password(shown) else {
            return Err(Refusal::Unauthorized);
        };
        match users.check(&name, &password).await {
            Checked::Right => Ok(()),
            Checked::Wrong => Err(Refusal::Unauthorized),
            Checked::Busy => Err(Refusal::Busy),
        }
    }

    /// The answer to whom is not admitted.
    pub(super) fn refuse(&self, refusal: Refusal) -> Response {
        if refusal == Refusal::Busy {
            let reason = "too many passwords are being checked; try again later\n";
            let after = [(RETRY_AFTER, HeaderValue::from_static("1"))];
            return (StatusCode::SERVICE_UNAVAILABLE, after, reason).into_response();
        }
        let mut response = (StatusCode::UNAUTHORIZED, "Unauthorized\n").into_response();
        let headers = response.headers_mut();
        if self.users.is_some() {
            headers.append(WWW_AUTHENTICATE, BASIC);
        }
        // An answer of this status names a way, also where a certificate is the only one.
        if !self.tokens.is_empty() || self.users.is_none() {
            headers.append(WWW_AUTHENTICATE, BEARER);
        }
        response
    }
}

/// What stands in `Authorization` behind `Basic`.
fn name_and_password(shown: &[u8]) -> Option<(String, Vec<u8>)> {
    let decoded = BASE64_STANDARD.decode(shown).ok()?;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    let (name, rest) = decoded.split_at(colon);
    let name = String::from_utf8(name.to_vec()).ok()?;
    let (_, password) = rest.split_first()?;
    Some((name, password.to_vec()))
}
