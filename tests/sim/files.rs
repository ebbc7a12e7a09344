//! Files of volumes over the bus: written and read through descriptors, listed, made, removed, and refused.

use crate::client::{none, options, refused};
use crate::volumes::{pool, volume};
use crate::world::World;
use lxhost_dbus::proxy::{FilesProxy, JobProxy, VolumeProxy};
use lxhost_dbus::wire::Values;
use lxhost_model::Kind;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;

fn number(about: &Values, key: &str) -> u32 {
    about[key].downcast_ref::<u32>().unwrap()
}

fn file((data, about): (zbus::OwnedFd, Values)) -> (File, Values) {
    (OwnedFd::from(data).into(), about)
}

#[tokio::test]
async fn a_file_is_written_read_listed_and_removed() {
    let world = World::start().await;
    let client = world.client().await;
    let (path, _) = volume(&client, &pool(&client).await, "data").await;
    let files: FilesProxy<'static> = client.object(&path).await;

    files.make_directory("/a/b", &options([("parents", true.into())])).await.unwrap();
    let mine = options([("mode", 0o600u32.into()), ("uid", 33u32.into())]);
    let (mut data, about) = file(files.open_file("/a/b/file", "create", &mine).await.unwrap());
    assert_eq!((number(&about, "mode"), number(&about, "uid"), number(&about, "gid")), (0o600, 33, 0));
    data.write_all(b"one").unwrap();
    file(files.open_file("/a/b/file", "append", &none()).await.unwrap()).0.write_all(b" two").unwrap();
    let mut text = String::new();
    file(files.open_file("/a/b/file", "read", &none()).await.unwrap()).0.read_to_string(&mut text).unwrap();
    assert_eq!(text, "one two");

    files.make_link("/a/b/link", "file", &none()).await.unwrap();
    let (rows, next) = files.list_directory("/a/b", "", 1).await.unwrap();
    assert_eq!((rows.len(), rows[0].name.as_str(), next.as_str()), (1, "file", "file"));
    let (rows, _) = files.list_directory("/a/b", &next, 0).await.unwrap();
    let seen: Vec<_> = rows.iter().map(|row| (row.name.as_str(), row.kind.as_str(), row.target.as_str())).collect();
    assert_eq!(seen, [("link", "symlink", "file")]);

    refused(files.remove("/a", &none()).await, Kind::InvalidArgs);
    files.remove("/a", &options([("recursive", true.into())])).await.unwrap();
    refused(files.stat("/a", &none()).await, Kind::NoSuchFile);
}

#[tokio::test]
async fn what_may_not_be_is_refused() {
    let world = World::start().await;
    let client = world.client().await;
    let (path, _) = volume(&client, &pool(&client).await, "data").await;
    let files: FilesProxy<'static> = client.object(&path).await;
    refused(files.open_file("/x", "write", &none()).await, Kind::NoSuchFile);
    refused(files.open_file("/x", "execute", &none()).await, Kind::InvalidArgs);
    refused(files.open_file("/x", "read", &options([("uid", 0u32.into())])).await, Kind::InvalidArgs);
    refused(files.open_file("/x", "create", &options([("mode", 0o10000u32.into())])).await, Kind::InvalidArgs);
    refused(files.open_file("/x", "create", &options([("uid", u32::MAX.into())])).await, Kind::InvalidArgs);
    refused(files.make_directory(&"x/".repeat(2048), &none()).await, Kind::InvalidArgs);
    refused(files.make_link("/x", "y", &options([("mode", 0u32.into())])).await, Kind::InvalidArgs);
}

#[tokio::test]
async fn a_volume_whose_files_are_served_is_kept_until_nobody_asks_any_more() {
    let world = World::start().await;
    let client = world.client().await;
    let (path, _) = volume(&client, &pool(&client).await, "data").await;
    let files: FilesProxy<'static> = client.object(&path).await;
    let volume: VolumeProxy<'static> = client.object(&path).await;
    refused(files.open_sftp(&options([("shell", true.into())])).await, Kind::UnknownOption);
    let (one, first) = files.open_sftp(&none()).await.unwrap();
    let (other, second) = files.open_sftp(&none()).await.unwrap();
    refused(volume.delete(&none()).await, Kind::Busy);
    files.make_directory("/meanwhile", &none()).await.unwrap();
    drop(one);
    let job: JobProxy<'static> = client.object(&first).await;
    assert_eq!(job.wait(0).await.unwrap().result, "done");
    refused(volume.delete(&none()).await, Kind::Busy);
    let job: JobProxy<'static> = client.object(&second).await;
    job.cancel(&none()).await.unwrap();
    assert_eq!(job.wait(0).await.unwrap().result, "canceled");
    let mut end = Vec::new();
    File::from(OwnedFd::from(other)).read_to_end(&mut end).unwrap();
    assert!(end.is_empty(), "whoever asked is told by the end of the socket");
    volume.delete(&none()).await.unwrap();
}
