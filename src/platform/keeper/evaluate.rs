//! Evaluates a Platform: whether calls can be made over it, with which credentials, and in which session.

use std::sync::Arc;

use super::super::credentials::{Assessment, Inputs, PlatformWord, assess, same_tls, unusable_tls};
use super::super::directory::{Access, Grant, PlatformEntry};
use super::super::object::{PlatformObject, Wanted};
use super::Keeper;
use crate::api::platform::PlatformSpec;
use crate::guard::Footing;
use crate::remote::client::Connection;
use crate::session::{Credential, Member};

/// The last good inputs and connection of a `Platform`, which are used while a Secret can't be read.
pub(super) struct LastGood {
    uid: String,
    spec: PlatformSpec,
    inputs: Inputs,
    connection: Arc<Connection>,
}

impl LastGood {
    /// Whether `object` and `spec` still have the same uid, endpoint, credentials Secret and TLS settings.
    fn serves(&self, object: &PlatformObject, spec: &PlatformSpec) -> bool {
        self.uid == object.uid
            && self.spec.endpoint == spec.endpoint
            && self.spec.credentials_secret_ref == spec.credentials_secret_ref
            && self.spec.tls == spec.tls
    }
}

impl Keeper {
    /// Evaluates `object`, joins or leaves the session, and sends a notification of the change.
    pub(super) fn evaluate(&mut self, object: PlatformObject) {
        let key = object.key.clone();
        // The flag is read before the new credential replaces the one that was tried.
        let tried = self.was_tried(&object);
        let access = match &object.wanted {
            Ok(wanted) => self.access(&object, wanted),
            Err(fault) => {
                Access::Refused(PlatformWord::new(object.undecodable(), fault.to_string()))
            }
        };
        if matches!(access, Access::Refused(_)) {
            self.held.remove(&key);
            self.sessions.leave(&key);
        }
        self.bound(&object, &access);
        self.revision += 1;
        let entry = PlatformEntry {
            object,
            access,
            revision: self.revision,
            tried,
        };
        self.directory
            .change(|view| view.platforms.insert(key.clone(), entry));
        self.tell(&key);
    }

    /// Whether a credential of this Platform (same uid) was tried. A try in progress counts; otherwise a Platform
    /// whose credential changes during each try would never count as tried.
    fn was_tried(&self, object: &PlatformObject) -> bool {
        let view = self.directory.view();
        let known = view.platforms.get(&object.key);
        let known = known.filter(|entry| entry.object.uid == object.uid);
        let known = known.map(|entry| match &entry.access {
            Access::Granted(grant) => (entry.tried, Some(Arc::clone(&grant.session))),
            Access::Unread | Access::Refused(_) => (entry.tried, None),
        });
        drop(view);
        known.is_some_and(|(tried, session)| {
            tried || session.is_some_and(|session| session.try_has_begun())
        })
    }

    /// Sets the bound of the Platform in its guard. Where the application is not known now, the last known one stays:
    /// a loss of credentials is no release.
    fn bound(&self, object: &PlatformObject, access: &Access) {
        let Ok(wanted) = &object.wanted else { return };
        let (key, uid, guard) = (&object.key, &object.uid, &wanted.spec.guard);
        let now = self.clock.wall();
        match access {
            Access::Granted(grant) => {
                let application = &grant.key.app_id;
                let footing = Footing {
                    key: grant.key.clone(),
                    credential: grant.credential.clone(),
                    proven: grant.session.speaks_for_application(),
                };
                self.guards.stand(key, &footing, now);
                self.guards.set_bound(key, uid, application, guard, now);
            }
            Access::Unread | Access::Refused(_) => self.guards.keep_bound(key, uid, guard, now),
        }
    }

    fn access(&mut self, object: &PlatformObject, wanted: &Wanted) -> Access {
        let key = &object.key;
        let assessment = assess(&wanted.spec, &key.namespace, |secret| {
            self.secrets.get(secret)
        });
        match assessment {
            Assessment::Unread => Access::Unread,
            Assessment::Invalid(refusal) => Access::Refused(refusal),
            Assessment::Unreadable(refusal) => match self.held.remove(key) {
                Some(held) if held.serves(object, &wanted.spec) => {
                    self.join(object, wanted, held, Some(refusal))
                }
                Some(_) | None => Access::Refused(refusal),
            },
            Assessment::Complete(inputs) => {
                let reusable = self.held.remove(key).filter(|held| {
                    held.inputs.session.endpoint == inputs.session.endpoint
                        && same_tls(&held.inputs.tls, &inputs.tls)
                });
                let connection = match reusable {
                    Some(held) => Ok(held.connection),
                    None => (self.connect)(&inputs.session.endpoint, &inputs.tls).map(Arc::new),
                };
                match connection {
                    Ok(connection) => {
                        connection.hide(self.hidden.remove(key).unwrap_or_default());
                        connection.hide(inputs.secrets.clone());
                        self.hidden.insert(key.clone(), connection.hidden());
                        let held = LastGood {
                            uid: object.uid.clone(),
                            spec: wanted.spec.clone(),
                            inputs,
                            connection,
                        };
                        self.join(object, wanted, held, None)
                    }
                    Err(error) => {
                        Access::Refused(unusable_tls(&wanted.spec, &key.namespace, &error))
                    }
                }
            }
        }
    }

    fn join(
        &mut self,
        object: &PlatformObject,
        wanted: &Wanted,
        held: LastGood,
        last_good: Option<PlatformWord>,
    ) -> Access {
        let member = Member {
            calls: wanted.spec.quota.limit(),
            window: wanted.spec.quota.window(),
            credential: held.inputs.credential.clone(),
            connection: Arc::clone(&held.connection),
            requested_at: object.requested_at.clone(),
            handled: object.status.last_handled_requested_at.clone(),
        };
        let (app_id, credential) = (&held.inputs.session.app_id, &held.inputs.credential);
        let grant = Grant {
            credential: self.sessions.credential(app_id, credential),
            key: held.inputs.session.clone(),
            session: self
                .sessions
                .join(&object.key, held.inputs.session.clone(), member),
            connection: Arc::clone(&held.connection),
            logs_in: matches!(held.inputs.credential, Credential::Login(_)),
            last_good,
        };
        self.held.insert(object.key.clone(), held);
        Access::Granted(grant)
    }
}
