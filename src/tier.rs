//! The client of the bucket that old parts move to.
//!
//! Here, and not in storage, because here it is known which TLS the program speaks and where its
//! secrets are; storage is handed the client as it is handed the disk.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::{ClientOptions, ObjectStore, RetryConfig};
use storage::tier::{Tier, TierOptions, TierPlace};

use crate::config::tier::{Place, TierConfig, read_key};

/// How long a connection may take to come about.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);
/// How long an attempt of a request may take.
const ATTEMPT_LIMIT: Duration = Duration::from_secs(20);
/// How often a request that failed in passing is repeated, and for how long.
const RETRIES_MAX: usize = 3;
const RETRIES_LIMIT: Duration = Duration::from_secs(30);

/// Makes the client, without asking the bucket.
pub(crate) fn open(config: &TierConfig) -> anyhow::Result<Arc<Tier>> {
    let (client, prefix): (Arc<dyn ObjectStore>, &String) = match &config.place {
        Place::Folder(folder) => (Arc::new(LocalFileSystem::new().with_fsync(true)), folder),
        place @ Place::S3 { prefix, .. } => (s3(place)?, prefix),
    };
    let place = TierPlace {
        url: config.url.clone(),
        prefix: prefix.clone(),
    };
    let options = TierOptions {
        after_ms: config.after_ms,
        cache_bytes_max: config.cache_bytes_max,
        ..TierOptions::default()
    };
    let tier = Tier::new(client, &place, options, &session());
    Ok(Arc::new(tier.context("metrics.tier")?))
}

fn s3(place: &Place) -> anyhow::Result<Arc<dyn ObjectStore>> {
    let Place::S3 {
        bucket,
        endpoint,
        region,
        keys,
        ..
    } = place
    else {
        return Err(anyhow!("metrics.tier.url: is not of a bucket"));
    };
    let options = ClientOptions::new()
        .with_connect_timeout(CONNECT_LIMIT)
        .with_timeout(ATTEMPT_LIMIT)
        // Whoever writes http:// means it.
        .with_allow_http(
            endpoint
                .as_deref()
                .is_some_and(|url| url.starts_with("http://")),
        );
    let retry = RetryConfig {
        max_retries: RETRIES_MAX,
        retry_timeout: RETRIES_LIMIT,
        ..RetryConfig::default()
    };
    // Keys, token and region where the environment has them, the machine's own role else.
    let mut builder = AmazonS3Builder::from_env()
        .with_bucket_name(bucket)
        .with_client_options(options)
        .with_retry(retry)
        // One request for each object: not every server knows the other kind.
        .with_disable_bulk_delete(true);
    if let Some(endpoint) = endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    if let Some(region) = region {
        builder = builder.with_region(region);
    }
    if let Some(keys) = keys {
        let key = |path| read_key(path).map_err(|error| anyhow!("metrics.tier: {error}"));
        builder = builder
            .with_access_key_id(key(&keys.id)?.0)
            .with_secret_access_key(key(&keys.secret)?.0);
    }
    Ok(Arc::new(builder.build().context("metrics.tier")?))
}

/// What makes this process another than the one before. The keys of a hasher are random.
fn session() -> String {
    let random = || RandomState::new().hash_one(std::process::id());
    format!("{:016x}{:016x}", random(), random())
}
