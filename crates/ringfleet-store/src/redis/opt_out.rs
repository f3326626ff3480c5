//! Opt-outs, each on the shard of its extension; those from every extension on every shard.

use futures::future::join_all;
use redis::Value;

use super::{
    RedisStore,
    scripts::{number, text, unreadable},
};
use crate::{
    message::{Millis, Private},
    opt_out::{self, OptOut, OptOutCursor, OptOuts, OptedOut},
    store::{MAX_BATCH, StoreError},
};

impl RedisStore {
    pub(super) async fn opt_out_all(&self, extension: Option<&str>, changes: &[OptOut]) -> Result<(), StoreError> {
        let numbers: Vec<_> = changes.iter().flat_map(|change| [&change.from, &change.to]).collect();
        opt_out::check("set_opt_outs", extension, &numbers)?;
        let tell = async |tag: &str| {
            for some in changes.chunks(MAX_BATCH) {
                let mut call = self.prepare(&self.scripts.opt_out, tag);
                call.arg("set");
                for change in some {
                    call.arg(extension.unwrap_or_default()).arg(change.from.expose()).arg(change.to.expose());
                    call.arg(u8::from(change.out));
                }
                self.link.run::<Value>("set_opt_outs", &call).await?;
            }
            Ok(())
        };
        match extension {
            Some(extension) => tell(self.tag_of(extension)).await,
            // SEND-SAFETY: all are told, also beside one that does not answer: it must not let the others text on.
            None => self.all_took(join_all(self.tags.iter().map(|tag| tell(tag))).await),
        }
    }

    pub(super) async fn lift_opt_outs_until(
        &self,
        extension: Option<&str>,
        opt_outs: &[OptOut],
        until: Millis,
    ) -> Result<(), StoreError> {
        let numbers: Vec<_> = opt_outs.iter().flat_map(|one| [&one.from, &one.to]).collect();
        opt_out::check("lift_opt_outs", extension, &numbers)?;
        let tell = async |tag: &str| {
            for some in opt_outs.chunks(MAX_BATCH) {
                let mut call = self.prepare(&self.scripts.opt_out, tag);
                call.arg("lift").arg(opt_out::first_rev(until.saturating_add(1)));
                for one in some {
                    call.arg(extension.unwrap_or_default()).arg(one.from.expose()).arg(one.to.expose());
                }
                self.link.run::<Value>("lift_opt_outs", &call).await?;
            }
            Ok(())
        };
        match extension {
            Some(extension) => tell(self.tag_of(extension)).await,
            None => self.all_took(join_all(self.tags.iter().map(|tag| tell(tag))).await),
        }
    }

    pub(super) async fn ask_opted_out(
        &self,
        extension: &str,
        from: &Private,
        to: &Private,
    ) -> Result<bool, StoreError> {
        opt_out::check("opted_out", Some(extension), &[from, to])?;
        let mut call = self.prepare(&self.scripts.opt_out, self.tag_of(extension));
        call.arg("ask").arg(extension).arg(from.expose()).arg(to.expose());
        Ok(self.link.run::<i64>("opted_out", &call).await? == 1)
    }

    /// One shard a call: the next one begins where this one ends.
    pub(super) async fn list_opt_outs(&self, cursor: &OptOutCursor, limit: u32) -> Result<OptOuts, StoreError> {
        let Some(tag) = self.tags.get(cursor.shard) else { return Ok(OptOuts::default()) };
        let mut call = self.prepare(&self.scripts.opt_out, tag);
        call.arg("list").arg(cursor.rev).arg(opt_out::limit(limit)).arg(u8::from(cursor.shard == 0));
        let reply: Vec<Value> = self.link.run("opt_outs", &call).await?;
        let bad = || unreadable("opt_outs", "a wrong shape");
        let [more, rev, found @ ..] = reply.as_slice() else { return Err(bad()) };
        let number = |value| number(value).map(i64::unsigned_abs).ok_or_else(bad);
        let (more, rev) = (number(more)? == 1, number(rev)?);
        let opted_out = found.chunks_exact(2).map(|pair| {
            let (since, entry) = (opt_out::since(number(&pair[0])?), text(&pair[1]).ok_or_else(bad)?);
            let mut words = entry.split('\0');
            let (Some(extension), Some(from), Some(to)) = (words.next(), words.next(), words.next()) else {
                return Err(bad());
            };
            let extension = Some(extension.to_owned()).filter(|extension| !extension.is_empty());
            Ok(OptedOut { extension, from: Private::new(from), to: Private::new(to), since })
        });
        let opted_out = opted_out.collect::<Result<_, _>>()?;
        if more {
            return Ok(OptOuts { opted_out, cursor: OptOutCursor { shard: cursor.shard, rev }, more });
        }
        let next = OptOutCursor { shard: cursor.shard + 1, rev: 0 };
        Ok(OptOuts { opted_out, more: next.shard < self.tags.len(), cursor: next })
    }
}
