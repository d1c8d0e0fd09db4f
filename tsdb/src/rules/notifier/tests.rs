use model::time::Timestamp;

use super::*;

/// Notes what is posted, and fails as often as it is told.
#[derive(Default)]
struct Post {
    failures: Mutex<Vec<bool>>,
    bodies: Mutex<Vec<String>>,
}

impl Deliver for Post {
    fn post(&self, _: &Alertmanager, body: String) -> Result<(), DeliveryError> {
        if let Some(is_retryable) = self.failures.lock().pop() {
            let message = "refused".to_owned();
            return Err(DeliveryError {
                is_retryable,
                message,
            });
        }
        self.bodies.lock().push(body);
        Ok(())
    }
}

fn alert(number: usize) -> SentAlert {
    SentAlert {
        labels: Labels::from_pairs([("alertname", "a"), ("n", number.to_string().as_str())]),
        annotations: vec![("summary".to_owned(), "\"x\"".to_owned())],
        starts_at: Timestamp(1_000),
        ends_at: Timestamp(241_500),
        expr: "up == 0".to_owned(),
    }
}

fn notifier(post: &Arc<Post>) -> Notifier {
    let deliver: Arc<dyn Deliver> = Arc::<Post>::clone(post);
    let notifier = Notifier::new(deliver);
    let to = Alertmanager {
        url: "http://am/api/v2/alerts".to_owned(),
        timeout: Duration::from_secs(10),
        credentials: Credentials::None,
    };
    let external = Labels::from_pairs([("region", "eu"), ("n", "external")]);
    notifier
        .configure(&[to], external, "http://here/".into())
        .expect("no thread is started");
    notifier
}

#[test]
fn alerts_are_what_alertmanager_reads() {
    let post = Arc::new(Post::default());
    let notifier = notifier(&post);
    notifier.send(&[alert(1)]);
    assert!(notifier.send_one_batch() && !notifier.send_one_batch());
    assert_eq!(
        *post.bodies.lock(),
        [
            r#"[{"annotations":{"summary":"\"x\""},"endsAt":"1970-01-01T00:04:01.500Z","startsAt":"1970-01-01T00:00:01.000Z","generatorURL":"http://here/graph?g0.expr=up+%3D%3D+0&g0.tab=1","labels":{"alertname":"a","n":"1","region":"eu"}}]"#
        ]
    );
}

#[test]
fn batches_are_bounded_and_the_oldest_are_dropped() {
    let post = Arc::new(Post::default());
    let notifier = notifier(&post);
    let alerts: Vec<SentAlert> = (0..QUEUE_ALERTS_MAX + 3).map(alert).collect();
    notifier.send(&alerts);
    let counts = notifier.counts();
    assert_eq!(
        (counts[0].waiting, counts[0].dropped),
        (QUEUE_ALERTS_MAX, 3)
    );
    assert!(notifier.send_one_batch());
    let body = post.bodies.lock().pop().expect("a batch");
    assert_eq!(body.matches("startsAt").count(), BATCH_ALERTS_MAX);
    assert!(body.contains(r#""n":"3""#) && !body.contains(r#""n":"2""#));
}

#[test]
fn failures_are_tried_again_where_that_may_help() {
    for (failures, sent, errors, dropped) in [
        (vec![true, true], 1, 2, 0),
        (vec![true; 6], 0, 6, 1),
        (vec![false], 0, 1, 1),
    ] {
        let post = Arc::new(Post::default());
        *post.failures.lock() = failures;
        let notifier = notifier(&post);
        notifier.send(&[alert(1)]);
        assert!(notifier.send_one_batch());
        let counts = notifier.counts();
        let counts = &counts[0];
        let found = (counts.sent, counts.errors, counts.dropped);
        assert_eq!(found, (sent, errors, dropped));
    }
}

#[test]
fn stopping_sends_what_waits() {
    let post = Arc::new(Post::default());
    let notifier = notifier(&post);
    notifier.start().expect("a thread");
    let alerts: Vec<SentAlert> = (0..100).map(alert).collect();
    notifier.send(&alerts);
    notifier.stop();
    let bodies = post.bodies.lock().join("");
    assert_eq!(bodies.matches("startsAt").count(), 100);
}
