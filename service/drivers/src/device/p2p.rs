//! `p2p`: a pair of which the host's end is left to the host, with routes to the guest where they are wanted.

use super::host_end;
use async_trait::async_trait;
use lxhost_engine::ports::{NicDriver, NicKind, NicPlan, NicSpec};
use lxhost_model::Result;

/// Point to point.
pub(super) struct P2p;

#[async_trait]
impl NicDriver for P2p {
    async fn attach(&self, plan: &NicPlan) -> Result<NicSpec> {
        Ok(NicSpec::new(plan, NicKind::Pair(host_end(plan))))
    }

    async fn detach(&self, _plan: &NicPlan) -> Result<()> {
        Ok(())
    }
}
