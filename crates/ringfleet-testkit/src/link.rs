use std::time::Duration;

use redis::{AsyncConnectionConfig, Client, aio::MultiplexedConnection};

/// The client's own half a second is over when a busy machine has not run the server for that long, or a large answer is read.
const PATIENCE: Duration = Duration::from_secs(60);

/// A test's own connection to a server, which waits for an answer as long as a slow machine needs.
///
/// # Panics
/// When there is no server.
pub async fn patient_link(url: &str) -> MultiplexedConnection {
    let config =
        AsyncConnectionConfig::new().set_connection_timeout(Some(PATIENCE)).set_response_timeout(Some(PATIENCE));
    let client = Client::open(url).expect("a URL of redis");
    client.get_multiplexed_async_connection_with_config(&config).await.expect("a redis-server is there")
}
