//! Which extension a number sends for, so that a foreign sender is refused at the door and not by the provider
//! (`MSG-304`, after the message has waited its turn).

use std::{fmt, sync::Arc};

use ringcentral::{ExtensionId, PhoneNumber, ShortNumber};
use ringfleet_identity::directory::{Book, Claim, ClaimedTwice, Claims, Directory, NotASender};
use ringfleet_store::{Group, IdError, LaneId, Private};

use crate::{
    draft::masked,
    refusal::{Code, Field, Refusal},
};

/// Extensions that a refusal offers instead.
const OFFERED: usize = 3;

/// One connected extension and the numbers it may send from.
#[derive(Clone, Debug)]
pub struct Sender {
    /// The app (client id, or its name in the configuration) whose usage plan the extension sends under.
    pub app: String,
    pub extension: ExtensionId,
    pub numbers: Vec<PhoneNumber>,
}

/// Number → lane: a view of the fleet's [`Directory`], which changes under its holders. Cheap to clone.
#[derive(Clone)]
pub struct SenderDirectory {
    directory: Directory,
    app: Arc<str>,
    connect_page: Option<Arc<str>>,
}

/// Why no directory can be made.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum DirectoryError {
    /// Two quotas for one number: nobody could say which one a text of it uses.
    #[error(transparent)]
    ClaimedTwice(#[from] ClaimedTwice),
    #[error("the senders belong to the apps {first} and {second}; make a directory for each")]
    SeveralApps { first: String, second: String },
    #[error("app {app} can't have a lane")]
    App {
        app: String,
        #[source]
        source: IdError,
    },
}

impl SenderDirectory {
    /// A directory that does not change: what a person wrote.
    ///
    /// # Errors
    /// [`DirectoryError`] if a number belongs to two extensions, or the senders to two apps.
    pub fn try_new(senders: impl IntoIterator<Item = Sender>) -> Result<Self, DirectoryError> {
        let mut app: Option<String> = None;
        let mut claims = Vec::new();
        for sender in senders {
            match &app {
                Some(first) if *first != sender.app => {
                    return Err(DirectoryError::SeveralApps { first: first.clone(), second: sender.app });
                }
                _ => app = Some(sender.app),
            }
            claims.push(Claim { extension: sender.extension, numbers: sender.numbers });
        }
        // Without senders no lane is ever named.
        Self::of(Directory::fixed(Claims::try_new(claims)?), app.as_deref().unwrap_or("none"))
    }

    /// What the fleet of an app knows, as it changes.
    ///
    /// # Errors
    /// [`DirectoryError::App`] if the app's name can't stand in a lane's.
    pub fn of(directory: Directory, app: &str) -> Result<Self, DirectoryError> {
        match LaneId::try_new(app, "1", Group::Medium) {
            Ok(_) => Ok(Self { directory, app: app.into(), connect_page: None }),
            Err(source) => Err(DirectoryError::App { app: app.to_owned(), source }),
        }
    }

    /// Where an employee can connect an extension, for the refusals of those that are not connected.
    pub fn with_connect_page(mut self, url: Option<&str>) -> Self {
        self.connect_page = url.map(Into::into);
        self
    }

    /// All that is known now.
    pub fn book(&self) -> Arc<Book> {
        self.directory.book()
    }

    /// The lane in which texts from `number` wait.
    ///
    /// # Errors
    /// Why no text can be sent from it, and what to do.
    pub fn by_number(&self, number: &PhoneNumber) -> Result<LaneId, Refusal> {
        let book = self.book();
        let not = match book.by_number(number) {
            Ok(extension) => return self.lane(extension),
            Err(not) => not,
        };
        Err(self.refusal(&book, &masked(number.expose()), not).with_value(Private::new(number.expose())))
    }

    /// The same for an extension number or an extension id, with the number that it texts from; `None` if it is neither.
    ///
    /// # Errors
    /// As [`by_number`](Self::by_number).
    pub fn by_extension(&self, raw: &str) -> Option<Result<(PhoneNumber, LaneId), Refusal>> {
        let book = self.book();
        Some(match book.by_extension(raw)? {
            Ok((number, extension)) => self.lane(extension).map(|lane| (number.clone(), lane)),
            Err(not) => Err(self.refusal(&book, "it", not).with_value(Private::new(raw))),
        })
    }

    /// Why digits that [`by_extension`](Self::by_extension) knows nothing of can't be sent from.
    pub(crate) fn unknown_extension(&self, short: &ShortNumber) -> Refusal {
        let book = self.book();
        // SEND-SAFETY: both codes may come with time, so a repeat of a message that was taken in before is found by its key.
        let (code, problem, remedy) = if book.is_complete() {
            let remedy =
                instead(&book).unwrap_or_else(|| "write the number to send from, like +15550100001".to_owned());
            (Code::UnknownSender, "names no extension that is connected or has a telephone number", remedy)
        } else {
            // It may be one that was connected a moment ago: only the provider tells an extension's number.
            let remedy = "start a worker with directory.refresh on, which reads the extensions, or write the number to send \
                          from, like +15550100001";
            (Code::SenderNotRead, "is not the number of any extension that has been read so far", remedy.to_owned())
        };
        Refusal::new(Field::From, code, problem, remedy).with_value(Private::new(short.as_str()))
    }

    fn lane(&self, extension: &ExtensionId) -> Result<LaneId, Refusal> {
        // createSMSMessage counts against the Medium group.
        LaneId::try_new(&self.app, extension.as_str(), Group::Medium).map_err(|error| {
            let remedy = "remove the extension: its id is none of the provider's";
            Refusal::new(Field::From, Code::UnknownSender, format!("its extension can't have a lane: {error}"), remedy)
        })
    }

    /// `what` stands for the sender; what is known of it is told of the extension.
    fn refusal(&self, book: &Book, what: &str, not: NotASender) -> Refusal {
        let refusal = |code, problem, remedy| Refusal::new(Field::From, code, problem, remedy);
        let instead = instead(book);
        let or_instead = |remedy: &str| match &instead {
            Some(instead) => format!("{remedy}, or {instead}"),
            None => remedy.to_owned(),
        };
        match not {
            NotASender::Unknown { complete: true } => refusal(
                Code::UnknownSender,
                format!("{what} is not a number of this account"),
                instead.unwrap_or_else(|| "send from a number of a connected extension".to_owned()),
            ),
            NotASender::Unknown { complete: false } => refusal(
                Code::UnknownSender,
                format!("{what} belongs to no connected extension"),
                or_instead(&format!("connect its extension ({}) or add it to the accounts file", self.connect())),
            ),
            NotASender::NotItsOwn { who } => refusal(
                Code::UnknownSender,
                format!("{what} is not a number of {who}, whatever the accounts file says"),
                or_instead("correct the accounts file"),
            ),
            NotASender::Nobodys => refusal(
                Code::SenderCannotText,
                format!("{what} is a number of the account that no extension has"),
                or_instead("give it to an extension in the RingCentral admin portal"),
            ),
            NotASender::Ambiguous { extensions } => {
                let ids: Vec<_> = extensions.iter().map(ExtensionId::as_str).collect();
                refusal(
                    Code::AmbiguousSender,
                    format!("names the extensions with the ids {}", ids.join(" and ")),
                    "write the number to send from".to_owned(),
                )
            }
            NotASender::Several { who, numbers } => refusal(
                Code::AmbiguousSender,
                format!("{who} has {numbers} numbers that it can text from"),
                "write the number to send from".to_owned(),
            ),
            NotASender::NoNumber { who } => refusal(
                Code::SenderCannotText,
                format!("{who} has no number with the SmsSender feature"),
                or_instead("give it one in the RingCentral admin portal"),
            ),
            NotASender::NotConnected { who } => refusal(
                Code::SenderNotConnected,
                format!("{what} belongs to {who}, which is not connected"),
                or_instead(&format!("connect it ({})", self.connect())),
            ),
            NotASender::NotRead { who, why: None } => refusal(
                Code::SenderNotRead,
                format!("{what} belongs to {who}, whose numbers are not known yet"),
                or_instead("try again in a minute"),
            ),
            NotASender::NotRead { who, why: Some(code) } => refusal(
                Code::SenderNotRead,
                format!("{what} belongs to {who}, whose numbers could not be read ({code})"),
                or_instead(
                    "give the app ReadAccounts and the user ReadUserPhoneNumbers, or write the number into the accounts file",
                ),
            ),
            NotASender::CannotText { who, high_volume: false } => refusal(
                Code::SenderCannotText,
                format!("{what} belongs to {who} and has no SmsSender feature"),
                or_instead("let an administrator assign the feature to the extension"),
            ),
            NotASender::CannotText { who, high_volume: true } => refusal(
                Code::SenderCannotText,
                format!("{what} belongs to {who} and is for high-volume (A2P) texts only"),
                instead.unwrap_or_else(|| "send from a number with the SmsSender feature".to_owned()),
            ),
            NotASender::Inactive { who, status } => refusal(
                Code::SenderInactive,
                format!("{what} belongs to {who}, which is {}", status.to_lowercase()),
                or_instead("enable the extension in the RingCentral admin portal"),
            ),
        }
    }

    fn connect(&self) -> String {
        match &self.connect_page {
            Some(page) => format!("{page}, or `ringfleet credentials add`"),
            None => "`ringfleet credentials add`".to_owned(),
        }
    }
}

/// Some extensions that could be sent from, without their numbers.
fn instead(book: &Book) -> Option<String> {
    let senders = book.senders();
    let mut offered: Vec<String> = Vec::new();
    for (_, extension) in senders {
        let who = book.who(extension).to_string();
        if !offered.contains(&who) {
            offered.push(who);
        }
        if offered.len() == OFFERED {
            break;
        }
    }
    let last = offered.pop()?;
    let more = if senders.len() > OFFERED { " (GET /v1/senders lists all)" } else { "" };
    let before = if offered.is_empty() { String::new() } else { format!("{} or ", offered.join(", ")) };
    Some(format!("send from {before}{last}{more}"))
}

impl fmt::Debug for SenderDirectory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SenderDirectory(app {}, {:?})", self.app, self.directory)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> PhoneNumber {
        PhoneNumber::try_new(text).unwrap()
    }

    fn sender(app: &str, extension: &str, numbers: &[&str]) -> Sender {
        Sender {
            app: app.into(),
            extension: ExtensionId::try_new(extension).unwrap(),
            numbers: numbers.iter().map(|n| number(n)).collect(),
        }
    }

    #[test]
    fn number_leads_to_the_medium_lane_of_its_extension() {
        let directory = SenderDirectory::try_new([sender("main", "101", &["+15550100001", "+15550100002"])]).unwrap();
        assert_eq!(directory.by_number(&number("+15550100002")).unwrap().as_str(), "main/101/medium");
        assert_eq!(directory.by_number(&number("+15550100003")).unwrap_err().code, Code::UnknownSender);
        assert_eq!(directory.book().senders().len(), 2);
    }

    #[test]
    fn number_claimed_twice_is_refused_and_so_are_two_apps() {
        let twice = [sender("main", "101", &["+15550100001"]), sender("main", "102", &["+15550100001"])];
        let error = SenderDirectory::try_new(twice).unwrap_err().to_string();
        assert!(error.contains("extension 101") && error.contains("extension 102"), "{error}");
        assert!(!error.contains("+15550100001"), "{error}");
        let two_apps = [sender("main", "101", &["+15550100001"]), sender("other", "101", &["+15550100001"])];
        assert!(matches!(SenderDirectory::try_new(two_apps), Err(DirectoryError::SeveralApps { .. })));
    }

    #[test]
    fn extension_with_one_number_needs_no_number() {
        let senders =
            [sender("main", "101", &["+15550100001"]), sender("main", "102", &["+15550100002", "+15550100003"])];
        let directory = SenderDirectory::try_new(senders).unwrap();
        assert_eq!(directory.by_extension("101").unwrap().unwrap().0, number("+15550100001"));
        assert_eq!(directory.by_extension("102").unwrap().unwrap_err().code, Code::AmbiguousSender);
        assert!(directory.by_extension("103").is_none());
    }

    #[test]
    fn an_app_that_is_no_lane_name_is_an_error() {
        assert!(matches!(SenderDirectory::try_new([sender("a/b", "101", &[])]), Err(DirectoryError::App { .. })));
    }

    #[test]
    fn a_refusal_offers_extensions_and_never_their_numbers() {
        let senders = (1..=4).map(|n| sender("main", &format!("10{n}"), &[&format!("+1555010000{n}")]));
        let directory =
            SenderDirectory::try_new(senders).unwrap().with_connect_page(Some("https://fleet.example/connect"));
        let refusal = directory.by_number(&number("+15550109934")).unwrap_err();
        let expected = "from: +1******34 belongs to no connected extension; connect its extension \
                        (https://fleet.example/connect, or `ringfleet credentials add`) or add it to the accounts file, or \
                        send from extension 101, extension 102 or extension 103 (GET /v1/senders lists all)";
        assert_eq!(refusal.to_string(), expected);
        assert_eq!(refusal.value.as_ref().map(Private::expose), Some("+15550109934"));
        assert!(!format!("{refusal:?}").contains("+15550109934"));
        assert!(serde_json::to_string(&refusal).unwrap().contains("\"value\":\"+15550109934\""));
    }
}
