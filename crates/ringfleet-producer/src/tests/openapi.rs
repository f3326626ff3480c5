//! docs/openapi.json has all that the API answers to and with, and nothing else.

use std::collections::BTreeSet;

use reqwest::{Method, StatusCode};
use ringcentral::MAX_TEXT_UTF16;
use ringfleet_explain::ToldEta;
use ringfleet_store::{Eta, MAX_BATCH, OnUnknown, Priority, State, Until};
use serde_json::{Value, json};

use super::{
    api::{KEY, Server},
    documented::{problems, refusals},
    fake::FakeStore,
    producer,
    roles::{READ_KEY, secret},
};
use crate::{
    check::MOST_KEY_BYTES,
    http::{
        ApiKeys, MAX_BODY_BYTES, MAX_LINE_BYTES, MAX_MESSAGES, MAX_NDJSON_BYTES, MAX_SENDERS, OPENAPI, OPENAPI_PATH,
        Role, routes,
    },
    refusal::Field,
};

fn document() -> Value {
    serde_json::from_str(OPENAPI).unwrap()
}

fn schema(name: &str) -> Value {
    document()["components"]["schemas"][name].clone()
}

fn words(list: &Value) -> BTreeSet<String> {
    list.as_array().unwrap().iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Those that an answer may have in a place. A client that takes no other would break on the next new one.
fn answered(schema: &Value) -> BTreeSet<String> {
    let others = &schema["anyOf"][1]["type"];
    assert!(*others == "string" || *others == json!(["string", "null"]), "a word more breaks clients: {schema}");
    words(&schema["anyOf"][0]["enum"])
}

fn set<'a>(words: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    words.into_iter().map(str::to_owned).collect()
}

fn named(object: &Value) -> BTreeSet<String> {
    object.as_object().unwrap().keys().cloned().collect()
}

#[tokio::test]
async fn every_route_and_method_of_the_router_stands_in_the_document_and_no_other() {
    let document = document();
    let paths = routes().map(|(path, _)| path);
    assert_eq!(named(&document["paths"]), set(paths.into_iter().chain([OPENAPI_PATH])));
    let server = Server::start(FakeStore::with_faults([])).await;
    for (path, operations) in document["paths"].as_object().unwrap() {
        let answer = server.call(Method::PATCH, &path.replace("{id}", "msg_1")).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED, "{path}");
        let allowed = answer.headers()["allow"].to_str().unwrap().to_ascii_lowercase();
        // Whoever answers GET answers HEAD.
        let allowed = set(allowed.split(',').map(str::trim).filter(|method| *method != "head"));
        let mut told = named(operations);
        told.remove("parameters");
        assert_eq!(told, allowed, "{path}");
    }
}

#[tokio::test]
async fn the_role_that_each_operation_needs_stands_in_the_document() {
    let keys = ApiKeys::try_new(secret(KEY), secret(READ_KEY)).unwrap();
    let store = FakeStore::with_faults([]);
    let server = Server::with_keys(producer(store.clone()), store, keys).await;
    let document = document();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap().iter().filter(|(name, _)| *name != "parameters") {
            let method: Method = method.to_ascii_uppercase().parse().unwrap();
            let asked = || server.bare(method.clone(), &path.replace("{id}", "msg_1"));
            let mut answers = Vec::new();
            for call in [asked(), asked().bearer_auth(READ_KEY), asked().bearer_auth(KEY)] {
                answers.push(call.send().await.unwrap().status());
            }
            let is_open = answers[0] != StatusCode::UNAUTHORIZED;
            let role = if answers[1] == StatusCode::FORBIDDEN { Role::Send } else { Role::Read };
            assert!(answers[2] != StatusCode::UNAUTHORIZED && answers[2] != StatusCode::FORBIDDEN, "{method} {path}");

            let role = json!([role.as_str()]);
            let needed = if is_open { json!([]) } else { json!([{"bearer": role}, {"apiKey": role}]) };
            let told = operation.get("security").unwrap_or(&document["security"]);
            assert_eq!(*told, needed, "{method} {path}");
            let response = |status: &str| operation["responses"][status]["$ref"].as_str();
            let no_key = (!is_open).then_some("#/components/responses/NoKey");
            let of_role = if role == json!(["send"]) { "NotAllowed" } else { "ForeignName" };
            let forbidden = format!("#/components/responses/{of_role}");
            assert_eq!((response("401"), response("403")), (no_key, Some(forbidden.as_str())), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn the_document_is_served_to_whoever_may_call() {
    let server = Server::start(FakeStore::with_faults([])).await;
    let answer = server.bare(Method::GET, OPENAPI_PATH).send().await.unwrap();
    assert_eq!(
        (answer.status(), &answer.headers()["content-type"]),
        (StatusCode::OK, &"application/json".parse().unwrap())
    );
    assert_eq!(answer.text().await.unwrap(), OPENAPI);
    let store = FakeStore::with_faults([]);
    let open = Server::with_keys(producer(store.clone()), store, ApiKeys::none()).await;
    let called = |name: &str| open.bare(Method::GET, OPENAPI_PATH).header("Host", name).send();
    assert_eq!(called("localhost:8480").await.unwrap().status(), StatusCode::OK);
    assert_eq!(called("rebound.example").await.unwrap().status(), StatusCode::FORBIDDEN);
}

#[test]
fn every_problem_stands_in_the_document_and_no_other() {
    let known: BTreeSet<String> = problems().iter().map(|kind| format!("urn:ringfleet:problem:{kind}")).collect();
    assert_eq!(answered(&schema("Problem")["properties"]["type"]), known);
    // Two come before any operation is found.
    let elsewhere = set(["urn:ringfleet:problem:no-such-path", "urn:ringfleet:problem:wrong-method"]);
    let document = document();
    let answers = document["components"]["responses"].as_object().unwrap().values();
    let kinds = answers.flat_map(|answer| {
        answered(&answer["content"]["application/problem+json"]["schema"]["allOf"][1]["properties"]["type"])
    });
    assert_eq!(kinds.chain(elsewhere).collect::<BTreeSet<_>>(), known);
}

#[test]
fn every_refusal_and_field_stands_in_the_document_and_no_other() {
    let refusal = schema("Refusal");
    assert_eq!(answered(&refusal["properties"]["code"]), set(refusals()));
    let fields = Field::NAMED.map(Field::as_str);
    let told = fields.into_iter().chain([Field::Message.as_str()]);
    assert_eq!(answered(&refusal["properties"]["field"]), set(told));
    let message = schema("NewMessage");
    assert_eq!(named(&message["properties"]), set(fields));
    let required = Field::NAMED.into_iter().filter(|field| field.is_required()).map(Field::as_str);
    assert_eq!(words(&message["required"]), set(required));
    assert_eq!(named(&schema("OptOut")["properties"]), set(["from", "to"]));
    for request in ["NewMessage", "NewMessages", "OptOut"] {
        assert_eq!(schema(request)["additionalProperties"], json!(false), "{request}");
    }
}

#[test]
fn every_state_priority_and_policy_stands_in_the_document_and_no_other() {
    assert_eq!(answered(&schema("Status")), set(State::ALL.map(State::as_str)));
    let listed = State::ALL.into_iter().filter(|state| state.is_listed()).map(State::as_str);
    assert_eq!(words(&schema("ListedStatus")["enum"]), set(listed));
    assert_eq!(words(&schema("Priority")["enum"]), set(Priority::ALL.map(Priority::as_str)));
    assert_eq!(words(&schema("OnUnknown")["enum"]), set(OnUnknown::ALL.map(OnUnknown::as_str)));
}

#[test]
fn every_result_of_a_message_stands_in_the_document_and_no_other() {
    let source = include_str!("../producer.rs").split_once("fn result_word").unwrap().1;
    let arms = source.split_once("\n}").unwrap().0.lines().filter_map(|line| line.split_once("=> \""));
    let known: BTreeSet<&str> = arms.filter_map(|(_, rest)| rest.split('"').next()).collect();
    assert_eq!(answered(&schema("Result")["properties"]["status"]), set(known));
    assert_eq!(answered(&schema("Taken")["properties"]["status"]), set(["accepted", "duplicate"]));
}

#[test]
fn every_reason_why_stands_in_the_document_and_no_other() {
    let source = include_str!("../../../ringfleet-store/src/explain/words.rs");
    let source = source.split_once("pub fn code").unwrap().1.split("pub fn ").next().unwrap();
    let arms = source.lines().filter_map(|line| line.split_once(" => \"")?.1.split('"').next());
    let mut known = set(arms);
    assert!(known.len() > 10, "the codes are no longer found: {known:?}");
    assert!(known.remove("idle"), "it is said of extensions alone");
    assert_eq!(answered(&schema("Why")["properties"]["code"]), known);
}

#[test]
fn every_kind_of_eta_stands_in_the_document_and_no_other() {
    let untils = [Until::FleetResumed, Until::LaneResumed, Until::CauseMended, Until::Decided];
    let all = [
        Eta::At(1),
        Eta::NotBefore(1),
        Eta::Expires { at: 1, turn: 2 },
        Eta::UnderWay,
        Eta::LookedUp { next: None },
        Eta::Over,
    ];
    let all: Vec<Eta> = all.into_iter().chain(untils.map(|until| Eta::Never { until })).collect();
    // A new one does not compile until it stands here, and above.
    let _ = |eta: Eta| match eta {
        Eta::At(_) | Eta::NotBefore(_) | Eta::Expires { .. } | Eta::UnderWay | Eta::LookedUp { .. } | Eta::Over => {}
        Eta::Never { until } | Eta::ExpiresUnless { until, .. } => match until {
            Until::FleetResumed | Until::LaneResumed | Until::CauseMended | Until::Decided => {}
        },
    };
    let told: Vec<ToldEta> = all.into_iter().filter_map(|eta| ToldEta::of(eta, 0)).collect();
    let eta = schema("Eta");
    assert_eq!(answered(&eta["properties"]["kind"]), set(told.iter().map(|eta| eta.kind)));
    assert_eq!(answered(&eta["properties"]["until"]), set(told.iter().filter_map(|eta| eta.until)));
    let fields = named(&serde_json::to_value(&told[0]).unwrap());
    assert_eq!((named(&eta["properties"]), words(&eta["required"])), (fields.clone(), fields));
}

#[test]
fn the_limits_are_those_of_the_code() {
    let document = document();
    let (message, key) = (schema("NewMessage"), schema("Key"));
    assert_eq!(schema("NewMessages")["properties"]["messages"]["maxItems"], json!(MAX_MESSAGES));
    assert_eq!(schema("Senders")["properties"]["senders"]["maxItems"], json!(MAX_SENDERS));
    assert_eq!(schema("Page")["properties"]["messages"]["maxItems"], json!(MAX_BATCH));
    assert_eq!(key["maxLength"], json!(MOST_KEY_BYTES));
    assert!(key["description"].as_str().unwrap().contains(&format!("{MOST_KEY_BYTES} bytes")));
    assert_eq!(message["properties"]["text"]["maxLength"], json!(MAX_TEXT_UTF16));
    let query = &document["paths"]["/v1/messages"]["get"]["parameters"];
    let limits = |list: &Value| {
        let limit = list.as_array().unwrap().iter().find(|parameter| parameter["name"] == "limit").unwrap();
        (limit["schema"]["maximum"].clone(), limit["schema"]["default"].clone())
    };
    assert_eq!(limits(query), (json!(MAX_BATCH), json!(MAX_BATCH)));
    let senders = &document["paths"]["/v1/senders"]["get"]["parameters"];
    assert_eq!(limits(senders), (json!(MAX_SENDERS), json!(MAX_SENDERS)));
    let opt_out = &document["components"]["requestBodies"]["OptOut"];
    assert_eq!(opt_out["description"], json!(format!("At most {MAX_BODY_BYTES} bytes.")));
    let messages = &document["paths"]["/v1/messages"]["post"]["requestBody"];
    let most = format!("At most {MAX_BODY_BYTES} bytes, as NDJSON {MAX_NDJSON_BYTES} with {MAX_LINE_BYTES} in a line.");
    assert_eq!(messages["description"], json!(most));
}
