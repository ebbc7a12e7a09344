//! The remote `sim:`. It offers one image, `empty`: a tarball with nothing in it, for a machine
//! whose containers do not read their root.

use crate::{Faults, images};
use async_trait::async_trait;
use lxhost_engine::ports::{ImageFiles, ImageSource, Progress, SourceImage};
use lxhost_model::config::nearest;
use lxhost_model::{Error, Kind, Result};
use std::sync::Arc;

const EMPTY: &str = "empty";

/// Two blocks of zeros: the end of a tar(5) archive, and all of it.
const TARBALL: &[u8] = &[0; 1024];

/// The remote.
#[derive(Debug)]
pub struct SimSource {
    faults: Arc<Faults>,
}

impl SimSource {
    pub(crate) fn new(faults: Arc<Faults>) -> SimSource {
        SimSource { faults }
    }
}

#[async_trait]
impl ImageSource for SimSource {
    fn name(&self) -> &'static str {
        "sim"
    }

    async fn list(&self) -> Result<Vec<SourceImage>> {
        Ok(vec![SourceImage {
            alias: EMPTY.parse()?,
            also: Vec::new(),
            description: "A root with nothing in it".into(),
            architecture: rustix::system::uname().machine().to_string_lossy().into_owned(),
        }])
    }

    async fn fetch(&self, image: &str, progress: &dyn Progress) -> Result<ImageFiles> {
        self.faults.pass("source.fetch")?;
        if image != EMPTY {
            let near = nearest(image, [EMPTY]).map(|n| format!("; did you mean sim:{n}?")).unwrap_or_default();
            let wanted = lxhost_model::name::quoted(image);
            return Err(Error::new(Kind::NoSuchImage, format!("sim: has no image {wanted}{near}")));
        }
        progress.report("Making an empty image", 1.0);
        Ok(ImageFiles { meta: images::memory_file("empty image", TARBALL)?, rootfs: None })
    }
}
