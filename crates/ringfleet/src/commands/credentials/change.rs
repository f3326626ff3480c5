//! One login: put in, switched, moved, taken out.

use std::process::ExitCode;

use anyhow::Context;
use ringcentral::ExtensionId;
use ringfleet_identity::{Credential, Facts, Method, Source, Stored, Vault};

use super::{
    login::{PASSWORD_WARNING, Parts, login},
    secret,
};
use crate::{
    cli::{AddOptions, Which},
    exit,
    output::{self, remark, say},
};

pub(super) async fn add(vault: &Vault, options: AddOptions) -> anyhow::Result<ExitCode> {
    let method = Method::from(options.method);
    if method == Method::Password {
        remark!("warning: {PASSWORD_WARNING}");
    }
    anyhow::ensure!(!vault.keys().is_makeshift(), ringfleet_identity::VaultError::NoKey);
    let what = match method {
        Method::Jwt => "JWT",
        Method::Code => "refresh token",
        Method::Password => "password",
    };
    let parts = Parts {
        secret: secret::read(options.file.as_deref(), what)?,
        username: options.username,
        extension_number: options.extension_number,
    };
    let login = login(method, &parts).map_err(|faults| {
        let told: Vec<_> = faults.into_iter().map(|(field, problem)| format!("{field}: {problem}")).collect();
        anyhow::anyhow!("nothing was changed: {}", told.join("; "))
    })?;
    let extension = options.extension;
    let credential = Credential {
        extension: extension.clone(),
        login,
        prefer: options.prefer.unwrap_or(method.usual_preference()),
        enabled: !options.disabled,
        source: Source::Store { rev: 0 },
        facts: Facts { added_at: vault.store().now().await?, ..Facts::default() },
    };
    let told = match vault.put(&credential).await? {
        Stored::Added => "added",
        Stored::Replaced => "replaced",
        Stored::Same => "the same as before",
    };
    say!("extension {extension}: {method} credential {told}");
    if options.disabled {
        say!("it is switched off; `ringfleet credentials enable {extension} {method}` lets it be used");
    } else {
        say!("running workers use it within seconds; `ringfleet credentials check {extension}` tries it now");
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn enable(vault: &Vault, which: &Which, enabled: bool) -> anyhow::Result<ExitCode> {
    let done = if enabled { "is used again" } else { "is switched off" };
    change(vault, which, done, |credential| std::mem::replace(&mut credential.enabled, enabled) != enabled).await
}

pub(super) async fn prefer(vault: &Vault, which: &Which, number: u8) -> anyhow::Result<ExitCode> {
    let done = format!("has preference {number} now; the lowest of an extension comes first");
    change(vault, which, &done, |credential| std::mem::replace(&mut credential.prefer, number) != number).await
}

async fn change(
    vault: &Vault,
    which: &Which,
    done: &str,
    change: impl FnMut(&mut Credential) -> bool,
) -> anyhow::Result<ExitCode> {
    let (extension, method) = (&which.extension, Method::from(which.method));
    vault.change(extension, method, change).await?.with_context(|| missing(extension, method))?;
    say!("extension {extension}: its {method} credential {done}; running workers notice within seconds");
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn remove(vault: &Vault, which: &Which, yes: bool) -> anyhow::Result<ExitCode> {
    let (extension, method) = (&which.extension, Method::from(which.method));
    if !yes && !confirmed(extension, method)? {
        say!("nothing was done");
        return Ok(ExitCode::from(exit::FAILED));
    }
    if !vault.remove(extension, method).await? {
        anyhow::bail!(missing(extension, method));
    }
    say!("extension {extension}: its {method} credential is forgotten");
    say!(
        "it is still valid at RingCentral: a JWT is deleted in the developer console, a connection in the user's settings"
    );
    Ok(ExitCode::SUCCESS)
}

fn missing(extension: &ExtensionId, method: Method) -> String {
    format!(
        "the store has no {method} credential of extension {extension}; `ringfleet credentials list` shows what there is \
         (those of the accounts file are changed there)"
    )
}

fn confirmed(extension: &ExtensionId, method: Method) -> anyhow::Result<bool> {
    output::must_be_there(format_args!("forget the credential"))?;
    output::confirmed(format_args!(
        "Forget the {method} credential of extension {extension}? It can't be brought back from here."
    ))
}
