//! An extension number where an id belongs: a login under it opens nothing, and the number would mean two extensions.

use std::sync::Arc;

use ringcentral::{ExtensionId, ShortNumber};
use ringfleet_identity::{
    Vault,
    directory::{Book, Claims, Follower},
};
use ringfleet_store::StoreError;

use crate::directory::number_taken_for_id;

/// The extension numbers that the fleet knows.
pub(super) struct Numbers(Option<Arc<Book>>);

impl Numbers {
    /// Reads what others have read of the provider, whether or not directory.refresh is on here.
    pub(super) async fn known(vault: &Vault, mut ids: impl Iterator<Item = &ExtensionId>) -> Result<Self, StoreError> {
        // A directory is large, and ids are longer than numbers.
        if !ids.any(|id| ShortNumber::try_new(id.as_str()).is_ok()) {
            return Ok(Self(None));
        }
        let (directory, _) = Follower::start(vault, Claims::default()).await?;
        Ok(Self(Some(directory.book())))
    }

    /// What is wrong with an id.
    pub(super) fn fault(&self, id: &ExtensionId) -> Option<String> {
        number_taken_for_id(self.0.as_ref()?, id)
    }
}

#[cfg(test)]
mod tests {
    use std::{path::Path, process::ExitCode};

    use ringfleet_identity::Method;

    use super::{
        super::{
            change,
            change::tests::{id, vault},
            import,
        },
        *,
    };
    use crate::{
        cli::{AddOptions, ImportCredentials, MethodWord},
        directory::tests::has_read,
    };

    /// Two extensions have been read; the second has no number.
    async fn known() -> (tempfile::TempDir, Vault) {
        let (folder, vault) = vault().await;
        has_read(&vault, "400100001", "101").await;
        has_read(&vault, "400100002", "").await;
        (folder, vault)
    }

    async fn add(folder: &Path, vault: &Vault, extension: &str) -> anyhow::Result<ExitCode> {
        let file = folder.join("a.jwt");
        std::fs::write(&file, "canary.of.add").unwrap();
        let options = AddOptions {
            extension: id(extension),
            method: MethodWord::Jwt,
            file: Some(file),
            prefer: None,
            disabled: false,
            username: None,
            extension_number: None,
        };
        change::add(vault, options).await
    }

    #[tokio::test]
    async fn a_login_is_not_added_under_an_extension_number() {
        let (folder, vault) = known().await;
        let error = add(folder.path(), &vault, "101").await.unwrap_err().to_string();
        assert_eq!(error, "nothing was changed: 101 is the number of extension 400100001; write its id");
        assert!(vault.all().await.unwrap().is_empty());
        for fine in ["400100001", "400100002", "102", "400100003"] {
            add(folder.path(), &vault, fine).await.unwrap();
        }
    }

    #[tokio::test]
    async fn rows_with_an_extension_number_for_an_id_are_refused_and_the_others_go_in() {
        let (folder, vault) = known().await;
        let file = folder.path().join("a.csv");
        let rows = "extension_id,method,secret\n101,jwt,canary.1\n102,jwt,canary 2\n400100001,jwt,canary.3\n101,code,canary4\n";
        std::fs::write(&file, rows).unwrap();
        let options = ImportCredentials { file, dry_run: false, json: false };
        assert_eq!(import::run(&vault, &options).await.unwrap(), ExitCode::from(crate::exit::PARTLY));
        let kept: Vec<_> = vault.all().await.unwrap().into_iter().map(|kept| (kept.extension, kept.method)).collect();
        assert_eq!(kept, [(id("400100001"), Method::Jwt)]);
    }

    #[tokio::test]
    async fn an_extension_number_for_an_id_in_the_accounts_file_is_told_though_the_file_claims_it() {
        let (_folder, vault) = known().await;
        let text = r#"[{"extension_id": "101", "numbers": ["+15550100001"]}, {"extension_id": "400100002"}]"#;
        let accounts = crate::accounts::Accounts::parse(text, Path::new("a.json")).unwrap();
        let (directory, _) = Follower::start(&vault, accounts.claims().unwrap()).await.unwrap();
        let told = accounts.0.iter().filter_map(|account| number_taken_for_id(&directory.book(), &account.extension));
        assert_eq!(told.collect::<Vec<_>>(), ["101 is the number of extension 400100001; write its id"]);
    }
}
