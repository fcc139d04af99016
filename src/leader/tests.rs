use std::time::Duration;

use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;

#[tokio::test]
async fn what_an_overloaded_api_server_refuses_is_not_asked_again_below_the_elector() {
    // A second install only returns an error, which has no effect.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let settings = LeaderSettings {
        namespace: "iodm".to_owned(),
        source: Source::Flag,
        in_pod: false,
        identity: "a".to_owned(),
        duration: Duration::from_secs(30),
        call_timeout: Duration::from_secs(15),
    };
    for status in [429, 503, 504] {
        let server = MockServer::start().await;
        Mock::given(any())
            .respond_with(ResponseTemplate::new(status))
            .mount(&server)
            .await;
        let config = kube::Config::new(server.uri().parse().unwrap());
        let client = kube::Client::try_from(client_config(config, &settings)).unwrap();
        let leases = Api::<Lease>::namespaced(client, &settings.namespace);
        assert!(leases.get(lease::NAME).await.is_err());
        let asked = server.received_requests().await.unwrap();
        assert_eq!(asked.len(), 1, "{status}");
    }
}
