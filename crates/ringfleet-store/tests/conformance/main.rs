//! What every store does, told as lists of behaviours (behaviours.rs, fates.rs) and run against each of them.
//!
//! A test takes a [`Subject`]: an empty store whose clock stands until the test moves it. Most of them use the words of
//! [`talk`], so that a test reads as what producers and workers do.

#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

#[path = "../harness/mod.rs"]
mod harness;
mod talk;

mod absence;
mod cancelling;
mod crashes;
mod credits;
mod delivering;
mod documents;
mod evidence;
mod expiry;
mod explaining;
mod fairness;
mod following;
mod intake;
mod listing;
mod long_ago;
mod opting_out;
mod pairs;
mod penalties;
mod plans;
mod privacy;
mod quiet;
mod reasserting;
mod reconciling;
mod resolving;
mod schedule;
mod sessions;
mod settling;
mod slots;
mod stops;
mod tokens;
mod views;
mod waking;
mod window;

/// Runs every behaviour against every store: `redis::window::a_slot_in_use_never_frees` and so on.
macro_rules! behaviours {
    ($sqlite:ident, $redis:ident, $cluster:ident: $($topic:ident { $($name:ident)* })*) => {
        behaviours!(@of $sqlite Sqlite $($topic { $($name)* })*);
        behaviours!(@of $redis Redis $($topic { $($name)* })*);
        behaviours!(@of $cluster Cluster $($topic { $($name)* })*);
    };
    (@of $store:ident $backend:ident $($topic:ident { $($name:ident)* })*) => {
        mod $store {
            $(mod $topic {
                $(#[tokio::test]
                async fn $name() {
                    let subject = crate::talk::subject(crate::harness::Backend::$backend).await;
                    crate::$topic::$name(&subject).await;
                })*
            })*
        }
    };
}

include!("behaviours.rs");
include!("fates.rs");
