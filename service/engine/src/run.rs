//! The one road of every verb: needs, plan, commit, act, finish. Authorization came before.
//!
//! Status is written here and nowhere else, by transactions that the plans made. What the plan
//! says is stored with the job before the first step, so that a restarted daemon can undo or
//! finish it (`reconcile.rs`).

use crate::core::Core;
use crate::job::{JobHandle, Output};
use crate::ports::{Row, RowKey, State, Write};
use crate::step::{Context, Outcome, Step};
use crate::verb::{Finish, Plan, Question, Recovery, Verb};
use crate::{Error, Kind, Result};
use lxhost_model::job::JobRow;
use std::sync::Arc;
use std::time::Duration;

/// Prerequisites one verb may have made, one after the other, before we call it a loop.
const MAX_NEEDS: usize = 16;
/// When what ends a verb is tried again, should the disk not take it.
const AGAIN: [Duration; 3] = [Duration::from_millis(100), Duration::from_secs(1), Duration::from_secs(5)];

/// A verb whose steps are done and whose end is not written yet.
struct Acted {
    verb: Box<dyn Verb>,
    plan: Plan,
    outcome: Outcome,
    /// Whether the job has a record.
    recorded: bool,
}

/// Runs `verb`, and what follows it, to the end. `granted` is what its caller was allowed; `None` for the
/// daemon's own doing.
pub(crate) async fn run(
    core: &Arc<Core>,
    job: &JobHandle,
    verb: Box<dyn Verb>,
    mut granted: Option<Vec<Question>>,
) -> Result<Output> {
    let mut output = Output::default();
    let mut next = Some(verb);
    // Its last writes go into the first transaction of the verb that follows.
    let mut acted: Option<Acted> = None;
    let mut turns = Vec::new();
    while let Some(verb) = next {
        let turn = core.jobs.turn(verb.writes_whole().map(str::to_owned));
        turns.extend(tokio::select! {
            turn = turn => turn,
            () = job.canceled() => None,
        });
        let plan = match enter(core, job, verb.as_ref(), acted.as_ref(), granted.take()).await {
            Ok((plan, before)) => {
                output.merge(before);
                plan
            }
            Err(error) => {
                // What was done stays done, whatever becomes of what was to follow.
                if let Some(acted) = acted {
                    conclude(core, job, acted).await?;
                }
                return Err(error);
            }
        };
        let mut outcome = verb.carry();
        if let Err(error) = act(core, job, verb.name(), &plan, &mut outcome).await {
            return Err(give_up(core, job, verb.name(), &plan, outcome, error).await);
        }
        next = verb.then();
        let recorded = acted.is_some() || !plan.steps.is_empty();
        acted = Some(Acted { verb, plan, outcome, recorded });
    }
    if let Some(acted) = acted {
        output.merge(conclude(core, job, acted).await?);
    }
    Ok(output)
}

/// Needs, plan, commit; the commit ends what was `acted` before, too. An error means that nothing was changed.
async fn enter(
    core: &Arc<Core>,
    job: &JobHandle,
    verb: &dyn Verb,
    acted: Option<&Acted>,
    granted: Option<Vec<Question>>,
) -> Result<(Plan, Output)> {
    satisfy(core, job, verb).await?;
    job.refuse_if_canceled()?;
    // What a plan has seen is still so when it is committed.
    let _planning = core.planning.lock().await;
    let state = core.state();
    if let Some(granted) = granted
        && verb.questions(&state).iter().any(|question| !granted.contains(question))
    {
        return Err(Error::new(Kind::Conflict, format!("{}: what it is about has changed meanwhile; try again", verb.name())));
    }
    let before = match acted {
        Some(acted) => acted.verb.finish(&acted.plan, &acted.outcome, &state)?,
        None => Finish::default(),
    };
    let plan = verb.plan(&core.view(preview(&state, &before.writes)?)).await?;
    let mut writes = before.writes;
    writes.extend(plan.writes.clone());
    if !plan.steps.is_empty() || acted.is_some() {
        writes.push(Write::Update(Row::Job(job.row(&plan)?)));
    }
    core.faults.at(&[verb.name(), "planned"]).await?;
    core.commit(writes).await?;
    job.may_be_canceled(plan.recovery == Recovery::Undo);
    Ok((plan, before.output))
}

/// The last transaction of a verb. If it is not to be had, the verb is undone.
async fn conclude(core: &Arc<Core>, job: &JobHandle, acted: Acted) -> Result<Output> {
    let Acted { verb, plan, outcome, recorded } = acted;
    let name = verb.name();
    let rest = Plan { steps: verb.after(), recovery: Recovery::Insist, ..Plan::writes(vec![]) };
    let ended = async {
        if recorded {
            core.faults.at(&[name, "acted"]).await?;
        }
        let _planning = core.planning.lock().await;
        let mut finish = verb.finish(&plan, &outcome, &core.state())?;
        // What was one transaction has had it.
        if recorded {
            finish.writes.push(match rest.steps.is_empty() {
                true => Write::Delete(RowKey::Job(job.id())),
                false => Write::Update(Row::Job(job.row(&rest)?)),
            });
        }
        core.commit(finish.writes).await?;
        Ok(finish.output)
    };
    match ended.await {
        Ok(output) => {
            // Nothing can fail any more; a daemon can still die, or be late.
            let _ = core.faults.at(&[name, "finished"]).await;
            after(core, job, name, &rest).await;
            Ok(output)
        }
        Err(error) => Err(give_up(core, job, name, &plan, outcome, error).await),
    }
}

/// What is left to do after a good end. It is tried again, and left to the next daemon if that does not help.
async fn after(core: &Arc<Core>, job: &JobHandle, name: &str, rest: &Plan) {
    if rest.steps.is_empty() {
        return;
    }
    let done = async || {
        resume(core, &[name, "after"], rest).await?;
        core.commit(vec![Write::Delete(RowKey::Job(job.id()))]).await
    };
    let mut pauses = AGAIN.iter();
    while let Err(error) = done().await {
        let Some(pause) = pauses.next() else {
            tracing::warn!("{name}: something is left, and will be removed at the next start: {error}");
            return;
        };
        tokio::time::sleep(*pause).await;
    }
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

/// All steps. On an error the caller undoes.
async fn act(core: &Arc<Core>, job: &JobHandle, verb: &str, plan: &Plan, outcome: &mut Outcome) -> Result<()> {
    // What was one transaction is done.
    if !plan.steps.is_empty() {
        core.faults.at(&[verb, "committed"]).await?;
    }
    let mut context = Context::new(core, Some(job), verb, std::mem::take(outcome));
    let mut acted = Ok(());
    for step in &plan.steps {
        job.phase(step.phase());
        let point = [verb, step.name()];
        let done = core.faults.around(&point, step.act(&mut context));
        acted = match plan.recovery {
            // What cannot be undone goes on to its end.
            Recovery::Resume | Recovery::Insist => done.await,
            Recovery::Undo => tokio::select! {
                biased;
                () = job.canceled() => Err(Error::new(Kind::Canceled, "the job was cancelled")),
                done = done => done,
            },
        };
        if acted.is_err() {
            break;
        }
    }
    *outcome = context.outcome;
    acted
}

/// Undoes a plan after `error`, and keeps every error met on the way.
async fn give_up(core: &Arc<Core>, job: &JobHandle, verb: &str, plan: &Plan, outcome: Outcome, error: Error) -> Error {
    let mut errors = undo(core, &[verb, "undo"], &plan.steps, outcome).await;
    let mut writes = plan.failed.clone();
    writes.push(Write::Delete(RowKey::Job(job.id())));
    let write = async || {
        core.faults.at(&[verb, "undone"]).await?;
        core.commit(writes.clone()).await
    };
    let mut pauses = AGAIN.iter();
    while let Err(error) = write().await {
        match pauses.next().filter(|_| matches!(error.kind, Kind::Failed | Kind::NoSpace | Kind::QuotaExceeded)) {
            Some(pause) => tokio::time::sleep(*pause).await,
            None => {
                errors.push(error);
                break;
            }
        }
    }
    errors.iter().fold(error, |first, next| Error::new(first.kind, format!("{first}; and while undoing it: {next}")))
}

/// Undoes `steps` in reverse; an error does not keep the others from being undone.
async fn undo(core: &Arc<Core>, road: &[&str], steps: &[Step], outcome: Outcome) -> Vec<Error> {
    let mut context = Context::new(core, None, "", outcome);
    let mut errors = vec![];
    for step in steps.iter().rev() {
        let point = [road, &[step.name()]].concat();
        if let Err(error) = core.faults.around(&point, step.undo(&mut context)).await {
            errors.push(error);
        }
    }
    errors
}

/// Finishes or undoes what a crash interrupted. What cannot be finished ends as failed: its object can be
/// handled again.
pub(crate) async fn recover(core: &Arc<Core>, job: &JobRow, plan: &Plan) -> Result<()> {
    let road = [job.verb.as_str(), "recovery"];
    let job = job.id;
    let mut writes = match plan.recovery {
        Recovery::Resume | Recovery::Insist => match resume(core, &road, plan).await {
            Ok(()) => plan.finish.clone(),
            Err(error) if plan.recovery == Recovery::Insist => {
                tracing::warn!(LXHOST_JOB = job, "{} is not done, and will be at the next start: {error}", road[0]);
                return Ok(());
            }
            Err(error) => {
                tracing::error!(LXHOST_JOB = job, "what a crash interrupted could not be finished: {error}");
                plan.failed.clone()
            }
        },
        Recovery::Undo => {
            for error in undo(core, &road, &plan.steps, Outcome::default()).await {
                tracing::error!(LXHOST_JOB = job, "while undoing what a crash interrupted: {error}");
            }
            plan.failed.clone()
        }
    };
    writes.push(Write::Delete(RowKey::Job(job)));
    core.faults.at(&[road[0], "recovered"]).await?;
    core.commit(writes).await?;
    Ok(())
}

async fn resume(core: &Arc<Core>, road: &[&str], plan: &Plan) -> Result<()> {
    let mut context = Context::new(core, None, "", Outcome::default());
    for step in &plan.steps {
        let point = [road, &[step.name()]].concat();
        core.faults.around(&point, step.act(&mut context)).await?;
    }
    Ok(())
}
