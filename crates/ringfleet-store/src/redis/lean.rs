//! What a script needs of the library that all share.

use std::collections::HashSet;

/// The library without the functions that neither the script nor what stays of the library names: Redis makes every function
/// anew in each call. Empty lines stand for them, so that an error's line is that of the whole.
///
/// A function of the library begins at the margin with `local function`, and ends with an `end` there or on its only line.
pub(super) fn lean(library: &str, script: &str) -> String {
    let blocks = blocks(library);
    let mut wanted: HashSet<&str> = words(script.lines()).collect();
    let mut left: Vec<&(&str, Vec<&str>)> = blocks.iter().collect();
    loop {
        let (named, others): (Vec<_>, Vec<_>) =
            left.into_iter().partition(|(name, _)| name.is_empty() || wanted.contains(name));
        if named.is_empty() {
            break;
        }
        wanted.extend(named.iter().flat_map(|(_, lines)| words(lines.iter().copied())));
        left = others;
    }
    let mut lean = String::new();
    for (name, lines) in &blocks {
        for line in lines {
            if name.is_empty() || wanted.contains(name) {
                lean.push_str(line);
            }
            lean.push('\n');
        }
    }
    lean + script
}

/// The lines of each function, and those between two of them under an empty name.
fn blocks(library: &str) -> Vec<(&str, Vec<&str>)> {
    let mut blocks = vec![("", Vec::new())];
    for line in library.lines() {
        let begins = line.strip_prefix("local function ");
        if let Some(rest) = begins {
            blocks.push((rest.split('(').next().unwrap_or(rest), Vec::new()));
        }
        if let Some((_, lines)) = blocks.last_mut() {
            lines.push(line);
        }
        if line == "end" || begins.is_some() && line.ends_with(" end") {
            blocks.push(("", Vec::new()));
        }
    }
    blocks
}

/// What may be a name; those in a string do no harm.
fn words<'a>(lines: impl Iterator<Item = &'a str>) -> impl Iterator<Item = &'a str> {
    let code = lines.filter(|line| !line.trim_start().starts_with("--"));
    code.flat_map(|line| line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIBRARY: &str = "\
local T = 1
local function short(n) return n end
local function inner()
  -- About unused.
  if T then return short(T) end
end
local function unused()
  return inner()
end
local function outer() return inner() end
";

    #[test]
    fn a_script_keeps_what_it_names_and_what_that_names_at_the_same_lines() {
        let kept = LIBRARY.replace("local function unused()\n  return inner()\nend\n", "\n\n\n");
        assert_eq!(lean(LIBRARY, "return outer()\n"), format!("{kept}return outer()\n"));
    }

    /// Else something between two functions could be left out with the first.
    #[test]
    fn each_function_of_the_library_ends_where_it_is_looked_for() {
        let functions = blocks(super::super::scripts::LIBRARY).into_iter().filter(|(name, _)| !name.is_empty());
        for (name, lines) in functions {
            let is_whole = match lines[..] {
                [line] => line.ends_with(" end"),
                [_, ref inner @ .., last] => {
                    last == "end" && inner.iter().all(|line| line.is_empty() || line.starts_with(' '))
                }
                [] => false,
            };
            assert!(is_whole, "{name}: {lines:?}");
        }
    }
}
