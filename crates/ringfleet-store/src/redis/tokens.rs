//! One session of an extension for the whole fleet.

use std::{collections::BTreeMap, time::Duration};

use redis::Value;

use super::{
    RedisStore, millis,
    scripts::{bytes, number, text, unreadable},
};
use crate::{
    ids::WorkerId,
    session::{Heard, RefusedCredential, SessionView, TokenLease, TokenRecord},
    store::{MAX_BATCH, NewSession, StoreError, TokenAsk},
    words::short,
};

impl RedisStore {
    pub(super) async fn lease_token(
        &self,
        extension: &str,
        worker: &WorkerId,
        ask: TokenAsk<'_>,
    ) -> Result<TokenLease, StoreError> {
        let mut call = self.prepare(&self.scripts.token, self.tag_of(extension));
        call.arg("lease").arg(extension).arg(worker.as_str()).arg(ask.known_bad.unwrap_or(0)).arg(millis(ask.lock));
        call.arg(if ask.renew { "1" } else { "0" }).arg(ask.sends.as_str());
        for print in ask.credentials {
            call.arg(print);
        }
        let reply: Vec<Value> = self.link.run("token_lease", &call).await?;
        let bad = || unreadable("token_lease", "a wrong shape");
        let [what, generation, sealed, lives, renew_in, wait, sending, told @ ..] = reply.as_slice() else {
            return Err(bad());
        };
        let time = |value: &Value| Duration::from_millis(number(value).unwrap_or(0).max(0) as u64);
        let generation = number(generation).ok_or_else(bad)? as u64;
        let record = bytes(sealed).filter(|sealed| !sealed.is_empty()).map(|sealed| TokenRecord {
            generation,
            sealed: sealed.to_vec(),
            lives: time(lives),
            renew_in: time(renew_in),
        });
        let refusal = |pair: &[Value]| Some(RefusedCredential { print: text(&pair[0])?, reason: text(&pair[1])? });
        let refused = told.chunks_exact(2).filter_map(refusal).collect();
        match (number(what), record) {
            (Some(1), Some(record)) => Ok(TokenLease::Valid(record)),
            (Some(2), old) => {
                let sending = number(sending).unwrap_or(0).max(0) as u32;
                Ok(TokenLease::Renew { generation, old, sending, refused })
            }
            (Some(3), _) => Ok(TokenLease::Busy(time(wait))),
            (Some(4), _) => Ok(TokenLease::Dead { refused }),
            _ => Err(bad()),
        }
    }

    pub(super) async fn store_token(
        &self,
        extension: &str,
        worker: &WorkerId,
        generation: u64,
        session: NewSession<'_>,
    ) -> Result<Option<u64>, StoreError> {
        let mut call = self.prepare(&self.scripts.token, self.tag_of(extension));
        call.arg("store").arg(extension).arg(worker.as_str()).arg(generation).arg(session.sealed);
        call.arg(millis(session.lives)).arg(millis(session.renew_in));
        let generation: u64 = self.link.run("token_store", &call).await?;
        Ok((generation > 0).then_some(generation))
    }

    pub(super) async fn release_token(
        &self,
        extension: &str,
        worker: &WorkerId,
        again_in: Duration,
    ) -> Result<(), StoreError> {
        let mut call = self.prepare(&self.scripts.token, self.tag_of(extension));
        call.arg("release").arg(extension).arg(worker.as_str()).arg(millis(again_in));
        self.link.run::<Value>("token_release", &call).await.map(drop)
    }

    pub(super) async fn refuse_token(
        &self,
        extension: &str,
        worker: &WorkerId,
        generation: u64,
        refused: &RefusedCredential,
        age: Duration,
    ) -> Result<Heard, StoreError> {
        let mut call = self.prepare(&self.scripts.token, self.tag_of(extension));
        call.arg("refuse").arg(extension).arg(worker.as_str()).arg(generation);
        call.arg(refused.print.as_str()).arg(short(&refused.reason)).arg(millis(age));
        Ok(match self.link.run::<i64>("token_refuse", &call).await? {
            1 => Heard::New,
            2 => Heard::Known,
            _ => Heard::No,
        })
    }

    pub(super) async fn read_sessions(&self, extensions: &[String]) -> Result<Vec<SessionView>, StoreError> {
        let mut views = vec![SessionView::default(); extensions.len()];
        let mut by_tag: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (at, extension) in extensions.iter().enumerate() {
            by_tag.entry(self.tag_of(extension)).or_default().push(at);
        }
        for (tag, places) in by_tag {
            for places in places.chunks(MAX_BATCH) {
                let mut call = self.prepare(&self.scripts.view, tag);
                call.arg("sessions");
                for &at in places {
                    call.arg(extensions[at].as_str());
                }
                let reply: Vec<Vec<Value>> = self.link.run("sessions", &call).await?;
                for (&at, row) in places.iter().zip(&reply) {
                    views[at] = session_view(row).ok_or_else(|| unreadable("sessions", "a wrong shape"))?;
                }
            }
        }
        Ok(views)
    }
}

fn session_view(row: &[Value]) -> Option<SessionView> {
    let [generation, lives, renew_in, renewing, refused] = row else { return None };
    let time = |value: &Value| Some(Duration::from_millis(number(value)?.max(0) as u64));
    let refusal = |line: &str| {
        let (print, reason) = line.split_once(' ').unwrap_or((line, ""));
        RefusedCredential { print: print.to_owned(), reason: reason.to_owned() }
    };
    Some(SessionView {
        generation: number(generation)? as u64,
        lives: time(lives)?,
        renew_in: time(renew_in)?,
        renewing: number(renewing)? == 1,
        refused: text(refused)?.lines().map(refusal).collect(),
    })
}
