//! Confirms the credentials of another Platform by reads of that Platform and its Secret. The check comes before a
//! package is deleted: an object of the other Platform names this package too, and so may want it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::credentials::{Assessment, SeenSecret, assess};
use super::reads::SecretRead;
use super::unconfirmed::Unconfirmed;
use super::{Directory, Resolution, watch};
use crate::api::names::ObjectKey;
use crate::api::platform::{PlatformSpec, Tls};

/// Timeout of one read of a Secret; an older answer is too old to be acted on.
const READ_TIMEOUT: Duration = Duration::from_secs(1);

impl Directory {
    /// Confirms by reads that `platform` allows objects of `namespace` and has the credentials of [`Self::resolve`].
    /// It reads the Platform, the Secret and, for a selector, the Namespace; it returns the result and the start of
    /// the first read.
    ///
    /// # Errors
    /// If one of the objects can't be read.
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
        // Only the Secret with the credentials is read here; the TLS Secrets don't affect the comparison.
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
