//! What something private looks like where it was printed: whole, cut off, or changed on its way.

use aho_corasick::{AhoCorasick, Match};

/// Shorter words stand everywhere by chance.
const SHORTEST: usize = 8;
/// Who cuts a text off shows its beginning.
const BEGINNING: usize = 12;
/// A number may lose its plus, and what stands for its country.
const DIGITS: usize = 10;

pub(crate) struct Secrets {
    forms: Vec<String>,
    search: AhoCorasick,
    too_short: Vec<String>,
}

impl Secrets {
    /// `tokens` are looked for as they are, of `words` (texts, numbers, keys of producers) what is left of them when they are
    /// shortened.
    pub(crate) fn new(tokens: impl IntoIterator<Item = String>, words: impl IntoIterator<Item = String>) -> Self {
        let forms = tokens.into_iter().chain(words.into_iter().flat_map(|word| shortened(&word)));
        let (mut forms, too_short): (Vec<_>, Vec<_>) = forms.partition(|form| form.len() >= SHORTEST);
        forms.sort_unstable();
        forms.dedup();
        let search = AhoCorasick::new(&forms).unwrap();
        Self { forms, search, too_short }
    }

    /// Those that nobody would see: a test that hides them is to give them more letters.
    pub(crate) fn too_short(&self) -> &[String] {
        &self.too_short
    }

    /// The first line that holds one of them, and which.
    pub(crate) fn first_in<'a>(&'a self, text: &'a str) -> Option<(&'a str, &'a str)> {
        text.lines().find_map(|line| {
            let found = self.search.find_overlapping_iter(line).find(|found| !is_part_of_decimal(line, found))?;
            Some((self.forms[found.pattern().as_usize()].as_str(), line))
        })
    }
}

/// Behind the point of a decimal: among so many of a fleet's metrics the digits of some number stand by chance.
fn is_part_of_decimal(line: &str, found: &Match) -> bool {
    let is_digit = |c: char| c.is_ascii_digit();
    if !line[found.range()].chars().all(is_digit) {
        return false;
    }
    let whole = line[..found.start()].trim_end_matches(is_digit).strip_suffix('.');
    whole.is_some_and(|whole| whole.ends_with(is_digit))
}

fn shortened(word: &str) -> Vec<String> {
    let digits = word.trim_start_matches('+');
    if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return vec![digits[digits.len().saturating_sub(DIGITS)..].to_owned()];
    }
    let beginning: String = word.chars().take(BEGINNING).collect();
    // Its blanks may be written in another way, as in an address.
    vec![beginning.replace(' ', "%20"), beginning.replace(' ', "+"), beginning]
}
