//! TLS needs a crypto provider. Alone in its process, because the provider is the whole process's.

mod support;

use ringcentral::*;

#[test]
fn https_client_without_a_provider_is_an_error_that_names_the_remedy() {
    let id = ClientId::try_new("app").expect("valid");
    let secret = ClientSecret::try_new("secret").expect("valid");
    let server = ServerUrl::try_new("https://platform.ringcentral.com").expect("valid");
    let config = ClientConfig::new(server, id, secret);
    let error = Client::new(config.clone()).expect_err("no provider yet");
    assert!(error.to_string().contains("install_crypto"), "{error}");
    install_crypto();
    install_crypto();
    assert!(Client::new(config).is_ok());
}
