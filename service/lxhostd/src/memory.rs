//! Memory of a burst goes back to the system when the last of its jobs is forgotten. The C library gives back the end of
//! the heap alone (mallopt(3), M_TRIM_THRESHOLD), and something small always lives there.

use lxhost_engine::{Engine, Event};
use tokio::sync::broadcast::error::RecvError;

/// Follows the jobs for as long as the engine lives.
pub(crate) async fn give_back(engine: Engine) {
    let mut events = engine.subscribe();
    loop {
        match events.recv().await {
            Ok(Event::JobForgotten(_)) if engine.jobs().is_empty() => trim(),
            Ok(_) | Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
    }
}

/// Takes a millisecond for each ten megabytes of heap (malloc_trim(3)).
#[allow(unsafe_code)]
fn trim() {
    #[cfg(target_env = "gnu")]
    // SAFETY: gives free pages of the heap back; no pointer to them exists.
    unsafe {
        libc::malloc_trim(0);
    }
}
