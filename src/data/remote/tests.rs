//! Servers that answer, and all that do not.

use std::net::SocketAddr;

use admission::data::LabelMap;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::*;

/// What comes of every connection.
#[derive(Clone)]
enum Behaviour {
    /// These bytes, and its end.
    Says(String),
    /// Nothing, until somebody says otherwise.
    Hangs,
    /// The same to questions alone.
    Ponders,
}
use Behaviour::{Hangs, Ponders, Says};

fn http(status: &str, body: &str) -> Behaviour {
    let length = body.len();
    Says(format!(
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    ))
}

fn vector() -> Behaviour {
    let sample = r#"{"metric": {"a": "b"}, "value": [1, "2"]}"#;
    let data = format!(r#"{{"resultType": "vector", "result": [{sample}]}}"#);
    http(
        "200 OK",
        &format!(r#"{{"status": "success", "data": {data}}}"#),
    )
}

async fn serve(behaviour: watch::Receiver<Behaviour>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut behaviour = behaviour.clone();
            tokio::spawn(async move {
                // The head and the form come in one or two pieces; a little of them is enough.
                let mut head = [0; 4096];
                let length = stream.read(&mut head).await.unwrap_or(0);
                let is_question = head[..length].starts_with(b"POST");
                let says = |now: &Behaviour| match now {
                    Says(text) => Some(text.clone()),
                    Ponders if !is_question => Some(String::from("HTTP/1.1 404 What\r\n\r\n")),
                    Ponders | Hangs => None,
                };
                let _ = behaviour.wait_for(|now| says(now).is_some()).await;
                let Some(said) = says(&behaviour.borrow()) else {
                    return;
                };
                let _ = stream.write_all(said.as_bytes()).await;
                let _ = stream.shutdown().await;
                // What is still to come is taken, or closing would reset what was said.
                let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
            });
        }
    });
    address
}

fn remote(address: &str) -> Arc<RemoteData> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Arc::new(RemoteData::new(address, Access::default()).unwrap())
}

async fn ask(remote: &Arc<RemoteData>, patience: Duration) -> Result<Answer, String> {
    let remote = Arc::clone(remote);
    let asked = tokio::task::spawn_blocking(move || {
        let question = Question {
            language: Language::Promql,
            query: "up".to_owned(),
            options: "{}".to_owned(),
            at_millis: 1000,
            since: None,
            step: None,
            limit: 100,
        };
        let bounds = Bounds {
            deadline: Instant::now() + patience,
            series_max: 10,
            bytes_max: 1000,
        };
        remote.ask(&question, bounds)
    });
    asked.await.unwrap().map_err(|error| error.to_string())
}

const PATIENT: Duration = Duration::from_mins(1);

fn two() -> Answer {
    let labels = LabelMap::from([("a".to_owned(), "b".to_owned())]);
    Answer::Vector(vec![(labels, 2.0)])
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_answer_is_an_error_that_names_the_server() {
    for (behaviour, expected) in [
        (vector(), None),
        (
            http("503 Service Unavailable", "try later"),
            Some("answers 503 Service Unavailable: try later"),
        ),
        (http("401 Unauthorized", ""), Some("answers 401")),
        (
            http("400 Bad Request", r#"{"error": "parse error"}"#),
            Some("parse error"),
        ),
        (
            http("200 OK", "<html>"),
            Some("/api/v1/query does not answer in JSON"),
        ),
        (
            http("200 OK", "{\"data\": 1}"),
            Some("answers in another shape"),
        ),
        (
            http("200 OK", &"x".repeat(100_000)),
            Some("admission.data.bytes_max"),
        ),
        (
            Says("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{".to_owned()),
            Some("cannot be asked"),
        ),
        (Says("SSH-2.0\r\n".to_owned()), Some("cannot be asked")),
        (Says(String::new()), Some("cannot be asked")),
    ] {
        let (_keep, behaviour) = watch::channel(behaviour);
        let address = format!("http://{}", serve(behaviour).await);
        let answer = ask(&remote(&address), PATIENT).await;
        match (answer, expected) {
            (Ok(answer), None) => assert_eq!(answer, two()),
            (Err(said), Some(part)) => {
                assert!(said.contains(part), "expected {part}: {said}");
                // Of an answer that is too large the limit is at fault.
                let is_named = said.contains(&address) || part.contains("bytes_max");
                assert!(is_named, "{said}");
            }
            (answer, expected) => panic!("{answer:?}, not {expected:?}"),
        }
    }
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", nobody.local_addr().unwrap());
    drop(nobody);
    let said = ask(&remote(&address), PATIENT).await.unwrap_err();
    assert!(
        said.contains(&address) && said.contains("refused"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_waits_for_a_server_that_hangs_and_it_is_asked_again_when_it_does_not() {
    let (behaves, behaviour) = watch::channel(Hangs);
    let address = format!("http://{}", serve(behaviour).await);
    let remote = remote(&address);
    let said = ask(&remote, Duration::from_millis(100)).await.unwrap_err();
    assert_eq!(said, format!("{address} did not answer in time"));
    // Soon nobody waits any more, however patient.
    while !remote.server.is_silent.load(Ordering::Acquire) {
        tokio::task::yield_now().await;
    }
    let said = ask(&remote, PATIENT * 60).await.unwrap_err();
    assert!(
        said.starts_with(&format!("{address} answers nobody")),
        "{said}"
    );
    behaves.send(vector()).unwrap();
    while remote.server.is_silent.load(Ordering::Acquire) {
        tokio::task::yield_now().await;
    }
    assert_eq!(ask(&remote, PATIENT).await, Ok(two()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_is_too_hard_keeps_nobody_from_asking_others() {
    let (behaves, behaviour) = watch::channel(Ponders);
    let remote = remote(&format!("http://{}", serve(behaviour).await));
    let asked = ask(&remote, Duration::from_millis(100)).await;
    asked.unwrap_err();
    let looking = remote.looking.lock().take().expect("somebody looks");
    looking.await.unwrap();
    assert!(!remote.server.is_silent.load(Ordering::Acquire));
    behaves.send(vector()).unwrap();
    assert_eq!(ask(&remote, PATIENT).await, Ok(two()));
}
