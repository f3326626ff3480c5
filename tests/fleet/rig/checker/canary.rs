//! I6: no text, number, secret, JWT, token or key of this run in anything that was printed.

use super::secrets::Secrets;
use crate::rig::{Rig, http, lock};

/// The pages of all workers that are there.
pub(in crate::rig) async fn metrics_pages(rig: &mut Rig) -> Vec<(String, String)> {
    let mut pages = Vec::new();
    for (name, text) in rig.all_said() {
        // Its port may be another's by now.
        if rig.is_of_ended_worker(&name) {
            continue;
        }
        let Some(address) = text.lines().find_map(|line| line.split("metrics listens address=").nth(1)) else {
            continue;
        };
        let asked = http().get(format!("http://{}/metrics", address.trim())).timeout(std::time::Duration::from_secs(5));
        // One that stands still has none.
        if let Ok(page) = asked.send().await
            && let Ok(page) = page.text().await
        {
            pages.push((format!("/metrics of {name}"), page));
        }
    }
    pages
}

pub(in crate::rig) fn leaks(rig: &Rig, pages: &[(String, String)]) -> Vec<String> {
    let numbers = rig.accounts.iter().flat_map(|account| account.numbers.clone());
    let secrets = Secrets::new(rig.simulator.secrets(), numbers.chain(lock(&rig.secrets).clone()));
    let blind = secrets.too_short().iter().map(|word| format!("I6, {word:?} is too short to be looked for"));
    let printed = rig.all_said();
    // One of a kind says enough.
    let leaks = printed.iter().chain(pages).filter_map(|(place, text)| {
        let (word, line) = secrets.first_in(text)?;
        Some(format!("I6, {word:?} was printed by {place}: {line}"))
    });
    blind.chain(leaks).collect()
}
