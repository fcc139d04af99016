//! Which cluster is meant, and how it is talked to.

use std::time::Duration;

use kube::config::KubeConfigOptions;

use crate::api_server::READ_TIMEOUT;

/// The cluster of KUBECONFIG, or the one that this runs in.
pub(in crate::commands) async fn config() -> anyhow::Result<kube::Config> {
    named_cluster().await.map(|(config, _)| config)
}

/// The same, and whether it is the one that this runs in.
pub(super) async fn named_cluster() -> anyhow::Result<(kube::Config, bool)> {
    // kube and the client of the platform use the same TLS provider; a second install is no matter.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let options = KubeConfigOptions::default();
    let (mut config, in_pod) = match kube::Config::from_kubeconfig(&options).await {
        Ok(config) => (config, false),
        Err(error) => {
            let config = kube::Config::incluster().map_err(|own| {
                anyhow::anyhow!(
                    "no cluster is named by KUBECONFIG ({error}), and this is no pod ({own})"
                )
            })?;
            (config, true)
        }
    };
    config.apply_debug_overrides();
    // A repeat is a new decision of ours, never a hidden one of the client.
    config.default_retry = false;
    config.connect_timeout = Some(Duration::from_secs(5));
    config.read_timeout = Some(READ_TIMEOUT);
    Ok((config, in_pod))
}
