//! Scenes: actions of people, each with one purpose. A scene works under any single fault: it waits for its conditions,
//! and at its end states how everything must be.

mod claims;
mod cluster;
mod guard;
mod objects;
mod older;
mod platforms;
mod processes;

use std::fmt;
use std::pin::Pin;

use crate::stage::Stage;

/// The future of a scene in play.
type Played<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// One scene.
#[derive(Clone, Copy)]
pub struct Scene {
    pub name: &'static str,
    pub pods: &'static [&'static str],
    pub play: for<'a> fn(&'a Stage<'a>) -> Played<'a>,
}

impl Scene {
    const fn new(
        name: &'static str,
        pods: &'static [&'static str],
        play: for<'a> fn(&'a Stage<'a>) -> Played<'a>,
    ) -> Self {
        Self { name, pods, play }
    }
}

impl fmt::Debug for Scene {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

const ONE: &[&str] = &["vpo-0"];
const TWO: &[&str] = &["vpo-0", "vpo-1"];

/// All scenes.
pub const ALL: &[Scene] = &[
    Scene::new("plain", ONE, |stage| Box::pin(objects::plain(stage))),
    Scene::new("retire", ONE, |stage| Box::pin(objects::retire(stage))),
    Scene::new("scheduled", ONE, |stage| {
        Box::pin(objects::scheduled(stage))
    }),
    Scene::new("waver", ONE, |stage| Box::pin(objects::waver(stage))),
    Scene::new("expect", ONE, |stage| Box::pin(objects::expect(stage))),
    Scene::new("pause-and-retain", ONE, |stage| {
        Box::pin(objects::pause_and_retain(stage))
    }),
    Scene::new("forced-and-created-anew", ONE, |stage| {
        Box::pin(objects::forced_and_created_anew(stage))
    }),
    Scene::new("replaced", ONE, |stage| Box::pin(objects::replaced(stage))),
    Scene::new("rename-delete-first", ONE, |stage| {
        Box::pin(claims::rename_delete_first(stage))
    }),
    Scene::new("rename-create-first", ONE, |stage| {
        Box::pin(claims::rename_create_first(stage))
    }),
    Scene::new("move-platform", ONE, |stage| {
        Box::pin(claims::move_platform(stage))
    }),
    Scene::new("left-a-broken-platform", ONE, |stage| {
        Box::pin(claims::left_a_broken_platform(stage))
    }),
    Scene::new("claimed-at-the-last-moment", ONE, |stage| {
        Box::pin(claims::claimed_at_the_last_moment(stage))
    }),
    Scene::new("split-and-reverted", ONE, |stage| {
        Box::pin(claims::split_and_reverted(stage))
    }),
    Scene::new("one-package-of-many", ONE, |stage| {
        Box::pin(claims::one_package_of_many(stage))
    }),
    Scene::new("keeper-deleted-by-mistake", ONE, |stage| {
        Box::pin(claims::keeper_deleted_by_mistake(stage))
    }),
    Scene::new("keeper-behind-a-pause", ONE, |stage| {
        Box::pin(claims::keeper_behind_a_pause(stage))
    }),
    Scene::new("keeper-moved", TWO, |stage| {
        Box::pin(claims::keeper_moved(stage))
    }),
    Scene::new("keeper-with-its-namespace", TWO, |stage| {
        Box::pin(claims::keeper_with_its_namespace(stage))
    }),
    Scene::new("wrong-application", ONE, |stage| {
        Box::pin(claims::wrong_application(stage))
    }),
    Scene::new("strangers", ONE, |stage| Box::pin(claims::strangers(stage))),
    Scene::new("stranger-with-a-token", ONE, |stage| {
        Box::pin(claims::stranger_with_a_token(stage))
    }),
    Scene::new("mass-released", ONE, |stage| {
        Box::pin(guard::mass_released(stage))
    }),
    Scene::new("more-after-a-release", ONE, |stage| {
        Box::pin(guard::more_after_a_release(stage))
    }),
    Scene::new("raised-too-little", ONE, |stage| {
        Box::pin(guard::raised_too_little(stage))
    }),
    Scene::new("mass-retained", ONE, |stage| {
        Box::pin(guard::mass_retained(stage))
    }),
    Scene::new("pruned-by-mistake", ONE, |stage| {
        Box::pin(guard::pruned_by_mistake(stage))
    }),
    Scene::new("long-grace", ONE, |stage| {
        Box::pin(guard::long_grace(stage))
    }),
    Scene::new("namespace", ONE, |stage| Box::pin(guard::namespace(stage))),
    Scene::new("token-lost", ONE, |stage| {
        Box::pin(platforms::token_lost(stage))
    }),
    Scene::new("secret-rotated", ONE, |stage| {
        Box::pin(platforms::secret_rotated(stage))
    }),
    Scene::new("platform-edited", ONE, |stage| {
        Box::pin(platforms::platform_edited(stage))
    }),
    Scene::new("observe", ONE, |stage| Box::pin(platforms::observe(stage))),
    Scene::new("platforms-deleted", ONE, |stage| {
        Box::pin(platforms::platforms_deleted(stage))
    }),
    Scene::new("small-quota", ONE, |stage| {
        Box::pin(platforms::small_quota(stage))
    }),
    Scene::new("neighbour", ONE, |stage| {
        Box::pin(platforms::neighbour(stage))
    }),
    Scene::new("finalizers-kept", ONE, |stage| {
        Box::pin(cluster::finalizers_kept(stage))
    }),
    Scene::new("finalizers-refused", ONE, |stage| {
        Box::pin(cluster::finalizers_refused(stage))
    }),
    Scene::new("statuses-refused", ONE, |stage| {
        Box::pin(cluster::statuses_refused(stage))
    }),
    Scene::new("field-lost", ONE, |stage| {
        Box::pin(cluster::field_lost(stage))
    }),
    Scene::new("restored-with-status", ONE, |stage| {
        Box::pin(cluster::restored_with_status(stage))
    }),
    Scene::new("store-back", ONE, |stage| {
        Box::pin(cluster::store_back(stage))
    }),
    Scene::new("old-statuses", ONE, |stage| {
        Box::pin(older::old_statuses(stage))
    }),
    Scene::new("old-lease-given-back", ONE, |stage| {
        Box::pin(older::old_lease_given_back(stage))
    }),
    Scene::new("old-lease-held", ONE, |stage| {
        Box::pin(older::old_lease_held(stage))
    }),
    Scene::new("old-guard", ONE, |stage| Box::pin(older::old_guard(stage))),
    Scene::new("old-definitions", ONE, |stage| {
        Box::pin(older::old_definitions(stage))
    }),
    Scene::new("hand-over", TWO, |stage| {
        Box::pin(processes::hand_over(stage))
    }),
    Scene::new("second-install", ONE, |stage| {
        Box::pin(processes::second_install(stage))
    }),
    Scene::new("clocks", TWO, |stage| Box::pin(processes::clocks(stage))),
];
