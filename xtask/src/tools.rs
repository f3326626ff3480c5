//! The programs beside Rust that the tests need: found, or installed on Debian and its relatives.

use std::{env, fs, path::PathBuf, process::Command};

use anyhow::{Context, Result, bail, ensure};

use crate::{cargo::cargo, child};

struct Tool {
    name: &'static str,
    /// Its version, when it is there and new enough.
    find: fn() -> Result<String>,
    packages: &'static [&'static str],
    remedy: &'static str,
    /// Whether nothing goes without it. Without any other a few tests fail, and say why.
    vital: bool,
}

const TOOLS: [Tool; 9] = [
    Tool {
        name: "redis-server",
        find: || {
            let path = redis_server()?;
            version(child::command(&path).arg("--version"), (6, 2))
        },
        packages: &["redis-server"],
        remedy: "install Redis 6.2 or newer (macOS: brew install redis), or name the program with RINGFLEET_REDIS_SERVER",
        vital: true,
    },
    Tool {
        name: "node with npm",
        find: || {
            version(child::command("npm").arg("--version"), (6, 0))?;
            version(child::command("node").arg("--version"), (18, 0))
        },
        packages: &["nodejs", "npm"],
        remedy: "install Node.js 18 or newer with npm, so that both are on PATH",
        vital: true,
    },
    Tool {
        name: "python3 with venv and pip",
        find: || {
            // Debian splits both off into packages of their own.
            let whole = child::works(child::command("python3").args(["-c", "import venv, ensurepip"]));
            ensure!(whole, "python3 is missing, or its modules venv and ensurepip are");
            // The least that the pinned packages take.
            version(child::command("python3").arg("--version"), (3, 11))
        },
        packages: &["python3", "python3-venv", "python3-pip"],
        remedy: "install Python 3.11 or newer with venv and pip, so that python3 is on PATH",
        vital: true,
    },
    Tool {
        name: "php",
        find: || version(child::command("php").arg("--version"), (8, 0)),
        packages: &["php-cli"],
        remedy: "install PHP 8.0 or newer, so that php is on PATH (macOS: brew install php)",
        vital: false,
    },
    Tool {
        name: "curl with jq",
        find: || {
            version(child::command("jq").arg("--version"), (1, 5))?;
            version(child::command("curl").arg("--version"), (7, 71))
        },
        packages: &["curl", "jq"],
        remedy: "install curl 7.71 or newer and jq, so that both are on PATH",
        vital: false,
    },
    Tool {
        name: "openssl",
        find: || version(child::command("openssl").arg("version"), (1, 1)),
        packages: &["openssl"],
        remedy: "install OpenSSL's command line tool, so that openssl is on PATH",
        vital: false,
    },
    Tool {
        name: "faketime",
        find: || {
            // Its library is what the tests take.
            ensure!(libfaketime(), "libfaketime.so.1 is not in a directory named faketime of /usr/lib");
            version(child::command("faketime").arg("--version"), (0, 9))
        },
        packages: &["faketime"],
        remedy: "install the package faketime (Linux only)",
        vital: false,
    },
    Tool {
        name: "chromium with chromedriver",
        find: || {
            version(child::command("chromedriver").arg("--version"), (100, 0))?;
            version(child::command("chromium").arg("--version"), (100, 0))
        },
        packages: &["chromium", "chromium-driver"],
        remedy: "install Chromium and its driver, so that both chromium and chromedriver are on PATH",
        vital: false,
    },
    Tool {
        name: "prometheus with promtool",
        find: || {
            version(child::command("promtool").arg("--version"), (2, 24))?;
            version(child::command("prometheus").arg("--version"), (2, 24))
        },
        packages: &["prometheus"],
        remedy: "install Prometheus, so that both prometheus and promtool are on PATH (macOS: brew install prometheus)",
        vital: false,
    },
];

/// Makes sure of all tools, and of the toolchain's.
pub(crate) fn provide() -> Result<()> {
    for component in ["fmt", "clippy"] {
        if !child::works(cargo(component).arg("--version")) {
            // A toolchain of rustup's profile "minimal" has neither.
            child::run(child::command("rustup").args(["component", "add", "rustfmt", "clippy"]))
                .with_context(|| format!("cargo {component} is missing and could not be added"))?;
        }
    }
    find_or_install(&TOOLS.each_ref())
}

/// Makes sure of those without which nothing goes.
pub(crate) fn provide_vital() -> Result<()> {
    find_or_install(&TOOLS.iter().filter(|tool| tool.vital).collect::<Vec<_>>())
}

/// One that is there is left as it is.
fn find_or_install(tools: &[&Tool]) -> Result<()> {
    let missing: Vec<_> = tools.iter().filter(|tool| (tool.find)().is_err()).collect();
    if !missing.is_empty() {
        let packages: Vec<_> = missing.iter().flat_map(|tool| tool.packages).copied().collect();
        // What it could not do is told below, tool by tool.
        if let Err(error) = install(&packages) {
            println!("{error:#}");
        }
    }
    for tool in tools {
        match (tool.find)().with_context(|| format!("{} is needed: {}", tool.name, tool.remedy)) {
            Ok(version) => println!("{} {version}", tool.name),
            Err(error) if tool.vital => return Err(error),
            Err(error) => println!("some tests will fail: {error:#}"),
        }
    }
    Ok(())
}

/// The packages of redis-server and Prometheus may start services on ports 6379 and 9090. Nothing here uses them: every test
/// starts servers of its own on free ports.
fn install(packages: &[&str]) -> Result<()> {
    let by_hand = || format!("by hand: apt-get install -y --no-install-recommends {}", packages.join(" "));
    if !child::works(child::command("apt-get").arg("--version")) {
        bail!("only a machine with apt-get can be provided for automatically");
    }
    let id = child::output(child::command("id").arg("-u"))?;
    let root = id.trim() == "0";
    if !root && !child::works(child::command("sudo").args(["-n", "true"])) {
        bail!("not root, and sudo asks for a password; {}", by_hand());
    }
    let apt = |args: &[&str]| {
        let mut command = if root { child::command("env") } else { child::command("sudo") };
        if !root {
            command.args(["-n", "env"]);
        }
        command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]).args(args);
        child::run(&mut command)
    };
    apt(&["update"]).with_context(by_hand)?;
    apt(&[&["install", "-y", "--no-install-recommends"], packages].concat()).with_context(by_hand)
}

/// The same places in the same order as the tests' own guard.
pub(crate) fn redis_server() -> Result<PathBuf> {
    if let Some(named) = env::var_os("RINGFLEET_REDIS_SERVER").filter(|named| !named.is_empty()) {
        let named = PathBuf::from(named);
        ensure!(named.is_file(), "RINGFLEET_REDIS_SERVER is {}, which is no file", named.display());
        return Ok(named);
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/bin", "/usr/local/bin", "/opt/homebrew/bin"].map(PathBuf::from);
    let mut places = env::split_paths(&path).chain(usual).map(|dir| dir.join("redis-server"));
    places.find(|file| file.is_file()).context("redis-server is not on PATH")
}

/// The same places as the tests' own guard.
fn libfaketime() -> bool {
    let roots = ["/usr/lib", "/usr/lib64", "/lib"].map(PathBuf::from);
    let below = roots.iter().filter_map(|root| fs::read_dir(root).ok()).flatten().flatten().map(|entry| entry.path());
    let mut dirs = below.chain(roots.clone());
    dirs.any(|dir| dir.join("faketime/libfaketime.so.1").is_file())
}

fn version(command: &mut Command, least: (u32, u32)) -> Result<String> {
    let told = child::output(command)?;
    let (found, text) = parse_version(&told).with_context(|| format!("{:?} holds no version", told.trim()))?;
    ensure!(found >= least, "{text} is too old, {}.{} is the least", least.0, least.1);
    Ok(text)
}

/// The first "1.2…" of a text such as "Redis server v=7.0.15 sha=0…", "v20.1.0" or "Python 3.11.2".
fn parse_version(told: &str) -> Option<((u32, u32), String)> {
    told.split(|c: char| !c.is_ascii_digit() && c != '.').find_map(|word| {
        let mut parts = word.split('.');
        let version = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        Some((version, word.to_owned()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_the_programs_tell_them() {
        for (told, version) in [
            ("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64", (7, 0)),
            ("Valkey server v=8.1.0", (8, 1)),
            ("v20.20.2\n", (20, 20)),
            ("Python 3.11.7", (3, 11)),
            ("PHP 8.2.36 (cli) (built: Nov 18 2026 20:02:04) (NTS)", (8, 2)),
            ("curl 7.88.1 (x86_64-pc-linux-gnu) libcurl/7.88.1 OpenSSL/3.0.19", (7, 88)),
            ("jq-1.6", (1, 6)),
            ("10.8.2", (10, 8)),
            ("OpenSSL 3.0.19 27 Jan 2026 (Library: OpenSSL 3.0.19 27 Jan 2026)", (3, 0)),
            ("Chromium 156.0.8078.79 built on Debian GNU/Linux 12 (bookworm)", (156, 0)),
            ("\nfaketime: Version 0.9.10\nFor usage information please use 'faketime --help'.\n", (0, 9)),
        ] {
            assert_eq!(parse_version(told).map(|(version, _)| version), Some(version), "{told}");
        }
        assert_eq!(parse_version("command not found"), None);
    }
}
