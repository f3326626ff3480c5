//! What the fleet shares beside messages: documents, and who has opted out.

use ringfleet_store::{DocCursor, DocKind, Expect, OptOut, OptOutCursor, Private, Put};

use crate::{
    model::{HasRead, Told},
    ops::{DocPut, Expecting, OptingOut, Wish},
    run::{Run, Verdict, ms, same},
};

/// Some process that keeps copies of all documents of a kind.
pub(crate) struct Reader {
    kind: DocKind,
    cursor: DocCursor,
    /// The same in the model's words.
    read: HasRead,
}

pub(crate) fn readers() -> Vec<Reader> {
    let reader = |kind| Reader { kind, cursor: DocCursor::default(), read: HasRead::default() };
    vec![reader(DocKind::Credential), reader(DocKind::Credential), reader(DocKind::Login)]
}

impl Run<'_> {
    pub(crate) async fn put_doc(&mut self, put: &DocPut) -> Verdict {
        let kind = if put.login { DocKind::Login } else { DocKind::Credential };
        let (key, body, now) = (format!("k{}", put.key), put.body.map(|byte| vec![byte; 3]), self.model.now);
        let known = self.model.docs.get(now, kind, &key);
        let expect = match &put.expect {
            Expecting::Anything => Expect::Anything,
            Expecting::Absent => Expect::Absent,
            Expecting::Known => Expect::Rev(known.map_or(1, |doc| doc.rev)),
            Expecting::Any(index) if !self.model.docs.revs.is_empty() => Expect::Rev(*index.get(&self.model.docs.revs)),
            Expecting::Any(_) => Expect::Rev(1),
        };
        let store = &self.subject.store;
        same("doc_get", store.doc_get(kind, &key).await.unwrap().as_ref(), known)?;
        let answer = store.doc_put(kind, &key, expect, body.as_deref(), put.ttl.map(ms)).await.unwrap();
        let rev = if let Put::Stored(rev) = answer { rev } else { 0 };
        if rev > 0 && self.model.docs.revs.iter().any(|known| *known >= rev) {
            return Err(format!("revision {rev} is not greater than all before"));
        }
        let change = (body.as_deref(), put.ttl);
        same("doc_put", answer, self.model.docs.put(now, kind, &key, expect, change, rev))
    }

    pub(crate) async fn read_docs(&mut self, reader: usize, limit: u32) -> Verdict {
        let (reader, now) = (&mut self.readers[reader], self.model.now);
        let changes = self.subject.store.docs_since(reader.kind, &reader.cursor, limit).await.unwrap();
        reader.cursor = changes.cursor;
        let (changed, removed) = (changes.changed, changes.removed);
        let told = Told { changed, removed, more: changes.more, reset: changes.reset };
        same("docs_since", told, self.model.docs.since(now, reader.kind, &mut reader.read, limit as usize))
    }

    pub(crate) async fn opt_out(&mut self, opting: &OptingOut) -> Verdict {
        let from = if opting.any_number { "*".to_owned() } else { format!("+1650{}", opting.lane) };
        let to = format!("+1651{}", opting.recipient);
        let out = matches!(opting.wish, Wish::Out);
        let change = OptOut { from: Private::new(from), to: Private::new(to), out };
        let extension = self.lanes[opting.lane].extension().to_owned();
        let extension = (!opting.every_extension).then_some(extension.as_str());
        let changes = std::slice::from_ref(&change);
        let store = &self.subject.store;
        let until = match &opting.wish {
            Wish::Out | Wish::In => {
                store.set_opt_outs(extension, changes).await.unwrap();
                None
            }
            Wish::InSaid { of, after } => {
                let entered = self.model.opted_out.get(of.index(self.model.opted_out.len().max(1)));
                let until = entered.map_or(self.model.now, |entered| entered.since) + after;
                store.lift_opt_outs(extension, changes, until).await.unwrap();
                Some(until)
            }
        };
        self.model.set_opt_out(extension, &change, until);
        self.witness.opts_out(extension, &change, until, self.model.now);
        Ok(())
    }

    /// All opt-outs, two at a time.
    pub(crate) async fn opt_outs_agree(&self) -> Verdict {
        let mut listed = Vec::new();
        let mut cursor = OptOutCursor::default();
        loop {
            let page = self.subject.store.opt_outs(&cursor, 2).await.unwrap();
            listed.extend(page.opted_out);
            cursor = page.cursor;
            if !page.more {
                break;
            }
        }
        // Numbers are not printed, so they are compared apart.
        let told = listed.iter().map(|one| (&one.extension, one.from.expose(), one.to.expose(), one.since));
        let known = self.model.opted_out.iter();
        let known = known.map(|one| (&one.extension, one.from.expose(), one.to.expose(), one.since));
        same("opt-outs", told.collect::<Vec<_>>(), known.collect())?;
        for m in self.model.messages.values().filter(|m| !m.tombstone) {
            let asked = self.subject.store.opted_out(m.new.lane.extension(), &m.new.from, &m.new.to).await.unwrap();
            same("opted_out", asked, self.model.is_out(&m.new))?;
        }
        Ok(())
    }
}
