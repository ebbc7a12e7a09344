//! Failpoints: places on the road of every verb where something can be made to go wrong. What happens
//! there is decided by whoever set [`Engine::on_points`]: a test, or `lxhostd` as it is told to. Without
//! the feature `faults` there is nothing here. Passed by `run.rs`, by steps with several effects, by exec.
//!
//! A point is called by verb and place: `instance.start/planned` (nothing is written), `/committed` (the
//! plan is), `/launch/before` and `/launch/after` around each step, `/acted` and `/finished` around the
//! last transaction; `/undo/launch/before`, `/undone`; `/recovery/launch/before`, `/recovered`.

use crate::Result;

/// What happens at points. Nothing by default.
#[derive(Default)]
pub(crate) struct Faults {
    #[cfg(feature = "faults")]
    decide: std::sync::OnceLock<Box<Decide>>,
}

/// Decides what happens at a point: an error there, a pause, nothing. It may as well not return.
#[cfg(feature = "faults")]
pub type Decide = dyn Fn(&str) -> Result<Option<std::time::Duration>> + Send + Sync;

#[cfg(feature = "faults")]
impl crate::Engine {
    /// Has `decide` asked at every failpoint from now on; the first one that is set stays.
    pub fn on_points(&self, decide: Box<Decide>) {
        let _ = self.core.faults.decide.set(decide);
    }
}

impl Faults {
    /// The road passes the point of that name, given in parts.
    pub(crate) async fn at(&self, point: &[&str]) -> Result<()> {
        #[cfg(feature = "faults")]
        if let Some(decide) = self.decide.get()
            && let Some(pause) = decide(&point.join("/"))?
        {
            tokio::time::sleep(pause).await;
        }
        #[cfg(not(feature = "faults"))]
        let _ = point;
        Ok(())
    }

    /// `work` between two points. An error after it is an error of what has been done.
    pub(crate) async fn around<T>(&self, point: &[&str], work: impl Future<Output = Result<T>>) -> Result<T> {
        self.at(&[point, &["before"]].concat()).await?;
        let done = work.await?;
        self.at(&[point, &["after"]].concat()).await?;
        Ok(done)
    }
}
