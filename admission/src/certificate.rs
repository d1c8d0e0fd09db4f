//! The serving certificate: made, kept, renewed, or taken from somebody who does that.
//!
//! An API server calls a webhook over TLS only, and trusts what the webhook configuration's
//! caBundle says. So that nobody has to run openssl to begin, the program is its own
//! certificate authority ([`authority`]): at its first start it makes one, keeps it in a folder
//! and issues itself a certificate, which it renews long before its end; in a cluster it writes
//! the CA into the webhook configuration itself ([`inject`]), and follows a new CA only when it is there. Where somebody
//! else renews certificates, as cert-manager does, the files are read again when they change. Whether clients need a
//! certificate too is [`clients`]'.
//!
//! A new certificate takes the place of the old one between two handshakes, for connections are
//! resolved through an `ArcSwap`. What cannot be read never takes the place of what works.

pub mod authority;
pub mod clients;
pub mod inject;
mod keep;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::crypto::ring;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::CertificateConfig;
use authority::{Authority, Trust};
use clients::Clients;

/// What can be wrong with a certificate. Those in use stay in use.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file or folder cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file or folder cannot be written.
    #[error("cannot write {}: {source}: choose another certificate.directory", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file holds something else than a key and its certificates.
    #[error("{} holds no usable key and certificate: {problem}", path.display())]
    Contents {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A file holds something else than certificates of authorities.
    #[error("{} holds no certificates of authorities of clients: {problem}", path.display())]
    ClientAuthorities {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A certificate could not be issued.
    #[error("cannot issue a certificate: {0}")]
    Issue(#[from] rcgen::Error),
}

/// Where the certificate comes from.
#[derive(Debug)]
pub enum Source {
    /// We issue it.
    Own(Authority),
    /// Somebody else does.
    Given {
        /// The chain.
        cert_file: PathBuf,
        /// Its key.
        key_file: PathBuf,
        /// What both held when they were last taken up.
        contents: (Vec<u8>, Vec<u8>),
    },
}

/// What serves the handshakes, and where it comes from.
#[derive(Debug)]
pub struct Certificate {
    source: Source,
    resolver: Arc<Resolver>,
    clients: Option<Arc<Clients>>,
}

/// Answers each handshake with the certificate in force.
#[derive(Debug)]
pub struct Resolver {
    current: ArcSwap<CertifiedKey>,
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

impl Certificate {
    /// Reads or makes the certificate. Blocks on the disk.
    pub fn open(config: &CertificateConfig) -> Result<Self, CertificateError> {
        let given = config.cert_file.as_ref().zip(config.key_file.as_ref());
        let (source, key) = if let Some((cert_file, key_file)) = given {
            let contents = (read(cert_file)?, read(key_file)?);
            let key = certified_key(cert_file, &contents.0, &contents.1)?;
            let source = Source::Given {
                cert_file: cert_file.clone(),
                key_file: key_file.clone(),
                contents,
            };
            (source, key)
        } else {
            let authority = Authority::open(config.directory(), &config.names)?;
            let key = authority.certified_key()?;
            (Source::Own(authority), key)
        };
        let clients = config.client_ca_file.as_deref().map(Clients::open);
        Ok(Certificate {
            source,
            clients: clients.transpose()?.map(Arc::new),
            resolver: Arc::new(Resolver {
                current: ArcSwap::from_pointee(key),
            }),
        })
    }

    /// What a TLS server asks for its certificate.
    pub fn resolver(&self) -> Arc<Resolver> {
        self.resolver.clone()
    }

    /// Who judges the certificates of clients, where they need one.
    pub fn clients(&self) -> Option<Arc<Clients>> {
        self.clients.clone()
    }

    /// The certificates a client must trust, where we are who issues them.
    pub fn ca_pem(&self) -> Option<&str> {
        match &self.source {
            Source::Own(authority) => Some(authority.ca_pem()),
            Source::Given { .. } => None,
        }
    }

    /// When the certificate ends, where we are who renews it; in seconds since 1970.
    pub fn expiry_seconds(&self) -> Option<f64> {
        match &self.source {
            Source::Own(authority) => Some(authority.expiry_seconds()),
            Source::Given { .. } => None,
        }
    }

    /// Renews what is near its end, or takes up what was changed. True where there is a new
    /// certificate or a new authority; `trust` is about the one there was. Blocks on the disk.
    pub fn refresh(&mut self, trust: Trust) -> Result<bool, CertificateError> {
        if let Some(clients) = &self.clients {
            clients.refresh()?;
        }
        let key = match &mut self.source {
            Source::Own(authority) => {
                if !authority.renew(trust)? {
                    return Ok(false);
                }
                authority.certified_key()?
            }
            Source::Given {
                cert_file,
                key_file,
                contents,
            } => {
                let found = (read(cert_file)?, read(key_file)?);
                if found == *contents {
                    return Ok(false);
                }
                let key = certified_key(cert_file, &found.0, &found.1)?;
                *contents = found;
                key
            }
        };
        self.resolver.current.store(Arc::new(key));
        Ok(true)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, CertificateError> {
    std::fs::read(path).map_err(|source| CertificateError::Read {
        path: path.to_path_buf(),
        source,
    })
}

/// A key with its chain, both in PEM, checked to belong together. `path` is for the error. The program's
/// other TLS port reads its own with it.
pub fn certified_key(
    path: &Path,
    chain: &[u8],
    key: &[u8],
) -> Result<CertifiedKey, CertificateError> {
    let unusable = |problem: String| CertificateError::Contents {
        path: path.to_path_buf(),
        problem,
    };
    let chain = CertificateDer::pem_slice_iter(chain)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| unusable(error.to_string()))?;
    if chain.is_empty() {
        return Err(unusable("there is no certificate in it".to_string()));
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| unusable(error.to_string()))?;
    CertifiedKey::from_der(chain, key, &ring::default_provider())
        .map_err(|error| unusable(error.to_string()))
}

/// The certificates of a PEM text, each from its first dash to its last.
fn pem_certificates(text: &str) -> Vec<&str> {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    const END: &str = "-----END CERTIFICATE-----";
    text.match_indices(BEGIN)
        .filter_map(|(start, _)| text.get(start..))
        .filter_map(|rest| rest.find(END).and_then(|end| rest.get(..end + END.len())))
        .collect()
}

#[cfg(test)]
mod tests;
