//! The command line of whatever speaks to a server: what is shown to it, and whom to trust.

use std::path::PathBuf;

use agent::access::{Access, BasicAuth, TlsConfig};
use clap::Args;

/// Credentials and certificates. Secrets come from files: a command line is seen by everybody.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct AccessArgs {
    /// File with the bearer token to show to the server
    #[arg(
        long,
        value_name = "FILE",
        env = "TAFFRAIL_BEARER_TOKEN_FILE",
        conflicts_with = "user"
    )]
    bearer_token_file: Option<PathBuf>,
    /// Name to show to the server, with --password-file
    #[arg(
        long,
        value_name = "NAME",
        env = "TAFFRAIL_USER",
        requires = "password_file"
    )]
    user: Option<String>,
    /// File with the password to --user
    #[arg(
        long,
        value_name = "FILE",
        env = "TAFFRAIL_PASSWORD_FILE",
        requires = "user"
    )]
    password_file: Option<PathBuf>,
    /// File with the authorities to trust in place of the system's (PEM)
    #[arg(long, value_name = "FILE", env = "TAFFRAIL_CA")]
    ca: Option<PathBuf>,
    /// File with the certificate to show to the server, with --key (PEM)
    #[arg(long, value_name = "FILE", env = "TAFFRAIL_CERT", requires = "key")]
    cert: Option<PathBuf>,
    /// File with the key to --cert (PEM)
    #[arg(long, value_name = "FILE", env = "TAFFRAIL_KEY", requires = "cert")]
    key: Option<PathBuf>,
    /// Tenant to speak for, where the server tells tenants apart
    #[arg(long, value_name = "NAME", env = "TAFFRAIL_ORG_ID")]
    org_id: Option<String>,
}

impl AccessArgs {
    /// What it means; what is not said is as in `otherwise`.
    pub(crate) fn or(&self, otherwise: &Access) -> Access {
        let user = self.user.as_ref().zip(self.password_file.as_ref());
        let basic = user.map(|(name, file)| BasicAuth {
            username: name.clone(),
            password_file: file.clone(),
        });
        // One way in the place of the other, not beside it.
        let (bearer_token_file, basic_auth) = match (&self.bearer_token_file, basic) {
            (None, None) => (
                otherwise.bearer_token_file.clone(),
                otherwise.basic_auth.clone(),
            ),
            (token, basic) => (token.clone(), basic),
        };
        let tls = &otherwise.tls_config;
        let (cert_file, key_file) = match (&self.cert, &self.key) {
            (None, None) => (&tls.cert_file, &tls.key_file),
            own => own,
        };
        Access {
            bearer_token_file,
            basic_auth,
            tls_config: TlsConfig {
                ca_file: self.ca.clone().or_else(|| tls.ca_file.clone()),
                cert_file: cert_file.clone(),
                key_file: key_file.clone(),
            },
            org_id: self.org_id.clone().or_else(|| otherwise.org_id.clone()),
        }
    }

    /// What it means by itself.
    pub(crate) fn access(&self) -> Access {
        self.or(&Access::default())
    }
}
