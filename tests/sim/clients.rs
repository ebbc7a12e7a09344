//! Clients that misbehave: that never read, that read a byte at a time, that vanish in the middle, that ask without
//! an end. Others are served, and nothing of them is left.

use crate::client::{Client, PATIENCE, none};
use crate::world::{Held, World};
use lxhost_tests::raw::{Raw, nonsense};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// Verbs of somebody well-behaved, which have to end.
async fn work(client: &Client, label: &str, rounds: usize) {
    for round in 0..rounds {
        let path = client.launch(&format!("{label}{round}")).await;
        let instance = client.instance(&path).await;
        client.done(&instance.stop(&none()).await.unwrap()).await;
        client.done(&instance.delete(&none()).await.unwrap()).await;
    }
}

/// Waits until the daemon has no more descriptors than before.
async fn descriptors_settle(world: &World, before: Held) {
    let began = Instant::now();
    while world.held().descriptors > before.descriptors {
        assert!(began.elapsed() < PATIENCE, "before: {before:?}, after: {:?}", world.held());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_never_read_keep_nobody_waiting() {
    let mut world = World::start().await;
    let client = world.client().await;
    work(&client, "warm", 20).await;
    let before = world.held();
    let mut frozen: Vec<Raw> = (0..20).map(|_| Raw::connect(world.address())).collect();
    let question = Raw::call("/org/lxhost1", "org.freedesktop.DBus.Introspectable", "Introspect", true).build(&()).unwrap();
    for raw in &mut frozen {
        raw.subscribe();
        // Answers of 20 kB each that stay with the bus; it allows 128 before it answers for us.
        raw.flood(question.data(), 100);
    }
    work(&client, "c", 100).await;
    drop(frozen);
    descriptors_settle(&world, before).await;
    let after = world.held();
    println!("twenty that never read: {before:?} before, {after:?} after");
    assert!(after.kilobytes < before.kilobytes + 16 * 1024, "{before:?} before, {after:?} after");
    assert!(world.daemon_lives());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_reads_a_byte_at_a_time_is_served_like_others() {
    let world = World::start().await;
    let client = world.client().await;
    let mut slow = Raw::connect(world.address());
    slow.subscribe();
    slow.write(&Raw::call("/org/lxhost1", "org.freedesktop.DBus.Introspectable", "Introspect", true).build(&()).unwrap());
    let reader = std::thread::spawn(move || (0..500).all(|_| slow.sip()));
    work(&client, "c", 20).await;
    assert!(reader.join().unwrap(), "it was thrown out");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_vanish_leave_no_call_no_command_and_no_descriptor() {
    let mut world = World::start().await;
    let client = world.client().await;
    let path = client.launch("c1").await;
    work(&client, "warm", 5).await;
    let before = world.held();
    for _ in 0..20 {
        let other = world.client().await;
        let guest = other.guest(&path).await;
        let (exec, streams) = guest.exec(&["sleep", "1000"], &Default::default(), &none()).await.unwrap();
        let (reader, writer) = std::io::pipe().unwrap();
        let job = other.manager().await.import_image("default", reader.as_fd().into(), "auto", &none()).await.unwrap();
        // Calls that wait for what will not come, cut off in their middle.
        let (waiting, importing) = (other.exec(&exec).await, other.object::<lxhost_dbus::proxy::JobProxy<'static>>(&job).await);
        let calls = tokio::spawn(async move {
            let _ = tokio::join!(waiting.wait(600_000_000), importing.wait(600_000_000));
        });
        tokio::task::yield_now().await;
        other.connection.close().await.unwrap();
        calls.abort();
        drop((streams, reader, writer));
    }
    descriptors_settle(&world, before).await;
    let commands = async || {
        let state = client.instance(&path).await.get_state(&["pids"], &none()).await.unwrap();
        u64::try_from(state["pids"].try_clone().unwrap()).unwrap()
    };
    let began = Instant::now();
    while commands().await > 0 {
        assert!(began.elapsed() < PATIENCE, "commands are left");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(world.daemon_lives());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_one_connection_keeps_nobody_from_being_served() {
    let mut world = World::start().await;
    let client = world.client().await;
    client.launch("c0").await;
    work(&client, "warm", 20).await;
    let before = world.held();
    let bytes = nonsense();
    let address = world.address().to_owned();
    let flood = std::thread::spawn(move || Raw::connect(&address).flood(&bytes, 5000));
    let mut longest = Duration::ZERO;
    let mut served = 0;
    while !flood.is_finished() || served < 20 {
        let asked = Instant::now();
        work(&client, &format!("c{served}-"), 1).await;
        longest = longest.max(asked.elapsed());
        served += 1;
    }
    let written = flood.join().unwrap();
    println!("a flood of {written} bytes; {served} lives of others meanwhile, the longest {longest:?}");
    assert!(written > 100_000, "the bus took only {written} bytes");
    // One more, when the flood is over: the daemon has caught up.
    work(&client, "after", 1).await;
    descriptors_settle(&world, before).await;
    let after = world.held();
    println!("{before:?} before, {after:?} after");
    assert!(after.kilobytes < before.kilobytes + 32 * 1024, "{before:?} before, {after:?} after");
    assert!(world.daemon_lives());
}
