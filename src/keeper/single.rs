//! One look at one organisation, for a command, where no keeper runs.

use std::sync::Arc;

use tokio::{runtime::Builder, sync::watch};

use super::{
    agenda::Lane,
    check::Checker,
    clock::ClockWatch,
    passed::OfKeys,
    policies::{Policies, PolicyLook},
};
use crate::{
    config::Loaded,
    dns::{Observer, Pace, RelayPart},
    keystore::{KeeperLock, Keystore},
    organisation::Organisation,
    process::RunError,
};

/// Looks at one organisation as the keeper does, and does what is due. Gives what is wrong with
/// its keys. The lock is that of the one keeper.
///
/// # Errors
///
/// When the DNS can't be asked, or the keystore not be read or written.
pub fn look(
    loaded: &Loaded,
    (keystore, _lock): (&Keystore, &KeeperLock),
    organisation: &Organisation,
) -> Result<Vec<String>, RunError> {
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let timing = loaded.settings.timing();
    let claims = loaded.claims();
    let keys = OfKeys {
        organisations: &[Arc::new(organisation.clone())],
        keystore,
        settings: &loaded.settings.reports,
    };
    let passed = keys.last_passed().unwrap_or_default();
    let (_known, passed) = watch::channel(Some(Arc::new(passed)));
    let checker = Checker::new(keystore.clone(), passed);
    let look = ClockWatch::new().look();
    let observer = Observer::with_settings(&loaded.settings.keeper)?;
    let round = Arc::new(observer.round());
    let seen = checker.look(organisation, &timing, (&round, Pace::Quick));
    let seen = runtime.block_on(seen)?;
    let done = checker.conclude(organisation, &claims, &timing, look.by_now(), seen)?;
    let policy_look = PolicyLook {
        organisation,
        part: &RelayPart::of(&loaded.settings),
        below: claims.below(),
        timing: &timing,
        findings: &done.findings,
        leads: &done.leads,
        is_asked: true,
    };
    let policies = Policies::new(keystore.clone());
    runtime.block_on(policies.look(&policy_look, &round, Lane::Slow))?;
    Ok(done.problems)
}
