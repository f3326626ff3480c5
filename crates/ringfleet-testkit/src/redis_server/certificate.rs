//! A certificate for the loopback and the authority that signed it, both for one test.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::binary;

const EXTENSIONS: &str = "\
subjectAltName=IP:127.0.0.1,DNS:localhost
basicConstraints=critical,CA:FALSE
extendedKeyUsage=serverAuth
";

pub(super) fn ca_file(dir: &Path) -> PathBuf {
    dir.join("ca.crt")
}

/// The settings of a server that speaks TLS only, and asks its clients for no certificate.
pub(super) fn settings(dir: &Path, port: u16) -> Vec<String> {
    let path = |name: &str| dir.join(name).to_string_lossy().into_owned();
    let settings = [
        ("--port", "0".to_owned()),
        ("--tls-port", port.to_string()),
        ("--tls-cert-file", path("server.crt")),
        ("--tls-key-file", path("server.key")),
        ("--tls-ca-cert-file", path("ca.crt")),
        ("--tls-auth-clients", "no".to_owned()),
    ];
    settings.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect()
}

/// # Panics
/// When openssl is missing or does not do it.
pub(super) fn make(dir: &Path) {
    fs::write(dir.join("extensions"), EXTENSIONS).expect("own directory is writable");
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    let ca = ["req", "-x509", "-days", "2", "-subj", "/CN=Ringfleet test CA", "-keyout", "ca.key", "-out", "ca.crt"];
    let request = ["req", "-subj", "/CN=localhost", "-keyout", "server.key", "-out", "server.csr"];
    let sign = ["x509", "-req", "-days", "2", "-in", "server.csr", "-out", "server.crt", "-extfile", "extensions"];
    openssl(dir, &[&ca[..], &key].concat());
    openssl(dir, &[&request[..], &key].concat());
    openssl(dir, &[&sign[..], &["-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial"]].concat());
}

fn openssl(dir: &Path, args: &[&str]) {
    let mut command = Command::new(binary::openssl());
    let told = command.args(args).current_dir(dir).stdin(Stdio::null()).output().expect("openssl can be executed");
    assert!(told.status.success(), "openssl {}:\n{}", args.join(" "), String::from_utf8_lossy(&told.stderr));
}
