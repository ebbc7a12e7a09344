//! `image.unpack`: an image's tree on a pool, made once for all instances. A prerequisite only.

use crate::Result;
use crate::ports::State;
use crate::step::Step;
use crate::verb::{Plan, Question, Recovery, Verb, View};
use async_trait::async_trait;
use lxhost_model::{Image, Pool};
use std::sync::Arc;

/// Unpacks an image into a pool.
pub(crate) struct Unpack {
    pool: Pool,
    image: Arc<Image>,
}

impl Unpack {
    pub(crate) fn new(pool: Pool, image: Arc<Image>) -> Self {
        Unpack { pool, image }
    }
}

#[async_trait]
impl Verb for Unpack {
    fn name(&self) -> &'static str {
        "image.unpack"
    }

    fn questions(&self, _state: &State) -> Vec<Question> {
        vec![]
    }

    fn key(&self) -> Option<String> {
        Some(format!("image.unpack {} {}", self.pool.name, self.image.fingerprint))
    }

    async fn plan(&self, _view: &View<'_>) -> Result<Plan> {
        let step = Step::UnpackImage { pool: self.pool.clone(), image: self.image.fingerprint.clone(), split: self.image.split };
        Ok(Plan { writes: vec![], steps: vec![step], finish: vec![], failed: vec![], recovery: Recovery::Undo })
    }
}
