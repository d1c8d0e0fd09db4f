//! Our own certificate authority, and the certificate it issues us.
//!
//! Three files in one folder:
//!
//! - `ca.pem`: the authority's key and certificate, and after a renewal the certificate of the
//!   authority before it. Readable by its owner only.
//! - `serving.pem`: the webhook's key and certificate. Readable by its owner only.
//! - `ca.crt`: what a client must trust. Written for people and for `curl --cacert`, never read.
//!
//! The first two begin with lines that say until when they hold and for which names, in the
//! free text PEM allows, so that a key, its certificate and what is known of them are one file
//! and change in one rename. An authority is renewed a year before its end, or when `ca.pem` is removed under
//! the running program, and the one before it stays trusted beside it.
//!
//! Nothing is issued by a new authority before who calls us trusts it ([`Trust`]): until then the certificate of the one
//! before it serves on, as long as it holds. `serving.pem` names its authority by the public key, in a third line
//! (`issuer:`, hexadecimal); where there is none, the file is older than this rule, and the authority in force is
//! its.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::sign::CertifiedKey;

use super::keep::{Readers, write};
use super::{CertificateError, certified_key, pem_certificates, read};

const CA_YEARS: i32 = 10;
const CA_RENEWED_DAYS_BEFORE: i32 = 365;
const SERVING_DAYS: i32 = 90;
const SERVING_RENEWED_DAYS_BEFORE: i32 = 30;

/// A date as rcgen takes it, whose type is of a crate we otherwise have no use for.
macro_rules! midnight {
    ($date:expr) => {{
        let date: Date = $date;
        let (month, day) = (date.month().unsigned_abs(), date.day().unsigned_abs());
        rcgen::date_time_ymd(i32::from(date.year()), month, day)
    }};
}

/// Whether those who call us trust the authority in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// They may not have heard of it yet.
    Awaited,
    /// They do.
    Settled,
}

/// A key with its certificates, as one text.
#[derive(Debug, Clone)]
struct Held {
    text: String,
    until: Date,
    names: BTreeSet<String>,
    /// Who issued it, by public key.
    issuer: Option<String>,
}

/// The authority and the certificate it issued.
#[derive(Debug)]
pub struct Authority {
    directory: PathBuf,
    names: BTreeSet<String>,
    ca: Held,
    ca_pem: String,
    serving: Held,
}

impl Held {
    fn write(
        until: Date,
        names: &BTreeSet<String>,
        issuer: Option<String>,
        parts: &[&str],
    ) -> Self {
        let names_line: Vec<_> = names.iter().map(String::as_str).collect();
        let issuer_line = issuer.as_ref().map(|key| format!("issuer: {key}\n"));
        let text = format!(
            "until: {until}\nnames: {}\n{}{}",
            names_line.join(" "),
            issuer_line.unwrap_or_default(),
            parts.concat()
        );
        Held {
            text,
            until,
            names: names.clone(),
            issuer,
        }
    }

    /// None where there is no file.
    fn read(path: &Path) -> Result<Option<Self>, CertificateError> {
        if !path.exists() {
            return Ok(None);
        }
        let unusable = |problem: &str| CertificateError::Contents {
            path: path.to_path_buf(),
            problem: format!("{problem}; remove it to have a new one made"),
        };
        let text = String::from_utf8(read(path)?).map_err(|_| unusable("it is not text"))?;
        let line = |key: &str| text.lines().find_map(|line| line.strip_prefix(key));
        let until = line("until: ")
            .and_then(|date| date.parse().ok())
            .ok_or_else(|| unusable("it does not say until when it holds"))?;
        let names = line("names: ")
            .unwrap_or_default()
            .split_whitespace()
            .map(str::to_string)
            .collect();
        let issuer = line("issuer: ").map(str::to_string);
        // A key that does not belong to its certificate is found here, not at a handshake.
        certified_key(path, text.as_bytes(), text.as_bytes())?;
        Ok(Some(Held {
            text,
            until,
            names,
            issuer,
        }))
    }

    /// The public key, in hexadecimal.
    fn public_key(&self) -> Result<String, CertificateError> {
        let key = KeyPair::from_pem(&self.text)?;
        let mut digits = String::new();
        for byte in key.public_key_raw() {
            // Writing to a text does not fail.
            let _ = write!(digits, "{byte:02x}");
        }
        Ok(digits)
    }

    fn is_issued_by(&self, authority: &Held) -> Result<bool, CertificateError> {
        match &self.issuer {
            Some(issuer) => Ok(*issuer == authority.public_key()?),
            None => Ok(true),
        }
    }

    fn certificates(&self) -> Vec<&str> {
        pem_certificates(&self.text)
    }
}

fn today() -> Date {
    Timestamp::now().to_zoned(TimeZone::UTC).date()
}

impl Authority {
    /// Reads the folder, or makes what is not in it. `names` come beside localhost and
    /// 127.0.0.1.
    pub fn open(directory: &Path, names: &BTreeSet<String>) -> Result<Self, CertificateError> {
        Authority::open_at(directory, names, today())
    }

    pub(super) fn open_at(
        directory: &Path,
        names: &BTreeSet<String>,
        today: Date,
    ) -> Result<Self, CertificateError> {
        let mut names = names.clone();
        names.extend(["localhost", "127.0.0.1"].map(str::to_string));
        let (ca, kept) = match Held::read(&directory.join("ca.pem"))? {
            Some(ca) => (ca, true),
            None => (make_ca(directory, today, None)?, false),
        };
        // Nobody vouches any more for what an authority issued that is gone.
        let serving = match Held::read(&directory.join("serving.pem"))? {
            Some(serving) if serving.names == names && kept => serving,
            _ => issue(directory, &ca, &names, today)?,
        };
        let ca_pem = write_trust(directory, &ca)?;
        let mut authority = Authority {
            directory: directory.to_path_buf(),
            names,
            ca,
            ca_pem,
            serving,
        };
        match authority.renew_at(today, Trust::Awaited) {
            // What still holds serves on a disk that takes nothing; the next renewal tries again.
            Err(error) if today < authority.serving.until => {
                tracing::warn!(%error, "the webhook's certificate could not be renewed yet");
            }
            renewed => {
                renewed?;
            }
        }
        Ok(authority)
    }

    /// Renews what is near its end or was removed; true where something was. `trust` is about the authority as
    /// [`Self::ca_pem`] tells it now.
    pub fn renew(&mut self, trust: Trust) -> Result<bool, CertificateError> {
        self.renew_at(today(), trust)
    }

    pub(super) fn renew_at(
        &mut self,
        today: Date,
        mut trust: Trust,
    ) -> Result<bool, CertificateError> {
        let gone = |name: &str| !self.directory.join(name).exists();
        let (ca_gone, serving_gone) = (gone("ca.pem"), gone("serving.pem"));
        let ca_ends = self.ca.until.saturating_sub(CA_RENEWED_DAYS_BEFORE.days());
        let serving_ends = self
            .serving
            .until
            .saturating_sub(SERVING_RENEWED_DAYS_BEFORE.days());
        let mut renewed = false;
        if today >= ca_ends || ca_gone {
            if self.serving.issuer.is_none() {
                // Its authority is not in force any more, and must not be taken for the next one.
                self.serving.issuer = Some(self.ca.public_key()?);
            }
            let ca = make_ca(&self.directory, today, Some(&self.ca))?;
            self.ca_pem = write_trust(&self.directory, &ca)?;
            self.ca = ca;
            trust = Trust::Awaited;
            renewed = true;
        }
        let issued_by_former = !self.serving.is_issued_by(&self.ca)?;
        let due = today >= serving_ends || serving_gone || issued_by_former;
        let waits = issued_by_former && trust == Trust::Awaited && today < self.serving.until;
        if !due || waits {
            return Ok(renewed);
        }
        self.serving = issue(&self.directory, &self.ca, &self.names, today)?;
        Ok(true)
    }

    /// What a client must trust.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// When the serving certificate ends, in seconds since 1970.
    pub fn expiry_seconds(&self) -> f64 {
        self.serving
            .until
            .to_zoned(TimeZone::UTC)
            .map_or(0.0, |end| end.timestamp().as_second() as f64)
    }

    pub(super) fn certified_key(&self) -> Result<CertifiedKey, CertificateError> {
        let text = self.serving.text.as_bytes();
        certified_key(&self.directory.join("serving.pem"), text, text)
    }
}

fn write_trust(directory: &Path, ca: &Held) -> Result<String, CertificateError> {
    let mut pem = ca.certificates().join("\n");
    pem.push('\n');
    let path = directory.join("ca.crt");
    // A disk that takes no writes is no reason not to serve what is there.
    if read(&path).ok().as_deref() != Some(pem.as_bytes()) {
        write(&path, &pem, Readers::Everybody)?;
    }
    Ok(pem)
}

/// The authority's name and rights follow from its end, so that they need not be read back
/// from its certificate.
fn ca_params(until: Date) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(
        DnType::CommonName,
        format!("taffrail admission until {until}"),
    );
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_after = midnight!(until);
    params
}

fn make_ca(directory: &Path, today: Date, before: Option<&Held>) -> Result<Held, CertificateError> {
    let until = today.saturating_add(CA_YEARS.years());
    let key = KeyPair::generate()?;
    let mut params = ca_params(until);
    params.not_before = midnight!(today.saturating_sub(1.day()));
    let certificate = params.self_signed(&key)?.pem();
    let before = before
        .and_then(|held| held.certificates().first().map(|pem| format!("{pem}\n")))
        .unwrap_or_default();
    let held = Held::write(
        until,
        &BTreeSet::new(),
        None,
        &[&key.serialize_pem(), &certificate, &before],
    );
    write(&directory.join("ca.pem"), &held.text, Readers::Owner)?;
    Ok(held)
}

fn issue(
    directory: &Path,
    ca: &Held,
    names: &BTreeSet<String>,
    today: Date,
) -> Result<Held, CertificateError> {
    let until = today.saturating_add(SERVING_DAYS.days());
    let issuer = Issuer::new(ca_params(ca.until), KeyPair::from_pem(&ca.text)?);
    let mut params = CertificateParams::new(names.iter().cloned().collect::<Vec<_>>())?;
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, "taffrail admission");
    params.not_before = midnight!(today.saturating_sub(1.day()));
    params.not_after = midnight!(until);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, &issuer)?.pem();
    let parts = [&*key.serialize_pem(), &certificate];
    let held = Held::write(until, names, Some(ca.public_key()?), &parts);
    write(&directory.join("serving.pem"), &held.text, Readers::Owner)?;
    Ok(held)
}
