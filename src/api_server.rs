//! The client of the API server: kube's own layers over sockets with `TCP_NODELAY`.
//!
//! kube leaves Nagle's algorithm on (<https://github.com/kube-rs/kube/issues/2056>), so the body of a request would
//! wait for the acknowledgement of its header, which Linux delays by up to 40 ms.

use std::time::Duration;

use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kube::client::retry::RetryPolicy;
use kube::client::{ClientBuilder, ConfigExt};
use kube::{Client, Config};
use tower::ServiceBuilder;
use tower::retry::RetryLayer;

/// The longest time without data in an answer. No watch is quiet for so long, so the limit ends only an answer that
/// hangs, such as a list.
pub const READ_TIMEOUT: Duration = Duration::from_secs(70);

/// A client for the cluster of `config`, with its time limits, credentials and retry policy.
///
/// # Errors
/// The certificates or credentials of `config` can't be used, or it names a proxy, which this build doesn't support.
pub fn client(config: Config) -> kube::Result<Client> {
    if config.proxy_url.is_some() {
        // kube's error names the proxy and the missing feature.
        return Client::try_from(config);
    }
    let mut sockets = HttpConnector::new();
    sockets.enforce_http(false);
    sockets.set_nodelay(true);
    let mut connector =
        TimeoutConnector::new(config.rustls_https_connector_with_connector(sockets)?);
    connector.set_connect_timeout(config.connect_timeout);
    connector.set_read_timeout(config.read_timeout);
    connector.set_write_timeout(config.write_timeout);
    connector.set_reset_reader_on_write(config.reset_reader_on_write);
    let repeats = config.default_retry;
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(repeats.then(|| RetryLayer::new(RetryPolicy::server_retry())))
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(tower::BoxError::from)
        .service(legacy::Client::builder(TokioExecutor::new()).build(connector));
    Ok(ClientBuilder::new(service, config.default_namespace).build())
}
