//! How others are reached: what is shown of ourselves, and whom we trust.
//!
//! The words are those of Prometheus' client configuration. Secrets lie in files and are read for every
//! request, since they rotate; nothing here shows one, and no request's `Debug` does. The authorities and
//! the own certificate are read when a client is made.

use std::path::{Path, PathBuf};

use reqwest::{Certificate, ClientBuilder, Identity, RequestBuilder};
use serde::Deserialize;
use url::Url;

/// What names the tenant.
const ORG_ID: &str = "X-Scope-OrgID";

/// Credentials, and whom to trust. By default nothing is shown, and the system's authorities are trusted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Access {
    /// A file with a bearer token.
    pub bearer_token_file: Option<PathBuf>,
    /// A name and a password.
    pub basic_auth: Option<BasicAuth>,
    /// TLS.
    pub tls_config: TlsConfig,
    /// The tenant that is spoken for, where the server tells tenants apart.
    pub org_id: Option<String>,
}

/// A name and a password.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BasicAuth {
    /// The name.
    pub username: String,
    /// The file with the password.
    pub password_file: PathBuf,
}

/// TLS of a client.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsConfig {
    /// The authorities that are trusted, in place of the system's.
    pub ca_file: Option<PathBuf>,
    /// The own certificate, with `key_file`.
    pub cert_file: Option<PathBuf>,
    /// Its key.
    pub key_file: Option<PathBuf>,
}

/// Why somebody cannot be reached as told.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// Two things are said that exclude each other, or half of one.
    #[error("{0}")]
    Contradiction(&'static str),
    /// An address holds a secret, which would be shown wherever the address is.
    #[error(
        "{server}: names a user; leave that out of the address, and name a user and a password file beside it"
    )]
    Address {
        /// The address without it.
        server: Url,
    },
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file holds no certificate that can be used, or no key.
    #[error("{}: {source}", path.display())]
    Contents {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: reqwest::Error,
    },
}

impl Access {
    /// Says what contradicts itself.
    pub fn validate(&self) -> Result<(), AccessError> {
        if self.bearer_token_file.is_some() && self.basic_auth.is_some() {
            let problem = "either a bearer token or a name and a password is shown, not both";
            return Err(AccessError::Contradiction(problem));
        }
        if self.tls_config.cert_file.is_some() != self.tls_config.key_file.is_some() {
            let problem = "a certificate and its key belong together: name both files, or none";
            return Err(AccessError::Contradiction(problem));
        }
        Ok(())
    }

    /// What makes clients that trust, and show a certificate, as told. Reads files.
    pub fn client(&self) -> Result<ClientBuilder, AccessError> {
        self.validate()?;
        let mut builder = ClientBuilder::new();
        let tls = &self.tls_config;
        if let Some(path) = &tls.ca_file {
            let trusted = Certificate::from_pem_bundle(&read(path)?);
            let trusted = trusted.map_err(|source| contents(path, source))?;
            builder = builder.tls_certs_only(trusted);
        }
        if let (Some(certificate), Some(key)) = (&tls.cert_file, &tls.key_file) {
            let mut pem = read(certificate)?;
            pem.push(b'\n');
            pem.extend(read(key)?);
            let identity = Identity::from_pem(&pem);
            builder = builder.identity(identity.map_err(|source| contents(certificate, source))?);
        }
        Ok(builder)
    }

    /// Shows the credentials in a request. Reads their file.
    pub async fn authorize(&self, request: RequestBuilder) -> Result<RequestBuilder, AccessError> {
        let request = match &self.org_id {
            Some(name) => request.header(ORG_ID, name),
            None => request,
        };
        if let Some(path) = &self.bearer_token_file {
            return Ok(request.bearer_auth(secret(path).await?));
        }
        if let Some(basic) = &self.basic_auth {
            let password = secret(&basic.password_file).await?;
            return Ok(request.basic_auth(&basic.username, Some(password)));
        }
        Ok(request)
    }
}

/// Refuses an address that holds a secret.
pub fn without_secret(server: &Url) -> Result<(), AccessError> {
    if server.username().is_empty() && server.password().is_none() {
        return Ok(());
    }
    let mut server = server.clone();
    // An address that has a user can be without one.
    let _ = server.set_username("");
    let _ = server.set_password(None);
    Err(AccessError::Address { server })
}

fn read(path: &Path) -> Result<Vec<u8>, AccessError> {
    std::fs::read(path).map_err(|source| unreadable(path, source))
}

async fn secret(path: &Path) -> Result<String, AccessError> {
    let text = tokio::fs::read_to_string(path).await;
    let text = text.map_err(|source| unreadable(path, source))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

fn unreadable(path: &Path, source: std::io::Error) -> AccessError {
    AccessError::Read {
        path: path.to_owned(),
        source,
    }
}

fn contents(path: &Path, source: reqwest::Error) -> AccessError {
    AccessError::Contents {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn credentials_are_read_for_every_request_and_not_shown() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("secret");
        let token = Access {
            bearer_token_file: Some(path.clone()),
            ..Access::default()
        };
        let basic = Access {
            basic_auth: Some(BasicAuth {
                username: "me".to_owned(),
                password_file: path.clone(),
            }),
            ..Access::default()
        };
        let client = token.client().expect("a client").build().expect("a client");
        for (access, text, expected) in [
            (&token, "one\n", "Bearer one"),
            (&token, "two", "Bearer two"),
            (&basic, "secret\r\n", "Basic bWU6c2VjcmV0"),
            (&basic, " s \n", "Basic bWU6IHMg"),
        ] {
            std::fs::write(&path, text).expect("writes");
            let request = access.authorize(client.get("http://a")).await;
            let request = request.expect("readable").build().expect("a request");
            let shown = request.headers()["authorization"].clone();
            assert_eq!(shown.to_str().expect("ASCII"), expected);
            assert!(shown.is_sensitive());
        }
        std::fs::remove_file(&path).expect("there");
        let error = token.authorize(client.get("http://a")).await;
        let error = error.expect_err("gone").to_string();
        assert!(error.starts_with("cannot read "), "{error}");
    }

    #[test]
    fn contradictions_are_named() {
        let file = || Some(PathBuf::from("f"));
        let half = TlsConfig {
            cert_file: file(),
            ..TlsConfig::default()
        };
        let both = Access {
            bearer_token_file: file(),
            basic_auth: Some(BasicAuth {
                username: "me".to_owned(),
                password_file: "f".into(),
            }),
            ..Access::default()
        };
        let half = Access {
            tls_config: half,
            ..Access::default()
        };
        for (access, expected) in [(both, "not both"), (half, "belong together")] {
            let error = access.client().expect_err(expected).to_string();
            assert!(error.contains(expected), "{error}");
        }
        let url = Url::parse("http://me:secret@host:1/path").expect("a URL");
        let error = without_secret(&url).expect_err("a secret").to_string();
        assert!(
            error.starts_with("http://host:1/path: names a user"),
            "{error}"
        );
    }
}
