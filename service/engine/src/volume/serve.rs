//! `volume.serve`: the files of a volume by SFTP, on a socket of the caller's, for as long as that is open. Meanwhile
//! nobody may copy, restore or delete the volume: what is written would be missed. Instances may run with it.

use super::{by_id, pool_of, question_of};
use crate::ports::State;
use crate::step::{Outcome, Step};
use crate::verb::{Plan, Question, Recovery, Verb, View};
use crate::{Error, Ports, Result};
use async_trait::async_trait;
use lxhost_model::{ObjectId, Pool};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, PoisonError};

/// Serves the files of a volume.
pub struct Serve {
    volume: ObjectId,
    socket: Mutex<Option<OwnedFd>>,
}

impl Serve {
    /// Serves those of `volume`; whoever holds the other socket is the client.
    ///
    /// # Errors
    /// `Unsupported` where nothing serves files; `Failed` when there is no socket to be had.
    pub fn new(ports: &Ports, volume: ObjectId) -> Result<(Self, OwnedFd)> {
        ports.files.can_serve()?;
        let (ours, theirs) = UnixStream::pair().map_err(|e| Error::io("make a socket", &e))?;
        Ok((Serve { volume, socket: Mutex::new(Some(ours.into())) }, theirs.into()))
    }
}

#[async_trait]
impl Verb for Serve {
    fn name(&self) -> &'static str {
        "volume.serve"
    }

    fn questions(&self, state: &State) -> Vec<Question> {
        vec![question_of(state, self.volume, self.name())]
    }

    /// Several may have it mounted.
    fn shares(&self, _state: &State) -> Vec<ObjectId> {
        vec![self.volume]
    }

    fn check(&self, state: &State) -> Result<()> {
        by_id(state, self.volume)?.has_files()
    }

    async fn plan(&self, view: &View<'_>) -> Result<Plan> {
        let volume = by_id(&view.state, self.volume)?;
        let pool = Pool::clone(pool_of(&view.state, &volume)?.as_ref());
        let steps = vec![Step::Serve { pool, volume: self.volume }];
        Ok(Plan { steps, recovery: Recovery::Undo, ..Plan::writes(vec![]) })
    }

    fn carry(&self) -> Outcome {
        Outcome { served: self.socket.lock().unwrap_or_else(PoisonError::into_inner).take(), ..Outcome::default() }
    }
}
