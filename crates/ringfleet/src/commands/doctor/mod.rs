//! `doctor`: looks at everything that must be right, stops at no fault, and says what to do about each.

mod app;
mod case;
mod extension;
mod finding;
mod lanes;
mod screen;
mod server;
mod settings;
mod store;
mod test_send;

use std::process::ExitCode;

use anyhow::Context;
use futures::{StreamExt, stream};
use ringcentral::{Client, ClientConfig, ClientId};
use serde_json::json;

use self::{
    case::Case,
    finding::{Finding, Level, Section},
};
use crate::{
    accounts::Accounts,
    cli::DoctorOptions,
    config::{Layers, Settings},
    exit, keys,
    output::say,
    progress, provider, store as stores,
};

/// Extensions looked at side by side; each waits for its own lanes.
const AT_ONCE: usize = 8;
/// Sound extensions that are shown each; more are told in one line.
const SHOWN_EACH: usize = 10;

pub(crate) async fn run(layers: &Layers, options: DoctorOptions) -> anyhow::Result<ExitCode> {
    let mut report = Report { sections: Vec::new(), quiet: options.json };
    let (section, found) = settings::look(layers);
    report.add(section);
    let Some((settings, accounts)) = found else {
        report
            .add(Section::new("Everything else", vec![Finding::skip("doctor", "the settings have to be right first")]));
        report.end(&options)?;
        return Ok(ExitCode::from(exit::CONFIG));
    };
    look(&mut report, settings, accounts, &options).await?;
    report.end(&options)?;
    Ok(if report.level() == Level::Fail { ExitCode::from(exit::FAILED) } else { ExitCode::SUCCESS })
}

async fn look(
    report: &mut Report,
    settings: Settings,
    accounts: Accounts,
    options: &DoctorOptions,
) -> anyhow::Result<()> {
    let client = client(&settings)?;
    let server = server::look(&client, &settings).await;
    let answers = server.level() < Level::Fail;
    report.add(server);
    // It makes neither. What it opens it keeps to the plans by the store, and seals for the fleet.
    if !stores::may_exist(&settings.store) {
        report.add(Section::new("Store", vec![none_yet("store", &stores::describe(&settings.store), MAKES_STORE)]));
        return Ok(());
    }
    let store = match stores::open(&settings.store, settings.rules).await {
        Ok(store) => store,
        Err(error) => {
            let next =
                "`ringfleet config show` tells where the store is looked for; without it nothing else can be looked at";
            let seen = format!("{}: {}", stores::describe(&settings.store), store::chain(&error));
            report.add(Section::new("Store", vec![Finding::fail("store", seen, next)]));
            return Ok(());
        }
    };
    report.add(store::look(&store, &client, &settings).await);
    if let Some(path) = keys::missing(&settings.identity.keys) {
        report.add(Section::new("Keys", vec![none_yet("key", &path.display().to_string(), MAKES_KEY)]));
        return Ok(());
    }
    let connect_page = settings.connect.as_ref().map(|connect| connect.public_url.redirect_uri().clone());
    let redirect_uri = options.redirect_uri.clone().or(connect_page);
    let case = match Case::open(settings, accounts, client, store, options.extensions.clone(), redirect_uri).await {
        Ok(case) => case,
        Err(error) => {
            let next = "the key file, or the app's secret, must be there before credentials can be looked at";
            report.add(Section::new("Keys", vec![Finding::fail("key", format!("{error:#}"), next)]));
            return Ok(());
        }
    };
    report.add(store::keys(&case.settings, case.vault.keys(), &case.kept));
    if !answers {
        let finding = Finding::skip("app, extensions", "the server has to answer first");
        report.add(Section::new("App and extensions", vec![finding]));
        report.add(lanes::look(&case).await);
        return Ok(());
    }
    report.add(app::look(&case).await);
    report.extensions(&case).await;
    report.add(lanes::look(&case).await);
    if let (Some(to), Some(extension)) = (&options.send_test_to, case.chosen.first()) {
        report.add(test_send::look(&case, extension, to).await);
    }
    Ok(())
}

const MAKES_STORE: &str = "if there is a fleet, name its settings with --config, or bring it back; else `ringfleet credentials add` \
                           and the first `ringfleet up` make it, which sends nothing before something is handed in";
const MAKES_KEY: &str = "if there was one, bring it back; else `ringfleet credentials add` and the first `ringfleet up` or worker make \
                         it; what waits already is sent then, unless `ringfleet fleet stop` came before";

fn none_yet(check: &str, place: &str, next: &str) -> Finding {
    Finding::fail(check, format!("there is none at {place}; without it nothing else can be looked at"), next)
}

/// A client also for settings that lack what only a login needs, so that the server can be looked at.
fn client(settings: &Settings) -> anyhow::Result<Client> {
    match &settings.provider.client_id {
        Some(_) if settings.provider.client_secret.is_some() => provider::client(&settings.provider, &settings.rules),
        // As an app that has no secret: the server says whether it takes that.
        Some(id) => Ok(Client::new(ClientConfig::public(settings.provider.server.clone(), id.clone()))?),
        None => {
            let nobody = ClientId::try_new("unset").context("a fixed id is refused")?;
            Ok(Client::new(ClientConfig::public(settings.provider.server.clone(), nobody))?)
        }
    }
}

/// A code of the provider that stands in a reason.
fn code_in(reason: &str) -> Option<String> {
    let is_code = |word: &&str| ringcentral::explain(word).is_known();
    reason.split([' ', '(', ')', ',']).find(is_code).map(str::to_owned)
}

/// Sections so far; each is shown as soon as it is there.
struct Report {
    sections: Vec<Section>,
    quiet: bool,
}

impl Report {
    fn add(&mut self, section: Section) {
        if !self.quiet {
            show(&section);
        }
        self.sections.push(section);
    }

    /// Looks at the chosen extensions side by side. Of many sound ones only their number is shown.
    async fn extensions(&mut self, case: &Case) {
        let chosen = &case.chosen;
        if chosen.is_empty() {
            let finding = Finding::coded(
                "credentials",
                Level::Fail,
                "no-credential",
                "there are none, in the store or in an accounts file",
            );
            self.add(Section::new("Extensions", vec![finding]));
            return;
        }
        let bar = progress::bar(chosen.len() as u64, "extensions");
        let (mut sound, mut unread) = (0, 0);
        let looks = stream::iter(chosen).map(|extension| extension::look(case, extension)).buffered(AT_ONCE);
        let mut looks = std::pin::pin!(looks);
        while let Some(section) = looks.next().await {
            bar.inc(1);
            let quiet = self.quiet || (chosen.len() > SHOWN_EACH && section.level() < Level::Warn);
            let is_unread = extension::is_unread(&section);
            unread += usize::from(is_unread);
            sound += usize::from(section.level() < Level::Warn && !is_unread);
            if !quiet {
                bar.suspend(|| show(&section));
            }
            self.sections.push(section);
        }
        bar.finish_and_clear();
        if chosen.len() > SHOWN_EACH && !self.quiet {
            let told = format!(
                "{sound} of {} are in order: they log in, may send, and have a number that can text",
                chosen.len()
            );
            let mut findings = vec![Finding::ok("extensions", told)];
            if unread > 0 {
                findings.push(Finding::skip(
                    "reads",
                    format!("{unread} were not read, because the whole fleet stands still"),
                ));
            }
            show(&Section::new("Extensions", findings));
        }
    }

    fn level(&self) -> Level {
        self.sections.iter().map(Section::level).max().unwrap_or(Level::Skip)
    }

    fn end(&self, options: &DoctorOptions) -> anyhow::Result<()> {
        if options.json {
            let whole = json!({"worst": self.level(), "sections": self.sections});
            say!("{}", serde_json::to_string_pretty(&whole)?);
        } else {
            say!("{}", screen::summary(&self.sections));
        }
        Ok(())
    }
}

fn show(section: &Section) {
    for line in screen::lines(section, screen::columns()) {
        say!("{line}");
    }
    say!("");
}
