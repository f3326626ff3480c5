//! Where the fleet tells what has become of messages.

use ringfleet_producer::callbacks::{CallbackUrl, SigningSecrets};

use super::{
    reader::Reader,
    settings::{optional, read_private},
};

#[derive(Debug, Clone)]
pub(crate) struct CallbackSettings {
    pub url: CallbackUrl,
    pub secrets: SigningSecrets,
}

/// `Some(None)`: they are switched off; `None` are settings at fault.
pub(super) fn read_callbacks(r: &mut Reader<'_>) -> Option<Option<CallbackSettings>> {
    let url = optional(r, "callbacks.url", CallbackUrl::try_new);
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
