//! Opens the store that the settings name.

use std::{path::PathBuf, sync::Arc};

use ringfleet_store::{
    LaneRules, RedisStore, SharedStore, StoreError,
    redis::RedisOptions,
    sqlite::{SqliteOptions, SqliteStore, Synchronous},
};

use crate::config::StoreSettings;

pub(crate) async fn open(settings: &StoreSettings, rules: LaneRules) -> Result<SharedStore, StoreError> {
    if settings.url.starts_with("redis") {
        return Ok(Arc::new(RedisStore::connect(redis_options(settings, rules)).await?));
    }
    let synchronous = if settings.sqlite_full { Synchronous::Full } else { Synchronous::Normal };
    let options = SqliteOptions { rules, synchronous, ..SqliteOptions::default() };
    Ok(Arc::new(SqliteStore::open(&sqlite_path(settings), options).await?))
}

pub(crate) fn redis_options(settings: &StoreSettings, rules: LaneRules) -> RedisOptions {
    RedisOptions {
        urls: settings.url.split(',').map(|url| url.trim().to_owned()).collect(),
        cluster: settings.cluster,
        prefix: settings.prefix.clone(),
        shards: settings.shards,
        rules,
        allow_plaintext: settings.allow_plaintext,
        ..RedisOptions::new("")
    }
}

fn sqlite_path(settings: &StoreSettings) -> PathBuf {
    match settings.url.strip_prefix("sqlite:") {
        Some(path) => PathBuf::from(path.trim_start_matches("//")),
        None => settings.data_dir.join("ringfleet.db"),
    }
}

/// How a person would name it; never shows a password.
pub(crate) fn describe(settings: &StoreSettings) -> String {
    if settings.url.starts_with("redis") {
        crate::config::without_password(&settings.url)
    } else {
        format!("sqlite:{}", sqlite_path(settings).display())
    }
}
