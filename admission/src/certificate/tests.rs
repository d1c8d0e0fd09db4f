//! Certificates over restarts, renewals and other people's files.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use jiff::ToSpan;
use jiff::civil::{Date, date};

use super::*;

const DAY_ONE: Date = date(2026, 1, 1);

fn names(list: &[&str]) -> BTreeSet<String> {
    list.iter().map(|name| (*name).to_string()).collect()
}

fn open(directory: &Path, list: &[&str], today: Date) -> Authority {
    Authority::open_at(directory, &names(list), today).unwrap()
}

fn serving(directory: &Path) -> String {
    fs::read_to_string(directory.join("serving.pem")).unwrap()
}

#[test]
fn a_certificate_is_kept_over_restarts_and_issued_anew_for_other_names() {
    let directory = tempfile::tempdir().unwrap();
    let ca = open(directory.path(), &["a.svc"], DAY_ONE)
        .ca_pem()
        .to_string();
    let first = serving(directory.path());
    assert!(
        first.contains("names: 127.0.0.1 a.svc localhost\n"),
        "{first}"
    );

    assert_eq!(open(directory.path(), &["a.svc"], DAY_ONE).ca_pem(), ca);
    assert_eq!(serving(directory.path()), first);

    assert_eq!(open(directory.path(), &["b.svc"], DAY_ONE).ca_pem(), ca);
    assert_ne!(serving(directory.path()), first);
}

#[test]
fn keys_are_readable_by_their_owner_only() {
    let directory = tempfile::tempdir().unwrap();
    open(directory.path(), &[], DAY_ONE);
    let mode = |name: &str| {
        let metadata = fs::metadata(directory.path().join(name)).unwrap();
        metadata.permissions().mode() & 0o777
    };
    assert_eq!(
        (mode("ca.pem"), mode("serving.pem"), mode("ca.crt")),
        (0o600, 0o600, 0o644)
    );
}

#[test]
fn certificates_are_renewed_before_their_end() {
    let directory = tempfile::tempdir().unwrap();
    let mut authority = open(directory.path(), &[], DAY_ONE);
    let (ca, first) = (authority.ca_pem().to_string(), serving(directory.path()));

    assert!(
        !authority
            .renew_at(DAY_ONE + 59.days(), Trust::Settled)
            .unwrap()
    );
    assert_eq!(serving(directory.path()), first);
    assert!(
        authority
            .renew_at(DAY_ONE + 60.days(), Trust::Awaited)
            .unwrap()
    );
    assert_ne!(serving(directory.path()), first);
    assert_eq!(authority.ca_pem(), ca);

    // Also when nobody was there to do it in time.
    let late = DAY_ONE + 1.year();
    open(directory.path(), &[], late);
    assert!(serving(directory.path()).starts_with(&format!("until: {}\n", late + 90.days())));
}

#[test]
fn a_folder_that_takes_nothing_serves_what_still_holds() {
    let directory = tempfile::tempdir().unwrap();
    open(directory.path(), &[], DAY_ONE);
    let first = serving(directory.path());
    // In the way of each file that would be written, whoever we are.
    for name in ["ca.new", "serving.new"] {
        fs::create_dir(directory.path().join(name)).unwrap();
    }
    let attempt = |days: i32| {
        let today = DAY_ONE.saturating_add(days.days());
        Authority::open_at(directory.path(), &names(&[]), today)
    };
    for days in [0, 70] {
        assert!(attempt(days).unwrap().certified_key().is_ok(), "{days}");
        assert_eq!(serving(directory.path()), first);
    }
    let error = attempt(90).unwrap_err().to_string();
    assert!(error.starts_with("cannot write "), "{error}");
}

#[test]
fn an_authority_is_renewed_beside_the_one_before_it() {
    let directory = tempfile::tempdir().unwrap();
    let mut authority = open(directory.path(), &[], DAY_ONE);
    let ca = authority.ca_pem().to_string();
    assert!(
        authority
            .renew_at(DAY_ONE + 9.years(), Trust::Settled)
            .unwrap()
    );
    let both = authority.ca_pem().to_string();
    assert_eq!(both.matches("BEGIN CERTIFICATE").count(), 2);
    assert!(both.ends_with(&ca), "the former authority stays trusted");

    assert!(
        authority
            .renew_at(DAY_ONE + 19.years(), Trust::Settled)
            .unwrap()
    );
    assert_eq!(authority.ca_pem().matches("BEGIN CERTIFICATE").count(), 2);
    assert!(
        !authority.ca_pem().contains(ca.trim()),
        "the one before it does not"
    );
    let trusted = fs::read_to_string(directory.path().join("ca.crt")).unwrap();
    assert_eq!(trusted, authority.ca_pem());
}

#[test]
fn nothing_is_issued_by_an_authority_that_nobody_trusts_yet() {
    let directory = tempfile::tempdir().unwrap();
    let mut authority = open(directory.path(), &[], DAY_ONE);
    let (ca, first) = (authority.ca_pem().to_string(), serving(directory.path()));
    // Who wants a new one removes it.
    fs::remove_file(directory.path().join("ca.pem")).unwrap();
    assert!(authority.renew_at(DAY_ONE, Trust::Settled).unwrap());
    assert!(authority.ca_pem().len() > ca.len() && authority.ca_pem().ends_with(&ca));
    for day in [0, 1, 70, 89] {
        let renewed = authority.renew_at(DAY_ONE + day.days(), Trust::Awaited);
        assert!(!renewed.unwrap(), "{day}");
        assert_eq!(serving(directory.path()), first, "{day}");
    }
    // A restart in between changes nothing of it.
    let mut authority = open(directory.path(), &[], DAY_ONE);
    assert_eq!(serving(directory.path()), first);
    assert!(authority.renew_at(DAY_ONE, Trust::Settled).unwrap());
    let second = serving(directory.path());
    assert_ne!(second, first);
    assert!(!authority.renew_at(DAY_ONE, Trust::Settled).unwrap());

    // What does not hold any more is of no use to anybody.
    fs::remove_file(directory.path().join("ca.pem")).unwrap();
    let end = DAY_ONE + 90.days();
    assert!(authority.renew_at(end, Trust::Awaited).unwrap());
    assert!(serving(directory.path()).starts_with(&format!("until: {}\n", end + 90.days())));
}

#[test]
fn a_certificate_of_an_authority_that_is_gone_is_issued_anew() {
    let directory = tempfile::tempdir().unwrap();
    let mut authority = open(directory.path(), &[], DAY_ONE);
    let first = serving(directory.path());
    fs::remove_file(directory.path().join("serving.pem")).unwrap();
    assert!(authority.renew_at(DAY_ONE, Trust::Awaited).unwrap());
    let second = serving(directory.path());
    assert_ne!(second, first);
    fs::remove_file(directory.path().join("ca.pem")).unwrap();
    open(directory.path(), &[], DAY_ONE);
    assert_ne!(serving(directory.path()), second);
}

/// What earlier versions wrote names no issuer.
#[test]
fn a_file_without_an_issuer_is_of_the_authority_beside_it() {
    let directory = tempfile::tempdir().unwrap();
    open(directory.path(), &[], DAY_ONE);
    let text = serving(directory.path());
    let lines: Vec<_> = text
        .lines()
        .filter(|line| !line.starts_with("issuer: "))
        .collect();
    let without = lines.join("\n") + "\n";
    fs::write(directory.path().join("serving.pem"), &without).unwrap();
    let mut authority = open(directory.path(), &[], DAY_ONE);
    assert!(!authority.renew_at(DAY_ONE, Trust::Settled).unwrap());
    assert_eq!(serving(directory.path()), without);
    fs::remove_file(directory.path().join("ca.pem")).unwrap();
    assert!(authority.renew_at(DAY_ONE, Trust::Settled).unwrap());
    assert_eq!(serving(directory.path()), without);
    assert!(authority.renew_at(DAY_ONE, Trust::Settled).unwrap());
    assert_ne!(serving(directory.path()), without);
}

#[test]
fn a_broken_file_is_an_error_that_names_it() {
    let directory = tempfile::tempdir().unwrap();
    open(directory.path(), &[], DAY_ONE);
    let path = directory.path().join("serving.pem");
    let text = serving(directory.path());
    for broken in [&text[..text.len() / 2], "", "until: 2030-01-01\n"] {
        fs::write(&path, broken).unwrap();
        let error = Authority::open_at(directory.path(), &names(&[]), DAY_ONE).unwrap_err();
        assert!(error.to_string().contains("serving.pem"), "{error}");
    }
}

#[test]
fn given_files_are_taken_up_when_they_change_and_only_when_they_fit() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    open(one.path(), &[], DAY_ONE);
    open(two.path(), &[], DAY_ONE);
    let mounted = tempfile::tempdir().unwrap();
    let path = mounted.path().join("tls.pem");
    fs::copy(one.path().join("serving.pem"), &path).unwrap();
    let config = CertificateConfig {
        cert_file: Some(path.clone()),
        key_file: Some(path.clone()),
        ..CertificateConfig::default()
    };
    let mut certificate = Certificate::open(&config).unwrap();
    assert_eq!(certificate.ca_pem(), None);
    let current = |certificate: &Certificate| certificate.resolver().current.load().cert.clone();
    let first = current(&certificate);

    assert!(!certificate.refresh(Trust::Settled).unwrap());
    fs::write(&path, "half a file").unwrap();
    assert!(certificate.refresh(Trust::Settled).is_err());
    assert_eq!(current(&certificate), first);
    fs::copy(two.path().join("serving.pem"), &path).unwrap();
    assert!(certificate.refresh(Trust::Settled).unwrap());
    assert_ne!(current(&certificate), first);
}
