#![doc = include_str!("../README.md")]

// What a user types and a provider writes, checked once
mod ids;
mod label;
mod phone;
mod pkce;
mod secret;
mod serde_text;
mod server;
mod server_kind;
mod short_number;
mod text;
mod webhook;
mod words;

// What comes back
mod answer;
mod explain;
mod provider_error;
mod rate;

// The client
mod calls;
mod client;
mod config;
mod guard;
mod operation;
mod permit;
mod plan;
mod tls;
mod transport;

// What follows from it
mod outcome;
mod token_outcome;

pub use answer::{Answer, CallError, Cause, ConnectFault, LostFault, UnreadableFault};
pub use calls::authorize::{AuthorizeRequest, RedirectUri, RedirectUriError};
pub use calls::call_log::{CallExtension, CallLogQuery, CallLogView, CallParty, CallRecord};
pub use calls::directory::{AccountInfo, AccountRef, ExtensionInfo, ExtensionQuery};
pub use calls::eligibility::{ConsentSettings, PermissionCheck, SmsBrand, SmsCampaign, SmsConfiguration};
pub use calls::grants::{CodeGrant, PasswordGrant};
pub use calls::messages::{MessageQuery, MessageRecord, Party};
pub use calls::numbers::{AccountNumber, ExtensionNumber, NumberOwner};
pub use calls::page::{NextPage, Page};
pub use calls::probe::{LoginPage, ServerProbe};
pub use calls::read::{Raw, Read, Whose};
pub use calls::sms::{CountryCode, SmsRequest, SmsSent};
pub use calls::subscriptions::{Blacklisting, DeliveryMode, DisabledFilter, NewSubscription, Subscription};
pub use calls::sync::{MessageSync, SyncQuery};
pub use calls::token::{AuthBudget, Token, TokenOptions};
pub use client::{Caller, Client, ClientError};
pub use config::{ClientConfig, ProxyChoice};
pub use explain::{Explanation, explain};
pub use guard::{Guard, GuardKey, GuardMode, StateStore, Wait};
pub use ids::{
    AccountId, CallId, ExtensionId, IdError, PhoneNumberId, ProviderMessageId, ProviderMessageIdError, SubscriptionId,
};
pub use label::Label;
pub use operation::Operation;
pub use outcome::{
    Cure, NotSentReason, Outcome, RejectScope, SyncOutcome, ThrottleScope, UnauthorisedKind, UnknownReason, classify,
    classify_read, classify_sync,
};
pub use permit::{Always, Permit};
pub use phone::{PhoneNumber, PhoneNumberError, WrittenNumber};
pub use pkce::{CodeChallenge, NoRandomness, Pkce};
pub use plan::{UsageGroup, UsagePlan, UsagePlans};
pub use provider_error::{ErrorCode, ErrorShape, ProviderError};
pub use rate::{DEFAULT_RETRY_AFTER, MAX_RETRY_AFTER, MIN_RETRY_AFTER, RateHeaders};
pub use secret::{
    AccessToken, AuthorizationCode, ClientId, ClientSecret, CodeVerifier, Jwt, LoginState, Password, RefreshToken,
    SecretError, SyncToken, Username, VerificationToken,
};
pub use server::{ServerUrl, ServerUrlError};
pub use server_kind::ServerKind;
pub use short_number::{ShortNumber, ShortNumberError};
pub use text::{MAX_TEXT_UTF16, MessageText, MessageTextError, StoredText};
pub use tls::install_crypto;
pub use token_outcome::{TokenOutcome, TransientReason, classify_token};
pub use webhook::{EventFilter, EventFilterError, WebhookAddress, WebhookAddressError};
pub use words::{
    AccountStatus, Availability, CallKind, CallResult, CampaignStatus, Direction, ExtensionStatus, MessageKind,
    MessageStatus, NumberFeature, ReadStatus, SubscriptionStatus,
};
