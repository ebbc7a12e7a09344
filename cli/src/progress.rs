//! Waiting for a job, with a progress line on a terminal once the wait is worth one.

use crate::bus::Session;
use crate::failure::Failure;
use futures_util::StreamExt;
use indicatif::{ProgressBar, ProgressStyle};
use lxhost_dbus::path;
use lxhost_dbus::proxy::JobProxy;
use lxhost_dbus::wire::{JobEnd, Values};
use lxhost_model::Kind;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use zbus::wire::{OwnedObjectPath, Variant};
use zbus::{MatchRule, MessageStream};

/// Shorter jobs print nothing.
const WORTH_SHOWING: Duration = Duration::from_millis(200);

/// What Ctrl-C means while a job is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnInterrupt {
    /// Stop waiting; the job goes on.
    Leave,
    /// Cancel the job and report how it ended.
    Cancel,
}

/// Waits for `job`, prints its notes and warnings, and gives what it made. `what` is shown while it lasts.
pub(crate) async fn wait(
    session: &Session,
    job: &OwnedObjectPath,
    what: &str,
    interrupt: OnInterrupt,
) -> Result<Values, Failure> {
    // What was finished at once names no job, or the object that it changed.
    if !job.as_str().starts_with(&format!("{}/job/", path::MANAGER)) {
        return Ok(Values::new());
    }
    let proxy: JobProxy<'static> = session.object(job).await?;
    let end = with_interrupts(session, &proxy, job, what, interrupt).await?;
    ended(session, end, what)
}

/// The outcome of a job: its output, or its error.
fn ended(session: &Session, end: JobEnd, what: &str) -> Result<Values, Failure> {
    if !session.quiet {
        for note in crate::values::list(&end.output, "notes") {
            eprintln!("{}", crate::render::printable(&note));
        }
    }
    for warning in crate::values::list(&end.output, "warnings") {
        eprintln!("Warning: {}", crate::render::printable(&warning));
    }
    if end.result == "done" {
        return Ok(end.output);
    }
    let kind = Kind::from_dbus_name(&end.error).unwrap_or(match end.result.as_str() {
        "canceled" => Kind::Canceled,
        "timeout" => Kind::Timeout,
        _ => Kind::Failed,
    });
    let message = match (end.message.is_empty(), end.result.as_str()) {
        (false, _) => end.message,
        (true, "canceled") => format!("{what}: cancelled"),
        (true, other) => format!("{what}: the job ended as {other}"),
    };
    Err(lxhost_model::Error::new(kind, message).into())
}

async fn with_interrupts(
    session: &Session,
    proxy: &JobProxy<'static>,
    job: &OwnedObjectPath,
    what: &str,
    interrupt: OnInterrupt,
) -> Result<JobEnd, Failure> {
    let signals = |kind| signal(kind).map_err(|e| Failure::io("wait for signals", &e));
    let (mut ctrl_c, mut term) = (signals(SignalKind::interrupt())?, signals(SignalKind::terminate())?);
    let id = job.as_str().rsplit('/').next().unwrap_or_default().to_owned();
    let waiting = proxy.wait(0);
    tokio::pin!(waiting);
    let showing = show(session, proxy, job, what);
    tokio::pin!(showing);
    let mut canceled = false;
    loop {
        let signal = tokio::select! {
            biased;
            end = &mut waiting => return Ok(end?),
            _ = ctrl_c.recv() => SignalKind::interrupt(),
            _ = term.recv() => SignalKind::terminate(),
            never = &mut showing => match never {},
        };
        if interrupt == OnInterrupt::Leave || canceled {
            eprintln!("{what}: goes on without you; lxctl operation show {id} tells how far it is");
            return Err(Failure::said(128 + u8::try_from(signal.as_raw_value()).unwrap_or(0)));
        }
        eprintln!("{what}: cancelling; once more to leave at once");
        let none = lxhost_dbus::Options::new();
        session.allowed(|| proxy.cancel(&none)).await?;
        canceled = true;
    }
}

/// A future that never ends and shows progress while it is polled.
async fn show(session: &Session, proxy: &JobProxy<'static>, job: &OwnedObjectPath, what: &str) -> std::convert::Infallible {
    if session.progress {
        tokio::time::sleep(WORTH_SHOWING).await;
        // Progress is a courtesy: the job is waited for with or without it.
        if let Ok(stream) = changes(session, job).await {
            let bar = Bar(ProgressBar::new_spinner());
            bar.0.set_prefix(what.to_owned());
            spinner(&bar.0);
            bar.0.enable_steady_tick(Duration::from_millis(120));
            follow(proxy, stream, &bar.0).await;
        }
    }
    std::future::pending().await
}

/// Clears its line when it goes.
struct Bar(ProgressBar);

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

async fn changes(session: &Session, job: &OwnedObjectPath) -> zbus::Result<MessageStream> {
    let rule = MatchRule::builder()
        .msg_type(zbus::message::Type::Signal)
        .interface("org.freedesktop.DBus.Properties")
        .member("PropertiesChanged")
        .path(job.clone())
        .build()?;
    MessageStream::for_match_rule(rule, &session.conn, None).await
}

async fn follow(proxy: &JobProxy<'static>, mut stream: MessageStream, bar: &ProgressBar) {
    update(bar, proxy.phase().await.ok(), proxy.progress().await.ok());
    while let Some(Ok(message)) = stream.next().await {
        type Changed = (String, Values, Vec<String>);
        let Ok((_, changed, _)) = message.body().deserialize::<Changed>() else { continue };
        let phase = changed.get("Phase").map(|_| crate::values::text(&changed, "Phase"));
        let progress = match changed.get("Progress").map(|v| &**v) {
            Some(Variant::F64(p)) => Some(*p),
            _ => None,
        };
        update(bar, phase, progress);
    }
}

fn update(bar: &ProgressBar, phase: Option<String>, progress: Option<f64>) {
    if let Some(phase) = phase {
        bar.set_message(crate::render::printable(&phase).into_owned());
    }
    match progress {
        Some(p) if (0.0..=1.0).contains(&p) => {
            if bar.length() != Some(1000) {
                bar.set_length(1000);
                if let Ok(style) = ProgressStyle::with_template("{prefix}: {msg} [{bar:30}] {percent}%") {
                    bar.set_style(style.progress_chars("=> "));
                }
            }
            bar.set_position((p * 1000.0) as u64);
        }
        Some(_) => {
            bar.unset_length();
            spinner(bar);
        }
        None if bar.length().is_none() => spinner(bar),
        None => (),
    }
}

fn spinner(bar: &ProgressBar) {
    if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix}: {msg} {elapsed}") {
        bar.set_style(style);
    }
}
