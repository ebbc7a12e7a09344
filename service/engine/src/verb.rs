//! What a verb is: the questions it asks Polkit, what it needs first, its plan, and its end.
//!
//! A verb is data plus these answers; the order in which they are asked is `run.rs`.

use crate::job::Output;
use crate::ports::{Details, State, Write};
use crate::step::{Outcome, Step};
use crate::{Ports, Result};
use async_trait::async_trait;
use lxhost_model::{Action, Instance, ObjectId, Timestamp};
use std::sync::Arc;

/// One question for Polkit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The action.
    pub action: Action,
    /// What rules may look at.
    pub details: Details,
}

impl Question {
    /// A question about `action` on `instance`, asked for `verb`.
    pub fn about(action: Action, instance: &Instance, verb: &str) -> Self {
        let details = vec![
            ("instance", instance.name.to_string()),
            ("instance-id", instance.id.to_string()),
            ("project", instance.project.to_string()),
            ("type", instance.kind.as_str().to_owned()),
            ("verb", verb.to_owned()),
        ];
        Question { action, details }
    }
}

/// What a plan may look at. It asks; it changes nothing.
pub struct View<'a> {
    /// Records to plan on.
    pub state: Arc<State>,
    /// Neighbours, for questions.
    pub ports: &'a Ports,
    /// Microseconds since the epoch.
    pub now: Timestamp,
}

/// What is to happen when a daemon finds the plan unfinished after a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Recovery {
    /// Undo every step, then write `failed`.
    Undo,
    /// Do every step again, then write `finish`.
    Resume,
    /// The same, as often as it takes: one that failed is kept for the next start.
    Insist,
}

/// What a verb is going to do, as data. It is stored before the first step.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct Plan {
    /// Written before the first step, all or none; this is where two verbs meet and one is `Busy`.
    pub writes: Vec<Write>,
    /// Done in order; undone in reverse.
    pub steps: Vec<Step>,
    /// Written after the last step.
    pub finish: Vec<Write>,
    /// Written after everything was undone.
    pub failed: Vec<Write>,
    /// What a crash in the middle means.
    pub recovery: Recovery,
}

impl Plan {
    /// A plan that is one transaction.
    pub fn writes(writes: Vec<Write>) -> Self {
        Plan { writes, steps: vec![], finish: vec![], failed: vec![], recovery: Recovery::Undo }
    }
}

/// How a verb ends well.
#[derive(Default)]
pub struct Finish {
    /// The last transaction.
    pub writes: Vec<Write>,
    /// What the caller gets.
    pub output: Output,
}

/// A verb: one thing the daemon does on request.
#[async_trait]
pub trait Verb: Send + Sync + 'static {
    /// `noun.verb`, as jobs show it.
    fn name(&self) -> &'static str;

    /// What the caller has to be allowed. Looks at names only.
    fn questions(&self, state: &State) -> Vec<Question>;

    /// The object that no other job may hold meanwhile.
    fn object(&self) -> Option<ObjectId> {
        None
    }

    /// Further objects that no other job may hold meanwhile.
    fn holds(&self, _state: &State) -> Vec<ObjectId> {
        vec![]
    }

    /// Objects that may not change meanwhile, and that other jobs may hold in the same way.
    fn shares(&self, _state: &State) -> Vec<ObjectId> {
        vec![]
    }

    /// Refuses at once what cannot succeed, before a job is opened.
    ///
    /// # Errors
    /// Those of the verb.
    fn check(&self, _state: &State) -> Result<()> {
        Ok(())
    }

    /// The next thing that has to be there first, if something is missing. Run as a job of its own;
    /// then this is asked again. Whoever may do the verb may have its prerequisites made.
    ///
    /// # Errors
    /// Those of the verb.
    async fn needs(&self, _view: &View<'_>) -> Result<Option<Box<dyn Verb>>> {
        Ok(None)
    }

    /// As a prerequisite: verbs with the same key wait for each other instead of doing it twice.
    fn key(&self) -> Option<String> {
        None
    }

    /// What it writes whole, from all records: verbs with the same answer come one after the other, from plan to end,
    /// lest one writes what another has just changed. Such a verb needs none of its kind.
    fn writes_whole(&self) -> Option<&'static str> {
        None
    }

    /// What is going to happen.
    ///
    /// # Errors
    /// Those of the verb. Nothing has been changed then.
    async fn plan(&self, view: &View<'_>) -> Result<Plan>;

    /// Hands over what cannot be written down in a plan (file descriptors of the caller).
    fn carry(&self) -> Outcome {
        Outcome::default()
    }

    /// The end, after all steps were done. `plan.finish` by default.
    ///
    /// # Errors
    /// Those of the verb; the steps are undone then.
    fn finish(&self, plan: &Plan, _outcome: &Outcome, _state: &State) -> Result<Finish> {
        Ok(Finish { writes: plan.finish.clone(), output: Output::default() })
    }

    /// What is left to do once the end is written: to remove what nobody needs any more. It cannot fail the verb; a
    /// daemon that starts goes on with it. A verb that has it is followed by none.
    fn after(&self) -> Vec<Step> {
        vec![]
    }

    /// What goes on in the same job after a good end.
    fn then(&self) -> Option<Box<dyn Verb>> {
        None
    }
}
