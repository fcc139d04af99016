//! The reason of a Platform's conditions, and their message for people.

mod tls;

use std::time::Duration;

use super::{StatusSource, Unwatched, seconds};
use crate::api::platform::{HoldStatus, Mode, PlatformReason};
use crate::api::reason::Progress;
use crate::platform::Users;
use crate::platform::credentials::PlatformWord;
use crate::platform::directory::{Access, Grant};
use crate::platform::object::{PlatformObject, SpecFault};
use crate::remote::answer::{Detail, Trouble};
use crate::session::{Proof, SessionState};
use crate::telemetry::audit::Overdue;

/// Reason and message for the conditions; `None` while a Secret has not been read.
pub(super) fn said(look: &StatusSource<'_>) -> Option<PlatformWord> {
    let said = unwatched(of_access(look)?, look.unwatched);
    let said = without_trail(said, look.overdue);
    let hold = look.record.and_then(|record| record.hold.as_ref());
    let said = match (said.reason.progress(), hold) {
        // A fault that stops all calls has to be corrected first, so it is reported first.
        (Progress::Stalled, _) | (_, None) => said,
        (Progress::Done | Progress::Reconciling, Some(hold)) => held(look, hold),
    };
    let said = lost(look.object, with_release(look, said));
    let users = look.users.filter(|users| users.count > 0);
    let users = users.filter(|_| look.object.deleted_at.is_some());
    let Some(users) = users else {
        return Some(said);
    };
    // The reason `FieldsLost` stays, so that the next process can read it.
    let reason = if said.reason == PlatformReason::FieldsLost {
        said.reason
    } else {
        PlatformReason::InUse
    };
    Some(PlatformWord::new(reason, in_use(look, users, &said)))
}

/// Adds that a release waits for credentials to be tried, so that nobody thinks that the release was overlooked.
fn with_release(look: &StatusSource<'_>, said: PlatformWord) -> PlatformWord {
    if !look.release_waits {
        return said;
    }
    let message = format!(
        "{} This Platform has released a hold (by iodm.dev/release-hold, or by its raised maxDeletions). The release doesn't count yet for deletions that other Platforms of the application hold: \
         first the platform has to accept the credentials of this Platform and of the others. The operator tries these credentials by itself, at most one a minute.",
        said.message
    );
    PlatformWord::new(said.reason, message)
}

/// Sets the reason `FieldsLost` before any other, since the next process knows of the lost fields from this reason
/// alone.
pub(super) fn lost(object: &PlatformObject, said: PlatformWord) -> PlatformWord {
    match &object.wanted {
        Err(fault @ SpecFault::Lost { .. }) if said.reason != PlatformReason::FieldsLost => {
            let message = format!("{fault}. Meanwhile: {}", said.message);
            PlatformWord::new(PlatformReason::FieldsLost, message)
        }
        Ok(_) | Err(_) => said,
    }
}

/// Adds that the watch of a Secret fails while its last contents are used, unless the reason already says that the
/// Secret can't be read.
fn unwatched(said: PlatformWord, unwatched: Option<&Unwatched>) -> PlatformWord {
    let by_itself = [
        PlatformReason::Blind,
        PlatformReason::SecretForbidden,
        PlatformReason::SecretUnreadable,
    ];
    match unwatched {
        Some(Unwatched { words, since }) if !by_itself.contains(&said.reason) => {
            let message = format!(
                "{} Since {} the operator can't see changes of the Secret ({words}). It uses what it read before, and begins the watch anew by itself.",
                said.message,
                seconds(*since)
            );
            PlatformWord::new(said.reason, message)
        }
        Some(_) | None => said,
    }
}

/// Reports that the audit log takes no line, so that nothing is sent. A fault that stops all calls is reported first.
fn without_trail(said: PlatformWord, overdue: Option<&Overdue>) -> PlatformWord {
    match (said.reason.progress(), overdue) {
        (Progress::Done | Progress::Reconciling, Some(overdue)) => PlatformWord::new(
            PlatformReason::AuditFailed,
            format!(
                "Nothing is sent while no line can be written to the audit log ({}), because the result of a deletion has to be written before \
                 the next one begins. The operator goes on by itself once lines can be written. Give the operator disk space and the right to write the log; if its writes \
                 hang for good, restart the operator.",
                overdue.error
            ),
        ),
        (Progress::Stalled, _) | (_, None) => said,
    }
}

/// Reports a mass deletion that waits for a person.
fn held(look: &StatusSource<'_>, hold: &HoldStatus) -> PlatformWord {
    let (id, key) = (&hold.id, &look.object.key);
    let other = look
        .object
        .release_hold
        .as_ref()
        .filter(|other| *other != id);
    let other = other.map_or_else(String::new, |other| {
        format!(" The annotation iodm.dev/release-hold names {other}, which is not this hold.")
    });
    // A hold that was restored from the statuses of its objects names no Platform whose bound was exceeded.
    let raise = if hold.platform.is_empty() {
        String::new()
    } else {
        format!(
            ". Raising the bound of Platform {} that was passed also releases all of these deletions at once, if then every bound lets all of them go",
            hold.platform
        )
    };
    PlatformWord::new(
        PlatformReason::MassDeletionHeld,
        format!(
            "Hold {id} keeps {} deletions since {}: {}. If all of them are meant, run vpo hold release {id}, or \
             kubectl -n {} annotate platform {} --overwrite iodm.dev/release-hold={id}. If not, run vpo hold retain {id}, which lets \
             the objects that are being deleted go without their packages. For retired objects, set lifecycle: Active again (and remove a retireAfter that has passed), or name their packages in other objects{raise}.{other}",
            hold.count, hold.since.0, hold.reason, key.namespace, key.name
        ),
    )
}

/// Message for a Platform that is being deleted while objects need it.
fn in_use(look: &StatusSource<'_>, users: &Users, said: &PlatformWord) -> String {
    let names: Vec<String> = users.some.iter().map(ToString::to_string).collect();
    let more = match users.count.saturating_sub(names.len()) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let (going, meanwhile) = if said.reason == PlatformReason::Available {
        (
            "The objects that are already being deleted go by themselves; delete the others",
            String::new(),
        )
    } else {
        (
            "Delete the objects that aren't being deleted yet",
            format!(" Meanwhile: {}", said.message),
        )
    };
    format!(
        "This Platform is being deleted, and stays until the {} objects that need it are gone: {}{more}. {going}. Set deletionPolicy: Retain on the objects \
         whose package is to stay. To let the Platform go sooner, which holds its objects until it is created anew: \
         kubectl -n {} annotate platform {} iodm.dev/abandon={}.{meanwhile}",
        users.count,
        names.join(", "),
        look.object.key.namespace,
        look.object.key.name,
        look.object.uid
    )
}

/// Reports the state of the access to the platform; `None` while a Secret has not been read.
fn of_access(look: &StatusSource<'_>) -> Option<PlatformWord> {
    let grant = match look.access {
        Access::Unread => return None,
        Access::Refused(refusal) => return Some(refusal.clone()),
        Access::Granted(grant) => grant,
    };
    if let Some(trouble) = &grant.last_good {
        return Some(PlatformWord::new(
            trouble.reason,
            format!(
                "{} Until that is mended, the operator uses the earlier contents of the Secret, and only for deletions that were already requested.",
                trouble.message
            ),
        ));
    }
    let app_id = &grant.key.app_id;
    let endpoint = &grant.key.endpoint;
    let said = match look.snapshot.map(|snapshot| &snapshot.state) {
        // After a refused token the access is reported as usable, since the next login takes only a moment. If that
        // login fails, the state changes.
        None | Some(SessionState::Open | SessionState::TokenRefused(_)) => {
            match grant.connection.broken() {
                // A login may have used the connection of another Platform with equal credentials. So the connection of
                // this Platform may be broken although the login succeeded.
                Some(broken) => unavailable(look, grant, &broken.detail, broken.trouble),
                None => available(look, grant),
            }
        }
        Some(SessionState::Throttled { .. }) => PlatformWord::new(
            PlatformReason::Throttled,
            format!(
                "The platform refused a call of application {app_id} for too many calls, so all its calls pause for a while. \
                 If it lasts, find who else uses the application, or lower spec.quota.calls."
            ),
        ),
        Some(SessionState::Unavailable(detail, trouble)) => {
            unavailable(look, grant, detail, *trouble)
        }
        Some(SessionState::AuthenticationFailed(detail)) => {
            let keys = if grant.logs_in {
                "appId and secret"
            } else {
                "appKey and accessToken"
            };
            PlatformWord::new(
                PlatformReason::AuthenticationFailed,
                format!(
                    "{endpoint} refused the credentials of application {app_id} ({detail}). Put the right {keys} into {}: the operator tries new ones at once. Without a change the operator tries again within an hour.",
                    secret(look, Secret::Credentials)
                ),
            )
        }
        Some(SessionState::Superseded) => token_not_used(look, grant),
        Some(SessionState::QuotaTooSmall { life }) => quota_too_small(look, grant, *life),
        Some(SessionState::ApplicationRefused(detail)) => PlatformWord::new(
            PlatformReason::ApplicationRefused,
            format!(
                "{endpoint} refuses application {app_id} itself ({detail}). The owner of the application has to clear that with those who run the platform. The operator tries again by itself, with pauses of up to ten minutes."
            ),
        ),
        Some(SessionState::Unexpected(detail)) => PlatformWord::new(
            PlatformReason::UnexpectedAnswer,
            format!(
                "{endpoint} gives answers that the real platform never gives, so they prove nothing ({detail}). Compare spec.endpoint, with its path, with the real address of the platform, \
                 and look at proxies and gateways on the way. Meanwhile the operator tries one call at a time."
            ),
        ),
    };
    Some(said)
}

fn available(look: &StatusSource<'_>, grant: &Grant) -> PlatformWord {
    let mode = look.object.wanted.as_ref().map(|wanted| wanted.spec.mode);
    let (reason, message) = match mode {
        Ok(Mode::Observe) => (
            PlatformReason::Observing,
            format!(
                "No DELETE is sent, since spec.mode is Observe. Set it to Enforce to delete packages. {}",
                known(look, grant)
            ),
        ),
        Ok(Mode::Enforce) | Err(_) => (PlatformReason::Available, known(look, grant)),
    };
    let message = match tls::trusted(look, grant) {
        Some(trusted) => format!("{message} {trusted}"),
        None => message,
    };
    PlatformWord::new(reason, format!("{message}{}", takes_turns(look)))
}

/// Reports the proof of the credential, the only evidence that calls can be made.
fn known(look: &StatusSource<'_>, grant: &Grant) -> String {
    let (app_id, secret) = (&grant.key.app_id, secret(look, Secret::Credentials));
    match look.snapshot.map(|snapshot| &snapshot.proof) {
        Some(Proof::Proven { since }) => format!(
            "Calls for application {app_id} can be made: the platform accepts the credential of {secret}, which is known since {}.",
            seconds(*since)
        ),
        // A refused credential that is tried again counts as untried in the message.
        Some(Proof::Untried | Proof::Refused { .. }) | None => format!(
            "The credential of {secret} for application {app_id} is untried: its first call tells whether the platform accepts it. To try it now: \
             kubectl -n {} annotate platform {} --overwrite iodm.dev/requested-at=$(date +%s).",
            look.object.key.namespace, look.object.key.name
        ),
    }
}

/// Reports that two accepted logins end each other's tokens, so that the two take turns.
fn takes_turns(look: &StatusSource<'_>) -> String {
    let both = look.snapshot.is_some_and(|snapshot| snapshot.takes_turns);
    let Some((other, secret)) = look.other_logins.first().filter(|_| both) else {
        return String::new();
    };
    format!(
        " This Platform and Platform {other} (Secret {secret}) have different logins for the same application, and the platform accepts both. Each login ends the token of the other one, so the two Platforms take turns: \
         they change at most once in five minutes, and one waits while the other calls. Give both Platforms the same credentials."
    )
}

fn token_not_used(look: &StatusSource<'_>, grant: &Grant) -> PlatformWord {
    let login = match look.other_logins.first() {
        Some((other, secret)) => format!("the login of Platform {other} (Secret {secret})"),
        None => "the login of another Platform".to_owned(),
    };
    let place = secret(look, Secret::Credentials);
    PlatformWord::new(
        PlatformReason::TokenNotUsed,
        format!(
            "The accessToken of {place} is not used, since {login} works for application {}, and each login ends such a token. \
             In {place}, replace appKey and accessToken by the appId and secret of that login.",
            grant.key.app_id
        ),
    )
}

fn quota_too_small(look: &StatusSource<'_>, grant: &Grant, life: Duration) -> PlatformWord {
    let window = look.snapshot.map(|snapshot| snapshot.window);
    PlatformWord::new(
        PlatformReason::QuotaTooSmall,
        format!(
            "No call can be made for application {}. A login is a call too, the quota is 1 call in {}, and the token of the last login was valid for {}, so it expires before the next call is allowed. \
             Raise spec.quota.calls to 2 or more on all Platforms with this credential (the lowest counts), or have the platform give tokens that are valid for longer than spec.quota.window. \
             The operator logs in once an hour to find out whether that has changed; to have it try now, give the annotation iodm.dev/requested-at on the Platform a new value.",
            grant.key.app_id,
            exact(window.unwrap_or_default()),
            exact(life)
        ),
    )
}

fn unavailable(
    look: &StatusSource<'_>,
    grant: &Grant,
    detail: &Detail,
    trouble: Trouble,
) -> PlatformWord {
    let endpoint = &grant.key.endpoint;
    match trouble {
        Trouble::CertificateNotTrusted(fault) => tls::not_trusted(look, grant, detail, fault),
        Trouble::ClientCertificateRefused(fault) => tls::client_refused(look, grant, detail, fault),
        Trouble::TlsMismatch(fault) => tls::mismatch(grant, detail, fault),
        Trouble::Answered | Trouble::NotConnected | Trouble::ConnectionLost | Trouble::TimedOut => {
            PlatformWord::new(
                PlatformReason::PlatformUnavailable,
                format!(
                    "{endpoint} gives no answer that can be understood ({detail}). The operator tries again by itself, with growing pauses. \
                     If it lasts, look at spec.endpoint, the network and the platform."
                ),
            )
        }
    }
}

/// The Secrets that a Platform may name.
#[derive(Clone, Copy)]
enum Secret {
    Credentials,
    Ca,
    Client,
}

/// The Secret to correct, in words for a message: `Secret` with its name, or `a new Secret` with the field that should
/// name it.
fn secret(look: &StatusSource<'_>, which: Secret) -> String {
    let spec = look.object.wanted.as_ref().map(|wanted| &wanted.spec).ok();
    let tls = spec.and_then(|spec| spec.tls.as_ref());
    let (named, field) = match which {
        Secret::Credentials => (
            spec.map(|spec| &spec.credentials_secret_ref),
            "spec.credentialsSecretRef",
        ),
        Secret::Ca => (
            tls.and_then(|tls| tls.ca_secret_ref.as_ref()),
            "spec.tls.caSecretRef",
        ),
        Secret::Client => (
            tls.and_then(|tls| tls.client_cert_secret_ref.as_ref()),
            "spec.tls.clientCertSecretRef",
        ),
    };
    match named {
        Some(named) => format!("Secret {}/{}", look.object.key.namespace, named.name),
        None => format!("a new Secret, and name that Secret in {field}"),
    }
}

/// A duration from a spec, in the form in which a spec has it.
fn exact(time: Duration) -> String {
    match time.as_secs() {
        _ if time.subsec_nanos() > 0 => format!("{:.1}s", time.as_secs_f64().max(0.1)),
        seconds if seconds > 0 && seconds % 60 == 0 => format!("{}m", seconds / 60),
        seconds => format!("{seconds}s"),
    }
}
