//! From `tls_server_config` to what shakes hands.
//!
//! The certificate, the suites and what is asked of clients make one configuration, which is replaced
//! whole: a handshake never sees half of a reload. TLS 1.2 is the least. A certificate is checked against its
//! key before it is used, by the code that reads the webhook's.

use std::path::Path;
use std::sync::Arc;

use admission::certificate::certified_key;
use anyhow::{Context as _, anyhow};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, ring};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::SingleCertAndKey;
use rustls::{
    DigitallySignedStruct, DistinguishedName, NamedGroup, RootCertStore, ServerConfig,
    SignatureScheme, SupportedProtocolVersion,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use webpki::EndEntityCert;

use super::files::Files;
use crate::config::web::{ClientAuthType, TlsSection, TlsVersion};

/// The configuration of a TLS port. `http2` offers it in handshakes.
pub(super) fn config(
    section: &TlsSection,
    http2: bool,
    verifier: Option<Arc<dyn ClientCertVerifier>>,
    files: &mut Files,
) -> anyhow::Result<ServerConfig> {
    let missing = || anyhow!("a certificate and its key belong together");
    let chain = pem(section.cert.as_deref(), section.cert_file.as_deref(), files);
    let chain = chain?.ok_or_else(missing)?;
    let key = section.key.as_ref().map(|key| key.0.as_str());
    let key = pem(key, section.key_file.as_deref(), files)?.ok_or_else(missing)?;
    let named = section.cert_file.as_deref();
    let named = named.unwrap_or(Path::new("tls_server_config.cert"));
    let key = certified_key(named, &chain, &key)?;
    let versions: Vec<&'static SupportedProtocolVersion> = [
        (TlsVersion::Tls13, &rustls::version::TLS13),
        (TlsVersion::Tls12, &rustls::version::TLS12),
    ]
    .into_iter()
    .filter(|(version, _)| section.min_version.is_none_or(|min| *version >= min))
    .filter(|(version, _)| section.max_version.is_none_or(|max| *version <= max))
    .map(|(_, version)| version)
    .collect();
    let builder = ServerConfig::builder_with_provider(Arc::new(provider(section)?))
        .with_protocol_versions(&versions)
        .context("tls_server_config")?;
    let builder = match verifier {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(key)));
    let protocols: &[&[u8]] = if http2 {
        &[b"h2", b"http/1.1"]
    } else {
        &[b"http/1.1"]
    };
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    Ok(config)
}

/// What stands in the configuration or else in a file; nothing where neither is named.
fn pem(
    text: Option<&str>,
    file: Option<&Path>,
    files: &mut Files,
) -> anyhow::Result<Option<Vec<u8>>> {
    if let Some(text) = text {
        files.note(text.as_bytes());
        return Ok(Some(text.as_bytes().to_vec()));
    }
    file.map(|file| files.read(file)).transpose()
}

/// The suites and groups that are chosen; all that are safe where none are.
fn provider(section: &TlsSection) -> anyhow::Result<CryptoProvider> {
    let mut provider = ring::default_provider();
    if !section.cipher_suites.is_empty() {
        // Those of 1.3 are not chosen, as in Go.
        let is_1_3 = |suite: &rustls::SupportedCipherSuite| suite.tls13().is_some();
        let (mut chosen, others): (Vec<_>, Vec<_>) =
            provider.cipher_suites.into_iter().partition(is_1_3);
        for name in &section.cipher_suites {
            let is_named = |suite: &&rustls::SupportedCipherSuite| {
                suite.suite().as_str().is_some_and(|known| known == name)
            };
            let suite = others.iter().find(is_named).ok_or_else(|| {
                let known: Vec<&str> = (others.iter())
                    .filter_map(|suite| suite.suite().as_str())
                    .collect();
                anyhow!(
                    "tls_server_config.cipher_suites: {name} is not spoken; choose of {}",
                    known.join(", ")
                )
            })?;
            chosen.push(*suite);
        }
        provider.cipher_suites = chosen;
    }
    if !section.curve_preferences.is_empty() {
        let mut groups = Vec::new();
        for name in &section.curve_preferences {
            let group = match name.as_str() {
                "X25519" => Some(NamedGroup::X25519),
                "CurveP256" => Some(NamedGroup::secp256r1),
                "CurveP384" => Some(NamedGroup::secp384r1),
                _ => None,
            };
            let found = (provider.kx_groups.iter()).find(|known| Some(known.name()) == group);
            groups.push(*found.ok_or_else(|| {
                anyhow!(
                    "tls_server_config.curve_preferences: {name} is not spoken; choose of X25519, CurveP256, CurveP384"
                )
            })?);
        }
        provider.kx_groups = groups;
    }
    Ok(provider)
}

/// What is asked of clients; none where nothing is.
pub(super) fn verifier(
    section: &TlsSection,
    files: &mut Files,
) -> anyhow::Result<Option<Arc<dyn ClientCertVerifier>>> {
    let provider = Arc::new(ring::default_provider());
    let presence = match section.client_auth_type {
        ClientAuthType::NoClientCert => return Ok(None),
        ClientAuthType::RequestClientCert | ClientAuthType::VerifyClientCertIfGiven => {
            Presence::Optional
        }
        ClientAuthType::RequireAnyClientCert | ClientAuthType::RequireAndVerifyClientCert => {
            Presence::Required
        }
    };
    if !section.client_auth_type.is_verifying() {
        return Ok(Some(Arc::new(AnyCertificate { presence, provider })));
    }
    let (text, file) = (&section.client_ca, section.client_ca_file.as_deref());
    let pem = pem(text.as_deref(), file, files)?
        .ok_or_else(|| anyhow!("tls_server_config.client_ca_file: is missing"))?;
    // What is written in the configuration goes before the file, here as in `pem`.
    let name = match (text, file) {
        (None, Some(file)) => file.display().to_string(),
        _ => "tls_server_config.client_ca".to_owned(),
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.with_context(|| format!("{name}: no certificate"))?;
        roots
            .add(certificate)
            .with_context(|| format!("{name}: no certificate of an authority"))?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let builder = match presence {
        Presence::Optional => builder.allow_unauthenticated(),
        Presence::Required => builder,
    };
    let inner = builder
        .build()
        .with_context(|| format!("{name}: no authority to trust"))?;
    let sans = section.client_allowed_sans.clone();
    Ok(Some(Arc::new(Named { inner, sans })))
}

/// Whether a client must have a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Presence {
    Optional,
    Required,
}

/// Takes any certificate whose key the client has. It proves nothing, and nobody is admitted for it.
#[derive(Debug)]
struct AnyCertificate {
    presence: Presence,
    provider: Arc<CryptoProvider>,
}

impl ClientCertVerifier for AnyCertificate {
    fn client_auth_mandatory(&self) -> bool {
        self.presence == Presence::Required
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        (self.provider.signature_verification_algorithms).supported_schemes()
    }
}

/// Takes what the authorities have signed, and of that only the names that are allowed.
#[derive(Debug)]
struct Named {
    inner: Arc<dyn ClientCertVerifier>,
    /// Any where there are none.
    sans: Vec<String>,
}

impl Named {
    fn is_allowed(&self, certificate: &CertificateDer<'_>) -> Result<bool, webpki::Error> {
        let certificate = EndEntityCert::try_from(certificate)?;
        Ok(self.sans.iter().any(|san| {
            if let Ok(address @ ServerName::IpAddress(_)) = ServerName::try_from(san.as_str()) {
                return certificate
                    .verify_is_valid_for_subject_name(&address)
                    .is_ok();
            }
            // Letter by letter, as upstream compares: a wildcard of a certificate is no name.
            let mut names = certificate.valid_dns_names();
            names.any(|name| name == san) || certificate.valid_uri_names().any(|uri| uri == san)
        }))
    }
}

impl ClientCertVerifier for Named {
    fn offer_client_auth(&self) -> bool {
        self.inner.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.inner.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let verified = self
            .inner
            .verify_client_cert(end_entity, intermediates, now)?;
        if self.sans.is_empty() || self.is_allowed(end_entity).unwrap_or(false) {
            return Ok(verified);
        }
        Err(rustls::CertificateError::ApplicationVerificationFailure.into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
