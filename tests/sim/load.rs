//! Ten thousand verbs and hundreds of calls at once: everybody is answered, and the daemon holds no more of the
//! machine afterwards than before. Figures are printed; only what must not grow is asserted.

use crate::client::{Client, PATIENCE, empty, error, none, options};
use crate::world::{Held, World};
use futures_util::StreamExt;
use futures_util::future::join_all;
use lxhost_model::Kind;
use std::collections::HashMap;
use std::time::{Duration, Instant};
use zbus::wire::Variant;

/// Verbs of one round of `live`.
const ROUND: usize = 8;
/// Instances that live side by side.
const AT_ONCE: usize = 8;

/// All that an instance goes through, from its creation to its deletion.
async fn live(client: &Client, name: &str) {
    let path = client.create(name, &none()).await;
    let (instance, guest, nothing) = (client.instance(&path).await, client.guest(&path).await, none());
    client.done(&instance.start(&nothing).await.unwrap()).await;
    let null = options([("null", Variant::from(vec!["stdin", "stdout", "stderr"]))]);
    let (exec, _) = guest.exec(&["true"], &HashMap::new(), &null).await.unwrap();
    assert_eq!(client.exec(&exec).await.wait(PATIENCE.as_micros() as u64).await.unwrap().0, "exited");
    client.done(&instance.freeze(&nothing).await.unwrap()).await;
    client.done(&instance.thaw(&nothing).await.unwrap()).await;
    client.done(&instance.restart(&nothing).await.unwrap()).await;
    client.done(&instance.stop(&nothing).await.unwrap()).await;
    client.done(&instance.delete(&nothing).await.unwrap()).await;
}

async fn rounds(client: &Client, label: &str, count: usize) {
    let one = |i: usize| async move { live(client, &format!("{label}{i}")).await };
    futures_util::stream::iter(0..count).for_each_concurrent(AT_ONCE, one).await;
}

/// Waits until the daemon holds no more descriptors and threads than it did; memory is what it is then.
async fn settles(world: &World, before: Held) -> Held {
    let began = Instant::now();
    loop {
        let now = world.held();
        if now.descriptors <= before.descriptors && now.threads <= before.threads {
            return now;
        }
        assert!(began.elapsed() < PATIENCE, "before: {before:?}, after: {now:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_verbs_leave_descriptors_threads_and_memory_as_they_were() {
    let mut world = World::start().await;
    let client = world.client().await;
    // As many as ended jobs and commands are kept, so that keeping them is no growth.
    rounds(&client, "warm", 250).await;
    let before = world.held();
    let began = Instant::now();
    rounds(&client, "c", 10_000 / ROUND).await;
    let took = began.elapsed();
    let after = settles(&world, before).await;
    println!("10,000 verbs in {took:?}: {before:?} before, {after:?} after");
    // An allocator gives back what it likes; a hundred bytes for each verb would be a megabyte.
    assert!(after.kilobytes < before.kilobytes + 4096, "{before:?} before, {after:?} after");
    assert!(world.daemon_lives());
    assert_eq!(client.states().await, []);
    let (rows, _) = client.manager().await.list_jobs(&none(), "", 0).await.unwrap();
    let jobs = client.introspect("/org/lxhost1/job").await.unwrap().matches("<node name=").count();
    assert!(rows.len() <= 1000 && jobs <= 1000 + AT_ONCE, "{} rows and {jobs} objects of jobs that have ended", rows.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_requests_at_once_are_all_answered() {
    let world = World::start().await;
    let owner = world.client().await;
    let path = owner.launch("c1").await;
    // The bus allows one connection 128 calls without an answer, we allow it 64.
    let clients: Vec<Client> = join_all((0..10).map(|_| world.client())).await;
    let before = world.held();
    let began = Instant::now();
    let answers = join_all(clients.iter().flat_map(|client| (0..50).map(move |i| (client, i))).map(async |(client, i)| {
        let manager = client.manager().await;
        match i % 5 {
            0 => manager.list_instances(&none(), "", 0).await.map(|(rows, _)| rows.len()),
            1 => manager.get_states(&[path.as_ref()], &["memory"]).await.map(|states| states.len()),
            2 => client.properties(path.as_str(), "org.lxhost1.Instance").await.map(|_| 1),
            3 => client.introspect("/org/lxhost1/instance").await.map(|xml| xml.matches("<node name=").count()),
            _ => manager.get_instance("default", "c1").await.map(|found| usize::from(found == path)),
        }
    }))
    .await;
    println!("500 requests in {:?}", began.elapsed());
    for answer in answers {
        assert_eq!(answer.map_err(error), Ok(1));
    }
    settles(&world, before).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_creations_at_once_are_made_or_refused_for_their_number() {
    let world = World::start().await;
    let clients: Vec<Client> = join_all((0..10).map(|_| world.client())).await;
    let (source, nothing) = (empty(), none());
    let (source, nothing) = (&source, &nothing);
    let ends = join_all(clients.iter().enumerate().flat_map(|(c, client)| (0..50).map(move |i| (c, client, i))).map(
        async |(c, client, i)| {
            let manager = client.manager().await;
            match manager.create_instance("default", &format!("c{c}-{i}").replace("c", "n"), source, nothing, nothing).await {
                Ok((_, job)) => client.end(&job).await.result,
                Err(refusal) => format!("{:?}", error(refusal).kind),
            }
        },
    ))
    .await;
    let made = ends.iter().filter(|end| *end == "done").count();
    let over = ends.iter().filter(|end| **end == format!("{:?}", Kind::LimitsExceeded)).count();
    assert_eq!(made + over, 500, "{ends:?}");
    assert_eq!(clients[0].states().await.len(), made, "what was acknowledged is there");
    assert!(made >= 400, "{made} made, {over} refused");
}
