//! Drives one container by hand on a test host, as root: launch, ready, exec, stop. For people who work on the monitor;
//! the daemon's own way is `launcher`.
//!
//! `monitor PROGRAM overlay LOWER DIR [ready] -- INIT...` or `monitor PROGRAM tree DIR [ready] -- INIT...`

use std::error::Error;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Instant;

use lxhost_contract::{Bytes, Event, Exec, IdRange, Launch, Node, Overlay, Root};
use lxhost_host::monitor::{Events, Launching, Monitor};
use lxhost_host::seccomp::{Allowed, compile};
use lxhost_host::units::{ScopeSpec, Units, cgroup_of_scope};

fn launch_of(root: Root, argv: &[String], runtime_dir: &Path) -> Result<Launch, Box<dyn Error>> {
    let ids = vec![IdRange { inside: 0, outside: 1_000_000, count: 65_536 }];
    let dropped = [16, 17, 25, 32, 33, 34, 35, 36];
    let node = |name: &str| Node {
        source: PathBuf::from(format!("/dev/{name}")),
        target: PathBuf::from(format!("/dev/{name}")),
        optional: true,
    };
    Ok(Launch {
        id: "0c9b2ab0000040008000000000000001".to_owned(),
        name: "try".to_owned(),
        hostname: "try".to_owned(),
        uuid: "0c9b2ab0-0000-4000-8000-000000000001".to_owned(),
        uids: ids.clone(),
        gids: ids,
        root,
        nodes: ["null", "zero", "full", "random", "urandom", "tty", "fuse", "net/tun"].map(node).to_vec(),
        argv: argv.iter().map(Into::into).collect(),
        env: vec![
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into(),
            "container=lxhost".into(),
            "TERM=xterm".into(),
        ],
        seccomp: Bytes(compile(Allowed::default())?),
        capabilities: dropped.iter().fold((1u64 << 41) - 1, |kept, bit| kept & !(1 << bit)),
        masked: ["/proc/kcore", "/proc/kmsg", "/proc/keys", "/proc/timer_list", "/sys/firmware"].map(PathBuf::from).to_vec(),
        read_only: vec!["/proc/sysrq-trigger".into()],
        runtime_dir: runtime_dir.to_owned(),
        ..Launch::default()
    })
}

async fn run(monitor: &Monitor, events: &mut Events, id: u64, argv: &[&str], pty: bool) -> Result<(), Box<dyn Error>> {
    let begin = Instant::now();
    let exec = Exec { id, argv: argv.iter().map(Into::into).collect(), pty, rows: 24, columns: 80, ..Exec::default() };
    let streams: Vec<OwnedFd> = if pty {
        Vec::new()
    } else {
        vec![std::fs::File::open("/dev/null")?.into(), rustix::io::dup(std::io::stdout())?, rustix::io::dup(std::io::stderr())?]
    };
    match monitor.exec(exec, &streams).await {
        Ok((started, master)) => {
            println!(
                "{argv:?}: pid {} terminal {:?} master {master:?} after {:?}",
                started.pid,
                started.terminal,
                begin.elapsed()
            );
            while let Some(incoming) = events.next().await {
                println!("  event {:?} after {:?}", incoming.event, begin.elapsed());
                if let Event::ExecExited(end) = incoming.event {
                    monitor.exec_acknowledge(end.id).await?;
                    break;
                }
            }
            if let Some(master) = master {
                let mut bytes = [0; 4096];
                while let Ok(read) = rustix::io::read(&master, &mut bytes) {
                    if read == 0 {
                        break;
                    }
                    print!("  tty: {}", String::from_utf8_lossy(&bytes[..read]));
                }
            }
        }
        Err(error) => println!("{argv:?}: {error}"),
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let split = args.iter().position(|arg| arg == "--").unwrap_or(args.len());
    let (options, argv) = args.split_at(split);
    let root = match options[1].as_str() {
        "overlay" => Root::Overlay(Overlay { lowers: vec![(&options[2]).into()], dir: (&options[3]).into() }),
        _ => Root::Tree((&options[2]).into()),
    };
    let wait = options.iter().any(|option| option == "ready");
    let runtime_dir = PathBuf::from("/run/lxhost/instances/try");
    std::fs::create_dir_all(&runtime_dir)?;
    let units = Units::new(&zbus::Connection::system().await?).await?;
    let launch = launch_of(root, &argv[1..], &runtime_dir)?;

    let begin = Instant::now();
    let mut launching = Launching::begin(Path::new(&options[0]), launch).await?;
    let unit = "lxhost-try.scope";
    let scope = ScopeSpec {
        unit: unit.to_owned(),
        description: "try".to_owned(),
        pid: launching.pid(),
        stop_timeout: 20,
        ..ScopeSpec::default()
    };
    units.start_scope(&scope).await?;
    println!("scope after {:?}", begin.elapsed());
    let created = launching.scope_ready(&cgroup_of_scope(unit)).await?;
    println!("payload {} monitor {} after {:?}", created.pid, created.monitor_pid, begin.elapsed());
    let (monitor, mut events, started) = launching.go().await?;
    println!("started {} after {:?}", started.pid, begin.elapsed());
    if wait {
        while let Some(incoming) = events.next().await {
            println!("event {:?} after {:?}", incoming.event, begin.elapsed());
            if matches!(incoming.event, Event::Ready(_) | Event::Exited(_)) {
                break;
            }
        }
    }
    run(
        &monitor,
        &mut events,
        1,
        &[
            "sh",
            "-c",
            "id; cat /proc/self/status | grep -E 'Cap|Seccomp|NoNew'; cat /proc/self/cgroup; ls -l /proc/self/fd; mount; exit 3",
        ],
        false,
    )
    .await?;
    run(&monitor, &mut events, 2, &["true"], false).await?;
    run(&monitor, &mut events, 3, &["nothing-there"], false).await?;
    run(&monitor, &mut events, 4, &["sh", "-c", "tty; stty size; ps ax | head -5; kill -9 $$"], true).await?;
    if wait {
        run(&monitor, &mut events, 5, &["systemctl", "is-system-running"], false).await?;
        run(&monitor, &mut events, 6, &["systemctl", "--failed", "--no-pager"], false).await?;
    }
    let idle = std::fs::read_to_string(format!("/proc/{}/status", created.monitor_pid))?;
    println!("idle {:?}", idle.lines().filter(|l| l.starts_with("VmRSS")).collect::<Vec<_>>());
    let mut times = Vec::new();
    for id in 100..300 {
        let begin = Instant::now();
        let exec = Exec { id, argv: vec!["true".into()], ..Exec::default() };
        monitor.exec(exec, &[]).await?;
        while let Some(incoming) = events.next().await {
            if matches!(incoming.event, Event::ExecExited(_)) {
                break;
            }
        }
        times.push(begin.elapsed());
        monitor.exec_acknowledge(id).await?;
    }
    times.sort();
    println!("200 execs: min {:?} median {:?} max {:?}", times[0], times[100], times[199]);
    let status = std::fs::read_to_string(format!("/proc/{}/status", created.monitor_pid))?;
    println!("{}", status.lines().filter(|l| l.starts_with("VmRSS") || l.starts_with("Rss")).collect::<Vec<_>>().join("\n"));
    println!("fds: {}", std::fs::read_dir(format!("/proc/{}/fd", created.monitor_pid))?.count());
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    let rest = std::fs::read_to_string(format!("/proc/{}/status", created.monitor_pid))?;
    println!("at rest {:?}", rest.lines().filter(|l| l.starts_with("VmRSS") || l.starts_with("Rss")).collect::<Vec<_>>());
    println!("{}", std::fs::read_to_string(format!("/proc/{}/smaps", created.monitor_pid))?);
    let begin = Instant::now();
    monitor.freeze().await?;
    println!("frozen after {:?}", begin.elapsed());
    run(&monitor, &mut events, 7, &["true"], false).await?;
    monitor.thaw().await?;
    let begin = Instant::now();
    if wait {
        monitor.signal(37).await?;
    } else {
        monitor.kill().await?;
    }
    while let Some(incoming) = events.next().await {
        println!("event {:?} after {:?}", incoming.event, begin.elapsed());
    }
    println!("gone after {:?}; record {:?}", begin.elapsed(), lxhost_host::monitor::read_exit_record(&runtime_dir)?);
    println!("--- console\n{}", String::from_utf8_lossy(&std::fs::read(runtime_dir.join("console.log"))?));
    Ok(())
}
