//! I6: no text, number, secret, JWT, token or key of this run in anything that was printed.

use aho_corasick::AhoCorasick;

use crate::rig::{Rig, http, lock};

/// Shorter words stand everywhere by chance.
const SHORTEST: usize = 8;

/// The pages of all workers that are there.
pub(in crate::rig) async fn metrics_pages(rig: &mut Rig) -> Vec<(String, String)> {
    let mut pages = Vec::new();
    for (name, text) in rig.all_said() {
        let Some(address) = text.lines().find_map(|line| line.split("metrics listens address=").nth(1)) else {
            continue;
        };
        let asked = http().get(format!("http://{}/metrics", address.trim())).timeout(std::time::Duration::from_secs(5));
        // Those that were killed, or stand still, have none.
        if let Ok(page) = asked.send().await
            && let Ok(page) = page.text().await
        {
            pages.push((format!("/metrics of {name}"), page));
        }
    }
    pages
}

pub(in crate::rig) fn leaks(rig: &Rig, pages: &[(String, String)]) -> Vec<String> {
    let mut words = rig.simulator.secrets();
    words.extend(rig.accounts.iter().flat_map(|account| account.numbers.clone()));
    words.extend(lock(&rig.secrets).iter().cloned());
    let mut forms: Vec<String> = Vec::with_capacity(words.len());
    for word in words {
        // A number may lose its plus on the way, a text its blanks.
        let word = word.trim_start_matches('+').to_owned();
        if word.contains(' ') {
            forms.extend([word.replace(' ', "%20"), word.replace(' ', "+")]);
        }
        forms.push(word);
    }
    forms.retain(|word| word.len() >= SHORTEST);
    forms.sort_unstable();
    forms.dedup();
    let search = AhoCorasick::new(&forms).unwrap();
    let mut broken = Vec::new();
    for (place, text) in rig.all_said().iter().chain(pages) {
        for line in text.lines() {
            if let Some(found) = search.find(line) {
                let word = &forms[found.pattern().as_usize()];
                broken.push(format!("I6, {word:?} was printed by {place}: {line}"));
                // One of a kind says enough.
                break;
            }
        }
    }
    broken
}
