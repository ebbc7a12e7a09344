//! The one road of every verb: needs, plan, commit, act, finish. Authorization came before.
//!
//! Status is written here and nowhere else, by transactions that the plans made. What the plan
//! says is stored with the job before the first step, so that a restarted daemon can undo or
//! finish it (`reconcile.rs`).

use crate::core::Core;
use crate::job::{JobHandle, Output};
use crate::ports::{Row, RowKey, State, Write};
use crate::step::{Context, Outcome, Step};
use crate::verb::{Finish, Plan, Recovery, Verb};
use crate::{Error, Kind, Result};
use std::sync::Arc;

/// Prerequisites one verb may have made, one after the other, before we call it a loop.
const MAX_NEEDS: usize = 16;

/// Runs `verb`, and what follows it, to the end.
pub(crate) async fn run(core: &Arc<Core>, job: &JobHandle, verb: Box<dyn Verb>) -> Result<Output> {
    let mut verb = verb;
    let mut output = Output::default();
    // Last writes of a verb that another one follows: they go into the follower's first transaction.
    let mut pending: Vec<Write> = vec![];
    loop {
        let (plan, outcome) = match enter(core, job, verb.as_ref(), &pending).await {
            Ok(entered) => entered,
            Err(error) => {
                pending.push(Write::Delete(RowKey::Job(job.id())));
                core.commit(pending).await?;
                return Err(error);
            }
        };
        let finish = match act(core, job, verb.as_ref(), &plan, outcome).await {
            Ok(finish) => finish,
            Err(error) => return Err(give_up(core, job, &plan, error).await),
        };
        output.merge(finish.output);
        pending = finish.writes;
        match verb.then() {
            Some(next) => verb = next,
            None => break,
        }
    }
    pending.push(Write::Delete(RowKey::Job(job.id())));
    core.commit(pending).await?;
    Ok(output)
}

/// Needs, plan, commit. An error means that nothing was changed by this verb.
async fn enter(core: &Arc<Core>, job: &JobHandle, verb: &dyn Verb, pending: &[Write]) -> Result<(Plan, Outcome)> {
    satisfy(core, job, verb).await?;
    job.refuse_if_canceled()?;
    let state = preview(&core.state(), pending)?;
    let plan = verb.plan(&core.view(state)).await?;
    let mut writes = pending.to_vec();
    writes.extend(plan.writes.clone());
    if !plan.steps.is_empty() {
        writes.push(Write::Update(Row::Job(job.row(&plan)?)));
    }
    core.commit(writes).await?;
    Ok((plan, verb.carry()))
}

/// Has everything made that `verb` needs.
async fn satisfy(core: &Arc<Core>, job: &JobHandle, verb: &dyn Verb) -> Result<()> {
    let mut made = 0;
    while made < MAX_NEEDS {
        let Some(need) = verb.needs(&core.view(core.state())).await? else { return Ok(()) };
        let key = need.key();
        let _turn = tokio::select! {
            turn = core.jobs.turn(key.clone()) => turn,
            () = job.canceled() => return job.refuse_if_canceled(),
        };
        // Somebody else may have made it while we waited for our turn, and something else is missing now.
        let Some(need) = verb.needs(&core.view(core.state())).await? else { return Ok(()) };
        if need.key() != key {
            continue;
        }
        made += 1;
        job.phase(need.name());
        let child = core.open(job.uid(), need)?;
        let output = core.jobs.follow(child, job).await?;
        job.note(output);
    }
    Err(Error::failed(format!("{}: its prerequisites are never met", verb.name())))
}

/// The records as they will be once `pending` is committed.
fn preview(state: &Arc<State>, pending: &[Write]) -> Result<Arc<State>> {
    if pending.is_empty() {
        return Ok(state.clone());
    }
    let mut next = State::clone(state);
    for write in pending {
        next.apply(write.clone())?;
    }
    Ok(Arc::new(next))
}

/// All steps, then the verb's end. On an error the caller undoes.
async fn act(core: &Arc<Core>, job: &JobHandle, verb: &dyn Verb, plan: &Plan, outcome: Outcome) -> Result<Finish> {
    let mut context = Context::new(core, Some(job), outcome);
    for step in &plan.steps {
        job.refuse_if_canceled()?;
        job.phase(step.phase());
        tokio::select! {
            done = step.act(&mut context) => done?,
            () = job.canceled() => return Err(Error::new(Kind::Canceled, "the job was cancelled")),
        }
    }
    verb.finish(plan, &context.outcome, &core.state())
}

/// Undoes a plan after `error`, and keeps every error met on the way.
async fn give_up(core: &Arc<Core>, job: &JobHandle, plan: &Plan, error: Error) -> Error {
    let mut errors = undo(core, &plan.steps).await;
    let mut writes = plan.failed.clone();
    writes.push(Write::Delete(RowKey::Job(job.id())));
    if let Err(e) = core.commit(writes).await {
        errors.push(e);
    }
    errors.iter().fold(error, |first, next| Error::new(first.kind, format!("{first}; and while undoing it: {next}")))
}

/// Undoes `steps` in reverse; an error does not keep the others from being undone.
pub(crate) async fn undo(core: &Arc<Core>, steps: &[Step]) -> Vec<Error> {
    let mut context = Context::new(core, None, Outcome::default());
    let mut errors = vec![];
    for step in steps.iter().rev() {
        if let Err(error) = step.undo(&mut context).await {
            errors.push(error);
        }
    }
    errors
}

/// Finishes or undoes what a crash interrupted.
pub(crate) async fn recover(core: &Arc<Core>, job: u32, plan: &Plan) -> Result<()> {
    let mut writes = match plan.recovery {
        Recovery::Resume => {
            let mut context = Context::new(core, None, Outcome::default());
            for step in &plan.steps {
                step.act(&mut context).await?;
            }
            plan.finish.clone()
        }
        Recovery::Undo => {
            for error in undo(core, &plan.steps).await {
                tracing::error!(LXHOST_JOB = job, "while undoing what a crash interrupted: {error}");
            }
            plan.failed.clone()
        }
    };
    writes.push(Write::Delete(RowKey::Job(job)));
    core.commit(writes).await?;
    Ok(())
}
