//! The record of a job: a verb under way, with the steps that undo or finish it after a crash.

use crate::{Error, ObjectId, Timestamp};

/// Number of a job; not used again while the daemon runs, nor while the job is unfinished.
pub type JobId = u32;

/// Where a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobState {
    /// Waits for another job.
    Queued,
    /// At work.
    Running,
    /// Somebody asked to stop it.
    Canceling,
    /// Ended; the result says how.
    Done,
}

impl JobState {
    /// The word of the API.
    pub fn as_str(self) -> &'static str {
        match self {
            JobState::Queued => "queued",
            JobState::Running => "running",
            JobState::Canceling => "canceling",
            JobState::Done => "done",
        }
    }
}

/// How a job ended, in systemd's words.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum JobResult {
    /// It did what it was asked.
    Done,
    /// It failed and was undone.
    Failed(Error),
    /// Somebody cancelled it and it was undone.
    Canceled,
}

impl JobResult {
    /// The word of the API.
    pub fn as_str(&self) -> &'static str {
        match self {
            JobResult::Done => "done",
            JobResult::Failed(e) if e.kind == crate::Kind::Timeout => "timeout",
            JobResult::Failed(_) => "failed",
            JobResult::Canceled => "canceled",
        }
    }
}

/// An unfinished job as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct JobRow {
    /// Its number.
    pub id: JobId,
    /// What it does, such as `instance.start`.
    pub verb: String,
    /// The object it holds, if it holds one.
    pub object: Option<ObjectId>,
    /// User who asked.
    pub uid: u32,
    /// When it was opened.
    pub created: Timestamp,
    /// What a restarted daemon needs to undo or finish it, as the verb wrote it.
    pub plan: String,
}
