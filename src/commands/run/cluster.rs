//! The connection settings of the cluster.

use std::time::Duration;

use kube::config::KubeConfigOptions;

use crate::api_server::READ_TIMEOUT;

/// The settings of the cluster in KUBECONFIG, or of the cluster that this pod runs in.
pub(in crate::commands) async fn config() -> anyhow::Result<kube::Config> {
    named_cluster().await.map(|(config, _)| config)
}

/// The settings as in [`config`], and whether this process runs in a pod of the cluster.
pub(super) async fn named_cluster() -> anyhow::Result<(kube::Config, bool)> {
    // The TLS provider of the process, which kube uses, can be set only once. If it is set already, this call fails,
    // which does no harm.
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
    // The operator decides on each retry itself; the client must not retry.
    config.default_retry = false;
    config.connect_timeout = Some(Duration::from_secs(5));
    config.read_timeout = Some(READ_TIMEOUT);
    Ok((config, in_pod))
}
