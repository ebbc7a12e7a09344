//! A change of a network that is undone by itself unless somebody confirms it: any verb whose end is one network's
//! record. It plans as the verb does, and adds to the record what undoes it. See `confirm`, `roll_back` and `due`.

use super::by_id;
use crate::ports::{Row, RowKey, State, Write};
use crate::step::{Outcome, Step};
use crate::verb::{Finish, Plan, Question, Recovery, Verb, View};
use crate::{Error, Result};
use async_trait::async_trait;
use lxhost_model::checkpoint::{Footing, Trial, Undoes};
use lxhost_model::{Checkpoint, Network, ObjectId};
use std::collections::BTreeSet;

/// Most routes of one interface that are kept.
const MOST: usize = 256;

/// Does what `verb` does, until it is confirmed or undone.
pub struct Tried<V> {
    verb: V,
    trial: Trial,
}

impl<V: Verb> Tried<V> {
    /// Tries `verb` for that time, which begins with its plan.
    pub fn new(verb: V, trial: Trial) -> Self {
        Tried { verb, trial }
    }

    async fn checkpoint(&self, view: &View<'_>, network: &Network, undoes: Undoes) -> Result<Checkpoint> {
        let kinds = &view.ports.networks;
        let mut interfaces = BTreeSet::new();
        let before = match &undoes {
            Undoes::Change(before) => Some(before.as_ref()),
            Undoes::Creation | Undoes::Deletion => None,
        };
        for record in before.into_iter().chain([network]) {
            let driver = kinds.driver(&record.kind)?;
            interfaces.insert(driver.interface(record));
            interfaces.extend(driver.outside(record));
        }
        let mut links = kinds.footing(&interfaces).await?;
        links.iter_mut().for_each(shorten);
        let within = self.trial.usec();
        Ok(Checkpoint { until: view.now.saturating_add(within), within, undoes, boot: view.ports.host.boot_id(), links })
    }
}

/// Those that lead furthest are what one is reached by.
fn shorten(link: &mut Footing) {
    if link.routes.len() > MOST {
        tracing::warn!(interface = link.name, "it has {} routes; {MOST} would be given back", link.routes.len());
        link.routes.sort_by_key(|route| route.destination.prefix_len());
        link.routes.truncate(MOST);
    }
}

#[async_trait]
impl<V: Verb> Verb for Tried<V> {
    fn name(&self) -> &'static str {
        self.verb.name()
    }

    fn questions(&self, state: &State) -> Vec<Question> {
        self.verb.questions(state)
    }

    fn object(&self) -> Option<ObjectId> {
        self.verb.object()
    }

    fn check(&self, state: &State) -> Result<()> {
        self.verb.check(state)
    }

    fn key(&self) -> Option<String> {
        self.verb.key()
    }

    fn writes_whole(&self) -> Option<&'static str> {
        self.verb.writes_whole()
    }

    async fn plan(&self, view: &View<'_>) -> Result<Plan> {
        let mut plan = self.verb.plan(view).await?;
        let recorded = |id| by_id(&view.state, id).map(|network| Network::clone(&network));
        let (mut network, undoes) = match plan.finish.as_slice() {
            [Write::Insert(Row::Network(new))] => (new.clone(), Undoes::Creation),
            [Write::Update(Row::Network(new))] => (new.clone(), Undoes::Change(Box::new(recorded(new.id)?))),
            [Write::Delete(RowKey::Network(id))] => (recorded(*id)?, Undoes::Deletion),
            _ => return Err(Error::failed(format!("{}: it cannot be undone", self.name()))),
        };
        let made = undoes == Undoes::Creation;
        network.checkpoint = Some(Box::new(self.checkpoint(view, &network, undoes).await?));
        for step in &mut plan.steps {
            match step {
                Step::NetworkUp(up) => up.clone_from(&network),
                // That of a network which goes on by another name is undone with what follows it.
                Step::NetworkDown(down) if network.is_leaving() => down.clone_from(&network),
                _ => {}
            }
        }
        // What is lost in the middle is as it was before, too.
        plan.recovery = Recovery::Undo;
        let row = Row::Network(network);
        plan.finish = vec![if made { Write::Insert(row) } else { Write::Update(row) }];
        Ok(plan)
    }

    fn finish(&self, plan: &Plan, outcome: &Outcome, state: &State) -> Result<Finish> {
        self.verb.finish(plan, outcome, state)
    }
}
