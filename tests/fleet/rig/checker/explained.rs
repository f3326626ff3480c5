//! P7: of any message it can be told why it isn't moving, and when it will; so can it of any extension.

use std::collections::BTreeMap;

use ringfleet_store::{Eta, MessageId, State, Store, Why};

use super::walk::Record;
use crate::rig::Rig;

/// Messages of a kind that are asked about.
const SAMPLE: usize = 12;

pub(in crate::rig) async fn all_is_explained(rig: &Rig, records: &BTreeMap<MessageId, Record>) -> Vec<String> {
    // Of those that wait and of those that have ended some each, spread over all.
    let (over, waiting): (Vec<_>, Vec<_>) = records.iter().partition(|(_, record)| record.state.is_final());
    let some = |of: &[(&MessageId, &Record)]| -> Vec<MessageId> {
        let step = of.len().div_ceil(SAMPLE).max(1);
        of.iter().step_by(step).map(|(id, _)| **id).collect()
    };
    let ids = [some(&waiting), some(&over)].concat();
    let mut broken = Vec::new();
    for id in &ids {
        broken.extend(explained(&*rig.store, id).await.err().map(|why| format!("P7, {id}: {why}")));
    }
    // What a person sees. Its output is looked through with all the rest.
    let extension = rig.accounts[0].extension_id.clone();
    for what in ids.first().map(ToString::to_string).into_iter().chain([extension]) {
        let output = rig.run(&["explain", &what]);
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() || !told.contains("why") {
            broken.push(format!("P7, `ringfleet explain {what}`: {told}{}", String::from_utf8_lossy(&output.stderr)));
        }
    }
    broken
}

async fn explained(store: &dyn Store, id: &MessageId) -> Result<(), String> {
    let explained = store.explain(id).await.map_err(|error| format!("{error:?}"))?;
    let explained = explained.ok_or("it is not known")?;
    let (whys, eta) = (explained.why(), explained.eta());
    let over = explained.state.is_final();
    let fits = match eta {
        Eta::Over => over,
        Eta::At(_) | Eta::NotBefore(_) | Eta::Expires { .. } | Eta::ExpiresUnless { .. } => {
            matches!(explained.state, State::Scheduled | State::Ready | State::Claimed)
        }
        Eta::Never { .. } => !over,
        Eta::UnderWay => explained.state == State::Sending,
        Eta::LookedUp { .. } => explained.state == State::Unknown,
    };
    let ended = whys.iter().any(|why| matches!(why, Why::Ended { .. }));
    if whys.is_empty() || !fits || ended != over {
        return Err(format!("{:?} is told as {whys:?}, {eta:?}", explained.state));
    }
    Ok(())
}
