//! Disks of the container: mounts that were there at its start or came later, and that may be taken away again.
//!
//! What is done while the container runs is done by a process of its own (`plug`), one after the other: a path inside
//! may lead through a file system of the guest's, which answers when it likes.

mod plug;
pub(crate) mod source;
pub(crate) mod target;

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use lxhost_contract::{Channel, Done, Mount, Refusal, Refused};
use rustix::fs::{AtFlags, StatxFlags, statx};
use rustix::io::Errno;

use crate::exec::{Answer, Asker, refuse};
use crate::failure::{During, Failure};
use crate::launch::root::Owner;
use crate::launch::stage::Stage;
use crate::runtime_dir::RuntimeDir;
use crate::sys::birth::Child;

/// Orders that wait for those before them: one daemon has one for each instance.
const MOST_ORDERS: usize = 16;

/// What is mounted, as the kernel tells things apart: device and inode of its root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity(u32, u32, u64);

impl Identity {
    fn of(tree: impl AsFd) -> Result<Self, Errno> {
        let found = statx(tree, "", AtFlags::EMPTY_PATH, StatxFlags::INO)?;
        Ok(Self(found.stx_dev_major, found.stx_dev_minor, found.stx_ino))
    }
}

/// A disk that is in its place.
#[derive(Debug)]
pub(crate) struct Seated {
    disk: Mount,
    identity: Identity,
}

/// A disk on its way into the stage.
#[derive(Debug)]
pub(crate) struct Prepared {
    place: String,
    tree: OwnedFd,
    seated: Seated,
}

/// Takes the sources of disks from the host's own namespace, before it is left.
pub(crate) fn prepare(disks: &[Mount], owner: Owner<'_>) -> Result<Vec<Prepared>, Failure> {
    let mut prepared = Vec::new();
    for (n, disk) in disks.iter().enumerate() {
        let Some(tree) = source::tree(disk, owner)? else { continue };
        let identity = Identity::of(&tree).during(format!("mount {}", disk.target.display()))?;
        prepared.push(Prepared { place: place(n), tree, seated: Seated { disk: disk.clone(), identity } });
    }
    Ok(prepared)
}

/// Puts them beside the future root.
pub(crate) fn stage(prepared: Vec<Prepared>, stage: &Stage) -> Result<Vec<Seated>, Failure> {
    let put = |disk: Prepared| {
        stage.place(&disk.tree, &disk.place).during(format!("mount {}", disk.seated.disk.target.display()))?;
        Ok(disk.seated)
    };
    prepared.into_iter().map(put).collect()
}

/// Where a disk of the launch is on the stage.
pub(crate) fn place(number: usize) -> String {
    format!("disk{number}")
}

/// What the daemon wants done.
#[derive(Debug)]
pub(crate) enum Order {
    Attach(Mount),
    Detach(PathBuf),
}

#[derive(Debug)]
struct UnderWay {
    order: Order,
    asker: Asker,
    report: Channel,
}

/// What the process needs that carries an order out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) dir: &'a RuntimeDir,
    pub(crate) init: &'a Child,
    /// Host ids of the container's root.
    pub(crate) root: (u32, u32),
}

/// The disks of a container that runs.
#[derive(Debug)]
pub(crate) struct Disks {
    seated: Vec<Seated>,
    under_way: Option<UnderWay>,
    waiting: VecDeque<(Order, Asker)>,
}

impl Disks {
    pub(crate) fn new(seated: Vec<Seated>) -> Self {
        Self { seated, under_way: None, waiting: VecDeque::new() }
    }

    /// Takes an order. Answers that are due at once, to this one or to none.
    pub(crate) fn take(&mut self, place: Place<'_>, order: Order, asker: Asker) -> Vec<Answer> {
        if self.waiting.len() >= MOST_ORDERS {
            let refused = refuse(Refusal::TooMany, Errno::MFILE, "changes of disks");
            return vec![Answer { asker, reply: refused.into(), descriptor: None }];
        }
        self.waiting.push_back((order, asker));
        self.go_on(place)
    }

    /// To poll while something is under way.
    pub(crate) fn report(&self) -> Option<BorrowedFd<'_>> {
        self.under_way.as_ref().map(|under_way| under_way.report.as_fd())
    }

    /// What is under way has come to its end.
    pub(crate) fn on_report(&mut self, place: Place<'_>) -> Vec<Answer> {
        let Some(UnderWay { order, asker, report }) = self.under_way.take() else { return Vec::new() };
        place.dir.remove_stage();
        let reply = match (plug::read(&report), order) {
            (Ok(None), Order::Attach(_)) => Done {}.into(),
            (Ok(Some(identity)), Order::Attach(disk)) => {
                self.seated.push(Seated { disk, identity });
                Done {}.into()
            }
            (Ok(_), Order::Detach(target)) => {
                self.seated.retain(|seated| seated.disk.target != target);
                Done {}.into()
            }
            (Err(refused), _) => refused.into(),
        };
        let mut answers = vec![Answer { asker, reply, descriptor: None }];
        answers.extend(self.go_on(place));
        answers
    }

    /// Begins with what waits, unless something is under way.
    fn go_on(&mut self, place: Place<'_>) -> Vec<Answer> {
        let mut answers = Vec::new();
        while self.under_way.is_none()
            && let Some((order, asker)) = self.waiting.pop_front()
        {
            let reply = match self.begin(place, &order) {
                Ok(Some(report)) => {
                    self.under_way = Some(UnderWay { order, asker, report });
                    break;
                }
                Ok(None) => Done {}.into(),
                Err(failure) => refused(&failure).into(),
            };
            answers.push(Answer { asker, reply, descriptor: None });
        }
        answers
    }

    /// Starts what carries the order out; nothing is started for what is so already.
    fn begin(&self, place: Place<'_>, order: &Order) -> Result<Option<Channel>, Failure> {
        match (order, self.find(order)) {
            (Order::Attach(disk), Some(there)) if *disk == there.disk => Ok(None),
            (Order::Attach(disk), Some(_)) => Err(Failure::new(disk.target.display().to_string(), Errno::EXIST)),
            (Order::Attach(disk), None) => plug::attach(place, disk).map(Some),
            (Order::Detach(_), None) => Ok(None),
            (Order::Detach(target), Some(there)) => plug::detach(place, target, there.identity).map(Some),
        }
    }

    fn find(&self, order: &Order) -> Option<&Seated> {
        let target: &Path = match order {
            Order::Attach(disk) => &disk.target,
            Order::Detach(target) => target,
        };
        self.seated.iter().find(|seated| seated.disk.target == target)
    }
}

fn refused(failure: &Failure) -> Refused {
    refuse(Refusal::Failed, failure.errno, &failure.step)
}
