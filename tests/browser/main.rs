//! The connect page in a real browser: headless Chromium, the real processes, the simulator's login page.

#![allow(clippy::unwrap_used, reason = "in a test the place of a panic says what went wrong")]

mod driver;
mod rig;
#[path = "../fleet/rig/checker/secrets.rs"]
mod secrets;

use std::time::Duration;

use crate::{
    driver::{Browser, Size},
    rig::{KEY, Rig},
};

const LIST: &str = "/connect/extensions";
const FLEET: &str = "/connect/fleet";
const EXPLAIN: &str = "/connect/fleet/message";

/// From the page to the provider's form, filled in.
async fn sign_in_at_the_provider(browser: &Browser, rig: &Rig, decision: &str) {
    browser.open(&rig.page("/connect")).await;
    browser.is_sound().await;
    browser.click("button.main").await;
    browser.until("the provider's page", async || browser.address().await.contains("/restapi/oauth/authorize")).await;
    browser.write("[name=login]", &rig.account.extension_number).await;
    browser.write("[name=password]", &rig.password).await;
    browser.click(&format!("[value={decision}]")).await;
    browser.until("the way back", async || browser.address().await.starts_with(&rig.page("/connect/callback"))).await;
    browser.is_sound().await;
}

async fn sign_in_as_operator(browser: &Browser, rig: &Rig) {
    browser.open(&rig.page(LIST)).await;
    browser.until_text("The list of extensions and the page of the fleet are for the people who run Ringfleet").await;
    browser.is_sound().await;
    browser.write("#key", KEY).await;
    browser.click("button.main").await;
    browser.until_text("Extensions").await;
    browser.is_sound().await;
}

/// A page that is loaded anew meanwhile can't be looked at.
async fn fleet_held_still(browser: &Browser, rig: &Rig) {
    browser.open(&rig.page("/connect/fleet?hold=true")).await;
    browser.until_text("Held still").await;
    browser.is_sound().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_employee_connects_the_operator_sees_it_and_a_worker_sends_from_that_extension() {
    let rig = Rig::start().await;
    let employee = Browser::start(Size::Desk).await;
    sign_in_at_the_provider(&employee, &rig, "allow").await;
    employee.until_text(&format!("Extension {} is connected", rig.account.extension_number)).await;
    employee.reload().await;
    employee.until_text("Your extension is connected").await;
    employee.quit().await;

    let operator = Browser::start(Size::Desk).await;
    sign_in_as_operator(&operator, &rig).await;
    operator.until_text("1 connected").await;
    let row = operator.text_of(&format!("#e{}", rig.account.extension_id)).await;
    for part in ["Connected by the employee", "Lasts until", "Switch off", "Disconnect"] {
        assert!(row.contains(part), "{part}: {row}");
    }

    let _worker = rig.process("worker");
    rig.enqueue("Your appointment is tomorrow at 10:00.").await;
    operator.open(&rig.page(FLEET)).await;
    rig.until("the text is sent", || rig.simulator.report().accepted == 1).await;
    // The page comes to it by itself.
    operator.until_text("1 sent").await;
    fleet_held_still(&operator, &rig).await;
    operator.until_text("1 worker is there").await;
    operator.open(&rig.page(EXPLAIN)).await;
    operator.is_sound().await;
    operator.write("#extension", &rig.account.extension_id).await;
    operator.click("form[action='/connect/fleet/extension'] button").await;
    operator.until_text("No message of it is due").await;
    operator.is_sound().await;
    operator.open(&rig.page(LIST)).await;

    operator.click(&format!("#e{} .button.danger", rig.account.extension_id)).await;
    operator.until_text("Keep it").await;
    operator.is_sound().await;
    operator.click("button.danger").await;
    operator.until_text("Disconnected.").await;
    operator.is_sound().await;
    rig.enqueue("And the day after at 11:00.").await;
    operator
        .until("the list tells that the extension must be connected", async || {
            operator.open(&rig.page(LIST)).await;
            operator.text_of("main").await.contains("Nobody can log in for the extension")
        })
        .await;
    operator.quit().await;
    assert_eq!(rig.simulator.report().accepted, 1, "a text went out for an extension that was disconnected");
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_phone_an_employee_who_denies_connects_nothing_and_can_begin_again() {
    let rig = Rig::start().await;
    let employee = Browser::start(Size::Phone).await;
    sign_in_at_the_provider(&employee, &rig, "deny").await;
    employee.until_text("You did not allow access").await;
    employee.click(".button.main").await;
    employee.until_text("Connect my extension").await;
    sign_in_as_operator(&employee, &rig).await;
    fleet_held_still(&employee, &rig).await;
    employee.open(&rig.page(LIST)).await;
    // The fleet may have learnt meanwhile which extensions the account has.
    let nothing = ["No extension is connected yet", "0 connected"];
    let none_connected = async || {
        let text = employee.text().await;
        nothing.iter().any(|told| text.contains(told))
    };
    employee.until("no extension connected", none_connected).await;
    employee.write("#extension", &rig.account.extension_id).await;
    employee.click(".invite button").await;
    let link = employee.text_of(".copy").await;
    employee.is_sound().await;
    employee.open(&link).await;
    employee.until_text("You are invited").await;
    employee.is_sound().await;
    employee.quit().await;
}

/// How long anything on a page, or in the fleet, may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
