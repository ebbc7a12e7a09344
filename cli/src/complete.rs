//! Candidates for shell completion: names of objects, asked of the daemon with little patience.
//!
//! Completion never fails and never starts a dialog: whatever goes wrong, there are no candidates.

use crate::args::Global;
use crate::bus::{PAGE, Session};
use crate::failure::Failure;
use crate::render::Format;
use clap_complete::CompletionCandidate;
use lxhost_dbus::Options;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(1);

/// The remotes this version knows.
pub(crate) const REMOTES: &[&str] = &["debian"];

type Words = Result<Vec<String>, Failure>;

fn ask(words: impl AsyncFnOnce(Session) -> Words) -> Vec<CompletionCandidate> {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return Vec::new() };
    let global = Global { project: "default".to_owned(), host: None, far_end: false, quiet: true, no_ask_password: true };
    let answer =
        runtime.block_on(async { tokio::time::timeout(PATIENCE, async { words(Session::open(&global).await?).await }).await });
    let Ok(Ok(words)) = answer else { return Vec::new() };
    words.into_iter().filter(|w| !w.chars().any(char::is_control)).map(CompletionCandidate::new).collect()
}

/// Names of instances.
pub(crate) fn instances() -> Vec<CompletionCandidate> {
    ask(async |session| {
        let (rows, _) = session.manager().await?.list_instances(&Options::new(), "", PAGE).await?;
        Ok(rows.into_iter().map(|row| row.name).collect())
    })
}

/// Aliases of images here, or fingerprints of those without one.
pub(crate) fn local_images() -> Vec<CompletionCandidate> {
    ask(local_image_words)
}

async fn local_image_words(session: Session) -> Words {
    let (rows, _) = session.manager().await?.list_images(&Options::new(), "", PAGE).await?;
    let name = |row: lxhost_dbus::wire::ImageRow| match row.aliases.is_empty() {
        true => vec![row.fingerprint.chars().take(12).collect()],
        false => row.aliases,
    };
    Ok(rows.into_iter().flat_map(name).collect())
}

/// Images here and on the remotes.
pub(crate) fn images() -> Vec<CompletionCandidate> {
    let mut all = local_images();
    for remote in REMOTES {
        all.extend(ask(async |session| {
            let rows = session.manager().await?.list_remote_images(remote).await?;
            Ok(rows.into_iter().map(|row| format!("{remote}:{}", row.alias)).collect())
        }));
    }
    all
}

/// The remotes, with their colon.
pub(crate) fn remotes() -> Vec<CompletionCandidate> {
    REMOTES.iter().map(|remote| CompletionCandidate::new(format!("{remote}:"))).collect()
}

/// Names of profiles.
pub(crate) fn profiles() -> Vec<CompletionCandidate> {
    ask(async |session| {
        let (rows, _) = session.manager().await?.list_profiles(&Options::new(), "", PAGE).await?;
        Ok(rows.into_iter().map(|row| row.name).collect())
    })
}

/// Names of networks.
pub(crate) fn networks() -> Vec<CompletionCandidate> {
    ask(async |session| {
        let (rows, _) = session.manager().await?.list_networks(&Options::new(), "", PAGE).await?;
        Ok(rows.into_iter().map(|row| row.name).collect())
    })
}

/// Names of network ACLs.
pub(crate) fn acls() -> Vec<CompletionCandidate> {
    ask(async |session| {
        let (rows, _) = session.manager().await?.list_acls(&Options::new(), "", PAGE).await?;
        Ok(rows.into_iter().map(|row| row.name).collect())
    })
}

/// Names of pools.
pub(crate) fn pools() -> Vec<CompletionCandidate> {
    ask(async |session| Ok(session.manager().await?.list_pools().await?.into_iter().map(|row| row.name).collect()))
}

/// Names of volumes, of whatever pool.
pub(crate) fn volumes() -> Vec<CompletionCandidate> {
    ask(async |session| {
        let (rows, _) = session.manager().await?.list_volumes(&Options::new(), "", PAGE).await?;
        Ok(rows.into_iter().map(|row| row.name).collect())
    })
}

/// Volumes as `POOL/VOLUME`.
pub(crate) fn places() -> Vec<CompletionCandidate> {
    ask(async |session| {
        let (rows, _) = session.manager().await?.list_volumes(&Options::new(), "", PAGE).await?;
        Ok(rows.into_iter().map(|row| format!("{}/{}", row.pool, row.name)).collect())
    })
}

/// Names of what is in the trash.
pub(crate) fn trash() -> Vec<CompletionCandidate> {
    ask(async |session| Ok(crate::pages::trash(&session, None).await?.into_iter().map(|row| row.name).collect()))
}

/// Numbers of jobs.
pub(crate) fn operations() -> Vec<CompletionCandidate> {
    ask(async |session| {
        let (rows, _) = session.manager().await?.list_jobs(&Options::new(), "", PAGE).await?;
        Ok(rows.into_iter().map(|row| row.id.to_string()).collect())
    })
}

/// Values of `--format`.
pub(crate) fn formats() -> Vec<CompletionCandidate> {
    Format::FORMS.iter().map(|(name, _)| CompletionCandidate::new(*name)).collect()
}
