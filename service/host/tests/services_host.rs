//! Installed services through a real PID 1. Changes the host, so it runs only with
//! LXHOST_HOST_TEST=1, as root; elsewhere it says `skipped` and why.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // helpers of tests are tests

use lxhost_engine::ports;
use lxhost_model::Kind;
use std::path::PathBuf;

/// A unit file of this boot, removed at the end.
struct Installed(PathBuf);

impl Installed {
    fn new(unit: &str, service: &str) -> Self {
        let path = PathBuf::from("/run/systemd/system").join(unit);
        std::fs::create_dir_all("/run/systemd/system").unwrap();
        std::fs::write(&path, format!("[Service]\n{service}\n")).unwrap();
        reload();
        Installed(path)
    }
}

impl Drop for Installed {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
        reload();
    }
}

fn reload() {
    assert!(std::process::Command::new("systemctl").arg("daemon-reload").status().unwrap().success());
}

async fn units() -> Option<lxhost_host::units::Units> {
    if std::env::var_os("LXHOST_HOST_TEST").is_none_or(|v| v != "1") {
        println!("skipped: starts units; set LXHOST_HOST_TEST=1 on a throw-away host");
        return None;
    }
    let bus = zbus::Connection::system().await.unwrap();
    Some(lxhost_host::units::Units::new(&bus).await.unwrap())
}

#[tokio::test]
async fn an_installed_service_is_started_reloaded_restarted_and_stopped_once() {
    let Some(units) = units().await else { return };
    let units: &dyn ports::Units = &units;
    let unit = "lxhost-test-service@a.b-c_1.service";
    let (started, reloaded) = ("/run/lxhost-test-service.started", "/run/lxhost-test-service.reloaded");
    let _file = Installed::new(
        "lxhost-test-service@.service",
        &format!("ExecStart=/bin/sh -c 'trap \"touch {reloaded}\" HUP; touch {started}; while :; do sleep 0.05; done'"),
    );
    assert!(!units.is_active(unit).await.unwrap());
    units.reload_service(unit).await.unwrap();
    assert!(!std::path::Path::new(reloaded).exists(), "nothing runs that could reload");
    units.start_service(unit).await.unwrap();
    units.start_service(unit).await.unwrap();
    assert!(units.is_active(unit).await.unwrap());
    remove_when_there(started);
    units.reload_service(unit).await.unwrap();
    remove_when_there(reloaded);
    units.restart_service(unit).await.unwrap();
    assert!(units.is_active(unit).await.unwrap());
    remove_when_there(started);
    units.stop_service(unit).await.unwrap();
    units.stop_service(unit).await.unwrap();
    assert!(!units.is_active(unit).await.unwrap());
}

/// Waits for what the service says, and takes it.
fn remove_when_there(path: &str) {
    let begin = std::time::Instant::now();
    while std::fs::remove_file(path).is_err() {
        assert!(begin.elapsed().as_secs() < 20, "{path} never came");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

#[tokio::test]
async fn a_service_that_fails_is_named_and_may_be_tried_again() {
    let Some(units) = units().await else { return };
    let units: &dyn ports::Units = &units;
    let unit = "lxhost-test-failing.service";
    let _file = Installed::new(unit, "Type=oneshot\nExecStart=/usr/bin/false");
    // More often than the start limit allows.
    for _ in 0..8 {
        let error = units.start_service(unit).await.unwrap_err();
        assert_eq!(error.kind, Kind::Failed);
        assert!(error.message.contains(unit) && error.message.contains("failed"), "{error}");
    }
}

#[tokio::test]
async fn a_service_that_is_not_installed_is_unsupported() {
    let Some(units) = units().await else { return };
    let units: &dyn ports::Units = &units;
    let unit = "lxhost-test-missing.service";
    assert_eq!(units.start_service(unit).await.unwrap_err().kind, Kind::Unsupported);
    units.stop_service(unit).await.unwrap();
    units.reload_service(unit).await.unwrap();
    assert!(!units.is_active(unit).await.unwrap());
}
