//! Documents, each on the shard of its key.

use std::time::Duration;

use redis::Value;

use super::{
    RedisStore, millis,
    scripts::{bytes, number, text, unreadable},
    shards::Round,
};
use crate::{
    docs::{self, Doc, DocChanges, DocCursor, DocKind, Expect, Put, Read},
    store::StoreError,
};

impl RedisStore {
    pub(super) async fn get_doc(&self, kind: DocKind, key: &str) -> Result<Option<Doc>, StoreError> {
        docs::check("doc_get", key, None)?;
        let mut call = self.prepare(&self.scripts.doc, self.tag_of(key));
        call.arg("get").arg(kind.as_str()).arg(key);
        let reply: Vec<Value> = self.link.run("doc_get", &call).await?;
        doc("doc_get", key, &reply)
    }

    pub(super) async fn put_doc(
        &self,
        kind: DocKind,
        key: &str,
        expect: Expect,
        body: Option<&[u8]>,
        ttl: Option<Duration>,
    ) -> Result<Put, StoreError> {
        docs::check("doc_put", key, body)?;
        let expect = match expect {
            Expect::Anything => "any".to_owned(),
            Expect::Absent => "absent".to_owned(),
            Expect::Rev(rev) => rev.to_string(),
        };
        let mut call = self.prepare(&self.scripts.doc, self.tag_of(key));
        call.arg("put").arg(kind.as_str()).arg(key).arg(expect);
        call.arg(if body.is_some() { "set" } else { "remove" }).arg(body.unwrap_or_default());
        call.arg(ttl.map_or(0, |ttl| millis(ttl).max(1)));
        let reply: Vec<Value> = self.link.run("doc_put", &call).await?;
        let (done, rest) = reply.split_first().ok_or_else(|| unreadable("doc_put", "an empty answer"))?;
        match (number(done), rest) {
            (Some(1), [rev]) => {
                let rev = number(rev).ok_or_else(|| unreadable("doc_put", "no revision"))?;
                Ok(Put::Stored(rev.unsigned_abs()))
            }
            (Some(0), known) => doc("doc_put", key, known).map(Put::Conflict),
            _ => Err(unreadable("doc_put", "a wrong shape")),
        }
    }

    pub(super) async fn doc_changes(
        &self,
        kind: DocKind,
        cursor: &DocCursor,
        limit: u32,
    ) -> Result<DocChanges, StoreError> {
        let limit = limit.clamp(1, docs::MAX_CHANGES) as usize;
        let shards = self.tags.len();
        let mut changes = DocChanges { cursor: cursor.clone(), ..DocChanges::default() };
        let mut round = Round::new(&self.silent);
        changes.cursor.shards.resize(shards, Read::default());
        changes.cursor.first = (cursor.first + 1) % shards;
        for shard in (0..shards).map(|step| (cursor.first + step) % shards) {
            let left = limit - (changes.changed.len() + changes.removed.len());
            if left == 0 {
                changes.more = true;
                break;
            }
            if cursor.whole && self.silent.rests(shard) {
                continue;
            }
            let from = changes.cursor.shards[shard];
            let mut call = self.prepare(&self.scripts.doc, &self.tags[shard]);
            call.arg("since").arg(kind.as_str()).arg(from.rev).arg(from.incarnation).arg(left).arg(docs::ANSWER_BYTES);
            call.arg(from.begun);
            let Some(reply) = round.heard(shard, self.link.run::<Vec<Value>>("docs_since", &call).await) else {
                // Those that are left come first the next time: they don't wait for one that does not answer after another.
                if cursor.whole && !round.has_waited() { continue } else { break }
            };
            let bad = || unreadable("docs_since", "a wrong shape");
            let [what, incarnation, rev, begun, found @ ..] = reply.as_slice() else { return Err(bad()) };
            let number = |value| number(value).map(i64::unsigned_abs).ok_or_else(bad);
            match number(what)? {
                0 => return Ok(DocChanges::reset()),
                what => changes.more |= what == 2,
            }
            changes.cursor.shards[shard] =
                Read { rev: number(rev)?, incarnation: number(incarnation)?, begun: number(begun)? };
            for one in found.chunks_exact(4) {
                let key = text(&one[0]).ok_or_else(bad)?;
                if bytes(&one[2]).is_some_and(<[u8]>::is_empty) {
                    changes.removed.push(key);
                } else {
                    changes.changed.extend(doc("docs_since", &key, &one[1..])?);
                }
            }
        }
        if cursor.whole {
            round.end()?;
        } else {
            // Who reads for the first time takes what is told for all there is.
            round.whole()?;
            changes.cursor.whole = !changes.more;
        }
        Ok(changes)
    }
}

/// Revision, time and body, or nothing.
fn doc(call: &'static str, key: &str, told: &[Value]) -> Result<Option<Doc>, StoreError> {
    let [rev, changed, body] = told else {
        return if told.is_empty() { Ok(None) } else { Err(unreadable(call, "a wrong shape")) };
    };
    let parsed = (|| {
        let (rev, changed_at) = (number(rev)?.unsigned_abs(), number(changed)?);
        Some(Doc { key: key.to_owned(), rev, body: bytes(body)?.to_vec(), changed_at })
    })();
    parsed.map(Some).ok_or_else(|| unreadable(call, "a document of another shape"))
}
