//! A generation is verified before it counts, and the verification is heard as every other phase is.

use std::{
    pin::pin,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use ports::GenerationStore;

use super::{
    Parts, ReplayError,
    steer::{EVERY, Phase, Steering},
};
use crate::{Compared, Ledger, Verification, VerifyError, VerifySettings, verify_with};

/// How long a verification that has time goes on before it waits for what is due.
const PACED_EVERY: Duration = Duration::from_millis(10);

/// Lets a verification run, tells how far it stands, and hears what is wanted of it: a pause is one because nothing else
/// lets it go on.
async fn steered(
    verifying: impl Future<Output = Result<Verification, VerifyError>>,
    stands: impl Fn() -> (u64, u64),
    steering: &Steering,
) -> Result<Verification, ReplayError> {
    let mut verifying = pin!(verifying);
    let every = if steering.is_paced { PACED_EVERY } else { EVERY };
    loop {
        tokio::select! {
            verified = &mut verifying => return Ok(verified?),
            () = tokio::time::sleep(every) => {
                let (records, of) = stands();
                steering.stands(records, of).await?;
            }
        }
    }
}

/// Compares every row and snapshot with the log, folded once more.
pub(super) async fn check(
    parts: &Parts,
    generation: u32,
    store: &dyn GenerationStore,
    steering: &Steering,
) -> Result<Verification, ReplayError> {
    steering.counting(Phase::Verifying, None).await?;
    let ledger = Ledger {
        log: parts.log.as_ref(),
        store,
        dead_letters: store,
        search: None,
        transitions: None,
    };
    let mut first = None;
    let mut tell = |difference| {
        first.get_or_insert(difference);
    };
    let (compared, of) = (AtomicU64::new(0), AtomicU64::new(0));
    let progress = |now: Compared| {
        compared.store(now.records, Ordering::Relaxed);
        of.store(now.of, Ordering::Relaxed);
    };
    let settings = VerifySettings { progress: Some(&progress), ..VerifySettings::default() };
    let stands = || (compared.load(Ordering::Relaxed), of.load(Ordering::Relaxed));
    let verified = steered(verify_with(ledger, settings, &mut tell), stands, steering).await?;
    match first {
        None => Ok(verified),
        Some(first) => Err(ReplayError::Differs {
            generation,
            differences: verified.differences,
            first: Box::new(first),
        }),
    }
}
