//! PID 1 over D-Bus: transient scopes and services, and the jobs that make and end them.
//!
//! One connection is the client of the system's services; it serves nothing. One task reads `JobRemoved`, since a
//! stream that exists and is not read stops the whole connection. Called by `launcher` and by sandboxed helpers.

mod mount;
mod proxy;
mod scope;
mod service;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::{mpsc, oneshot};
use zbus::proxy::CacheProperties;
use zbus::wire::{OwnedObjectPath, Variant};

pub use proxy::{ManagerProxy, ScopeProxy};
pub use scope::{ScopeSpec, cgroup_of_scope, scope_of};

/// How often a job of PID 1 is looked at until it runs, and the pause between two looks.
const LOOKS: usize = 5;
const PAUSE: Duration = Duration::from_millis(20);

/// Why PID 1 did not do something.
#[derive(Debug, thiserror::Error)]
pub enum UnitError {
    /// A unit of that name exists.
    #[error("unit {unit} exists already")]
    Exists {
        /// Its name.
        unit: String,
    },
    /// There is no such unit.
    #[error("unit {unit} does not exist")]
    Missing {
        /// Its name.
        unit: String,
    },
    /// The job ended otherwise than "done".
    #[error("unit {unit}: job {result}")]
    Job {
        /// The unit's name.
        unit: String,
        /// `failed`, `canceled`, `timeout`, `dependency`, `skipped`.
        result: String,
    },
    /// The connection to PID 1 is gone.
    #[error("the connection to systemd is gone")]
    Gone,
    /// The call failed.
    #[error("systemd: {0}")]
    Bus(#[from] zbus::Error),
}

type Waiting = HashMap<String, Vec<oneshot::Sender<String>>>;

#[derive(Debug, Default)]
struct Jobs {
    /// `None` once the stream has ended.
    waiting: Option<Waiting>,
    /// Results that came before the reply with the job's path did.
    early: Vec<(String, String)>,
}

/// How many results are kept for jobs whose path is not known yet.
const MOST_EARLY: usize = 256;

/// A client of PID 1.
#[derive(Debug, Clone)]
pub struct Units {
    connection: zbus::Connection,
    manager: ManagerProxy<'static>,
    jobs: Arc<Mutex<Jobs>>,
}

/// A property of a transient unit.
pub type Property<'a> = (&'a str, Variant<'a>);

impl Units {
    /// Subscribes on `connection`, whose streams nobody else may leave unread.
    ///
    /// # Errors
    /// `Bus`.
    pub async fn new(connection: &zbus::Connection) -> Result<Self, UnitError> {
        let manager = ManagerProxy::new(connection).await?;
        let removed = manager.receive_job_removed().await?;
        manager.subscribe().await?;
        let jobs = Arc::new(Mutex::new(Jobs { waiting: Some(HashMap::new()), early: Vec::new() }));
        tokio::spawn(follow_jobs(removed, Arc::clone(&jobs)));
        Ok(Self { connection: connection.clone(), manager, jobs })
    }

    /// The name under which PID 1 knows us: what `Controller=` of a scope is.
    pub fn bus_name(&self) -> String {
        self.connection.unique_name().map(ToString::to_string).unwrap_or_default()
    }

    /// Starts a transient unit and waits for its job.
    ///
    /// # Errors
    /// `Exists`, `Job`, `Gone`, `Bus`.
    pub async fn start_transient(&self, unit: &str, properties: &[Property<'_>]) -> Result<(), UnitError> {
        let job = self.manager.start_transient_unit(unit, "fail", properties, &[]).await;
        let job = job.map_err(|error| named(unit, error))?;
        self.wait_for(unit, &job).await
    }

    /// Stops a unit and waits for its job; a unit that does not exist is stopped already.
    ///
    /// # Errors
    /// `Job`, `Gone`, `Bus`.
    pub async fn stop(&self, unit: &str) -> Result<(), UnitError> {
        match self.manager.stop_unit(unit, "replace").await.map_err(|error| named(unit, error)) {
            Ok(job) => self.wait_for(unit, &job).await,
            Err(UnitError::Missing { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Forgets that a unit has failed. One that has not, or is not there, has nothing to forget.
    pub async fn forget(&self, unit: &str) {
        let _ = self.manager.reset_failed_unit(unit).await;
    }

    /// Sends SIGKILL to every process of a unit; a unit that does not exist has none.
    ///
    /// # Errors
    /// `Bus`.
    pub async fn kill(&self, unit: &str) -> Result<(), UnitError> {
        match self.manager.kill_unit(unit, "all", 9).await.map_err(|error| named(unit, error)) {
            Ok(()) | Err(UnitError::Missing { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Changes properties of a unit that runs, until it ends.
    ///
    /// # Errors
    /// `Missing`, `Bus`.
    pub async fn set_properties(&self, unit: &str, properties: &[Property<'_>]) -> Result<(), UnitError> {
        self.manager.set_unit_properties(unit, true, properties).await.map_err(|error| named(unit, error))
    }

    /// Whether a unit of that name is loaded and active.
    ///
    /// # Errors
    /// `Bus`.
    pub async fn is_active(&self, unit: &str) -> Result<bool, UnitError> {
        let state = self.state(unit).await?;
        Ok(state.is_some_and(|state| matches!(state.as_str(), "active" | "activating" | "reloading" | "deactivating")))
    }

    /// Names of our scopes that PID 1 stops from now on, as long as somebody reads them.
    ///
    /// Its `RequestStop` signal would say so, too, but only to the daemon that made the scope. A stop that waits for
    /// others is not told: when the host goes down, all scopes wait for the unit that notes which of them ran.
    ///
    /// # Errors
    /// `Bus`.
    pub async fn stop_requests(&self) -> Result<mpsc::Receiver<String>, UnitError> {
        let mut new = self.manager.receive_job_new().await?;
        let (sender, receiver) = mpsc::channel(256);
        let units = self.clone();
        tokio::spawn(async move {
            while let Some(signal) = new.next().await {
                let Ok(args) = signal.args() else { continue };
                let unit = args.unit();
                if !(unit.starts_with(scope::PREFIX) && unit.ends_with(scope::SUFFIX)) {
                    continue;
                }
                if sender.is_closed() {
                    return;
                }
                let (units, sender, unit, job) = (units.clone(), sender.clone(), unit.to_string(), args.job().clone());
                tokio::spawn(async move {
                    if units.stop_begins(&job).await {
                        // A full queue has this stop in it already, or a thousand others; PID 1 kills after its timeout.
                        let _ = sender.try_send(unit);
                    }
                });
            }
        });
        Ok(receiver)
    }

    /// Whether a job stops its unit now. One that has ended needs nobody any more.
    async fn stop_begins(&self, job: &OwnedObjectPath) -> bool {
        let look = async || -> zbus::Result<(String, String)> {
            let job = proxy::JobProxy::builder(&self.connection).path(job.clone()).cache_properties(CacheProperties::No);
            let job = job.build().await?;
            Ok((job.job_type().await?, job.state().await?))
        };
        // PID 1 tells of a job a moment before it runs it.
        for _ in 0..LOOKS {
            match look().await {
                Ok((kind, state)) if kind == "stop" && state == "running" => return true,
                Ok((kind, _)) if kind == "stop" => tokio::time::sleep(PAUSE).await,
                _ => return false,
            }
        }
        false
    }

    async fn wait_for(&self, unit: &str, job: &OwnedObjectPath) -> Result<(), UnitError> {
        let (sender, result) = oneshot::channel();
        {
            let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((_, result)) = jobs.early.iter().find(|(path, _)| path == job.as_str()) {
                return finished(unit, result.clone());
            }
            let Some(waiting) = &mut jobs.waiting else { return Err(UnitError::Gone) };
            // PID 1 answers two equal requests with one job.
            waiting.entry(job.as_str().to_owned()).or_default().push(sender);
        }
        finished(unit, result.await.map_err(|_| UnitError::Gone)?)
    }
}

fn finished(unit: &str, result: String) -> Result<(), UnitError> {
    if result == "done" { Ok(()) } else { Err(UnitError::Job { unit: unit.to_owned(), result }) }
}

async fn follow_jobs(mut removed: proxy::JobRemovedStream, jobs: Arc<Mutex<Jobs>>) {
    while let Some(signal) = removed.next().await {
        let Ok(args) = signal.args() else { continue };
        let mut jobs = jobs.lock().unwrap_or_else(PoisonError::into_inner);
        let job = args.job().as_str();
        for waiting in jobs.waiting.as_mut().and_then(|waiting| waiting.remove(job)).unwrap_or_default() {
            drop(waiting.send(args.result().to_string()));
        }
        // Kept for whoever got the job's path and has not come here yet.
        if jobs.early.len() >= MOST_EARLY {
            jobs.early.remove(0);
        }
        jobs.early.push((job.to_owned(), args.result().to_string()));
    }
    jobs.lock().unwrap_or_else(PoisonError::into_inner).waiting = None;
}

fn named(unit: &str, error: zbus::Error) -> UnitError {
    if let zbus::Error::MethodError(name, _, _) = &error {
        match name.as_str() {
            "org.freedesktop.systemd1.UnitExists" => return UnitError::Exists { unit: unit.to_owned() },
            // No process: loaded, and nothing of it runs.
            "org.freedesktop.systemd1.NoSuchUnit" | "org.freedesktop.systemd1.NoSuchProcess" => {
                return UnitError::Missing { unit: unit.to_owned() };
            }
            _ => {}
        }
    }
    UnitError::Bus(error)
}
