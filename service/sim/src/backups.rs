//! Backups without trees: what a backup says about itself, as JSON. Which roots were filled is remembered.

use crate::{Faults, locked};
use async_trait::async_trait;
use lxhost_engine::ports::{Backups, Progress};
use lxhost_model::backup::{About, Request, Tree};
use lxhost_model::{Error, Kind, Result};
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};

/// Most bytes of a backup.
const MOST: u64 = 16 << 20;

/// Backups of the simulated machine.
#[derive(Debug)]
pub struct SimBackups {
    packed: Mutex<Vec<Request>>,
    unpacked: Mutex<Vec<Tree>>,
    faults: Arc<Faults>,
}

impl SimBackups {
    pub(crate) fn new(faults: Arc<Faults>) -> SimBackups {
        SimBackups { packed: Mutex::default(), unpacked: Mutex::default(), faults }
    }

    /// Backups and images that were written so far.
    pub fn packed(&self) -> Vec<Request> {
        locked(&self.packed).clone()
    }

    /// Trees that were unpacked so far.
    pub fn unpacked(&self) -> Vec<Tree> {
        locked(&self.unpacked).clone()
    }
}

fn read(file: &OwnedFd) -> Result<About> {
    let failed = |e: std::io::Error| Error::io("read the backup", &e);
    let mut file = File::from(file.try_clone().map_err(failed)?);
    file.rewind().map_err(|_| Error::new(Kind::InvalidArgs, "a backup is read from a regular file"))?;
    let mut text = Vec::new();
    file.take(MOST).read_to_end(&mut text).map_err(failed)?;
    parse(&text)
}

fn parse(text: &[u8]) -> Result<About> {
    if let Ok(backup) = serde_json::from_slice(text) {
        return Ok(About::Volume(backup));
    }
    serde_json::from_slice(text).map(About::Backup).map_err(|e| Error::new(Kind::Untrusted, format!("backup: {e}")))
}

#[async_trait]
impl Backups for SimBackups {
    async fn pack(&self, request: &Request, to: OwnedFd, progress: &dyn Progress) -> Result<()> {
        self.faults.pass("backups.pack")?;
        progress.report("writing backup", -1.0);
        let text = match &request.about {
            About::Backup(backup) => serde_json::to_vec(backup),
            About::Volume(backup) => serde_json::to_vec(backup),
            About::Image(image) => serde_json::to_vec(image),
        };
        let text = text.map_err(|e| Error::failed(e.to_string()))?;
        File::from(to).write_all(&text).map_err(|e| Error::io("write the backup", &e))?;
        locked(&self.packed).push(request.clone());
        Ok(())
    }

    async fn index(&self, file: &OwnedFd) -> Result<About> {
        self.faults.pass("backups.index")?;
        read(file)
    }

    async fn unpack(&self, file: &OwnedFd, trees: &[Tree], progress: &dyn Progress) -> Result<()> {
        self.faults.pass("backups.unpack")?;
        progress.report("unpacking backup", 0.0);
        read(file)?;
        locked(&self.unpacked).extend_from_slice(trees);
        Ok(())
    }

    async fn receive(&self, from: OwnedFd, trees: &[Tree], progress: &dyn Progress) -> Result<()> {
        self.faults.pass("backups.receive")?;
        progress.report("unpacking backup", 0.0);
        let failed = |e: std::io::Error| Error::io("read the backup", &e);
        let mut text = Vec::new();
        File::from(from).take(MOST).read_to_end(&mut text).map_err(failed)?;
        parse(&text)?;
        locked(&self.unpacked).extend_from_slice(trees);
        Ok(())
    }
}
