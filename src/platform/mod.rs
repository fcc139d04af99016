//! The Platform controller: what is known of every `Platform`, its credentials and its session.

use std::sync::Arc;

use crate::api::names::{AppId, ObjectKey};
use crate::api::platform::{Mode, PackageCounts, PlatformReason};
use crate::remote::client::Connection;
use crate::session::Session;

/// What a `Platform` is to one object that names it.
#[derive(Clone)]
pub enum Resolution {
    /// Not known yet: the first list of Platforms, Namespaces or Secrets is still under way.
    Unread,
    /// There is none of that name.
    NotFound,
    /// It does not allow the object's namespace.
    NotAllowed,
    /// Its credentials, certificates or endpoint can't be used, and no last good ones are in memory.
    Unusable {
        /// The word of the Platform's own condition.
        reason: PlatformReason,
        /// The message of the Platform's own condition.
        message: String,
    },
    /// Calls can be made.
    Usable(Usable),
}

/// A `Platform` over which calls can be made.
#[derive(Clone)]
pub struct Usable {
    /// Whose packages they are.
    pub app_id: AppId,
    /// Where permits come from.
    pub session: Arc<Session>,
    /// How calls go out.
    pub connection: Arc<Connection>,
    /// Whether packages are really deleted.
    pub mode: Mode,
    /// Changes with anything that makes trying again worthwhile: the spec or a Secret of the Platform.
    pub revision: u64,
    /// Set while the Secret can't be read and the last good credentials serve; only objects
    /// already terminating or retired may use them. The message says what is wrong.
    pub last_good: Option<(PlatformReason, String)>,
}

/// What is known of every `Platform`, Namespace and Secret that matters.
pub struct Directory {}

impl Directory {
    /// What `platform` is to an object in `namespace`, from the caches.
    pub fn resolve(&self, _platform: &ObjectKey, _namespace: &str) -> Resolution {
        Resolution::Unread
    }

    /// The same, with the Platform (and the Namespace, where a selector asks) read by a GET that is
    /// not older than 1 s; one GET serves all who ask within that second.
    ///
    /// # Errors
    /// When they can't be read, or differ from what the caches hold in anything but mode and allowed
    /// namespaces; the text says what is in the way. Then no permit may be used.
    pub async fn confirm(
        &self,
        _platform: &ObjectKey,
        _namespace: &str,
    ) -> Result<Resolution, String> {
        Err(String::new())
    }

    /// Whether the namespace is being deleted, as far as known.
    pub fn is_terminating(&self, _namespace: &str) -> bool {
        false
    }
}

/// Where the Platform controller asks how many objects of a Platform stand where.
pub type Count = Box<dyn Fn(&ObjectKey) -> PackageCounts + Send + Sync>;
