//! As much of PromQL as it takes to see which metrics an expression asks for, and how. Whether it is an expression at all, promtool
//! tells.

/// Words in front of a list of labels.
const CLAUSES: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];

/// One metric in an expression.
#[derive(Debug, PartialEq)]
pub(super) struct Use<'a> {
    pub(super) name: &'a str,
    /// Label and what it is compared with.
    pub(super) matchers: Vec<(&'a str, &'a str)>,
    /// Behind it stands `[…]`.
    pub(super) ranged: bool,
    /// The functions and aggregations around it, the innermost last.
    pub(super) within: Vec<&'a str>,
    /// It is compared with itself of a while ago: `X unless X offset W`.
    pub(super) compared: bool,
}

#[derive(Debug, Default, PartialEq)]
pub(super) struct Asked<'a> {
    pub(super) uses: Vec<Use<'a>>,
    /// The labels of all `by (…)` and the like.
    pub(super) labels: Vec<&'a str>,
}

/// `text` holds no comment, and no string outside of a selector.
pub(super) fn asked(text: &str) -> Asked<'_> {
    let mut asked = Asked::default();
    // Each open parenthesis with the word before it; of a clause none.
    let mut open: Vec<Option<&str>> = Vec::new();
    let mut word = "";
    let mut in_clause = false;
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        match c {
            '(' if CLAUSES.contains(&word) => in_clause = true,
            '(' => {
                open.push((!word.is_empty()).then_some(word));
                word = "";
            }
            ')' if in_clause => {
                in_clause = false;
                // `sum by (a) (…)`: the aggregation is the word before the clause.
                word = aggregation(&text[..at]);
            }
            ')' => {
                open.pop();
                word = "";
            }
            c if c.is_ascii_alphabetic() || c == '_' => {
                let end =
                    text[at..].find(|c: char| !c.is_ascii_alphanumeric() && c != '_').map_or(text.len(), |n| at + n);
                let name = &text[at..end];
                if in_clause {
                    asked.labels.push(name);
                } else if is_metric(name) {
                    let (matchers, rest) = selector(&text[end..]);
                    let ranged = rest.starts_with('[');
                    let compared = rest.trim_start().starts_with("unless ") || rest.trim_start().starts_with("offset ");
                    let within = open.iter().copied().flatten().collect();
                    asked.uses.push(Use { name, matchers, ranged, within, compared });
                    at = text.len() - rest.len();
                    word = "";
                    continue;
                } else {
                    word = name;
                }
                at = end;
                continue;
            }
            c if c.is_whitespace() => {}
            _ => word = "",
        }
        at += c.len_utf8();
    }
    asked
}

fn is_metric(name: &str) -> bool {
    name.starts_with("ringfleet_") || name == "up" || name == "ALERTS"
}

/// Of `… sum by (a, b`: the `sum`.
fn aggregation(before: &str) -> &str {
    let words = before.rsplit_once('(').map_or("", |(words, _)| words);
    words
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty())
        .nth_back(1)
        .unwrap_or("")
}

/// The matchers of `{a="b", c=~"d"}`, if any, and what follows.
fn selector(text: &str) -> (Vec<(&str, &str)>, &str) {
    let Some(mut rest) = text.strip_prefix('{') else { return (Vec::new(), text) };
    let mut matchers = Vec::new();
    while let Some((label, value)) = rest.split_once('"').filter(|(label, _)| !label.contains('}')) {
        let Some((value, behind)) = value.split_once('"') else { break };
        matchers.push((label.trim_matches(|c: char| !c.is_ascii_alphanumeric() && c != '_'), value));
        rest = behind;
    }
    (matchers, rest.split_once('}').map_or("", |(_, rest)| rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_found_with_their_selectors_and_what_is_around_them() {
        let text = r#"sum by (le, a) (rate(ringfleet_x_bucket{a=~"b|c}", d="(" }[5m])) / on (instance) max(up) > (1 - ringfleet_y)"#;
        let found = asked(text);
        assert_eq!(found.labels, ["le", "a", "instance"]);
        let [x, up, y] = found.uses.as_slice() else { panic!("{found:?}") };
        assert_eq!((x.name, x.ranged, x.within.as_slice()), ("ringfleet_x_bucket", true, ["sum", "rate"].as_slice()));
        assert_eq!(x.matchers, [("a", "b|c}"), ("d", "(")]);
        assert_eq!((up.name, up.within.as_slice()), ("up", ["max"].as_slice()));
        assert_eq!((y.name, y.ranged, y.within.len()), ("ringfleet_y", false, 0));
    }

    #[test]
    fn a_counter_that_is_looked_at_for_being_new_is_seen() {
        let found = asked(
            r#"sum((ringfleet_a{b="c"} unless ringfleet_a{b="c"} offset 1h) > 0 or increase(ringfleet_a{b="c"}[1h]))"#,
        );
        assert_eq!(found.uses.iter().map(|one| one.compared).collect::<Vec<_>>(), [true, true, false]);
        assert_eq!(found.uses[2].within, ["sum", "increase"]);
    }
}
