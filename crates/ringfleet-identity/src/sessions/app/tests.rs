//! What a refusal of the app holds back, and what ends it.

use std::time::Duration;

use ringcentral::{ExtensionId, Jwt, RefreshToken};
use ringfleet_store::{Heard, RefusedCredential};

use super::*;
use crate::{Facts, Roster, Source, sessions::tests::fleet};

const EXTENSION: &str = "101";
const MINUTE: Duration = Duration::from_secs(60);

fn credential(login: Login) -> Credential {
    let extension = ExtensionId::try_new(EXTENSION).unwrap();
    Credential { extension, login, prefer: 10, enabled: true, source: Source::File, facts: Facts::default() }
}

fn by_jwt() -> Credential {
    credential(Login::Jwt(Jwt::try_new("a-jwt").unwrap()))
}

fn by_connection(name: &str) -> Credential {
    let refresh = RefreshToken::try_new("first").unwrap();
    credential(Login::Code { connection: name.to_owned(), refresh })
}

#[tokio::test]
async fn a_grant_that_the_app_lacks_holds_back_no_extension_that_has_another_login() {
    let folder = tempfile::tempdir().unwrap();
    let mut sessions = fleet(&folder, MINUTE).await;
    let of = sessions.app_refused(Grant::Jwt, "OAU-251").await.unwrap();
    let standing = async |sessions: &Sessions| sessions.app_standing(EXTENSION, &of).await.unwrap();
    assert_eq!(standing(&sessions).await, AppStanding::Refused, "it has none");
    sessions.roster = Roster::fixed([by_jwt()]);
    assert_eq!(standing(&sessions).await, AppStanding::Refused);
    sessions.roster = Roster::fixed([by_jwt(), by_connection("c")]);
    assert_eq!(standing(&sessions).await, AppStanding::Open);

    let print = by_connection("c").login.print(&sessions.app_print);
    let refused = RefusedCredential { print, reason: "OAU-213".to_owned() };
    let heard = sessions.store().token_refuse(EXTENSION, &sessions.worker, 0, &refused, Duration::ZERO).await.unwrap();
    assert_eq!(heard, Heard::New);
    assert_eq!(standing(&sessions).await, AppStanding::Refused, "the other one was refused too");
    sessions.roster = Roster::fixed([by_jwt(), by_connection("made anew")]);
    assert_eq!(standing(&sessions).await, AppStanding::Open);

    sessions.app_refused(Grant::Refresh, "OAU-146").await.unwrap();
    assert_eq!(standing(&sessions).await, AppStanding::Refused, "a wrong secret concerns all");
}
