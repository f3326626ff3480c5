//! A link for one employee: it names the extension that may be connected with it, and ends by itself.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ringcentral::ExtensionId;
use ringfleet_identity::Purpose;
use ringfleet_store::Millis;
use serde::{Deserialize, Serialize};

use crate::{Site, trouble::Trouble};

const PURPOSE: Purpose<'_> = Purpose::Page { what: "invitation" };
const LIFE_MS: Millis = 7 * 86_400_000;

/// What is sealed, as JSON.
#[derive(Serialize, Deserialize)]
struct Sealed {
    until: Millis,
    extension: String,
}

/// The link, and until when it is good.
pub(crate) async fn make(site: &Site, extension: &ExtensionId) -> Result<(String, Millis), Trouble> {
    let until = site.store.now().await? + LIFE_MS;
    let sealed = Sealed { until, extension: extension.as_str().to_owned() };
    let sealed = site.seals().seal(PURPOSE, &serde_json::to_vec(&sealed).unwrap_or_default());
    Ok((site.url.at(&format!("/connect?invite={}", URL_SAFE_NO_PAD.encode(sealed))), until))
}

/// The extension that an invitation is for.
pub(crate) async fn open(site: &Site, invite: &str) -> Result<ExtensionId, Trouble> {
    let over = || Trouble::InvitationOver;
    let sealed = URL_SAFE_NO_PAD.decode(invite).map_err(|_| over())?;
    let opened = site.seals().open(PURPOSE, &sealed).map_err(|_| over())?;
    let opened: Sealed = serde_json::from_slice(&opened).map_err(|_| over())?;
    if site.store.now().await? >= opened.until {
        return Err(over());
    }
    ExtensionId::try_new(&opened.extension).map_err(|_| over())
}
