//! Documentation: doc comments build without a warning, links lead somewhere, metrics are listed.

use std::path::Path;

use anyhow::{Result, ensure};

use crate::{cargo::cargo, child, files, matrix, metrics};

pub(crate) fn check(root: &Path) -> Result<()> {
    // Libraries only: the doc comments of the binary's command line are help texts, and `[set]` is no link there. A link
    // to a private module is allowed, because the readers of these pages have the code before them.
    let mut doc = cargo("doc");
    doc.args(["--workspace", "--no-deps", "--lib", "--locked"]);
    child::run(doc.env("RUSTDOCFLAGS", "-D warnings -A rustdoc::private_intra_doc_links"))?;
    let broken = broken_links(root)?;
    ensure!(broken.is_empty(), "links that lead nowhere:\n  {}", broken.join("\n  "));
    metrics::check(root)?;
    matrix::check(root)
}

/// Links from one file of the repository to another that is not there.
fn broken_links(root: &Path) -> Result<Vec<String>> {
    let mut broken = Vec::new();
    for file in files::below(root, "md")? {
        let text = files::read(&file)?;
        for link in relative_links(&text) {
            let path = file.parent().unwrap_or(root).join(link);
            if !path.exists() {
                broken.push(format!("{}: {link}", file.strip_prefix(root).unwrap_or(&file).display()));
            }
        }
    }
    Ok(broken)
}

/// The targets of `[text](target)` outside of code that name a file, without `#section`.
fn relative_links(text: &str) -> Vec<&str> {
    let mut in_code = false;
    let lines = text.lines().filter(|line| {
        let fence = line.trim_start().starts_with("```");
        in_code ^= fence;
        !fence && !in_code
    });
    let targets = lines.flat_map(|line| {
        // Every second piece stands between backticks.
        line.split('`').step_by(2).flat_map(|prose| {
            prose.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target)
        })
    });
    // rustdoc checks the links to items in a README that is also a crate's documentation.
    let elsewhere = |target: &&str| target.contains("::") || target.contains("://") || target.starts_with("mailto:");
    let files = targets.filter(|target| !elsewhere(target)).filter_map(|target| target.split(['#', ' ']).next());
    files.filter(|file| !file.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_links_to_files_are_looked_at() {
        let text = "[a](b.md#part) and [c](https://example.com/d) and [e](#f), `[g](h)`\n```\n[i](j)\n```\n[k](../l \"m\") [`N`](crate::N)";
        assert_eq!(relative_links(text), ["b.md", "../l"]);
    }

    #[test]
    fn links_between_the_documents_lead_somewhere() {
        assert_eq!(broken_links(&files::root()).unwrap(), Vec::<String>::new());
    }
}
