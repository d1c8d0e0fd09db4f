//! Whom the webhook answers: anybody who reaches it, or, where a file of authorities is named, only clients with a
//! certificate of one of them.
//!
//! An API server shows the client certificate that its AdmissionConfiguration names for this webhook. A kubelet
//! that asks whether we are ready has none, so a client without one is let in and may ask that, and nothing else;
//! one with a certificate of somebody else is not.
//!
//! The file is read again when it changes, as the webhook's own certificate is: the next handshake is judged by
//! the new authorities, and what cannot be read never takes the place of what works.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::ring;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, UnixTime};

use super::{CertificateError, read};

/// Judges client certificates by the authorities of a file.
#[derive(Debug)]
pub struct Clients {
    ca_file: PathBuf,
    current: ArcSwap<Authorities>,
}

#[derive(Debug)]
struct Authorities {
    /// The file's contents.
    pem: Vec<u8>,
    verifier: Arc<dyn ClientCertVerifier>,
}

impl Clients {
    /// Reads the file. Blocks on the disk.
    pub(super) fn open(ca_file: &Path) -> Result<Self, CertificateError> {
        let authorities = Authorities::of(ca_file, read(ca_file)?)?;
        Ok(Clients {
            ca_file: ca_file.to_path_buf(),
            current: ArcSwap::from_pointee(authorities),
        })
    }

    fn verifier(&self) -> Arc<dyn ClientCertVerifier> {
        self.current.load().verifier.clone()
    }

    /// Takes up a change of the file. Blocks on the disk.
    pub(super) fn refresh(&self) -> Result<(), CertificateError> {
        let pem = read(&self.ca_file)?;
        if pem != self.current.load().pem {
            let authorities = Authorities::of(&self.ca_file, pem)?;
            self.current.store(Arc::new(authorities));
        }
        Ok(())
    }
}

impl Authorities {
    fn of(ca_file: &Path, pem: Vec<u8>) -> Result<Self, CertificateError> {
        let unusable = |problem: String| CertificateError::ClientAuthorities {
            path: ca_file.to_path_buf(),
            problem,
        };
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
            roots
                .add(certificate)
                .map_err(|error| unusable(error.to_string()))?;
        }
        let provider = Arc::new(ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .allow_unauthenticated()
            .build()
            .map_err(|error| unusable(error.to_string()))?;
        Ok(Authorities { pem, verifier })
    }
}

impl ClientCertVerifier for Clients {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    /// None: they would have to outlive the next change of the file, and no client needs them.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.verifier()
            .verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier()
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier()
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier().supported_verify_schemes()
    }
}
