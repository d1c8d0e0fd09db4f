//! Who has a review judged where clients need a certificate.

use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls::server::danger::ClientCertVerifier as _;
use rustls_pki_types::{PrivateKeyDer, UnixTime};

use super::*;
use crate::certificate::authority::Trust;
use crate::config::CertificateConfig;

/// An authority's certificate, and one of a client that it issued.
struct Issued {
    ca_pem: String,
    client: CertificateDer<'static>,
    key: KeyPair,
}

fn issue() -> Issued {
    let ca_key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_pem = params.self_signed(&ca_key).unwrap().pem();
    let issuer = Issuer::new(params, ca_key);
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(["apiserver".to_owned()]).unwrap();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let client = params.signed_by(&key, &issuer).unwrap();
    Issued {
        ca_pem,
        client: client.der().clone(),
        key,
    }
}

fn client_with(ca_path: &Path, issued: &Issued) -> Client {
    let key = PrivateKeyDer::try_from(issued.key.serialize_der()).unwrap();
    let tls = trusting_alone(ca_path).with_client_auth_cert(vec![issued.client.clone()], key);
    Client::builder()
        .tls_backend_preconfigured(tls.unwrap())
        .build()
        .unwrap()
}

#[tokio::test]
async fn only_clients_with_a_certificate_of_the_authority_are_judged_for() {
    let (ours, theirs) = (issue(), issue());
    let directory = tempfile::tempdir().unwrap();
    let ca_file = directory.path().join("clients.crt");
    std::fs::write(&ca_file, &ours.ca_pem).unwrap();
    let mut running = start_in(directory, |config| {
        config.certificate.client_ca_file = Some(ca_file);
    })
    .await;
    let body = privileged().to_string();
    let (status, answer) = running.post("/validate", body.clone()).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    let text = answer.to_string();
    assert!(text.contains("a client certificate is needed"), "{text}");
    let ready = running.client.get(running.url("/readyz")).send().await;
    assert_eq!(ready.unwrap().status(), StatusCode::OK);
    assert_eq!(running.lines.all(), Vec::<Value>::new());

    let ca_path = running.admission.ca_path().unwrap().to_owned();
    running.client = client_with(&ca_path, &ours);
    let (status, answer) = running.post("/validate", body.clone()).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(answer["response"]["allowed"], json!(false));

    running.client = client_with(&ca_path, &theirs);
    let sent = running.client.post(running.url("/validate")).body(body);
    assert!(sent.send().await.is_err(), "another's certificate is none");
    running.admission.shutdown(Duration::from_secs(5)).await;
}

#[test]
fn a_new_authority_of_clients_takes_the_place_of_the_old_one_only_if_it_can_be_read() {
    let (one, two) = (issue(), issue());
    let directory = tempfile::tempdir().unwrap();
    let ca_file = directory.path().join("clients.crt");
    let config = CertificateConfig {
        directory: Some(directory.path().join("certificates")),
        client_ca_file: Some(ca_file.clone()),
        ..CertificateConfig::default()
    };
    let missing = Certificate::open(&config).unwrap_err().to_string();
    assert!(missing.contains("clients.crt"), "{missing}");
    std::fs::write(&ca_file, &one.ca_pem).unwrap();
    let mut certificate = Certificate::open(&config).unwrap();
    let clients = certificate.clients().unwrap();
    let admits = |issued: &Issued| {
        let verified = clients.verify_client_cert(&issued.client, &[], UnixTime::now());
        verified.is_ok()
    };
    assert_eq!((admits(&one), admits(&two)), (true, false));
    for broken in ["", "no certificate"] {
        std::fs::write(&ca_file, broken).unwrap();
        let error = certificate.refresh(Trust::Settled).unwrap_err().to_string();
        assert!(error.contains("holds no certificates"), "{error}");
        assert_eq!((admits(&one), admits(&two)), (true, false));
    }
    std::fs::write(&ca_file, &two.ca_pem).unwrap();
    certificate.refresh(Trust::Settled).unwrap();
    assert_eq!((admits(&one), admits(&two)), (false, true));
}
