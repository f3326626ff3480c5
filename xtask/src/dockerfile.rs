//! What hadolint can't see in the Dockerfile: the files of this repository, and what the image is to be.

use std::path::Path;

/// Everything that is wrong. `root` is the build context.
pub(crate) fn faults(text: &str, root: &Path) -> Vec<String> {
    let joined = text.replace("\\\n", " ");
    let lines = || joined.lines().filter_map(|line| line.trim().split_once(' '));
    let mut faults = Vec::new();
    for (_, copied) in lines().filter(|(word, _)| *word == "COPY") {
        if copied.contains("--from=") {
            continue;
        }
        let paths: Vec<_> = copied.split_whitespace().filter(|word| !word.starts_with("--")).collect();
        let sources = &paths[..paths.len().saturating_sub(1)];
        let missing = sources.iter().filter(|source| !root.join(source).exists());
        faults.extend(missing.map(|source| format!("COPY: there is no {source}")));
    }
    let last = |wanted: &str| lines().rfind(|(word, _)| *word == wanted).map(|(_, rest)| rest.trim());
    // A number, because an orchestrator can't tell whether a name is root's.
    let user = last("USER").unwrap_or("0").split(':').next().and_then(|user| user.parse::<u32>().ok());
    if user.is_none_or(|user| user == 0) {
        faults.push("USER: the last one must be a number other than 0".to_owned());
    }
    // The list form: a shell in between would swallow SIGTERM.
    if last("ENTRYPOINT") != Some(r#"["/usr/local/bin/ringfleet"]"#) {
        faults.push(r#"ENTRYPOINT: must be ["/usr/local/bin/ringfleet"]"#.to_owned());
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files;

    const ENTRYPOINT: &str = "ENTRYPOINT [\"/usr/local/bin/ringfleet\"]\n";

    #[test]
    fn the_dockerfile_is_right() {
        let root = files::root();
        let text = files::read(&root.join("deploy/Dockerfile")).unwrap();
        assert_eq!(faults(&text, &root), Vec::<String>::new());
    }

    #[test]
    fn each_fault_is_found() {
        let root = files::root();
        let good =
            format!("FROM a\nCOPY Cargo.toml \\\n  crates /src/\nCOPY --from=b /gone /there\nUSER 7:7\n{ENTRYPOINT}");
        assert_eq!(faults(&good, &root), Vec::<String>::new());
        for (bad, fault) in [
            (good.replace("crates", "crate"), "COPY"),
            (good.replace("USER 7:7", ""), "USER"),
            (good.replace("7:7", "0:7"), "USER"),
            (good.replace("7:7", "root"), "USER"),
            (good.replace("[\"/", "/"), "ENTRYPOINT"),
        ] {
            let found = faults(&bad, &root);
            assert!(found.len() == 1 && found[0].starts_with(fault), "{found:?} in {bad}");
        }
    }
}
