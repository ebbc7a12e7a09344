//! Behaviour towards a Polkit that says yes, no, maybe, or nothing.

use super::*;
use std::os::unix::net::UnixStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// What the other side was asked: action, caller, details, flags.
#[derive(Debug)]
enum Asked {
    Check { action: String, name: String, details: HashMap<String, String>, flags: u32, id: String },
    Cancel(String),
}

/// A Polkit that decides by the action alone.
struct Fake {
    asked: UnboundedSender<Asked>,
}

type Subject = (String, HashMap<String, zbus::OwnedVariant>);

#[zbus::interface(name = "org.freedesktop.PolicyKit1.Authority")]
impl Fake {
    async fn check_authorization(
        &self,
        subject: Subject,
        action: String,
        details: HashMap<String, String>,
        flags: u32,
        id: String,
    ) -> zbus::fdo::Result<(bool, bool, HashMap<String, String>)> {
        assert_eq!(subject.0, "system-bus-name");
        let name = String::try_from(subject.1["name"].clone()).unwrap();
        self.asked.send(Asked::Check { action: action.clone(), name, details, flags, id }).unwrap();
        let dialog = flags == ALLOW;
        match Action::ALL.iter().find(|a| a.id() == action).unwrap() {
            Action::Info => Ok((true, false, HashMap::new())),
            Action::InstanceDelete => Ok((false, false, HashMap::new())),
            Action::InstanceOperate if dialog => Ok((true, false, HashMap::new())),
            Action::InstanceCreate if dialog => {
                Ok((false, false, HashMap::from([("polkit.dismissed".to_owned(), "true".to_owned())])))
            }
            Action::InstanceConsole if dialog => std::future::pending().await,
            Action::DaemonDebug => std::future::pending().await,
            Action::ImageManage => {
                tokio::time::sleep(3 * MACHINE).await;
                Ok((true, false, HashMap::new()))
            }
            Action::DaemonConfigure => Err(zbus::fdo::Error::Failed("Action is not registered".into())),
            Action::ProjectManage => Err(zbus::fdo::Error::ServiceUnknown("no such service".into())),
            _ => Ok((false, true, HashMap::new())),
        }
    }

    fn cancel_check_authorization(&self, id: String) {
        self.asked.send(Asked::Cancel(id)).unwrap();
    }
}

const ALLOW: u32 = 1;
const MACHINE: Duration = Duration::from_millis(300);

/// A bus on which Polkit has its name, or not yet.
struct Bus(bool);

#[zbus::interface(name = "org.freedesktop.DBus")]
impl Bus {
    fn name_has_owner(&self, name: &str) -> bool {
        assert_eq!(name, "org.freedesktop.PolicyKit1");
        self.0
    }
}

struct World {
    polkit: Arc<Polkit>,
    asked: UnboundedReceiver<Asked>,
    _server: Connection,
}

async fn world() -> World {
    world_with(Bus(true)).await
}

async fn world_with(bus: Bus) -> World {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let (sender, asked) = unbounded_channel();
    let guid = zbus::Guid::generate();
    let server = zbus::connection::Builder::unix_stream(theirs)
        .server(guid)
        .p2p()
        .serve_at("/org/freedesktop/PolicyKit1/Authority", Fake { asked: sender })
        .serve_at("/org/freedesktop/DBus", bus);
    let client = zbus::connection::Builder::unix_stream(ours).p2p();
    let (server, client) = tokio::join!(server.build(), client.build());
    let mut polkit = Polkit::new(client.unwrap());
    polkit.patience = Patience { machine: MACHINE, start: Duration::from_secs(20), human: Duration::from_secs(60) };
    World { polkit: Arc::new(polkit), asked, _server: server.unwrap() }
}

fn caller(interactive: bool) -> Caller {
    Caller { bus_name: ":1.42".into(), uid: 1000, interactive }
}

#[tokio::test]
async fn root_is_not_asked_about() {
    let mut world = world().await;
    let root = Caller { uid: 0, ..caller(false) };
    world.polkit.check(&root, Action::InstanceDelete, Details::new()).await.unwrap();
    assert!(world.polkit.permissions(&root).await.unwrap().iter().all(|(_, word)| *word == "yes"));
    assert!(world.asked.try_recv().is_err());
}

#[tokio::test]
async fn the_question_names_the_caller_the_action_and_the_details() {
    let mut world = world().await;
    world.polkit.check(&caller(false), Action::Info, vec![("instance", "c1".into()), ("verb", "list".into())]).await.unwrap();
    let Asked::Check { action, name, details, flags, .. } = world.asked.recv().await.unwrap() else { panic!() };
    assert_eq!((action.as_str(), name.as_str(), flags), ("org.lxhost1.info", ":1.42", 0));
    assert_eq!(details["instance"], "c1");
    assert_eq!(details["verb"], "list");
}

#[tokio::test]
async fn a_no_is_access_denied_and_names_the_action_without_a_dialog() {
    let mut world = world().await;
    let error = world.polkit.check(&caller(true), Action::InstanceDelete, Details::new()).await.unwrap_err();
    assert_eq!(error.kind, Kind::AccessDenied);
    assert!(error.message.contains("org.lxhost1.instance.delete"), "{error}");
    assert!(matches!(world.asked.recv().await, Some(Asked::Check { flags: 0, .. })));
    assert!(world.asked.try_recv().is_err(), "asked only once");
}

#[tokio::test]
async fn a_maybe_opens_a_dialog_only_when_the_caller_allows_it() {
    let mut world = world().await;
    let error = world.polkit.check(&caller(false), Action::InstanceOperate, Details::new()).await.unwrap_err();
    assert_eq!(error.kind, Kind::InteractiveAuthorizationRequired);
    assert!(error.message.contains(Action::InstanceOperate.id()), "{error}");
    assert!(matches!(world.asked.recv().await, Some(Asked::Check { flags: 0, .. })));
    world.polkit.check(&caller(true), Action::InstanceOperate, Details::new()).await.unwrap();
    assert!(matches!(world.asked.recv().await, Some(Asked::Check { flags: 0, .. })));
    assert!(matches!(world.asked.recv().await, Some(Asked::Check { flags: ALLOW, .. })));
    assert!(locked(&world.polkit.dialogs).is_empty());
}

#[tokio::test]
async fn a_dismissed_dialog_and_a_missing_agent_are_told_apart() {
    let world = world().await;
    let dismissed = world.polkit.check(&caller(true), Action::InstanceCreate, Details::new()).await.unwrap_err();
    assert_eq!(dismissed.kind, Kind::AccessDenied);
    assert!(dismissed.message.contains("dismissed"));
    let no_agent = world.polkit.check(&caller(true), Action::ImagePull, Details::new()).await.unwrap_err();
    assert_eq!(no_agent.kind, Kind::InteractiveAuthorizationRequired);
    assert!(no_agent.message.contains("agent"));
}

#[tokio::test]
async fn silence_is_a_no_and_takes_the_question_back() {
    let mut world = world().await;
    let error = world.polkit.check(&caller(false), Action::DaemonDebug, Details::new()).await.unwrap_err();
    assert_eq!(error.kind, Kind::Timeout);
    let Some(Asked::Check { id: asked, .. }) = world.asked.recv().await else { panic!() };
    let Some(Asked::Cancel(cancelled)) = world.asked.recv().await else { panic!() };
    assert_eq!(asked, cancelled);
}

#[tokio::test]
async fn a_polkit_that_is_being_started_is_waited_for() {
    world_with(Bus(false)).await.polkit.check(&caller(false), Action::ImageManage, Details::new()).await.unwrap();
    let error = world().await.polkit.check(&caller(false), Action::ImageManage, Details::new()).await.unwrap_err();
    assert_eq!(error.kind, Kind::Timeout, "one that is there and says nothing is not");
}

#[tokio::test]
async fn a_caller_that_goes_away_takes_its_dialog_with_it() {
    let mut world = world().await;
    let polkit = Arc::clone(&world.polkit);
    let check = tokio::spawn(async move { polkit.check(&caller(true), Action::InstanceConsole, Details::new()).await });
    let id = loop {
        if let Some(Asked::Check { flags: ALLOW, id, .. }) = world.asked.recv().await {
            break id;
        }
    };
    assert_eq!(locked(&world.polkit.dialogs)[&1000], 1);
    check.abort();
    assert!(matches!(world.asked.recv().await, Some(Asked::Cancel(cancelled)) if cancelled == id));
    assert!(locked(&world.polkit.dialogs).is_empty());
}

#[tokio::test]
async fn a_fifth_dialog_of_one_user_is_refused_and_another_user_gets_one() {
    let world = world().await;
    let four: Vec<_> = (0..4).map(|_| world.polkit.open_dialog(1000).unwrap()).collect();
    let error = world.polkit.check(&caller(true), Action::InstanceOperate, Details::new()).await.unwrap_err();
    assert_eq!(error.kind, Kind::LimitsExceeded);
    let other = Caller { uid: 1001, ..caller(true) };
    world.polkit.check(&other, Action::InstanceOperate, Details::new()).await.unwrap();
    drop(four);
    world.polkit.check(&caller(true), Action::InstanceOperate, Details::new()).await.unwrap();
}

#[tokio::test]
async fn an_error_or_a_missing_polkit_is_a_no() {
    let world = world().await;
    let error = world.polkit.check(&caller(true), Action::DaemonConfigure, Details::new()).await.unwrap_err();
    assert_eq!(error.kind, Kind::AccessDenied);
    assert!(error.message.contains("not registered"), "{error}");
    let absent = world.polkit.check(&caller(true), Action::ProjectManage, Details::new()).await.unwrap_err();
    assert_eq!(absent.kind, Kind::AccessDenied);
    assert!(absent.message.contains("only root"), "{absent}");
}

#[tokio::test]
async fn permissions_fail_when_polkit_hangs_and_open_no_dialog() {
    let mut world = world().await;
    let error = world.polkit.permissions(&caller(true)).await.unwrap_err();
    assert_eq!(error.kind, Kind::Timeout);
    while let Ok(asked) = world.asked.try_recv() {
        assert!(matches!(asked, Asked::Check { flags: 0, .. } | Asked::Cancel(_)), "{asked:?}");
    }
}
