//! A client of the daemon: proxies without a cache, the road of an instance in one call each, and what
//! tests ask again and again.

use futures_util::StreamExt;
use lxhost_dbus::proxy::{ExecProxy, GuestProxy, InstanceProxy, JobProxy, ManagerProxy};
use lxhost_dbus::wire::{InstanceRow, JobEnd, Options, Values};
use lxhost_model::{Error, Kind};
use std::collections::HashMap;
use std::time::Duration;
use zbus::proxy::{Builder, CacheProperties, Defaults};
use zbus::wire::{OwnedObjectPath, Variant};
use zbus::{Connection, MatchRule, Message, MessageStream, Proxy};

/// Longest anything may take before a test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Options from pairs.
pub(crate) fn options<'a, const N: usize>(pairs: [(&'a str, Variant<'a>); N]) -> Options<'a> {
    HashMap::from(pairs)
}

/// No options.
pub(crate) fn none() -> Options<'static> {
    Options::new()
}

/// The source `sim:empty`.
pub(crate) fn image() -> Options<'static> {
    options([("type", "image".into()), ("image", "sim:empty".into())])
}

/// The source of an instance with an empty root.
pub(crate) fn empty() -> Options<'static> {
    options([("type", "empty".into())])
}

/// The kind of an error reply.
pub(crate) fn error(error: zbus::Error) -> Error {
    lxhost_dbus::error_kind(&error)
}

/// Asserts that a call was refused with `kind`, and returns the line that says why.
#[track_caller]
pub(crate) fn refused<T: std::fmt::Debug>(result: zbus::Result<T>, kind: Kind) -> String {
    let error = error(result.expect_err("it was accepted"));
    assert_eq!(error.kind, kind, "{error}");
    assert!(!error.message.is_empty() && !error.message.contains('\n'), "one line: {error:?}");
    error.message
}

/// A connection.
pub(crate) struct Client {
    pub(crate) connection: Connection,
}

impl Client {
    pub(crate) async fn connect(address: &str) -> Client {
        let connection = zbus::connection::Builder::address(address).build().await.unwrap();
        Client { connection }
    }

    /// A proxy of the object at `path`.
    pub(crate) async fn object<T: From<Proxy<'static>> + Defaults>(&self, path: &OwnedObjectPath) -> T {
        Builder::<T>::new(&self.connection).path(path.clone()).cache_properties(CacheProperties::No).build().await.unwrap()
    }

    pub(crate) async fn manager(&self) -> ManagerProxy<'static> {
        Builder::new(&self.connection).cache_properties(CacheProperties::No).build().await.unwrap()
    }

    pub(crate) async fn instance(&self, path: &OwnedObjectPath) -> InstanceProxy<'static> {
        self.object(path).await
    }

    pub(crate) async fn guest(&self, path: &OwnedObjectPath) -> GuestProxy<'static> {
        self.object(path).await
    }

    pub(crate) async fn exec(&self, path: &OwnedObjectPath) -> ExecProxy<'static> {
        self.object(path).await
    }

    /// How a job ends.
    pub(crate) async fn end(&self, job: &OwnedObjectPath) -> JobEnd {
        let job: JobProxy<'static> = self.object(job).await;
        let end = job.wait(PATIENCE.as_micros() as u64).await.unwrap();
        assert_ne!(end.result, "running", "the job did not end in time");
        end
    }

    /// Waits for the end of a job, which has to be good.
    #[track_caller]
    pub(crate) fn done<'a>(&'a self, job: &'a OwnedObjectPath) -> impl Future<Output = JobEnd> + 'a {
        let asked = std::panic::Location::caller();
        async move {
            let end = self.end(job).await;
            assert_eq!(end.result, "done", "{asked}: {}", end.message);
            end
        }
    }

    /// Waits for the end of a job, which has to be bad; returns kind and line.
    #[track_caller]
    pub(crate) fn fails<'a>(&'a self, job: &'a OwnedObjectPath) -> impl Future<Output = Error> + 'a {
        let asked = std::panic::Location::caller();
        async move {
            let end = self.end(job).await;
            assert_eq!(end.result, "failed", "{asked}");
            let kind = Kind::from_dbus_name(&end.error).expect("an error of ours");
            Error::new(kind, end.message)
        }
    }

    /// Makes an instance with an empty root and waits until it is there.
    pub(crate) async fn create(&self, name: &str, spec: &Options<'_>) -> OwnedObjectPath {
        let (instance, job) = self.manager().await.create_instance("default", name, &empty(), spec, &none()).await.unwrap();
        self.done(&job).await;
        instance
    }

    /// Makes and starts an instance.
    pub(crate) async fn launch(&self, name: &str) -> OwnedObjectPath {
        self.create(name, &options([("start", true.into())])).await
    }

    /// All rows of `ListInstances`.
    pub(crate) async fn list(&self) -> Vec<InstanceRow> {
        let manager = self.manager().await;
        let (mut rows, mut cursor) = (vec![], String::new());
        loop {
            let (page, next) = manager.list_instances(&none(), &cursor, 0).await.unwrap();
            rows.extend(page);
            if next.is_empty() {
                return rows;
            }
            cursor = next;
        }
    }

    /// The instances as name and state.
    pub(crate) async fn states(&self) -> Vec<(String, String)> {
        self.list().await.into_iter().map(|row| (row.name, row.state)).collect()
    }

    /// All properties of an interface.
    pub(crate) async fn properties(&self, path: &str, interface: &str) -> zbus::Result<Values> {
        let reply = self
            .connection
            .call_method(Some("org.lxhost1"), path, Some("org.freedesktop.DBus.Properties"), "GetAll", &(interface))
            .await?;
        reply.body().deserialize()
    }

    /// A text property.
    pub(crate) async fn text(&self, path: &str, interface: &str, property: &str) -> String {
        let all = self.properties(path, interface).await.unwrap();
        String::try_from(all[property].try_clone().unwrap()).unwrap()
    }

    /// What `Introspect` says.
    pub(crate) async fn introspect(&self, path: &str) -> zbus::Result<String> {
        let interface = Some("org.freedesktop.DBus.Introspectable");
        let reply = self.connection.call_method(Some("org.lxhost1"), path, interface, "Introspect", &()).await?;
        reply.body().deserialize()
    }

    /// Signals of the daemon from now on.
    pub(crate) async fn signals(&self) -> Signals {
        let rule = MatchRule::builder().msg_type(zbus::message::Type::Signal).sender("org.lxhost1").build().unwrap();
        let stream = MessageStream::for_match_rule(rule, &self.connection, std::num::NonZero::new(10_000)).await.unwrap();
        Signals { stream }
    }
}

/// Signals as they came.
pub(crate) struct Signals {
    stream: MessageStream,
}

impl Signals {
    /// The next signal called `member` that `wanted` takes.
    pub(crate) async fn next(&mut self, member: &str, wanted: impl Fn(&Message) -> bool) -> Message {
        let search = async {
            loop {
                let message = self.stream.next().await.expect("the connection ended").unwrap();
                let is = message.header().member().is_some_and(|m| m.as_str() == member);
                if is && wanted(&message) {
                    return message;
                }
            }
        };
        tokio::time::timeout(PATIENCE, search).await.unwrap_or_else(|_| panic!("{member} never came"))
    }

    /// The next `PropertiesChanged` of an object's interface.
    pub(crate) async fn changed(&mut self, path: &OwnedObjectPath, interface: &str) -> Values {
        let at = |message: &Message| {
            let same = message.header().path().is_some_and(|p| p.as_str() == path.as_str());
            same && message.body().deserialize::<(String, Values, Vec<String>)>().is_ok_and(|(name, _, _)| name == interface)
        };
        let message = self.next("PropertiesChanged", at).await;
        message.body().deserialize::<(String, Values, Vec<String>)>().unwrap().1
    }

    /// The next `PropertiesChanged` of `path` that has the property: others may come before it.
    pub(crate) async fn told(&mut self, path: &OwnedObjectPath, interface: &str, property: &str) -> Values {
        loop {
            let changed = self.changed(path, interface).await;
            if changed.contains_key(property) {
                return changed;
            }
        }
    }

    /// The next `InstanceStateChanged` of `path`: old and new state, and the reason.
    pub(crate) async fn state(&mut self, path: &OwnedObjectPath) -> (String, String, String) {
        type Body = (OwnedObjectPath, String, String, String, String, String);
        let of = |message: &Message| message.body().deserialize::<Body>().is_ok_and(|body| body.0 == *path);
        let message = self.next("InstanceStateChanged", of).await;
        let (_, _, _, old, new, reason) = message.body().deserialize::<Body>().unwrap();
        (old, new, reason)
    }
}
