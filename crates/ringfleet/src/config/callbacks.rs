//! Where the fleet tells what has become of messages.

use std::time::Duration;

use ringfleet_producer::callbacks::{CallbackUrl, SigningSecrets};

use super::{
    reader::Reader,
    settings::{optional, read_private},
};

/// What has happened is told three seconds later, and a worker may have forgotten it by then.
const LEAST_RETENTION: Duration = Duration::from_secs(60);

#[derive(Debug, Clone)]
pub(crate) struct CallbackSettings {
    pub url: CallbackUrl,
    pub secrets: SigningSecrets,
}

/// `Some(None)`: they are switched off; `None` are settings at fault. `retention` is `worker.retention`, unless that is at fault.
pub(super) fn read_callbacks(r: &mut Reader<'_>, retention: Option<Duration>) -> Option<Option<CallbackSettings>> {
    let url = optional(r, "callbacks.url", CallbackUrl::try_new);
    if let (Some(Some(_)), Some(retention)) = (&url, retention.filter(|retention| *retention < LEAST_RETENTION)) {
        let problem = format!(
            "is {retention:?}, must not be shorter than {LEAST_RETENTION:?} where callbacks.url is set: what has ended may be \
             forgotten before it is told"
        );
        r.fault("worker.retention", problem);
    }
    let file = optional(r, "callbacks.secret_file", read_private)?;
    let secrets = match file.as_deref().map(SigningSecrets::read) {
        Some(Ok(secrets)) => Some(secrets),
        Some(Err(faults)) => {
            faults.into_iter().for_each(|fault| r.fault("callbacks.secret_file", fault.to_string()));
            return None;
        }
        None => None,
    };
    match (url?, secrets) {
        (None, _) => Some(None),
        (Some(url), Some(secrets)) => Some(Some(CallbackSettings { url, secrets })),
        (Some(_), None) => {
            let problem = "is empty, and callbacks.url is set: callbacks are signed; name a file with a secret on a line, \
                           behind whsec_ (docs/callbacks.md)";
            r.fault("callbacks.secret_file", problem);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::load, *};

    fn read(settings: &str, secrets: Option<&str>) -> Result<Option<CallbackSettings>, String> {
        let folder = tempfile::tempdir().unwrap();
        let (file, path) = (folder.path().join("secrets"), folder.path().join("ringfleet.toml"));
        let secret_file = secrets.map_or_else(String::new, |secrets| {
            std::fs::write(&file, secrets).unwrap();
            format!("secret_file = '{}'\n", file.display())
        });
        std::fs::write(&path, format!("[callbacks]\n{secret_file}{settings}")).unwrap();
        load(Some(&path)).unwrap().settings().map(|settings| settings.callbacks).map_err(|faults| faults.to_string())
    }

    #[test]
    fn callbacks_are_on_where_an_address_and_a_secret_are_named() {
        let secret = "# ours\nwhsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n";
        assert!(read("", None).unwrap().is_none());
        assert!(read("", Some(secret)).unwrap().is_none());
        let on = read("url = 'https://shop.example/canary'\n", Some(secret)).unwrap().unwrap();
        assert_eq!(on.url.to_string(), "https://shop.example/…");
    }

    #[test]
    fn records_are_kept_for_longer_than_callbacks_take_to_tell_them() {
        let with = |retention: &str| {
            let settings = format!("url = 'https://shop.example/'\n[worker]\nretention = '{retention}'\n");
            read(&settings, Some("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n"))
        };
        let told = with("59s").unwrap_err();
        assert!(told.contains("worker.retention: is 59s, must not be shorter than 60s where callbacks.url"), "{told}");
        assert!(with("1m").unwrap().is_some());
        assert!(read("[worker]\nretention = '1s'\n", None).unwrap().is_none(), "nothing is told");
    }

    #[test]
    fn all_faults_of_callbacks_are_told_at_once_without_what_is_private() {
        let told = read("url = 'http://shop.example/canary'\n", Some("canary\nwhsec_Y2FuYXJ5\n")).unwrap_err();
        for part in
            ["callbacks.url: is not https", "callbacks.secret_file: line 1 of", "callbacks.secret_file: line 2 of"]
        {
            assert!(told.contains(part), "{part} is missing in:\n{told}");
        }
        assert!(!told.contains("canary"), "{told}");
        let told = read("url = 'https://shop.example/'\n", None).unwrap_err();
        assert!(told.contains("callbacks.secret_file: is empty, and callbacks.url is set"), "{told}");
    }
}
