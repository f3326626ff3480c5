//! Enumerations of the provider, each with a place for a word that is not known yet.

macro_rules! provider_words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
            /// A word that this version does not know, or none.
            #[default]
            Other,
        }

        impl $name {
            /// The provider's word; `Other` for a word that is not known.
            pub fn from_word(word: &str) -> Self {
                match word {
                    $($word => Self::$variant,)+
                    _ => Self::Other,
                }
            }

            /// The word as the provider writes it, or `Other`.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                    Self::Other => "Other",
                }
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let word: Option<String> = crate::serde_text::lenient(deserializer)?;
                Ok(word.as_deref().map_or(Self::Other, Self::from_word))
            }
        }
    };
}

provider_words!(
    /// Where a message stands (documented enumeration). `Sent` may be the last state ever seen: a delivery receipt depends
    /// on the carrier.
    MessageStatus {
        Queued = "Queued",
        Sent = "Sent",
        Delivered = "Delivered",
        DeliveryFailed = "DeliveryFailed",
        SendingFailed = "SendingFailed",
        Received = "Received",
    }
);

provider_words!(Direction { Inbound = "Inbound", Outbound = "Outbound" });

provider_words!(
    MessageKind { Sms = "SMS", Text = "Text", Pager = "Pager", Fax = "Fax", VoiceMail = "VoiceMail" }
);

provider_words!(
    /// What a number may be used for (documented enumeration, cut to what sending needs).
    NumberFeature {
        CallerId = "CallerId",
        SmsSender = "SmsSender",
        A2pSmsSender = "A2PSmsSender",
        MmsSender = "MmsSender",
        InternationalSmsSender = "InternationalSmsSender",
        Delegated = "Delegated",
    }
);

provider_words!(
    ExtensionStatus {
        Enabled = "Enabled",
        Disabled = "Disabled",
        Frozen = "Frozen",
        NotActivated = "NotActivated",
        Unassigned = "Unassigned",
    }
);

provider_words!(
    AccountStatus {
        Initial = "Initial",
        Confirmed = "Confirmed",
        Unconfirmed = "Unconfirmed",
        Disabled = "Disabled",
    }
);

provider_words!(ReadStatus { Read = "Read", Unread = "Unread" });

provider_words!(
    /// Whether a message is still there. A deleted one is purged after some days (documented).
    Availability { Alive = "Alive", Deleted = "Deleted", Purged = "Purged" }
);

provider_words!(CallKind { Voice = "Voice", Fax = "Fax" });

provider_words!(
    /// How a call ended (documented enumeration, cut to what is asked for).
    CallResult { Accepted = "Accepted", Connected = "Call connected", Missed = "Missed", Voicemail = "Voicemail" }
);

provider_words!(
    /// Where a campaign registration stands (documented enumeration). Texts leave under a confirmed one only.
    CampaignStatus {
        Created = "Created",
        Submitted = "Submitted",
        Confirmed = "Confirmed",
        SubmitFailed = "SubmitFailed",
        UpdateRequested = "UpdateRequested",
        DeleteRequested = "DeleteRequested",
        CampaignSuspended = "CampaignSuspended",
        CampaignExpired = "CampaignExpired",
        Draft = "Draft",
        PreVetFailed = "PreVetFailed",
        Unconfirmed = "Unconfirmed",
    }
);

provider_words!(
    /// A blacklisted subscription delivers nothing any more: delete it and create another (documented).
    SubscriptionStatus { Active = "Active", Blacklisted = "Blacklisted" }
);
