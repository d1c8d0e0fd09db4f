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
//! and change in one rename. An authority is renewed a year before its end, and the one before
//! it stays trusted beside it, so that an API server that has yet to learn of the new one
//! is never left without.

use std::collections::BTreeSet;
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

/// A key with its certificates, as one text.
#[derive(Debug, Clone)]
struct Held {
    text: String,
    until: Date,
    names: BTreeSet<String>,
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
    fn write(until: Date, names: &BTreeSet<String>, parts: &[&str]) -> Self {
        let names_line: Vec<_> = names.iter().map(String::as_str).collect();
        let text = format!(
            "until: {until}\nnames: {}\n{}",
            names_line.join(" "),
            parts.concat()
        );
        Held {
            text,
            until,
            names: names.clone(),
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
        // A key that does not belong to its certificate is found here, not at a handshake.
        certified_key(path, text.as_bytes(), text.as_bytes())?;
        Ok(Some(Held { text, until, names }))
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
        let ca = match Held::read(&directory.join("ca.pem"))? {
            Some(ca) => ca,
            None => make_ca(directory, today, None)?,
        };
        let serving = match Held::read(&directory.join("serving.pem"))? {
            Some(serving) if serving.names == names => serving,
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
        match authority.renew_at(today) {
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

    /// Renews what is near its end; true where something was.
    pub fn renew(&mut self) -> Result<bool, CertificateError> {
        self.renew_at(today())
    }

    pub(super) fn renew_at(&mut self, today: Date) -> Result<bool, CertificateError> {
        let ca_ends = self.ca.until.saturating_sub(CA_RENEWED_DAYS_BEFORE.days());
        let serving_ends = self
            .serving
            .until
            .saturating_sub(SERVING_RENEWED_DAYS_BEFORE.days());
        if today >= ca_ends {
            // The client is told to trust the new one before anything is issued by it.
            let ca = make_ca(&self.directory, today, Some(&self.ca))?;
            self.ca_pem = write_trust(&self.directory, &ca)?;
            self.ca = ca;
        } else if today < serving_ends {
            return Ok(false);
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
    let held = Held::write(until, names, &[&key.serialize_pem(), &certificate]);
    write(&directory.join("serving.pem"), &held.text, Readers::Owner)?;
    Ok(held)
}
