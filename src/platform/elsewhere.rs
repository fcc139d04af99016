//! Whether a Platform really has the credentials that the caches show, by reads of it and of its Secret: before a
//! package is deleted although somebody over that Platform may want one of its name.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::credentials::{Assessment, SeenSecret, assess};
use super::reads::SecretRead;
use super::unconfirmed::Unconfirmed;
use super::{Directory, Resolution, watch};
use crate::api::names::ObjectKey;
use crate::api::platform::{PlatformSpec, Tls};

/// How long one read may take: by then it is too old to be acted on.
const READ_TIMEOUT: Duration = Duration::from_secs(1);

impl Directory {
    /// Whether `platform` allows objects of `namespace` and has just the credentials of [`Self::resolve`], by reads of the
    /// Platform, of the Secret and of the Namespace where a selector asks; and when the first of them began.
    ///
    /// # Errors
    /// When one of them can't be read.
    pub async fn confirm_credentials(
        &self,
        platform: &ObjectKey,
        namespace: &str,
    ) -> Result<(bool, Instant), Unconfirmed> {
        let begun = Instant::now();
        let Resolution::Usable(usable) = self.confirm(platform, namespace).await? else {
            return Ok((false, begun));
        };
        let spec = {
            let view = self.view();
            let entry = view.platforms.get(platform);
            let wanted = entry.and_then(|entry| entry.object.wanted.as_ref().ok());
            wanted.map(|wanted| wanted.spec.clone())
        };
        let Some(spec) = spec else {
            return Ok((false, begun));
        };
        let name = ObjectKey::new(
            platform.namespace.clone(),
            spec.credentials_secret_ref.name.as_str(),
        );
        let (read, begun_later) = self.read_secret(&name).await?;
        let begun = begun.min(begun_later);
        let seen = read
            .as_ref()
            .clone()
            .map_or(SeenSecret::Missing, SeenSecret::Present);
        // Of the Secrets only the one with the credentials matters here; what TLS settings hold says nothing of them.
        let tls = spec.tls.map(|tls| Tls {
            server_name: tls.server_name,
            ..Tls::default()
        });
        let spec = PlatformSpec { tls, ..spec };
        let same = match assess(&spec, &platform.namespace, |_| Some(&seen)) {
            Assessment::Complete(inputs) => {
                inputs.session == *usable.session.key()
                    && usable.session.is_under(&inputs.credential)
            }
            Assessment::Unread | Assessment::Unreadable(_) | Assessment::Invalid(_) => false,
        };
        Ok((same, begun))
    }

    async fn read_secret(&self, secret: &ObjectKey) -> Result<(SecretRead, Instant), Unconfirmed> {
        let get = async {
            let read = watch::read_secret(self.reads.client(), secret);
            match timeout(READ_TIMEOUT, read).await {
                Ok(Ok(found)) => Ok(Arc::new(found)),
                Ok(Err(_)) | Err(_) => Err(Unconfirmed::Secret(secret.clone())),
            }
        };
        self.reads.secrets.read(secret, get).await
    }
}
